"""Shopee's words for the state of an order and its packages, mapped to ours."""

from domain.order import OrderState

ORDER_STATE: dict[str, OrderState] = {
    "UNPAID": OrderState.CREATED,
    "INVOICE_PENDING": OrderState.HELD,
    "PENDING": OrderState.HELD,
    "READY_TO_SHIP": OrderState.PAID,
    "PROCESSED": OrderState.READY_TO_SHIP,
    "RETRY_SHIP": OrderState.READY_TO_SHIP,
    "SHIPPED": OrderState.SHIPPED,
    "TO_CONFIRM_RECEIVE": OrderState.DELIVERED,
    "COMPLETED": OrderState.COMPLETED,
    "IN_CANCEL": OrderState.CANCEL_REQUESTED,
    "CANCELLED": OrderState.CANCELLED,
    "TO_RETURN": OrderState.RETURN_REQUESTED,
}
"""``order_status``. PENDING is Shopee's own hold (internal checks, carrier capacity). IN_CANCEL is a request the seller
may still refuse, not a cancellation."""

CANCELLING = frozenset({"IN_CANCEL", "CANCELLED"})

PACKAGE_LEFT = frozenset(
    {"LOGISTICS_PICKUP_DONE", "LOGISTICS_DELIVERY_DONE", "LOGISTICS_DELIVERY_FAILED", "LOGISTICS_LOST"}
)
"""``logistics_status`` of packages that are no longer with the seller."""

PACKAGE_STATE: dict[str, OrderState] = {
    "LOGISTICS_LOST": OrderState.LOST,
    "LOGISTICS_DELIVERY_FAILED": OrderState.DELIVERY_FAILED,
}
"""Packages whose fate outranks the order's SHIPPED."""


def order_state(status: str, packages: list[str]) -> OrderState:
    """The canonical state of an order, given the logistics status of its packages."""
    state = ORDER_STATE.get(status, OrderState.UNKNOWN)
    if state is OrderState.SHIPPED and packages and all(package in PACKAGE_STATE for package in packages):
        return PACKAGE_STATE[packages[0]]
    return state
