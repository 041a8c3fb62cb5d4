"""Who a Shopify order is for and how it is paid: address, customer, payment, device."""

import ipaddress
from datetime import timedelta

from domain.address import Address
from domain.order import Customer, Device, Payment, PaymentMethod, PaymentState
from tools.channels.payments import avs_of, card_fingerprint, cvv_of, method_of
from tools.channels.places import country_code
from tools.channels.reading import Fields


def read_address(fields: Fields | None) -> Address | None:
    """A postal address; None when there is none. A country given only by name stays empty: names are not codes."""
    if fields is None:
        return None
    return Address(
        name=fields.text("name") or _full_name(fields),
        company=fields.text("company"),
        line1=fields.text("address1"),
        line2=fields.text("address2"),
        city=fields.text("city"),
        region=fields.text("province") or fields.text("province_code"),
        postcode=fields.text("zip"),
        country=country_code(fields.text("country_code")) or country_code(fields.text("country")),
        phone=fields.text("phone"),
    )


def read_customer(order: Fields) -> Customer:
    """The buyer. Guest orders have no customer object, only an e-mail address or phone of the order."""
    fields = order.object("customer") or Fields({}, order.at("customer"))
    orders = fields.count("orders_count")
    return Customer(
        customer_id=fields.identifier("id") if "id" in fields else "",
        name=_full_name(fields),
        email=order.text("email") or order.text("contact_email") or fields.text("email"),
        phone=order.text("phone") or fields.text("phone"),
        created_at=fields.moment("created_at"),
        orders_before=None if orders is None else max(0, orders - 1),  # Shopify counts this order too
    )


def _full_name(fields: Fields) -> str:
    return " ".join(part for part in (fields.text("first_name"), fields.text("last_name")) if part)


def read_payment(order: Fields, state: PaymentState) -> Payment:
    """How it is paid. Card facts come from ``payment_details``, of the order or of its first transaction with any."""
    gateways = order.texts("payment_gateway_names") or [order.text("gateway")]
    card = order.object("payment_details") or next(
        (found for found in (entry.object("payment_details") for entry in order.objects("transactions")) if found), None
    )
    methods = [method_of(name) for name in gateways if name]
    method = next((m for m in methods if m is not PaymentMethod.OTHER), PaymentMethod.OTHER)
    if method is PaymentMethod.OTHER and card is not None and card.text("credit_card_company"):
        method = PaymentMethod.CARD
    words, declines = ", ".join(name for name in gateways if name), _declines(order)
    if card is None:
        return Payment(method=method, state=state, gateway=words, declines_1h=declines)
    brand, bin_digits = card.text("credit_card_company"), card.text("credit_card_bin")
    expiry = f"{card.text('credit_card_expiration_month')}/{card.text('credit_card_expiration_year')}"
    return Payment(
        method=method,
        state=state,
        gateway=words,
        card_fingerprint=card_fingerprint(brand, bin_digits, card.text("credit_card_number"), expiry),
        card_bin=bin_digits or None,
        avs=avs_of(card.text("avs_result_code")),
        cvv=cvv_of(card.text("cvv_result_code")),
        declines_1h=declines,
    )


def _declines(order: Fields) -> int | None:
    """Attempts refused in the hour before the first that succeeded; None unless the payload lists one that did.

    Shopify's transactions are ``sale`` or ``authorization`` with status success, failure, error or pending.
    """
    tried = [
        (entry.text("status"), entry.moment("created_at") or entry.moment("processed_at"))
        for entry in order.objects("transactions")
        if entry.text("kind") in {"sale", "authorization"}
    ]
    paid = min((at for status, at in tried if status == "success" and at is not None), default=None)
    if paid is None:
        return None
    hour = timedelta(hours=1)
    return sum(1 for status, at in tried if status in {"failure", "error"} and at and paid - hour <= at <= paid)


def read_device(order: Fields) -> Device:
    """The browser, as far as Shopify tells: its address. ``0.0.0.0`` stands for unknown."""
    client = order.object("client_details")
    text = order.text("browser_ip") or (client.text("browser_ip") if client else "")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return Device()
    return Device() if address.is_unspecified else Device(ip=str(address))
