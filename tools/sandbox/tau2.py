"""The retail database of tau2-bench as CRM, order management and catalogue of the sandbox. Read in place, never kept.

Its prices are decimal dollars written as JSON numbers; they are read as text, so no float comes near them.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from domain.address import Address
from domain.errors import InputError
from domain.money import Money, total
from domain.order import Channel, OrderState, PaymentMethod
from domain.support import PaymentMethodView, ProductVariants, ShipmentStatus, ShipmentView, Variant
from domain.support_sources import HistoryLine, HistoryOrder, HistoryPayment, Profile, TrackedParcel
from tools.sandbox.customer_service import CustomerData

_STATES = {
    "pending": OrderState.PAID,
    "processed": OrderState.READY_TO_SHIP,
    "delivered": OrderState.DELIVERED,
    "cancelled": OrderState.CANCELLED,
}
_PARCELS = {
    OrderState.READY_TO_SHIP: ShipmentStatus.INFO_RECEIVED,
    OrderState.DELIVERED: ShipmentStatus.DELIVERED,
    OrderState.CANCELLED: ShipmentStatus.EXPIRED,
}
_METHODS = {"credit_card": PaymentMethod.CARD, "paypal": PaymentMethod.WALLET, "gift_card": PaymentMethod.OTHER}
_COUNTRY = {"USA": "US"}
CURRENCY = "USD"


def read_tau2(folder: Path) -> CustomerData:
    """The database in ``folder``.

    Raises:
        InputError: there is no ``db.json``, or it is not this database.
    """
    file = folder / "db.json"
    try:
        database = json.loads(file.read_text("utf-8"), parse_float=Decimal)
        users, orders, products = database["users"], database["orders"], database["products"]
        return CustomerData(
            profiles=[_profile(user) for user in users.values()],
            orders=[_order(order, users.get(order["user_id"], {})) for order in orders.values()],
            parcels=[parcel for order in orders.values() for parcel in _parcels(order)],
            products=[_product(product) for product in products.values()],
        )
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}); name the folder that holds db.json.") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{file} is not the tau2 retail database ({type(error).__name__}: {error}).") from None


def _profile(user: Mapping[str, Any]) -> Profile:
    return Profile(
        customer_id=user["user_id"],
        name=f"{user['name']['first_name']} {user['name']['last_name']}",
        email=user["email"],
        language="en-US",
        address=_address(user["address"]),
        payment_methods=tuple(_method(one) for one in user["payment_methods"].values()),
        order_numbers=tuple(user["orders"]),
    )


def _address(given: Mapping[str, Any]) -> Address:
    return Address(
        line1=given["address1"],
        line2=given["address2"],
        city=given["city"],
        region=given["state"],
        postcode=given["zip"],
        country=_COUNTRY.get(given["country"], given["country"]),
    )


def _method(given: Mapping[str, Any]) -> PaymentMethodView:
    label = f"{given['brand']} ****{given['last_four']}" if "last_four" in given else ""
    if "balance" in given:
        label = f"balance {Money.parse(Decimal(given['balance']), CURRENCY)}"
    return PaymentMethodView(method_id=given["id"], kind=given["source"], label=label)


def _order(given: Mapping[str, Any], user: Mapping[str, Any]) -> HistoryOrder:
    lines = tuple(_line(number, item) for number, item in enumerate(given["items"], start=1))
    return HistoryOrder(
        order_id=f"storefront-{given['order_id'].lstrip('#')}",
        number=given["order_id"],
        customer_id=given["user_id"],
        channel=Channel.STOREFRONT,
        state=_STATES.get(given["status"].split(" ")[0], OrderState.UNKNOWN),
        currency=CURRENCY,
        total=total([line.unit_price for line in lines], CURRENCY),
        lines=lines,
        payments=tuple(_payment(one, user) for one in given["payment_history"]),
        tracking=tuple(number for sent in given["fulfillments"] for number in sent["tracking_id"]),
        ship_to=_address(given["address"]),
        email=user.get("email", ""),
    )


def _line(number: int, item: Mapping[str, Any]) -> HistoryLine:
    return HistoryLine(
        line_id=str(number),
        sku=item["item_id"],
        product_id=item["product_id"],
        name=item["name"],
        unit_price=Money.parse(Decimal(item["price"]), CURRENCY),
        options={str(name): str(value) for name, value in item["options"].items()},
    )


def _payment(given: Mapping[str, Any], user: Mapping[str, Any]) -> HistoryPayment:
    source = user.get("payment_methods", {}).get(given["payment_method_id"], {}).get("source", "")
    return HistoryPayment(
        kind=given["transaction_type"],
        amount=Money.rounded(Decimal(given["amount"]), CURRENCY),
        method_id=given["payment_method_id"],
        method=_METHODS.get(source, PaymentMethod.OTHER),
    )


def _parcels(given: Mapping[str, Any]) -> list[TrackedParcel]:
    status = _PARCELS.get(_STATES.get(given["status"].split(" ")[0], OrderState.UNKNOWN))
    numbers = [number for sent in given["fulfillments"] for number in sent["tracking_id"]]
    return [
        TrackedParcel(shipment=ShipmentView(tracking_number=number, status=status), order_number=given["order_id"])
        for number in numbers
    ]


def _product(given: Mapping[str, Any]) -> ProductVariants:
    variants = tuple(
        Variant(
            sku=one["item_id"],
            options={str(name): str(value) for name, value in one["options"].items()},
            amount_minor=Money.parse(Decimal(one["price"]), CURRENCY).amount_minor,
            available=bool(one["available"]),
        )
        for one in given["variants"].values()
    )
    return ProductVariants(product_id=given["product_id"], name=given["name"], currency=CURRENCY, variants=variants)
