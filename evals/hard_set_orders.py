"""One drawn fraud as an order document and as the answers every read about it gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from agents.fraud_segments import ShippedSegments
from domain.address import Address
from domain.catalogue import Product
from domain.fx import Rate
from domain.ids import OrderId, Sku, TenantId
from domain.inventory import StockLevel
from domain.money import Money
from domain.order import Channel, Customer, Device, Order, OrderLine, OrderState, Payment, PaymentMethod, PaymentState
from domain.ports import CustomerHistory
from domain.risk import CustomerException, SegmentSnapshot
from domain.shipment import Warehouse
from tools.sandbox.geography import FIXTURE_RATES

_PHONES = {"HK": "+85261234567", "TW": "+886912345678", "SG": "+6581234567", "AU": "+61412345678",
           "MY": "+60123456789", "VN": "+84912345678"}  # fmt: skip
_INVALID = {"HK": "+85211", "TW": "+88611", "SG": "+6511", "AU": "+6111", "MY": "+6011", "VN": "+8411"}
_COUNTS = {
    "card": ("card_velocity", 4, 1),
    "device": ("device_accounts", 4, 1),
    "ip": ("ip_velocity", 7, 2),
    "address": ("address_accounts", 5, 1),
}
"""Activity key: the sign that raises it, the count with the sign, and without."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """What was drawn of one fraud."""

    number: str
    at: datetime
    market: str
    currency: str
    channel: Channel
    category: str
    high_resale: bool
    dollars: Decimal
    shown: frozenset[str]
    """Signs it shows."""
    cash: bool
    """Paid at the door."""
    spread: float
    """0..1, for ages and amounts in between."""

    def shows(self, sign: str) -> bool:
        """Whether it shows the sign."""
        return sign in self.shown

    @property
    def first(self) -> bool:
        """The account's first order."""
        return self.shows("first_order")

    @property
    def changed(self) -> bool:
        """The account was changed within the day before."""
        return self.shows("profile_change") and not self.first


def order_of(one: Drawn, tenant: TenantId) -> Order:
    """The order document."""
    total = Money.rounded(one.dollars * FIXTURE_RATES[one.currency], one.currency)
    nothing = Money(amount_minor=0, currency=one.currency)
    units = 12 if one.shows("quantity") else 4 if one.shows("bulk") else 1
    single = Money(amount_minor=total.amount_minor // units, currency=one.currency)
    subtotal = single * units
    return Order(
        order_id=OrderId(f"{one.channel.value}-{one.number}"),
        tenant=tenant,
        channel=one.channel,
        shop="hard-set",
        external_id=one.number,
        placed_at=one.at,
        updated_at=one.at,
        currency=one.currency,
        locale="en",
        state=OrderState.PAID,
        platform_status="paid",
        lines=(
            OrderLine(
                line_id="1", sku=Sku(f"{one.category}-1"), quantity=units, quantity_open=units,
                unit_price=single, discount=nothing, tax=nothing,
            ),
        ),
        subtotal=subtotal,
        discount=nothing,
        shipping=nothing,
        tax=nothing,
        tax_included=True,
        total=subtotal,
        total_open=subtotal,
        ship_to=_address(one),
        bill_to=None if one.channel.marketplace else Address(country=one.market),
        customer=_customer(one),
        payment=_payment(one),
        device=_device(one),
        shipping_option="Express" if one.shows("express") else "Standard",
    )  # fmt: skip


def _address(one: Drawn) -> Address:
    line = f"{one.number} Harbour Road"
    return Address(
        name="Test Buyer",
        line1=f"{line}, freight forwarding dept" if one.shows("forwarder") else line,
        city="Central",
        country=one.market,
        phone=(_INVALID if one.shows("phone") else _PHONES)[one.market],
    )


def _customer(one: Drawn) -> Customer:
    new = one.shows("new_account")
    age = timedelta(minutes=30 + 1200 * one.spread) if new else timedelta(days=2 + 800 * one.spread)
    mailbox = "mailinator.com" if one.shows("disposable") else "mail.example.com"
    return Customer(
        customer_id=f"C-{one.number}",
        name="Test Buyer",
        email="" if one.channel.marketplace else f"buyer-{one.number.casefold()}@{mailbox}",
        created_at=one.at - age,
        orders_before=0 if one.first else 3,
    )


def _payment(one: Drawn) -> Payment:
    if one.cash:
        return Payment(method=PaymentMethod.COD, state=PaymentState.PENDING)
    if one.channel.marketplace:
        return Payment(method=PaymentMethod.PLATFORM, state=PaymentState.PAID)
    avs = "fail" if one.shows("avs_fail") else "partial" if one.shows("avs_partial") else "match"
    return Payment(
        method=PaymentMethod.CARD,
        state=PaymentState.PAID,
        card_fingerprint=f"card-{one.number}",
        bin_country="BR" if one.shows("bin_elsewhere") else one.market,
        bin_prepaid=one.shows("bin_prepaid"),
        avs=avs if one.shows("avs_known") else None,
        cvv="fail" if one.shows("cvv_fail") else "match",
        three_ds_shift=one.shows("three_ds"),
        declines_1h=5 if one.shows("declines") else 0,
    )


def _device(one: Drawn) -> Device:
    if one.channel.marketplace:
        return Device()
    return Device(
        ip="198.51.100.7",
        ip_country="NG" if one.shows("ip_elsewhere") else one.market,
        device_id=f"device-{one.number}",
        proxy=one.shows("proxy"),
        hosting_asn=one.shows("hosting"),
    )


class StatedReads:
    """Every read port at once, answering what was drawn of one order."""

    def __init__(self, one: Drawn) -> None:
        """``one`` is all there is."""
        self._one = one

    async def warehouses(self) -> Sequence[Warehouse]:
        """None: stock is no matter of fraud."""
        return ()

    async def stock(self, skus: Sequence[Sku]) -> Sequence[StockLevel]:
        """None."""
        return ()

    async def history(self, customer_id: str) -> CustomerHistory:
        """What the CRM knows of the buyer."""
        one = self._one
        proven = one.shows("good_history") and not one.first
        delivered = 0 if one.first else 3 + int(20 * one.spread) if proven else int(2 * one.spread)
        first_days = 0 if one.first else 61 + int(800 * one.spread) if proven else 1 + int(150 * one.spread)
        refused = 5 if one.cash and one.shows("refuser") else 0
        known: dict[str, Any] = {}
        if one.changed:
            known["last_profile_change_at"] = one.at - timedelta(minutes=10 + int(1300 * one.spread))
            known["known_devices"] = ("another",) if one.shows("new_device") else (f"device-{one.number}",)
        return CustomerHistory(
            customer_id=customer_id,
            orders_delivered=delivered,
            orders_refused=refused,
            first_order_at=one.at - timedelta(days=first_days) if first_days else None,
            known_bad=one.shows("known_bad"),
            **known,
        )

    async def products(self, skus: Sequence[Sku]) -> Mapping[Sku, Product]:
        """The one product, as the catalogue has it."""
        one = self._one
        price = Money(amount_minor=int(one.dollars * 100), currency="USD")
        resale = one.high_resale or one.shows("resale")
        return {
            sku: Product(
                sku=sku, title=one.category, category=one.category, weight_g=500, list_price=price, high_resale=resale
            )
            for sku in skus
        }

    async def rates(self, currencies: Sequence[str]) -> Sequence[Rate]:
        """Yesterday's rate of each currency."""
        day: date = self._one.at.date() - timedelta(days=1)
        return [
            Rate(base="USD", quote=code, day=day, value=FIXTURE_RATES[code], source="fixture")
            for code in currencies
            if code in FIXTURE_RATES
        ]

    async def count(self, *, tenant: str, name: str, value: str, since: datetime, distinct: str) -> int:
        """Recent activity under a key."""
        sign, many, few = _COUNTS.get(name, ("", 0, 0))
        return many if self._one.shows(sign) else few

    async def exceptions(self, *, tenant: str, customer_id: str) -> Sequence[CustomerException]:
        """None."""
        return ()

    async def confirmed(self, *, tenant: str, keys: Mapping[str, str]) -> Sequence[str]:
        """Keys on the confirmed-fraud list."""
        return ("card",) if self._one.shows("known_bad") and "card" in keys else ()

    async def segments(self, *, tenant: str) -> SegmentSnapshot:
        """The shipped quantiles."""
        return await ShippedSegments().segments(tenant=tenant)
