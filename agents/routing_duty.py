"""What duty and import tax cost the sender when an order travels duty paid.

Relief is judged by the value of the whole order and of what the consignee was sent on the same day, so that dividing
it into parcels changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from agents.exchange import converted
from agents.tax_rules import Collector, TaxRule, TaxTable, assess
from domain.fx import RateTable
from domain.money import Money, total
from domain.order import Order, OrderLine


@dataclass(frozen=True, kw_only=True)
class ImportBill:
    """Duty and import tax by open line, if the line crosses the border."""

    rule_id: str
    by_line_minor: tuple[int, ...]
    """In settlement currency."""


@dataclass(frozen=True, kw_only=True)
class Consignment:
    """One order on its way to one consignee."""

    order: Order
    sent_today: tuple[Money, ...]
    """What the consignee was sent earlier on the same day, by currency; empty when it does not count."""
    imports_before: int
    """Parcels this consignee has imported this half year, as far as known."""


def import_bill(
    consignment: Consignment, table: TaxTable, rates: RateTable, now: datetime, *, settlement: str
) -> ImportBill | None:
    """The bill at the border; None when no dated row of the destination covers it.

    Raises:
        MissingRate: the value cannot be compared with the relief limit, or the bill not settled.
    """
    order = consignment.order
    country = order.ship_to.country
    lines = order.open_lines
    if country in table.no_tax:
        return ImportBill(rule_id=f"{country}-NONE", by_line_minor=(0,) * len(lines))
    goods = [_value(line) for line in lines]
    rule = _rule(consignment, total(goods, order.currency), table, rates, now)
    if rule is None:
        return None
    if rule.collector is not Collector.BORDER:
        return ImportBill(rule_id=rule.rule_id, by_line_minor=(0,) * len(lines))
    owed = assess(rule, goods, order.shipping, tax_included=False)
    whole = converted(owed.duty + owed.tax, settlement, rates, now)
    shares = [max(0, (duty + tax).amount_minor) for duty, tax in zip(owed.duties, owed.taxes, strict=True)]
    settled = Money.rounded(whole, settlement).allocate(shares if any(shares) else [1] * len(lines))
    return ImportBill(rule_id=rule.rule_id, by_line_minor=tuple(share.amount_minor for share in settled))


def _rule(consignment: Consignment, goods: Money, table: TaxTable, rates: RateTable, now: datetime) -> TaxRule | None:
    values = (goods + consignment.order.shipping, *consignment.sent_today)
    country = consignment.order.ship_to.country
    for rule in table.candidates(country, domestic=False, day=table.day(country, now)):
        limit = rule.limit
        currency = values[0].currency if limit is None else limit.currency
        if not rule.covers(sum((converted(value, currency, rates, now) for value in values), Decimal(0))):
            continue
        if rule.most_imports is not None and consignment.imports_before >= rule.most_imports and rule.otherwise:
            return table.rules[rule.otherwise]
        return rule
    return None


def _value(line: OrderLine) -> Money:
    """What the open units cost after the line's discount."""
    net = (line.unit_price * line.quantity) - line.discount
    if line.quantity_open == line.quantity:
        return net
    return Money.rounded(net.decimal * line.quantity_open / line.quantity, net.currency)


def limit_currencies(table: TaxTable, country: str) -> set[str]:
    """The currencies a destination's relief limits are in."""
    return {rule.limit.currency for rule in table.rules.values() if rule.country == country and rule.limit}
