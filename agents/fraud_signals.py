"""What the fraud rules look at, gathered once per order. Unknown is None: a rule without its input is not evaluated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_FLOOR

from agents.fraud_activity import activity_account, activity_keys, address_digest, telling_keys
from agents.fraud_contact import forwarding, phone_finding, throwaway_domain
from agents.fraud_segments import Segment, SegmentTable
from agents.fraud_table import FraudTable
from agents.shipping_options import OptionClass, option_class
from domain.catalogue import Product
from domain.errors import MissingRate
from domain.fx import RateTable
from domain.ids import Sku
from domain.order import Channel, Order, PaymentMethod, PaymentState
from domain.ports import CustomerHistory
from domain.risk import CustomerException

__all__ = ["Readings", "Signals", "activity_account", "activity_keys", "read_signals", "telling_keys"]

_MONEY_CAME = frozenset({PaymentState.AUTHORISED, PaymentState.PAID, PaymentState.PARTLY_REFUNDED})


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantityOutlier:
    """The line whose quantity exceeds its SKU's usual most."""

    sku: str
    quantity: int
    p99: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Signals:
    """One order as the rules see it: no names, no addresses, no card numbers."""

    platform: bool = False
    currency: str = "USD"
    total_minor: int = 0
    usd_cents: int | None = None
    """The total in US dollars, rounded down, so that comparing it with whole cents is exact; None without a usable rate."""
    segment: Segment | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    """Recent activity by rule code, for the rules whose key the order has."""
    paid: bool = False
    """A payment has succeeded."""
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
    throwaway: str | None = None
    """The mailbox's domain when it hands out throw-away mailboxes; empty when it does not."""
    account_age_s: int | None = None
    profile_age_s: int | None = None
    """Since password, phone or address of the account were last changed."""
    new_device: bool | None = None
    first_order: bool | None = None
    resale_quantity: int | None = None
    """Largest quantity of one high-resale SKU; 0 when there is none."""
    quantity_known: bool = False
    """At least one SKU's usual quantities are measured."""
    quantity_outlier: QuantityOutlier | None = None
    express: bool = False
    cash_on_delivery: bool = False
    refused: int | None = None
    delivered: int | None = None
    disputed: int | None = None
    history_age_s: int | None = None
    same_means: bool | None = None
    """Card and address are those of earlier good orders; None when the CRM does not keep them."""
    phone: str | None = None
    """``ok``, ``voip`` or ``invalid``."""
    known_bad: bool | None = None
    known_bad_by: tuple[str, ...] = ()
    """Which of the order's keys are on the confirmed-fraud list."""
    trusted: str | None = None
    """The trusted-list entry that holds for the customer."""
    snoozed: Mapping[str, str] = field(default_factory=dict)
    """Rule codes silent for this customer, and until when."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Readings:
    """What was read about one order beyond the order itself."""

    now: datetime
    history: CustomerHistory | None = None
    """None for a guest, and when the CRM was left out."""
    history_left_out: bool = False
    products: Mapping[Sku, Product] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    seen_on_device: bool | None = None
    """The account has ordered from this device before its profile was changed; None when not asked."""
    confirmed: tuple[str, ...] = ()
    exceptions: tuple[CustomerException, ...] = ()
    """Those that hold now."""
    segments: SegmentTable | None = None
    rates: RateTable | None = None


def read_signals(order: Order, read: Readings, table: FraudTable) -> Signals:
    """The signals of one order from what was read about it."""
    payment, device, history, now = order.payment, order.device, read.history, read.now
    since = order.customer.created_at or (history.first_order_at if history else None)
    usd_cents = _usd_cents(order, read)
    outliers = _quantities(order, read)
    return Signals(
        platform=order.channel.marketplace,
        currency=order.currency,
        total_minor=order.total.amount_minor,
        usd_cents=usd_cents,
        segment=_segment(order, read, usd_cents),
        counts=read.counts,
        paid=payment.state in _MONEY_CAME,
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
        forwarder=forwarding(order.ship_to, table) if order.ship_to.deliverable else None,
        throwaway=throwaway_domain(order.customer.email, table),
        account_age_s=_age_s(since, now),
        profile_age_s=profile_age_s(history, order, now),
        new_device=_new_device(order, read),
        first_order=_first_order(order, history),
        resale_quantity=_resale_quantity(order, read.products),
        quantity_known=outliers is not None,
        quantity_outlier=max(outliers or (), key=lambda one: one.quantity / max(1, one.p99), default=None),
        express=option_class(order.shipping_option) is OptionClass.EXPRESS,
        cash_on_delivery=payment.method is PaymentMethod.COD,
        refused=history.orders_refused if history else None,
        delivered=history.orders_delivered if history else None,
        disputed=history.disputed if history else None,
        history_age_s=_age_s(history.first_order_at if history else None, now),
        same_means=_same_means(order, history),
        phone=phone_finding(order.customer.phone or order.ship_to.phone, order.ship_to.country),
        known_bad=_known_bad(read),
        known_bad_by=tuple(sorted(read.confirmed)),
        trusted=next((one.exception_id for one in read.exceptions if not one.rule), None),
        snoozed={table.code_of(one.rule): one.ends_at.isoformat() for one in read.exceptions if one.rule},
    )


def profile_age_s(history: CustomerHistory | None, order: Order, now: datetime) -> int | None:
    """Seconds between the account's last change and the order; None when the account never changed before it."""
    changed = history.last_profile_change_at if history else None
    at = min(now, order.placed_at)
    return int((at - changed).total_seconds()) if changed and changed <= at else None


def _age_s(since: datetime | None, now: datetime) -> int | None:
    return int((now - since).total_seconds()) if since else None


def _usd_cents(order: Order, read: Readings) -> int | None:
    if read.rates is None:
        return None
    try:
        dollars = read.rates.usd_equivalent(order.total, at=read.now).amount
    except MissingRate:
        return None
    return int((dollars * 100).to_integral_value(ROUND_FLOOR))


def _segment(order: Order, read: Readings, usd_cents: int | None) -> Segment | None:
    if read.segments is None:
        return None
    worth: dict[str, int] = {}
    for line in order.lines:
        if (product := read.products.get(line.sku)) is not None:
            spent = line.unit_price.amount_minor * line.quantity - line.discount.amount_minor
            worth[product.category] = worth.get(product.category, 0) + spent
    category = max(sorted(worth), key=lambda name: worth[name], default="")
    return read.segments.choose(
        country=order.ship_to.country, category=category, total=order.total, usd_cents=usd_cents
    )


def _new_device(order: Order, read: Readings) -> bool | None:
    device = order.device.device_id
    if not device:
        return None
    known = read.history.known_devices if read.history else None
    if known is not None:
        return device not in known
    return None if read.seen_on_device is None else not read.seen_on_device


def _first_order(order: Order, history: CustomerHistory | None) -> bool | None:
    before = order.customer.orders_before
    if before is None and history is None:
        return None
    return not before and not (history and (history.orders_delivered or history.orders_refused))


def _same_means(order: Order, history: CustomerHistory | None) -> bool | None:
    if history is None or (history.known_cards is None and history.known_addresses is None):
        return None
    card = order.payment.card_fingerprint
    card_known = history.known_cards is None or card is None or card in history.known_cards
    places = history.known_addresses
    return card_known and (places is None or address_digest(order.ship_to) in places)


def _known_bad(read: Readings) -> bool | None:
    if read.confirmed or (read.history and read.history.known_bad):
        return True
    return None if read.history_left_out else False


def _units(order: Order) -> dict[Sku, int]:
    units: dict[Sku, int] = {}
    for line in order.lines:
        if line.sku:
            units[line.sku] = units.get(line.sku, 0) + line.quantity
    return units


def _quantities(order: Order, read: Readings) -> list[QuantityOutlier] | None:
    if read.segments is None or order.channel is Channel.B2B:
        return None  # a business buys by the carton
    outliers, known = [], False
    for sku, units in _units(order).items():
        product = read.products.get(sku)
        p99 = read.segments.quantity_p99(sku, product.category if product else "")
        known = known or p99 is not None
        if p99 is not None and units > p99:
            outliers.append(QuantityOutlier(sku=sku, quantity=units, p99=p99))
    return outliers if known else None


def _resale_quantity(order: Order, products: Mapping[Sku, Product]) -> int | None:
    units = {sku: count for sku, count in _units(order).items() if sku in products}
    if not units:
        return None
    return max((count for sku, count in units.items() if products[sku].high_resale), default=0)
