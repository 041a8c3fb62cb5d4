"""The canonical order: what every channel's payload becomes, and what every agent reads."""

from enum import StrEnum

from pydantic import AwareDatetime, Field

from domain.address import Address
from domain.ids import OrderId, Sku, TenantId
from domain.money import Money
from domain.values import Document, digest


class Channel(StrEnum):
    """Where an order came from."""

    STOREFRONT = "storefront"
    SHOPIFY = "shopify"
    ADOBE_COMMERCE = "adobe_commerce"
    SHOPLINE = "shopline"
    SHOPEE = "shopee"
    LAZADA = "lazada"
    AMAZON = "amazon"
    RAKUTEN = "rakuten"
    B2B = "b2b"

    @property
    def marketplace(self) -> bool:
        """Whether the platform itself screens payment and punishes seller cancellations."""
        return self in {Channel.SHOPEE, Channel.LAZADA, Channel.AMAZON, Channel.RAKUTEN}


class OrderState(StrEnum):
    """The canonical state; every platform status maps to one of these, unknown ones to UNKNOWN."""

    CREATED = "created"
    PAID = "paid"
    HELD = "held"
    ALLOCATED = "allocated"
    PACKED = "packed"
    READY_TO_SHIP = "ready_to_ship"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    COMPLETED = "completed"
    CANCEL_REQUESTED = "cancel_requested"
    CANCELLED = "cancelled"
    DELIVERY_FAILED = "delivery_failed"
    RETURN_REQUESTED = "return_requested"
    RETURNING = "returning"
    RETURNED = "returned"
    LOST = "lost"
    DAMAGED = "damaged"
    UNKNOWN = "unknown"

    @property
    def left_our_hands(self) -> bool:
        """Whether the platform already shows the order shipped, finished or cancelled: nothing is left to fulfil."""
        return self not in _OPEN_STATES


_OPEN_STATES = frozenset(
    {
        OrderState.CREATED,
        OrderState.PAID,
        OrderState.HELD,
        OrderState.ALLOCATED,
        OrderState.CANCEL_REQUESTED,
        OrderState.UNKNOWN,
    }
)


class OrderIssue(StrEnum):
    """What normalisation found odd; each sends the order to a person unless a rule says otherwise."""

    NO_ADDRESS = "no_address"
    NO_COUNTRY = "no_country"
    NO_SKU = "no_sku"
    TOTALS_DISAGREE = "totals_disagree"
    UNKNOWN_STATUS = "unknown_status"
    PARTLY_REFUNDED = "partly_refunded"
    PLATFORM_RISK_CANCEL = "platform_risk_cancel"
    TEST_ORDER = "test_order"
    MIXED_CURRENCY = "mixed_currency"


class OrderLine(Document):
    """One line. Quantities are units; ``quantity_open`` excludes what was refunded, removed or already shipped."""

    line_id: str
    sku: Sku
    """Empty when the channel sent none; then NO_SKU is among the order's issues."""
    title: str = ""
    quantity: int = Field(ge=0)
    quantity_open: int = Field(ge=0)
    unit_price: Money
    """Before discounts, as charged (tax included when the order's ``tax_included`` is set)."""
    discount: Money
    """Of the whole line, as a non-negative amount."""
    tax: Money
    """Of the whole line, as the channel charged it."""
    weight_g: int | None = None
    """Of one unit, when the channel says so."""
    kit_id: str | None = None
    """Lines with the same kit travel in one parcel."""
    requires_shipping: bool = True


class Customer(Document):
    """Who bought, as the channel says. Everything but ``customer_id`` is personal data."""

    customer_id: str = ""
    name: str = ""
    email: str = ""
    phone: str = ""
    created_at: AwareDatetime | None = None
    orders_before: int | None = None


class PaymentMethod(StrEnum):
    """How the buyer pays."""

    CARD = "card"
    WALLET = "wallet"
    COD = "cod"
    CONVENIENCE_STORE = "convenience_store"
    BANK_TRANSFER = "bank_transfer"
    PLATFORM = "platform"
    """The marketplace collects and screens."""
    OTHER = "other"


class PaymentState(StrEnum):
    """What has happened to the money."""

    PENDING = "pending"
    AUTHORISED = "authorised"
    PAID = "paid"
    PARTLY_REFUNDED = "partly_refunded"
    REFUNDED = "refunded"
    VOIDED = "voided"


class Payment(Document):
    """Payment facts a fraud rule may read. Unknown is None, never a guess."""

    method: PaymentMethod
    state: PaymentState
    gateway: str = ""
    card_fingerprint: str | None = None
    card_bin: str | None = None
    bin_country: str | None = None
    bin_prepaid: bool | None = None
    avs: str | None = None
    """``match``, ``partial``, ``fail`` or None when the issuer does not support it."""
    cvv: str | None = None
    """``match``, ``fail`` or None."""
    three_ds_shift: bool = False
    """Authenticated with liability shifted to the issuer."""
    declines_1h: int | None = None
    """Attempts declined in the hour before this payment succeeded, as the provider counts them; None when it does not."""


class Device(Document):
    """The browser the order was placed with."""

    ip: str | None = None
    ip_country: str | None = None
    device_id: str | None = None
    proxy: bool | None = None
    hosting_asn: bool | None = None


class Order(Document):
    """One customer order in one currency."""

    order_id: OrderId
    tenant: TenantId
    channel: Channel
    shop: str
    external_id: str
    """The id the channel's API knows."""
    external_number: str = ""
    """The number people see (``#1001``)."""
    placed_at: AwareDatetime
    updated_at: AwareDatetime
    """The channel's own time of this version: newer wins, arrival order does not matter."""
    currency: str
    locale: str
    """BCP 47 tag of the customer's language, for example ``zh-Hant-TW``."""
    state: OrderState
    platform_status: str
    """The channel's own word, as sent."""
    lines: tuple[OrderLine, ...] = Field(min_length=1)
    subtotal: Money
    """Lines after line discounts, before order tax and shipping."""
    discount: Money
    shipping: Money
    tax: Money
    tax_included: bool
    total: Money
    """What the buyer agreed to pay when placing the order."""
    presented_total: Money | None = None
    """The total as the buyer saw it, when that was in another currency; the order itself stays in the shop's."""
    total_open: Money
    """What remains of the total after refunds and removed lines."""
    ship_to: Address
    bill_to: Address | None = None
    customer: Customer
    payment: Payment
    device: Device = Device()
    shipping_option: str = ""
    """The delivery method the buyer chose, in the channel's words."""
    ship_by: AwareDatetime | None = None
    """The marketplace's deadline for handing over; outranks our promise."""
    deliver_by: AwareDatetime | None = None
    note: str = ""
    """What the buyer wrote. Untrusted text."""
    issues: tuple[OrderIssue, ...] = ()
    payload_ref: str = ""
    """Where the raw payload is kept."""

    @property
    def open_lines(self) -> tuple[OrderLine, ...]:
        """The lines that still have physical units to send."""
        return tuple(line for line in self.lines if line.quantity_open > 0 and line.requires_shipping)

    def content_digest(self) -> str:
        """Digest of what a person approves: lines, amounts, address, payment, customer; not times or references."""
        kept = self.model_dump(mode="json", exclude={"updated_at", "payload_ref", "platform_status", "state"})
        return digest(kept)


class OrderProgress(StrEnum):
    """Where Signalbox stands with an order: the coordination layer's own axis, beside the canonical state."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    IN_REVIEW = "in_review"
    BACKORDERED = "backordered"
    FULFILLED = "fulfilled"
    """Every effect of the release is applied: label booked, warehouse and channel told."""
    CANCELLED = "cancelled"
    CLOSED_EXTERNALLY = "closed_externally"
    """The platform had already shipped, finished or cancelled it: observed, nothing done."""
    DEAD_LETTER = "dead_letter"

    @property
    def terminal(self) -> bool:
        """Whether the run is over (a backordered order waits for stock, outside any run)."""
        return self in {
            OrderProgress.BACKORDERED,
            OrderProgress.FULFILLED,
            OrderProgress.CANCELLED,
            OrderProgress.CLOSED_EXTERNALLY,
        }
