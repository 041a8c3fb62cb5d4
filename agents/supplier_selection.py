"""The agent that says who delivers how many: per SKU by total cost, then everything one supplier wins in one order."""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

from agents.consolidation import Consolidation, OrderedSku, consolidate
from agents.supplier_choice import SupplyChoice
from agents.supply_case import SupplyCase, SupplyPorts, to_a_person
from agents.supply_outlook import SupplyNow, choice_of, forecast_of, read_supply
from domain.decision import Outcome, Reason, Verdict
from domain.errors import InputError, MissingRate
from domain.ids import Sku
from domain.supply import SupplyOption
from domain.values import Plain

LINE_COST_USD = 5.0
"""What one more line on an order costs us: picking the article, receiving, checking."""
CONFIDENT = 0.85
SHOWN_OPTIONS = 12


class SupplierSelection:
    """Chooses one supplier for the case and a quantity per SKU; the table of options is the explanation."""

    name = "supplier_choice"
    version = "sc-1.0"

    def __init__(self, ports: SupplyPorts) -> None:
        """``ports`` are shared by all agents."""
        self._ports = ports

    async def decide(self, case: SupplyCase) -> Verdict:
        """Choose.

        Raises:
            Transient: offers, stock or goods under way could not be read.
        """
        supply = await read_supply(self._ports, case.skus, tenant=case.tenant, now=case.now, besides=case.number)
        only = str(case.edits.get("vendor_id") or "")
        try:
            choices = {sku: choice_of(self._ports, supply, sku, only=only) for sku in case.skus}
        except (InputError, MissingRate) as impossible:
            return to_a_person("NO_SUPPLIER", str(impossible))
        wanted = {sku: choice for sku, choice in choices.items() if choice is not None}
        inputs = _read(supply, case)
        if not wanted:
            covered = tuple(Reason(code="COVERED", text=_covered(supply, sku)) for sku in case.skus)
            return Verdict(
                decision="not_needed", outcome=Outcome.LIMIT, confidence=0.95, reasons=covered, inputs=inputs
            )
        supplier = Counter(choice.best.supplier_id for choice in wanted.values()).most_common(1)[0][0]
        ordered = {sku: choice for sku, choice in wanted.items() if choice.best.supplier_id == supplier}
        together = consolidation_of(self._ports, supply, ordered)
        return self._verdict(case, supply, ordered, together, supplier, inputs)

    def _verdict(
        self,
        case: SupplyCase,
        supply: SupplyNow,
        ordered: Mapping[Sku, SupplyChoice],
        together: Consolidation,
        supplier: str,
        inputs: dict[str, Plain],
    ) -> Verdict:
        reasons = [Reason(code="CHEAPEST", text=_why(choice, sku)) for sku, choice in ordered.items()]
        if together.saved_per_year:
            reasons.append(Reason(code="CONSOLIDATED", text=together.reason))
        if supplier in supply.closures:
            reasons.append(Reason(code="CLOSURE", text=supply.closures[supplier]))
        late = [sku for sku, choice in ordered.items() if choice.too_late]
        reasons += [
            Reason(
                code="TOO_LATE", text=f"{sku} probably runs out before any supplier delivers: sales should be slowed"
            )
            for sku in late
        ]
        left = [sku for sku in case.skus if sku not in ordered]
        lines: dict[str, Plain] = {sku: together.quantities[sku] for sku in ordered}
        return Verdict(
            decision="order",
            outcome=Outcome.PROCEED,
            confidence=CONFIDENT,
            flags=("slow_sales",) if late else (),
            reasons=tuple(reasons),
            facts={
                "vendor_id": supplier,
                "lines": lines,
                "late": [*late],
                "left_out": [*left],
                "table": {
                    sku: [_row(one) for one in choice.options[:SHOWN_OPTIONS]] for sku, choice in ordered.items()
                },
            },
            inputs=inputs,
        )


def consolidation_of(ports: SupplyPorts, supply: SupplyNow, ordered: Mapping[Sku, SupplyChoice]) -> Consolidation:
    """The quantities of SKUs ordered from one supplier together."""
    lines, freight = [], 0.0
    for sku, choice in ordered.items():
        best = choice.best
        offer = next(one for one in supply.offers[sku] if one.supplier_id == best.supplier_id)
        freight = max(freight, float(best.parts["freight"]))
        lines.append(
            OrderedSku(
                sku=sku,
                quantity=best.quantity,
                pack=offer.pack,
                daily_mean=forecast_of(supply, sku).per_period / 7,
                unit_cost=float(best.unit_price_base),
                own_cost=LINE_COST_USD,
            )
        )
    return consolidate(lines, shared_cost=freight, holding_share=ports.terms.holding)


def _read(supply: SupplyNow, case: SupplyCase) -> dict[str, Plain]:
    offers: dict[str, Plain] = {
        sku: {
            one.supplier_id: [f"{b.from_quantity}:{b.unit_price} {one.currency}" for b in one.prices] for one in found
        }
        for sku, found in supply.offers.items()
    }
    coming: dict[str, Plain] = {
        sku: [f"{one.reference}: {one.units} due {one.due.isoformat()}" for one in found]
        for sku, found in supply.inbound.items()
    }
    free: dict[str, Plain] = {sku: supply.free[sku] for sku in case.skus}
    rates: dict[str, Plain] = {currency: str(rate) for currency, rate in sorted(supply.rates.items())}
    return {"offers": offers, "inbound": coming, "free": free, "rates": rates}


def _covered(supply: SupplyNow, sku: Sku) -> str:
    coming = ", ".join(f"{one.units} on {one.reference}" for one in supply.inbound.get(sku, ()))
    return f"{sku}: {supply.free[sku]} free" + (f" and {coming} under way" if coming else "") + " cover the need"


def _why(choice: SupplyChoice, sku: Sku) -> str:
    best = choice.best
    rivals = len({one.supplier_id for one in choice.options}) - 1
    return (
        f"{sku}: {best.quantity} from {best.supplier_id} at {best.unit_price} {best.currency}, {_money(best.unit_total)} USD a "
        f"unit in all, {best.lead_days:.0f} days; cheapest in total of {rivals + 1} supplier(s), {len(choice.options)} options"
    )


def _row(one: SupplyOption) -> Plain:
    parts: dict[str, Plain] = {name: _money(cost) for name, cost in one.parts.items()}
    return {
        "supplier_id": one.supplier_id,
        "quantity": one.quantity,
        "need": one.need,
        "unit_price": str(one.unit_price),
        "currency": one.currency,
        "unit_price_usd": _money(one.unit_price_base),
        "unit_total_usd": _money(one.unit_total),
        "stockout_probability": f"{one.stockout_probability:.3f}",
        "on_time": f"{one.on_time:.2f}",
        "lead_days": f"{one.lead_days:.0f}",
        "parts_usd": parts,
        "why_not": one.why_not,
    }


def _money(value: Decimal) -> str:
    return f"{value:.3f}"
