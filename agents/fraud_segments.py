"""How large an order is among its like: quantiles of country and category, else country, else everywhere in US dollars."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from domain.errors import ConfigError
from domain.ids import Sku
from domain.money import Money
from domain.ports import SegmentPort
from domain.risk import SegmentQuantiles, SegmentSnapshot

SEGMENTS_FILE = Path(__file__).with_name("fraud_segments.json")
ENOUGH_ORDERS = 200
"""A segment with fewer orders is too thin to judge by."""
FRESH_FOR = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """An order's amount beside the quantiles of its segment, all in minor units of one currency."""

    name: str
    currency: str
    amount: int
    p75: int
    p90: int
    p95: int


class SegmentTable:
    """One snapshot, indexed."""

    def __init__(self, snapshot: SegmentSnapshot) -> None:
        """Segments with too few orders are left out."""
        self.snapshot = snapshot
        self._found: dict[tuple[str, str, str], SegmentQuantiles] = {
            (one.country, one.category, one.currency): one for one in snapshot.segments if one.n >= ENOUGH_ORDERS
        }

    def choose(self, *, country: str, category: str, total: Money, usd_cents: int | None) -> Segment | None:
        """The narrowest segment with enough orders; None when even the widest has too few or there is no rate."""
        local = (country, category, total.currency), (country, "", total.currency)
        for key in local if country else ():
            if (found := self._found.get(key)) is not None:
                return _segment(found, total.amount_minor)
        everywhere = self._found.get(("", "", "USD"))
        if everywhere is None or usd_cents is None:
            return None
        return _segment(everywhere, usd_cents)

    def quantity_p99(self, sku: Sku, category: str) -> int | None:
        """Units per order that 99 % of the SKU's orders, else its category's, do not exceed; None when not measured."""
        own = self.snapshot.quantity_p99.get(sku)
        return self.snapshot.category_quantity_p99.get(category) if own is None else own


def _segment(found: SegmentQuantiles, amount: int) -> Segment:
    return Segment(name=found.name, currency=found.currency, amount=amount, p75=found.p75, p90=found.p90, p95=found.p95)


class ShippedSegments:
    """The snapshot that ships, for every shop that has not measured its own."""

    async def segments(self, *, tenant: str) -> SegmentSnapshot:
        """The shipped snapshot, whoever asks."""
        return shipped_snapshot()


class Segments:
    """Snapshots by tenant behind a short-lived cache; time is an argument."""

    def __init__(self, source: SegmentPort) -> None:
        """Read from ``source`` once in ten minutes per tenant."""
        self._source = source
        self._read: dict[str, tuple[datetime, SegmentTable]] = {}

    async def table(self, tenant: str, now: datetime) -> SegmentTable:
        """The newest quantiles of a shop.

        Raises:
            Transient: they could not be read.
        """
        known = self._read.get(tenant)
        if known is not None and abs(now - known[0]) < FRESH_FOR:
            return known[1]
        snapshot = await self._source.segments(tenant=tenant)
        same = known is not None and known[1].snapshot.snapshot_id == snapshot.snapshot_id
        table = known[1] if known is not None and same else SegmentTable(snapshot)
        self._read[tenant] = (now, table)
        return table


@cache
def shipped_snapshot() -> SegmentSnapshot:
    """The snapshot that ships with this version.

    Raises:
        ConfigError: the file is missing.
    """
    if not SEGMENTS_FILE.exists():
        raise ConfigError(f"{SEGMENTS_FILE.name} is missing; run `python -m evals.fraud_calibration` to measure it")
    return SegmentSnapshot.from_json(SEGMENTS_FILE.read_bytes())
