"""Stock levels and holds."""

from enum import StrEnum

from pydantic import AwareDatetime, Field

from domain.ids import OrderId, Sku, WarehouseId
from domain.values import Document


class StockLevel(Document):
    """Units of one SKU in one warehouse, as of the feed's own time."""

    warehouse: WarehouseId
    sku: Sku
    on_hand: int
    held: int = 0
    """In active holds."""
    safety: int = 0
    quarantine: int = 0
    as_of: AwareDatetime
    """The event time of the count, not of its arrival."""

    @property
    def available(self) -> int:
        """Available to promise: never negative."""
        return max(0, self.on_hand - self.held - self.safety - self.quarantine)


class HoldLine(Document):
    """Units of one SKU taken from one warehouse for one order line."""

    line_id: str
    sku: Sku
    warehouse: WarehouseId
    quantity: int = Field(gt=0)


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
