"""What every channel adapter does, and the values that cross its edge.

Inwards: ``verify`` proves a delivery on its raw bytes, ``normalise`` turns the platform's document into orders.
Outwards: ``preread`` and ``denormalise`` describe the platform's calls as data; a connector sends them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import AwareDatetime

from domain.ids import TenantId
from domain.intent import CancelChannel, UpdateChannel
from domain.order import Channel, Order
from domain.values import Document

HeaderLines = Mapping[str, str] | Sequence[tuple[str, str]]
"""Request headers; a sequence of pairs (or a multi-valued mapping) shows duplicates."""


@dataclass(frozen=True, kw_only=True)
class ShopSecret:
    """One shop's secrets at one platform. Several of one shop may be valid at once while a secret is rotated."""

    tenant: TenantId
    """Whose shop it is."""
    shop: str
    """Shopify: the ``.myshopify.com`` domain. Shopee: the shop id."""
    secret: str = field(repr=False)
    """Verifies deliveries (Shopify: the app's client secret; Shopee: the push partner key)."""
    callback_url: str = ""
    """Shopee: the URL registered for pushes, exactly as registered; a proxy's own URL does not count."""
    partner_id: str = ""
    """Shopee: the app's id in signed requests."""
    request_secret: str = field(default="", repr=False)
    """Shopee: the partner key that signs our requests; empty when it is the push key."""
    access_token: str = field(default="", repr=False)
    """For our own calls to the platform."""


class DeliveryKind(StrEnum):
    """What a verified delivery asks of us."""

    ORDER = "order"
    """An order was made or changed."""
    CANCEL = "cancel"
    """An order was cancelled, or its buyer asks for it."""
    IGNORED = "ignored"
    """Recorded, and nothing else: not about an order."""


class VerifiedDelivery(Document):
    """The facts of a delivery whose signature was right."""

    channel: Channel
    tenant: TenantId
    shop: str
    topic: str
    """The platform's word for what happened (``orders/create``; Shopee: ``push/3``)."""
    dedupe_id: str
    """Equal for repeats of one delivery."""
    external_id: str | None
    source_time: AwareDatetime | None
    """When it happened, says the platform."""
    kind: DeliveryKind
    fetch: bool = False
    """The delivery only says that something changed: read the order from the platform by ``external_id``."""


class ChannelRequest(Document):
    """One HTTP call to a platform, fully described. It may hold credentials: never log it."""

    method: str
    path: str
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    body: str = ""
    """JSON; empty when there is none."""


class ChannelAdapter(Protocol):
    """One sales channel, in and out. Pure: no I/O, no clock."""

    @property
    def channel(self) -> Channel:
        """The channel it speaks for."""

    def verify(
        self, raw: bytes, headers: HeaderLines, secrets: Sequence[ShopSecret], *, now: datetime
    ) -> VerifiedDelivery:
        """Check the signature on the raw bytes with every configured secret, then read the delivery's facts.

        Raises:
            BadSignature: no secret matches, or a header is missing, empty, repeated or not ASCII.
            PayloadTooLarge: more bytes than accepted; nothing was hashed.
            MalformedPayload: signed, but not JSON of the platform's shape.
        """

    def normalise(self, raw_text: str, *, tenant: str, shop: str, payload_ref: str) -> list[Order]:
        """The orders in a platform document: a delivery's body or the answer to a fetch.

        Raises:
            MalformedPayload: not a document this platform sends.
            UnprocessableOrder: a document that cannot be an order; ``pointer`` names the part.
        """

    def fetch_request(self, external_id: str, secret: ShopSecret, *, now: datetime) -> ChannelRequest:
        """The call whose answer ``normalise`` takes.

        Raises:
            ConnectorRejected: the channel has no such call.
        """

    def preread(
        self, intent: UpdateChannel | CancelChannel, secret: ShopSecret, *, now: datetime
    ) -> ChannelRequest | None:
        """What must be read from the platform before ``denormalise`` can speak; None when nothing."""

    def denormalise(
        self, intent: UpdateChannel | CancelChannel, secret: ShopSecret, *, now: datetime, read: str = ""
    ) -> tuple[ChannelRequest, ...]:
        """The platform calls that carry out ``intent``, given the answer to ``preread``.

        None are needed when the platform already shows what is wanted.

        Raises:
            MalformedPayload: the answer read before is not the platform's.
            ConnectorRejected: the platform cannot do this; nothing is sent.
        """
