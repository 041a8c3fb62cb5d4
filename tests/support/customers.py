"""One customer of the support tests: a profile, two orders, a parcel on its way and a product with variants."""

from datetime import UTC, datetime, timedelta
from typing import Any

from domain.address import Address
from domain.money import Money
from domain.order import Channel, OrderState, PaymentMethod
from domain.support import PaymentMethodView, ProductVariants, ShipmentStatus, ShipmentView, Variant
from domain.support_sources import HistoryLine, HistoryOrder, HistoryPayment, Profile, TrackedParcel
from tools.sandbox.customer_service import CustomerData

PLACED = datetime(2026, 11, 2, 3, tzinfo=UTC)
HOME = Address(
    name="Amy Lam", line1="8 Sam Chuk Street", city="Kowloon", postcode="518000", country="HK", phone="+852 5123 4567"
)


def hkd(cents: int) -> Money:
    """An amount."""
    return Money(amount_minor=cents, currency="HKD")


def profile(**changes: Any) -> Profile:
    """Amy."""
    given: dict[str, Any] = {
        "customer_id": "amy",
        "name": "Amy Lam",
        "email": "amy@mail.example.com",
        "phone": "+852 5123 4567",
        "language": "zh-Hant-HK",
        "tier": "gold",
        "address": HOME,
        "payment_methods": (PaymentMethodView(method_id="card_1", kind="credit_card", label="visa ****4242"),),
        "open_tickets": 1,
        "ticket_summaries": ("Asked for a tax invoice; write to amy@mail.example.com or call +852 5123 4567",),
        "order_numbers": ("A-1", "A-2"),
    }
    return Profile(**given | changes)


def order(number: str = "A-1", **changes: Any) -> HistoryOrder:
    """A shipped order of Amy's."""
    given: dict[str, Any] = {
        "order_id": f"storefront-{number}",
        "number": number,
        "customer_id": "amy",
        "channel": Channel.STOREFRONT,
        "placed_at": PLACED,
        "state": OrderState.SHIPPED,
        "currency": "HKD",
        "total": hkd(42_000),
        "lines": (
            HistoryLine(
                line_id="1",
                sku="P1-M",
                product_id="P1",
                name="Rain jacket",
                unit_price=hkd(42_000),
                options={"size": "M"},
            ),
        ),
        "payments": (
            HistoryPayment(
                kind="payment", amount=hkd(42_000), method_id="card_1", method=PaymentMethod.CARD, at=PLACED
            ),
        ),
        "tracking": ("T-9",),
        "ship_to": HOME,
        "email": "amy@mail.example.com",
        "promised_at": PLACED + timedelta(days=5),
    }
    return HistoryOrder(**given | changes)


def a_customer() -> CustomerData:
    """Everything about Amy."""
    shipment = ShipmentView(
        tracking_number="T-9",
        carrier="kite",
        status=ShipmentStatus.IN_TRANSIT,
        last_scan_at=PLACED + timedelta(days=2),
        last_scan_place="Kwai Chung",
    )
    earlier = order(
        "A-2", state=OrderState.DELIVERED, tracking=(), placed_at=PLACED - timedelta(days=40),
        delivered_at=PLACED - timedelta(days=37),
    )  # fmt: skip
    sizes = tuple(
        Variant(sku=f"P1-{size}", options={"size": size}, amount_minor=42_000, available=size != "S") for size in "SML"
    )
    return CustomerData(
        profiles=[profile()],
        orders=[order(), earlier],
        parcels=[TrackedParcel(shipment=shipment, order_number="A-1", as_of=PLACED + timedelta(days=2))],
        products=[ProductVariants(product_id="P1", name="Rain jacket", currency="HKD", variants=sizes)],
    )
