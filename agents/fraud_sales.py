"""Measures a shop's past orders into a snapshot of segment quantiles: amounts by country and category, units by SKU."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agents.fraud_segments import ENOUGH_ORDERS
from domain.ids import Sku
from domain.money import Money
from domain.risk import SegmentQuantiles, SegmentSnapshot

MEASURED_OVER = timedelta(days=90)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sale:
    """One past order, as far as it is measured."""

    placed_at: datetime
    country: str
    category: str
    total: Money
    usd_cents: int | None
    """None without a rate; such a sale does not count towards the segment of everywhere."""
    units: Mapping[Sku, int] = field(default_factory=dict)


def measured(sales: Iterable[Sale], *, until: datetime, snapshot_id: str) -> SegmentSnapshot:
    """The quantiles of the 90 days before ``until``: per country and category, per country, and of everything in USD."""
    since = until - MEASURED_OVER
    amounts: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    by_sku: dict[Sku, list[int]] = defaultdict(list)
    by_category: dict[str, list[int]] = defaultdict(list)
    for sale in sales:
        if not since <= sale.placed_at < until:
            continue
        currency, minor = sale.total.currency, sale.total.amount_minor
        amounts[sale.country, "", currency].append(minor)
        if sale.category:
            amounts[sale.country, sale.category, currency].append(minor)
        if sale.usd_cents is not None:
            amounts["", "", "USD"].append(sale.usd_cents)
        for sku, units in sale.units.items():
            by_sku[sku].append(units)
            by_category[sale.category].append(units)
    return SegmentSnapshot(
        snapshot_id=snapshot_id,
        measured_from=since,
        measured_to=until,
        segments=tuple(_quantiles(key, seen) for key, seen in sorted(amounts.items()) if len(seen) >= ENOUGH_ORDERS),
        quantity_p99={sku: _at(sorted(n), 99) for sku, n in sorted(by_sku.items()) if len(n) >= ENOUGH_ORDERS},
        category_quantity_p99={
            name: _at(sorted(n), 99) for name, n in sorted(by_category.items()) if name and len(n) >= ENOUGH_ORDERS
        },
    )


def _quantiles(key: tuple[str, str, str], seen: list[int]) -> SegmentQuantiles:
    country, category, currency = key
    seen.sort()
    return SegmentQuantiles(
        country=country, category=category, currency=currency, n=len(seen), p75=_at(seen, 75), p90=_at(seen, 90),
        p95=_at(seen, 95),
    )  # fmt: skip


def _at(ascending: Sequence[int], percent: int) -> int:
    """The smallest value that ``percent`` of the values do not exceed."""
    return ascending[max(0, -(-len(ascending) * percent // 100) - 1)]
