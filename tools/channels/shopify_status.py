"""Shopify's words for the state of an order and of its money, mapped to ours."""

from domain.order import OrderState, PaymentState

FULFILMENT_STATE: dict[str, OrderState] = {
    "": OrderState.PAID,
    "unfulfilled": OrderState.PAID,
    "unshipped": OrderState.PAID,
    "open": OrderState.PAID,
    "on_hold": OrderState.HELD,
    "scheduled": OrderState.HELD,
    "request_declined": OrderState.HELD,
    "in_progress": OrderState.ALLOCATED,
    "pending_fulfillment": OrderState.ALLOCATED,
    "partial": OrderState.SHIPPED,
    "partially_fulfilled": OrderState.SHIPPED,
    "fulfilled": OrderState.SHIPPED,
    "shipped": OrderState.SHIPPED,
    "restocked": OrderState.CANCELLED,
    "fulfillment_not_required": OrderState.CANCELLED,
}
"""REST ``fulfillment_status`` and GraphQL ``displayFulfillmentStatus``, lower case; the empty word is REST's null."""

PARTIAL = frozenset({"partial", "partially_fulfilled"})

PAYMENT_STATE: dict[str, PaymentState] = {
    "": PaymentState.PENDING,
    "pending": PaymentState.PENDING,
    "partially_paid": PaymentState.PENDING,
    "expired": PaymentState.VOIDED,
    "authorized": PaymentState.AUTHORISED,
    "paid": PaymentState.PAID,
    "partially_refunded": PaymentState.PARTLY_REFUNDED,
    "refunded": PaymentState.REFUNDED,
    "voided": PaymentState.VOIDED,
}
"""``financial_status``, lower case. Partly paid money is not yet the order's money."""


def order_state(
    fulfilment: str, payment: PaymentState, *, cancelled: bool, cash_on_delivery: bool, open_units: bool
) -> OrderState:
    """The canonical state of an order, from the table and three facts it cannot hold.

    An order is as far as its least advanced active line, so a partly fulfilled order with units open is still PAID. An
    order whose money has neither come nor been promised is CREATED, except cash on delivery, which is paid at the door.
    """
    if cancelled:
        return OrderState.CANCELLED
    state = FULFILMENT_STATE.get(fulfilment, OrderState.UNKNOWN)
    if fulfilment in PARTIAL and open_units:
        state = OrderState.PAID
    if state is not OrderState.PAID:
        return state
    if payment is PaymentState.REFUNDED and not open_units:
        return OrderState.CANCELLED
    unpaid = payment is PaymentState.VOIDED or (payment is PaymentState.PENDING and not cash_on_delivery)
    return OrderState.CREATED if unpaid else OrderState.PAID
