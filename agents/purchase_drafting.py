"""The agent that makes the purchase order and its letter: every figure from records, the prose from a callable."""

from datetime import date, timedelta
from decimal import Decimal
from math import ceil

from agents.letter_checks import check_letter, regenerate_once
from agents.letter_draft import MODEL, Letter, fill, own_prose
from agents.letter_locale import letter_locale
from agents.supply_case import SupplyCase, SupplyPorts, plain_of, to_a_person
from domain.address import Address
from domain.catalogue import Product
from domain.decision import Outcome, Proposal, Reason, Verdict
from domain.effect import EffectKind
from domain.errors import InputError
from domain.ids import Sku
from domain.intent import SendPurchaseOrder
from domain.money import Money, total
from domain.purchasing import PurchaseOrder, PurchaseOrderLine, Vendor
from domain.supply import SupplierOffer
from domain.values import Plain

REPLY_DAYS = 3
ENGLISH = "en"
CONFIDENT = 0.9


class PurchaseDrafting:
    """Writes version ``case.version`` of the order, its letter in the supplier's language, and an English gloss."""

    name = "purchase_order_draft"
    version = "pd-1.0"

    def __init__(self, ports: SupplyPorts) -> None:
        """``ports`` are shared by all agents."""
        self._ports = ports

    async def decide(self, case: SupplyCase) -> Verdict:
        """Draft.

        Raises:
            Transient: vendor, offers or products could not be read.
        """
        chosen = case.facts("supplier_choice")
        lines = chosen.get("lines")
        if not isinstance(lines, dict) or not lines:
            return to_a_person("NOTHING_CHOSEN", "no supplier was chosen, so there is nothing to write")
        try:
            order = await self.order(case, str(chosen["vendor_id"]), {str(s): _whole(q) for s, q in lines.items()})
            letter, gloss, findings = self._letter(order)
        except (InputError, ValueError) as wrong:
            return to_a_person("NO_ORDER", f"the order cannot be written: {_first(wrong)}")
        if letter is None:
            return to_a_person("NO_LETTER", f"two drafts were refused: {'; '.join(findings)}")
        sent = SendPurchaseOrder(
            number=order.number, version=order.version, digest=order.content_digest, vendor_id=order.vendor.vendor_id,
            recipient=letter.to, reply_to=letter.reply_to, locale=letter.language, subject=letter.subject, body=letter.body,
        )  # fmt: skip
        text = f"{order.number} version {order.version}: {len(order.lines)} line(s), {order.total}, to {order.vendor.legal_name}"
        facts: dict[str, Plain] = {
            "order": plain_of(order),
            "digest": order.content_digest,
            "letter": plain_of(letter),
            "gloss": {"subject": gloss.subject, "body": gloss.body},
        }
        return Verdict(
            decision="draft",
            outcome=Outcome.PROCEED,
            confidence=0.69 if letter.source == MODEL else CONFIDENT,
            reasons=(Reason(code="DRAFTED", text=text, evidence=f"erp.offers:{order.vendor.vendor_id}"),),
            proposals=(
                Proposal(
                    kind=EffectKind.SEND_PURCHASE_ORDER, part=str(order.version), args=sent.model_dump(mode="json")
                ),
            ),
            facts=facts,
            inputs={"quoted_at": order.quoted_at.isoformat(), "source": letter.source},
        )

    async def order(self, case: SupplyCase, vendor_id: str, quantities: dict[str, int]) -> PurchaseOrder:
        """The order from records alone.

        Raises:
            InputError: vendor or offer is gone.
            ValueError: a quantity or date does not fit.
        """
        vendor, offers, warehouse = await self._terms(vendor_id, [Sku(sku) for sku in quantities])
        products = await self._ports.erp.products([Sku(sku) for sku in quantities])
        asked = case.edits.get("quantities")
        changed = {str(k): _whole(v) for k, v in asked.items()} if isinstance(asked, dict) else {}
        unknown = sorted(set(changed) - set(quantities))
        if unknown:
            raise InputError(f"{', '.join(unknown)} is not on this order")
        wanted = {sku: changed.get(sku, quantity) for sku, quantity in quantities.items()}
        made = [
            _line(n, offers[Sku(sku)], quantity, products.get(Sku(sku)))
            for n, (sku, quantity) in enumerate(((s, q) for s, q in wanted.items() if q > 0), start=1)
        ]
        if not made:
            raise InputError("no line is left on this order")
        today = case.now.date()
        earliest, latest = self._window(case, [offers[Sku(line.sku)] for line in made], vendor, today)
        buyer = await self._ports.supply.buyer()
        goods, tax = total([line.amount for line in made], vendor.currency), Money.zero(vendor.currency)
        notes = case.edits.get("notes")
        return PurchaseOrder(
            number=case.number, version=case.version, tenant=case.tenant, issued=today,
            reply_by=today + timedelta(days=REPLY_DAYS), currency=vendor.currency, buyer=buyer, vendor=vendor,
            ship_to=Address(company=buyer.legal_name, line1=f"Warehouse {warehouse[0]}", country=warehouse[1]),
            warehouse=warehouse[0], deliver_from=earliest, deliver_until=latest, by_sea=vendor.incoterm.sea_only,
            incoterm=vendor.incoterm, incoterm_place=vendor.incoterm_place, payment=vendor.payment, lines=tuple(made),
            tax=tax, total=goods + tax, notes=tuple(str(n) for n in notes) if isinstance(notes, list) else (),
            trigger=case.trigger, quoted_at=case.now,
        )  # fmt: skip

    async def _terms(self, vendor_id: str, skus: list[Sku]) -> tuple[Vendor, dict[Sku, SupplierOffer], tuple[str, str]]:
        vendors = await self._ports.supply.vendors([vendor_id])
        if not vendors or not vendors[0].active:
            raise InputError(f"supplier {vendor_id} is not in the vendor master, or is blocked there")
        read = await self._ports.supply.offers(skus)
        offers = {Sku(one.sku): one for one in read if one.supplier_id == vendor_id}
        missing = sorted(set(skus) - set(offers))
        if missing:
            raise InputError(f"supplier {vendor_id} no longer offers {', '.join(missing)}")
        return vendors[0], offers, await self._where(skus)

    async def _where(self, skus: list[Sku]) -> tuple[str, str]:
        """Code and country of the site that has least of the goods, among those that keep them."""
        free: dict[str, int] = {}
        for level in await self._ports.wms.stock(skus):
            free[level.warehouse] = free.get(level.warehouse, 0) + level.available
        sites = {site.warehouse: site.country for site in await self._ports.wms.warehouses()}
        kept = {name: units for name, units in free.items() if name in sites} or dict.fromkeys(sites, 0)
        least = min(kept, key=lambda name: (kept[name], name))
        return least, {str(name): country for name, country in sites.items()}[least]

    def _window(self, case: SupplyCase, offers: list[SupplierOffer], vendor: Vendor, today: date) -> tuple[date, date]:
        lead = max(offer.lead_days for offer in offers)
        closed, _ = self._ports.calendar.closed_days(today, lead, vendor.country)
        spread = max(offer.lead_sd_days for offer in offers)
        earliest = today + timedelta(days=ceil(lead) + closed)
        latest = earliest + timedelta(days=ceil(2 * spread))
        edited = case.edits.get("deliver_until")
        if isinstance(edited, str) and edited:
            latest = date.fromisoformat(edited)
            if latest < earliest:
                raise InputError(f"{latest} is before {earliest}, when the supplier can deliver at the earliest")
        return earliest, latest

    def _letter(self, order: PurchaseOrder) -> tuple[Letter | None, Letter, list[str]]:
        locale = letter_locale(order.vendor.language, order.vendor.country)
        gloss = letter_locale(ENGLISH)
        prose, findings = regenerate_once(lambda found: self._ports.drafting(order, locale, found), locale)
        english = fill(own_prose(order, gloss), order, gloss)
        if prose is None:
            return None, english, [one.sentence for one in findings]
        letter = fill(prose, order, locale)
        wrong = check_letter(letter, order, locale)
        return (None if wrong else letter), english, [one.sentence for one in wrong]


def _line(number: int, offer: SupplierOffer, quantity: int, product: Product | None) -> PurchaseOrderLine:
    price: Decimal = offer.price(quantity)
    return PurchaseOrderLine(
        line_id=str(number), sku=offer.sku, description=product.title if product else offer.sku,
        hs_code=product.hs_code if product else "", origin=product.origin if product else "", quantity=quantity,
        pack=offer.pack, moq=offer.moq, unit_price=price, amount=Money.rounded(price * quantity, offer.currency),
    )  # fmt: skip


def _whole(value: Plain) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"{value!r} is not a quantity; give a whole number of 0 or more")
    return value


def _first(wrong: Exception) -> str:
    """One sentence of an error; pydantic's are long."""
    errors = getattr(wrong, "errors", None)
    return str(errors()[0]["msg"]) if callable(errors) else str(wrong)
