"""What support asks of CRM, order management, carriers and catalogue: the ports, and the records they answer with.

These records hold personal data; only ``agents/support_*`` and ``graph/support`` see them, and what goes into a context
is what the contact reason allows.
"""

from collections.abc import Sequence
from typing import Protocol

from pydantic import AwareDatetime

from domain.address import Address
from domain.money import Money
from domain.order import Channel, OrderState, PaymentMethod
from domain.support import PaymentMethodView, ProductVariants, ShipmentView, TimelineEntry
from domain.support_identity import Subject
from domain.values import Document


class Profile(Document):
    """A customer as the CRM has them."""

    customer_id: str
    name: str = ""
    email: str = ""
    phone: str = ""
    language: str = ""
    tier: str = ""
    address: Address = Address()
    payment_methods: tuple[PaymentMethodView, ...] = ()
    open_tickets: int = 0
    ticket_summaries: tuple[str, ...] = ()
    """Newest first."""
    order_numbers: tuple[str, ...] = ()
    """Orders the CRM has linked to the customer."""
    cod_orders: int = 0
    cod_refused: int = 0
    as_of: AwareDatetime | None = None
    """The CRM's own time of the profile."""


class HistoryLine(Document):
    """One line of an order in the history."""

    line_id: str
    sku: str
    product_id: str = ""
    name: str
    category: str = ""
    quantity: int = 1
    quantity_open: int | None = None
    unit_price: Money
    options: dict[str, str] = {}


class HistoryPayment(Document):
    """Money of an order that moved."""

    kind: str
    """``payment`` or ``refund``."""
    amount: Money
    method_id: str
    method: PaymentMethod = PaymentMethod.OTHER
    at: AwareDatetime | None = None


class HistoryOrder(Document):
    """One order as order management has it."""

    order_id: str
    number: str
    customer_id: str
    channel: Channel
    mall: bool = False
    """Sold in the platform's mall tier."""
    placed_at: AwareDatetime | None = None
    delivered_at: AwareDatetime | None = None
    state: OrderState
    currency: str
    total: Money
    lines: tuple[HistoryLine, ...]
    payments: tuple[HistoryPayment, ...] = ()
    tracking: tuple[str, ...] = ()
    ship_to: Address = Address()
    email: str = ""
    phone: str = ""
    timeline: tuple[TimelineEntry, ...] = ()
    promised_at: AwareDatetime | None = None
    costs: Money | None = None
    """Goods, shipping and fees of the order; None when nobody has booked them."""
    as_of: AwareDatetime | None = None


class TrackedParcel(Document):
    """A parcel as its carrier sees it."""

    shipment: ShipmentView
    order_number: str = ""
    as_of: AwareDatetime | None = None
    """The carrier's own time of the last event."""


class ProfilePort(Protocol):
    """The CRM's profiles."""

    async def profiles(self, tenant: str, asked: Subject) -> Sequence[Profile]:
        """Everybody the subject fits, at most a few; a CRM also knows customers by the orders linked to them.

        Raises:
            ConnectorUnavailable: the CRM cannot say now.
        """


class HistoryPort(Protocol):
    """Order management's order history."""

    async def orders(self, tenant: str, asked: Subject) -> Sequence[HistoryOrder]:
        """All orders of whoever the subject fits, the newest first.

        Raises:
            ConnectorUnavailable: order management cannot say now.
        """


class TrackingPort(Protocol):
    """Carriers, or an aggregator over them."""

    async def parcels(self, tenant: str, *, order_number: str, tracking: Sequence[str]) -> Sequence[TrackedParcel]:
        """The parcels with these numbers, and those booked for the order number.

        Raises:
            ConnectorUnavailable: the carrier cannot say now.
        """


class VariantPort(Protocol):
    """The catalogue's variants."""

    async def variants(self, tenant: str, product_ids: Sequence[str]) -> Sequence[ProductVariants]:
        """The variants of these products; unknown ids are absent.

        Raises:
            ConnectorUnavailable: the catalogue cannot say now.
        """
