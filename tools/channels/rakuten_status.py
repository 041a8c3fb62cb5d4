"""Rakuten RMS's numbers for the progress of an order (Japan), mapped to ours."""

from domain.order import OrderState

ORDER_STATE: dict[str, OrderState] = {
    "100": OrderState.CREATED,
    "200": OrderState.HELD,
    "300": OrderState.PAID,
    "400": OrderState.HELD,
    "500": OrderState.SHIPPED,
    "600": OrderState.COMPLETED,
    "700": OrderState.COMPLETED,
    "800": OrderState.CANCEL_REQUESTED,
    "900": OrderState.CANCELLED,
}
"""``orderProgress``: awaiting confirmation, Rakuten processing, awaiting shipment, awaiting a change's confirmation,
shipped, payment in progress, payment done, awaiting a cancellation's confirmation, cancelled."""


def order_state(progress: str | int) -> OrderState:
    """The canonical state of an order; a number nobody knows is UNKNOWN."""
    return ORDER_STATE.get(str(progress).strip(), OrderState.UNKNOWN)
