"""Lazada's words for the state of an order item, mapped to ours. Lazada keeps a state per item, never per order."""

from collections.abc import Iterable

from domain.order import OrderState
from domain.transitions import order_state as least_advanced

ITEM_STATE: dict[str, OrderState] = {
    "unpaid": OrderState.CREATED,
    "pending": OrderState.PAID,
    "topack": OrderState.PAID,
    "packed": OrderState.PACKED,
    "repacked": OrderState.PACKED,
    "toship": OrderState.PACKED,
    "ready_to_ship_pending": OrderState.PACKED,
    "ready_to_ship": OrderState.READY_TO_SHIP,
    "shipped": OrderState.SHIPPED,
    "shipping": OrderState.SHIPPED,
    "delivered": OrderState.DELIVERED,
    "confirmed": OrderState.COMPLETED,
    "canceled": OrderState.CANCELLED,
    "failed": OrderState.DELIVERY_FAILED,
    "failed_delivery": OrderState.DELIVERY_FAILED,
    "returned": OrderState.RETURNED,
    "lost_by_3pl": OrderState.LOST,
    "damaged_by_3pl": OrderState.DAMAGED,
}
"""``statuses`` of an order and ``status`` of an item. ``failed`` is a delivery that failed: the goods are coming back,
nothing is cancelled."""

RETURNING_PREFIXES = ("shipped_back", "info_st_domestic_return")
"""Families of words for goods on their way back; ``_success`` at the end says they have arrived."""


def item_state(status: str) -> OrderState:
    """The canonical state of one item; a word nobody knows is UNKNOWN."""
    word = status.strip().lower()
    if word.startswith(RETURNING_PREFIXES):
        return OrderState.RETURNED if word.endswith("_success") else OrderState.RETURNING
    return ITEM_STATE.get(word, OrderState.UNKNOWN)


def order_state(statuses: Iterable[str]) -> OrderState:
    """The canonical state of an order: that of its least advanced active item."""
    return least_advanced(item_state(status) for status in statuses)
