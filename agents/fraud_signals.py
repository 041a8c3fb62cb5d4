"""What the fraud rules look at, gathered once per order. Unknown is None: a rule without its input is not evaluated."""

import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address

from agents.fraud_table import FraudTable, PhonePlan
from agents.shipping_options import OptionClass, option_class
from domain.address import Address
from domain.catalogue import Product
from domain.ids import Sku
from domain.order import Order, PaymentMethod
from domain.ports import CustomerHistory


@dataclass(frozen=True, kw_only=True, slots=True)
class Signals:
    """One order as the rules see it: no names, no addresses, no card numbers."""

    platform: bool = False
    currency: str = "USD"
    total_minor: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    """Recent activity by rule code, for the rules whose key the order has."""
    avs: str | None = None
    cvv: str | None = None
    bin_country: str | None = None
    bin_prepaid: bool | None = None
    three_ds_shift: bool = False
    bill_country: str | None = None
    ship_country: str | None = None
    ip_country: str | None = None
    proxy: bool | None = None
    hosting: bool | None = None
    forwarder: bool | None = None
    email_domain: str | None = None
    account_age_s: int | None = None
    first_order: bool | None = None
    resale_quantity: int | None = None
    """Largest quantity of one high-resale SKU; 0 when there is none."""
    express: bool = False
    cash_on_delivery: bool = False
    refused: int | None = None
    delivered: int | None = None
    disputed: int | None = None
    history_age_s: int | None = None
    phone_valid: bool | None = None
    known_bad: bool | None = None


def activity_keys(order: Order) -> dict[str, str]:
    """The keys under which an order counts as recent activity: what intake records and the velocity rules count."""
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


def telling_keys(order: Order, table: FraudTable) -> dict[str, str]:
    """The activity keys that tell anything: not a shared network, not a pick-up point, not a masked address."""
    keys = activity_keys(order)
    if "ip" in keys and _shared_network(keys["ip"], table):
        del keys["ip"]
    if "address" in keys and not _private_address(order.ship_to, table):
        del keys["address"]
    return keys


def activity_account(order: Order) -> str:
    """Whose order it is for counting accounts: the channel's customer, else the mailbox or phone, else the order."""
    customer = order.customer
    return customer.customer_id or customer.email.casefold() or customer.phone or f"guest:{order.order_id}"


def read_signals(
    order: Order,
    history: CustomerHistory | None,
    products: dict[Sku, Product],
    *,
    counts: dict[str, int],
    now: datetime,
    table: FraudTable,
) -> Signals:
    """The signals of one order from what was read about it."""
    payment, device = order.payment, order.device
    since = order.customer.created_at or (history.first_order_at if history else None)
    return Signals(
        platform=order.channel.marketplace,
        currency=order.currency,
        total_minor=order.total.amount_minor,
        counts=counts,
        avs=payment.avs,
        cvv=payment.cvv,
        bin_country=payment.bin_country,
        bin_prepaid=payment.bin_prepaid,
        three_ds_shift=payment.three_ds_shift,
        bill_country=(order.bill_to.country or None) if order.bill_to else None,
        ship_country=order.ship_to.country or None,
        ip_country=device.ip_country,
        proxy=device.proxy,
        hosting=device.hosting_asn,
        forwarder=_forwarder(order.ship_to, table) if order.ship_to.deliverable else None,
        email_domain=_email_domain(order.customer.email, table),
        account_age_s=int((now - since).total_seconds()) if since else None,
        first_order=_first_order(order, history),
        resale_quantity=_resale_quantity(order, products),
        express=option_class(order.shipping_option) is OptionClass.EXPRESS,
        cash_on_delivery=payment.method is PaymentMethod.COD,
        refused=history.orders_refused if history else None,
        delivered=history.orders_delivered if history else None,
        disputed=history.disputed if history else None,
        history_age_s=_age_s(history.first_order_at if history else None, now),
        phone_valid=_phone_valid(order.customer.phone or order.ship_to.phone, order.ship_to.country, table),
        known_bad=history.known_bad if history else None,
    )


def _age_s(since: datetime | None, now: datetime) -> int | None:
    return int((now - since).total_seconds()) if since else None


def _shared_network(ip: str, table: FraudTable) -> bool:
    try:
        address = ip_address(ip)
    except ValueError:
        return True
    return any(address in network for network in table.shared_networks if network.version == address.version)


def _address_text(address: Address) -> str:
    parts = (address.company, address.line1, address.line2, address.district, address.city)
    return unicodedata.normalize("NFKC", " ".join(parts)).casefold()


def _private_address(address: Address, table: FraudTable) -> bool:
    text = _address_text(address)
    return "*" not in text and not any(term in text for term in table.pickup_terms)


def _forwarder(address: Address, table: FraudTable) -> bool:
    text = _address_text(address)
    if any(term in text for term in table.forwarder_terms):
        return True
    places = (address.name, address.company, address.line1, address.line2)
    return any(pattern.search(place) for pattern in table.forwarder_patterns for place in places)


def _email_domain(email: str, table: FraudTable) -> str | None:
    _, at, domain = email.casefold().rpartition("@")
    return domain if at and domain and "*" not in domain and domain not in table.relay_domains else None


def _first_order(order: Order, history: CustomerHistory | None) -> bool | None:
    before = order.customer.orders_before
    if before is None and history is None:
        return None
    return not before and not (history and (history.orders_delivered or history.orders_refused))


def _resale_quantity(order: Order, products: dict[Sku, Product]) -> int | None:
    known = [line for line in order.lines if line.sku in products]
    if not known:
        return None
    units: dict[str, int] = {}
    for line in known:
        if products[line.sku].high_resale:
            units[line.sku] = units.get(line.sku, 0) + line.quantity
    return max(units.values(), default=0)


def _phone_valid(phone: str, country: str, table: FraudTable) -> bool | None:
    plan = table.phone_plans.get(country)
    if not phone or "*" in phone or plan is None:
        return None
    digits = "".join(ch for ch in phone if ch.isdigit())
    if len(set(digits)) <= 1:
        return False
    international = phone.strip().startswith("+") or digits.startswith("00")
    digits = digits.removeprefix("00")
    if international and not digits.startswith(plan.calling_code):
        return None
    candidates = [digits.lstrip("0"), digits] if not international else []
    if digits.startswith(plan.calling_code):
        candidates.append(digits.removeprefix(plan.calling_code).removeprefix("0"))
    return any(_plausible(number, plan) for number in candidates)


def _plausible(number: str, plan: PhonePlan) -> bool:
    return plan.shortest <= len(number) <= plan.longest
