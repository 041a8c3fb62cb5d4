"""Under which keys an order counts as recent activity, and which of those keys tell anything."""

import hashlib
import unicodedata
from ipaddress import IPv6Address, ip_address, ip_network

from agents.fraud_table import FraudTable
from domain.address import Address
from domain.order import Order

_V6_SUBSCRIBER = 64
"""Bits of an IPv6 address that name a subscriber; the rest changes by the hour (RFC 6177, RFC 8981)."""


def activity_keys(order: Order) -> dict[str, str]:
    """The keys under which an order counts as recent activity: what intake records and the velocity rules count."""
    ship, device = order.ship_to, order.device.device_id
    found = {
        "card": order.payment.card_fingerprint,
        "device": device,
        "ip": _subscriber(order.device.ip),
        "address": _place(ship) if ship.line1 else None,
        "phone": ship.phone or order.customer.phone or None,
        "account_device": f"{activity_account(order)}|{device}" if device else None,
    }
    return {name: value for name, value in found.items() if value}


def telling_keys(order: Order, table: FraudTable) -> dict[str, str]:
    """The activity keys that tell anything: not a shared network, not a pick-up point or dormitory, nothing masked."""
    keys = activity_keys(order)
    if "ip" in keys and _shared_network(order.device.ip or "", table):
        del keys["ip"]
    if "address" in keys and not _private_address(order.ship_to, table):
        del keys["address"]
    if "*" in keys.get("phone", ""):
        del keys["phone"]
    return keys


def decline_keys(order: Order) -> dict[str, str]:
    """The keys under which declined attempts are recorded (``declined_card``, ``declined_device``) and later counted."""
    keys = activity_keys(order)
    return {f"declined_{name}": keys[name] for name in ("card", "device") if name in keys}


def activity_account(order: Order) -> str:
    """Whose order it is for counting accounts: the channel's customer, else the mailbox or phone, else the order."""
    customer = order.customer
    return customer.customer_id or customer.email.casefold() or customer.phone or f"guest:{order.order_id}"


def address_digest(address: Address) -> str:
    """SHA-256 of a place in normal form, so that lists of places hold no addresses."""
    return hashlib.sha256(_place(address).encode()).hexdigest()


def address_text(address: Address) -> str:
    """The place in one line of lower-case normal form (NFKC), for looking up words in it."""
    parts = (address.company, address.line1, address.line2, address.district, address.city)
    return unicodedata.normalize("NFKC", " ".join(parts)).casefold()


def _place(address: Address) -> str:
    parts = (address.line1, address.city, address.postcode, address.country)
    return "|".join(part.casefold().strip() for part in parts)


def _subscriber(ip: str | None) -> str | None:
    try:
        address = ip_address(ip or "")
    except ValueError:
        return ip
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _V6_SUBSCRIBER), strict=False))
    return str(address)


def _shared_network(ip: str, table: FraudTable) -> bool:
    try:
        address = ip_address(ip)
    except ValueError:
        return True
    return any(address in network for network in table.shared_networks if network.version == address.version)


def _private_address(address: Address, table: FraudTable) -> bool:
    text = address_text(address)
    return "*" not in text and not any(term in text for term in table.pickup_terms)
