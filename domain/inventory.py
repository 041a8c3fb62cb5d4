"""Stock levels and their promises, feeds and their states, and holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime, Field

from domain.ids import OrderId, Sku, WarehouseId
from domain.values import Document


class Inbound(Document):
    """Units on their way to a warehouse."""

    quantity: int = Field(gt=0)
    due: AwareDatetime


class StockLevel(Document):
    """Units of one SKU in one warehouse, as of the feed's own time."""

    warehouse: WarehouseId
    sku: Sku
    on_hand: int
    held: int = 0
    """In active holds."""
    safety: int = 0
    quarantine: int = 0
    reserved: dict[str, int] = {}
    """Units only the named sales channel may sell, by channel."""
    inbound: tuple[Inbound, ...] = ()
    as_of: AwareDatetime
    """The event time of the count, not of its arrival."""

    @property
    def available(self) -> int:
        """Available to promise: never negative."""
        return max(0, self.on_hand - self.held - self.safety - self.quarantine)

    def inbound_by(self, until: datetime) -> int:
        """Units due by an instant; only a pre-order may be promised these."""
        return sum(expected.quantity for expected in self.inbound if expected.due <= until)


class StockSnapshot(StockLevel):
    """What a feed says of one SKU in one warehouse. Event time orders snapshots; ``sequence`` settles equal times."""

    sequence: int = 0


class FeedState(StrEnum):
    """What a warehouse's feed allows."""

    NORMAL = "normal"
    BUFFERED = "buffered"
    """The count is behind: what may have been sold meanwhile is kept back."""
    OPEN = "open"
    """The breaker is open: nothing new is accepted from this warehouse."""
    HALF_OPEN = "half_open"
    """Fresh again, on probation: accepted with a buffer."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """How one SKU sells at one warehouse."""

    per_hour: float
    """Units sold per hour now; what a stale count is buffered by."""
    daily_mean: float | None = None
    daily_sd: float | None = None
    lead_days: float | None = None
    """Mean lead time of a replenishment, days."""
    lead_sd_days: float = 0.0
    lead_time_demands: tuple[int, ...] = ()
    """Units sold over past lead times, for a lumpy SKU; it is then protected by their quantile."""


DemandTable = Mapping[tuple[WarehouseId, Sku], Demand]


class HoldLine(Document):
    """Units of one SKU taken from one warehouse for one order line."""

    line_id: str
    sku: Sku
    warehouse: WarehouseId
    quantity: int = Field(gt=0)
    leave: int = Field(default=0, ge=0)
    """Units the hold must leave available at this place, because they are kept for other sales channels."""


class HoldState(StrEnum):
    """Life of a hold."""

    HELD = "held"
    CONFIRMED = "confirmed"
    """The route is fixed; it no longer expires."""
    CONSUMED = "consumed"
    RELEASED = "released"
    EXPIRED = "expired"


class Hold(Document):
    """An all-or-nothing reservation for one order."""

    hold_id: str
    order_id: OrderId
    state: HoldState
    lines: tuple[HoldLine, ...]
    expires_at: AwareDatetime | None
