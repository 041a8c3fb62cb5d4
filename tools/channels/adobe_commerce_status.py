"""Adobe Commerce's words for the state of an order, mapped to ours.

``state`` is Adobe's own short list; ``status`` is whatever the shop named its steps, so it only refines known words.
"""

from domain.order import OrderState

ORDER_STATE: dict[str, OrderState] = {
    "new": OrderState.CREATED,
    "pending_payment": OrderState.CREATED,
    "payment_review": OrderState.HELD,
    "holded": OrderState.HELD,
    "processing": OrderState.PAID,
    "complete": OrderState.SHIPPED,
    "closed": OrderState.CANCELLED,
    "canceled": OrderState.CANCELLED,
}
"""``state``. ``complete`` means invoiced and shipped, not delivered; ``closed`` means refunded in full."""

STATUS_STATE: dict[str, OrderState] = {
    "fraud": OrderState.HELD,
    "paypal_canceled_reversal": OrderState.HELD,
    "paypal_reversed": OrderState.HELD,
    "pending_paypal": OrderState.CREATED,
}
"""Shipped ``status`` codes that say more than their ``state``."""


def order_state(state: str, status: str = "") -> OrderState:
    """The canonical state of an order; a ``state`` nobody knows is UNKNOWN."""
    known = ORDER_STATE.get(state.strip().lower(), OrderState.UNKNOWN)
    if known in {OrderState.CREATED, OrderState.PAID}:
        return STATUS_STATE.get(status.strip().lower(), known)
    return known
