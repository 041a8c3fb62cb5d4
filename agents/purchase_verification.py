"""The agent that holds a draft against the records once more: prices as the ERP has them, packs, dates, letter, addressee."""

from collections.abc import Sequence
from datetime import date, timedelta
from math import floor

from agents.letter_checks import check_letter, confidence
from agents.letter_draft import Letter
from agents.letter_locale import letter_locale
from agents.supply_case import SupplyCase, SupplyPorts, to_a_person
from domain.decision import Outcome, Reason, Verdict
from domain.ids import Sku
from domain.purchasing import PurchaseOrder, Vendor
from domain.supply import SupplierOffer
from domain.values import Plain

CHECKS = (
    "addressee", "currency", "dates", "figures", "form", "glossary", "ids", "language", "links", "numbers", "numerals",
    "packs", "payment", "price", "promise", "records", "slots", "table", "total", "vendor",
)  # fmt: skip
"""Every check a draft passes before a person sees it, by name."""


class PurchaseVerification:
    """Verifies the draft against vendor master and offers as they are now."""

    name = "purchase_order_verification"
    version = "pv-1.0"

    def __init__(self, ports: SupplyPorts) -> None:
        """``ports`` are shared by all agents."""
        self._ports = ports

    async def decide(self, case: SupplyCase) -> Verdict:
        """Verify.

        Raises:
            Transient: vendor or offers could not be read.
        """
        drafted = case.facts("purchase_order_draft")
        if "order" not in drafted:
            return to_a_person("NO_DRAFT", "there is no draft to verify")
        order = PurchaseOrder.model_validate(drafted["order"])
        letter = Letter.model_validate(drafted["letter"])
        findings = [*await standing_terms(self._ports, order, today=case.now.date())]
        locale = letter_locale(order.vendor.language, order.vendor.country)
        findings += [(one.check, one.sentence) for one in check_letter(letter, order, locale)]
        facts: dict[str, Plain] = {"checks": [*CHECKS], "findings": [[check, sentence] for check, sentence in findings]}
        if findings:
            return Verdict(
                decision="refused",
                outcome=Outcome.HOLD,
                confidence=0.95,
                reasons=tuple(Reason(code=check.upper(), text=sentence) for check, sentence in findings),
                facts=facts,
            )
        return Verdict(
            decision="verified",
            outcome=Outcome.PROCEED,
            confidence=confidence(letter, ()),
            reasons=(Reason(code="VERIFIED", text=f"all {len(CHECKS)} checks passed"),),
            facts=facts,
        )


async def standing_terms(ports: SupplyPorts, order: PurchaseOrder, *, today: date) -> Sequence[tuple[str, str]]:
    """What of an order no longer agrees with vendor master and offers: check and sentence.

    Raises:
        Transient: they could not be read.
    """
    vendors = await ports.supply.vendors([order.vendor.vendor_id])
    read = await ports.supply.offers([Sku(line.sku) for line in order.lines])
    offers = {one.sku: one for one in read if one.supplier_id == order.vendor.vendor_id}
    found = list(_vendor(order, vendors[0] if vendors else None))
    for line in order.lines:
        offer = offers.get(line.sku)
        if offer is None or (offer.valid_until is not None and offer.valid_until < today):
            found.append(("price", f"{order.vendor.vendor_id} no longer offers {line.sku}"))
            continue
        price = offer.price(line.quantity)
        if offer.currency != order.currency or price != line.unit_price:
            was = f"{line.unit_price} {order.currency}"
            found.append(("price", f"{line.sku} is offered at {price} {offer.currency} now, the order says {was}"))
        if line.quantity % offer.pack or line.quantity < offer.moq:
            found.append(
                ("packs", f"{line.sku}: {line.quantity} is not a multiple of {offer.pack} of at least {offer.moq}")
            )
        found += _dates(order, line.sku, offer)
    if order.reply_by < today:
        found.append(("dates", f"the answer would have been due on {order.reply_by}"))
    return found


def _vendor(order: PurchaseOrder, vendor: Vendor | None) -> Sequence[tuple[str, str]]:
    if vendor is None or not vendor.active:
        return [("vendor", f"supplier {order.vendor.vendor_id} is not in the vendor master, or is blocked there")]
    names = ("email", "legal_name", "currency", "tax_id", "bank_digest", "payment", "incoterm", "incoterm_place")
    changed = [name for name in names if getattr(vendor, name) != getattr(order.vendor, name)]
    return [("vendor", f"the vendor master has another {', '.join(changed)} now")] if changed else []


def _dates(order: PurchaseOrder, sku: str, offer: SupplierOffer) -> Sequence[tuple[str, str]]:
    earliest = order.issued + timedelta(days=floor(offer.lead_days))
    if order.deliver_until < earliest:
        return [("dates", f"{sku} cannot be there before {earliest}; the order wants it by {order.deliver_until}")]
    return []
