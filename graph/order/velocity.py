"""Under which keys an order counts as recent activity: the names the fraud rules ask for."""

from domain.order import Order


def activity_keys(order: Order) -> dict[str, str]:
    """Name and value of every key the order has."""
    ship = order.ship_to
    address = "|".join(part.casefold().strip() for part in (ship.line1, ship.city, ship.postcode, ship.country))
    found = {
        "card": order.payment.card_fingerprint,
        "device": order.device.device_id,
        "ip": order.device.ip,
        "address": address if ship.line1 else None,
        "phone": ship.phone or order.customer.phone or None,
    }
    return {name: value for name, value in found.items() if value}
