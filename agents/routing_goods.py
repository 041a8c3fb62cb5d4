"""The open lines of an order in shipping terms: weight, volume, insured value, duty."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from agents.routing_blocks import Goods, describe
from agents.routing_offers import minor_units
from agents.routing_problem import UNKNOWN_VALUE, Stock
from domain.catalogue import Product
from domain.errors import MissingRate
from domain.fx import RateTable
from domain.ids import Sku
from domain.money import Money
from domain.order import Order


def open_goods(
    order: Order, products: Mapping[Sku, Product], values: Sequence[int], duties: Sequence[int] = ()
) -> tuple[list[Goods], list[str]]:
    """The open lines in shipping terms, and those nobody knows the weight of."""
    goods: list[Goods] = []
    unknown: list[str] = []
    lines = order.open_lines
    for line, value, duty in zip(lines, values, duties or (0,) * len(lines), strict=True):
        described = describe(line, products.get(line.sku), value, duty)
        if described is None:
            unknown.append(line.sku or line.line_id)
        else:
            goods.append(described)
    return goods, unknown


def insured_values(order: Order, rates: RateTable, now: datetime, *, settlement: str) -> list[int]:
    """What each open line is insured for: its share of what the buyer pays for everything still open."""
    lines = order.open_lines
    try:
        whole = minor_units(order.total_open, settlement, rates, now)
    except MissingRate:
        return [UNKNOWN_VALUE] * len(lines)
    prices = [max(0, line.unit_price.amount_minor) * line.quantity_open for line in lines]
    shares = Money(amount_minor=max(0, whole), currency=settlement).allocate(
        prices if any(prices) else [1] * len(lines)
    )
    return [share.amount_minor for share in shares]


def missing_units(goods: Sequence[Goods], stock: Stock) -> dict[Sku, int]:
    """Units no combination of sites holds, by SKU."""
    wanted: dict[Sku, int] = {}
    for item in goods:
        wanted[item.sku] = wanted.get(item.sku, 0) + item.units
    return short_units(wanted, stock)


def short_units(wanted: Mapping[Sku, int], stock: Stock) -> dict[Sku, int]:
    """The wanted units all sites together do not hold, by SKU."""
    held: dict[Sku, int] = {}
    for (_, sku), units in stock.items():
        held[sku] = held.get(sku, 0) + units
    return {sku: short for sku, units in wanted.items() if (short := units - held.get(sku, 0)) > 0}
