"""The arguments of every effect kind, so that a connector parses them once at its edge."""

from pydantic import AwareDatetime, Field

from domain.address import Address
from domain.catalogue import DangerousGoods
from domain.ids import EffectKey, OrderId, ServiceId, Sku, WarehouseId
from domain.inventory import HoldLine
from domain.money import Money
from domain.values import Document, Plain


class HoldStock(Document):
    """HOLD_STOCK: take all lines or none."""

    order_id: OrderId
    lines: tuple[HoldLine, ...] = Field(min_length=1)
    expires_at: AwareDatetime | None


class ConfirmHold(Document):
    """CONFIRM_HOLD: fix a hold to its final lines (moved between warehouses in one transaction when they differ).

    An expired hold is taken anew or refused with INSUFFICIENT stock, never assumed.
    """

    order_id: OrderId
    hold_key: EffectKey
    lines: tuple[HoldLine, ...] = Field(min_length=1)


class ReleaseHold(Document):
    """RELEASE_HOLD: give the units back; releasing twice is the same as once."""

    order_id: OrderId
    hold_key: EffectKey


class CapturePayment(Document):
    """CAPTURE_PAYMENT: take the authorised money."""

    order_id: OrderId
    amount: Money


class RefundPayment(Document):
    """REFUND_PAYMENT: give money back; never more than was captured."""

    order_id: OrderId
    amount: Money
    reason: str


class BookLabel(Document):
    """BOOK_LABEL: buy a label for one parcel."""

    order_id: OrderId
    parcel: int
    warehouse: WarehouseId
    service: ServiceId
    billable_g: int
    ship_to: Address
    declared_value: Money
    collect: Money | None = None
    """Cash on delivery."""
    dangerous: tuple[DangerousGoods, ...] = ()
    duty_paid: bool = False
    """The sender pays duty and import tax."""


class VoidLabel(Document):
    """VOID_LABEL: cancel a label; refused with TooLate once the carrier has scanned the parcel."""

    order_id: OrderId
    service: ServiceId
    label_key: EffectKey


class CreateFulfilment(Document):
    """CREATE_FULFILMENT: tell the warehouse to pick and pack one parcel; consumes the hold."""

    order_id: OrderId
    parcel: int
    warehouse: WarehouseId
    hold_key: EffectKey
    skus: dict[Sku, int]
    tracking: str


class CancelFulfilment(Document):
    """CANCEL_FULFILMENT: stop picking and put the units back; refused with TooLate once handed over."""

    order_id: OrderId
    fulfilment_key: EffectKey


class RecallFulfilments(Document):
    """RECALL_FULFILMENTS: stop picking these parcels and hold their goods where they are wanted now, all or nothing.

    One transaction: the units go back, the hold is confirmed for ``lines`` alone, and is picked anew. Refused with
    TooLate when a parcel was handed over, with INSUFFICIENT stock when the other site has not enough.
    """

    order_id: OrderId
    hold_key: EffectKey
    fulfilment_keys: tuple[EffectKey, ...]
    lines: tuple[HoldLine, ...] = Field(min_length=1)


class UpdateOms(Document):
    """UPDATE_OMS: write state, warehouse and tracking to the order management system."""

    order_id: OrderId
    state: str
    warehouses: tuple[WarehouseId, ...] = ()
    tracking: tuple[str, ...] = ()


class CancelOms(Document):
    """CANCEL_OMS: mark the order cancelled in the order management system."""

    order_id: OrderId
    reason: str


class UpdateChannel(Document):
    """UPDATE_CHANNEL: tell the sales channel that parcels are on their way."""

    order_id: OrderId
    external_id: str
    shop: str
    state: str
    tracking: tuple[str, ...] = ()
    carrier: str = ""


class CancelChannel(Document):
    """CANCEL_CHANNEL: cancel the order at the sales channel."""

    order_id: OrderId
    external_id: str
    shop: str
    reason: str


class SendMessage(Document):
    """SEND_MESSAGE: one message to the customer of one order."""

    order_id: OrderId
    template: str
    locale: str
    recipient: str
    """E-mail address, or the channel's buyer id for marketplace chat."""
    subject: str
    body: str


class PostLoyalty(Document):
    """POST_LOYALTY: credit points for one order."""

    order_id: OrderId
    customer_id: str
    points: int = Field(ge=0)


class ReverseLoyalty(Document):
    """REVERSE_LOYALTY: take back exactly what the order was credited."""

    order_id: OrderId
    customer_id: str
    loyalty_key: EffectKey


class TagOrder(Document):
    """TAG_ORDER: set analytics tags; the last set wins."""

    order_id: OrderId
    tags: tuple[str, ...]


class SendPurchaseOrder(Document):
    """SEND_PURCHASE_ORDER: one letter with one version of a purchase order, to the one address of the vendor master."""

    number: str
    version: int = Field(ge=1)
    digest: str
    """``content_digest`` of the approved version; another content is another effect."""
    vendor_id: str
    recipient: str
    reply_to: str
    locale: str
    subject: str
    body: str


class SetListing(Document):
    """CHANGE_LISTING and RESTORE_LISTING: set fields of one listing that still hold what is expected.

    A change is refused when a field holds something else; a restore leaves such fields to whoever set them, and says so.
    """

    sku: str
    channel: str
    values: dict[str, Plain] = Field(min_length=1)
    """New value by field of ``domain.listing.Listing``, as JSON."""
    expected: dict[str, Plain]
    """What each of these fields must hold before."""
