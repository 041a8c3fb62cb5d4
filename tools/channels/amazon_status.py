"""Amazon's words (Orders API v0) for the state of an order and of an Easy Ship parcel, mapped to ours."""

from domain.order import OrderState

ORDER_STATE: dict[str, OrderState] = {
    "PendingAvailability": OrderState.CREATED,
    "Pending": OrderState.CREATED,
    "InvoiceUnconfirmed": OrderState.HELD,
    "Unfulfillable": OrderState.HELD,
    "Unshipped": OrderState.PAID,
    "PartiallyShipped": OrderState.SHIPPED,
    "Shipped": OrderState.SHIPPED,
    "Canceled": OrderState.CANCELLED,
}
"""``OrderStatus``. Pending orders carry no address and are never shipped."""

EASY_SHIP_STATE: dict[str, OrderState] = {
    "PendingSchedule": OrderState.PACKED,
    "PendingPickUp": OrderState.READY_TO_SHIP,
    "PendingDropOff": OrderState.READY_TO_SHIP,
    "LabelCanceled": OrderState.PAID,
    "PickedUp": OrderState.SHIPPED,
    "DroppedOff": OrderState.SHIPPED,
    "AtOriginFC": OrderState.SHIPPED,
    "AtDestinationFC": OrderState.SHIPPED,
    "OutForDelivery": OrderState.SHIPPED,
    "Delivered": OrderState.DELIVERED,
    "RejectedByBuyer": OrderState.DELIVERY_FAILED,
    "Undeliverable": OrderState.DELIVERY_FAILED,
    "ReturningToSeller": OrderState.RETURNING,
    "ReturnedToSeller": OrderState.RETURNED,
    "Lost": OrderState.LOST,
    "Damaged": OrderState.DAMAGED,
}
"""``EasyShipShipmentStatus``: where Amazon carries the parcel it knows more than the order says."""


def order_state(
    status: str, *, open_units: bool = False, buyer_cancel: bool = False, easy_ship: str = ""
) -> OrderState:
    """The canonical state of an order; a word nobody knows is UNKNOWN.

    A partly shipped order with units open is as far as those. A buyer's request to cancel counts until it has shipped.
    """
    state = ORDER_STATE.get(status, OrderState.UNKNOWN)
    if status == "PartiallyShipped" and open_units:
        state = OrderState.PAID
    if buyer_cancel and state in {OrderState.CREATED, OrderState.HELD, OrderState.PAID}:
        return OrderState.CANCEL_REQUESTED
    if easy_ship and state in {OrderState.PAID, OrderState.SHIPPED}:
        return EASY_SHIP_STATE.get(easy_ship, OrderState.UNKNOWN)
    return state
