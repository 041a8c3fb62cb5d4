"""The Shopify adapter: webhooks signed over their raw bytes, REST documents in, REST calls out.

Shopify neither guarantees order nor delivery of webhooks, and a retry carries the original, possibly stale document:
``updated_at`` inside the document, not arrival, tells which version is newer.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.errors import BadSignature, InputError, MalformedPayload, UnprocessableOrder
from domain.intent import CancelChannel, UpdateChannel
from domain.order import Channel, Order
from tools.channels.protocol import ChannelRequest, DeliveryKind, HeaderLines, ShopSecret, VerifiedDelivery
from tools.channels.reading import Fields, clean
from tools.channels.shopify_calls import call, cancel_call, shipment_calls
from tools.channels.shopify_order import ShopifyOrder, order_number_of
from tools.channels.signing import DeliveryHeaders, same
from tools.channels.strict_json import DEFAULT_LIMITS, ParseLimits, check_size, load_object

_FETCH_BY_ORDER_ID = frozenset({"refunds/create", "orders/risk_assessment_changed", "order_transactions/create"})
"""Topics whose document is about an order but is not the order."""
_NOT_AN_ORDER = frozenset({"orders/delete", "orders/link_requested", "orders/shopify_protect_eligibility_changed"})
_SHOP = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}", re.ASCII)
_CLOCK_SKEW = timedelta(minutes=10)


def signature(raw: bytes, secret: str) -> str:
    """Shopify's webhook signature: base64 of HMAC-SHA256 over the raw body."""
    return base64.b64encode(hmac.new(secret.encode(), raw, hashlib.sha256).digest()).decode()


class ShopifyAdapter:
    """Shopify, in and out."""

    channel = Channel.SHOPIFY

    def __init__(self, limits: ParseLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits

    def verify(
        self, raw: bytes, headers: HeaderLines, secrets: Sequence[ShopSecret], *, now: datetime
    ) -> VerifiedDelivery:
        """Check ``X-Shopify-Hmac-Sha256``, then read the delivery's facts.

        The dedupe id is event id + topic + shop, because several subscriptions to one topic share an event id. Other
        headers are not signed, so nothing that changes an order is taken from them but the topic.

        Raises:
            BadSignature: no secret of the shop matches, or a header is missing, empty, repeated or not ASCII.
            PayloadTooLarge: more bytes than accepted; nothing was hashed.
            MalformedPayload: signed, but not a JSON object.
        """
        check_size(raw, self._limits)
        lines = DeliveryHeaders(headers)
        given = lines.required("X-Shopify-Hmac-Sha256")
        secret = _signer(raw, given, lines.optional("X-Shopify-Shop-Domain").lower(), secrets)
        topic = lines.optional("X-Shopify-Topic").lower()
        event = lines.optional("X-Shopify-Event-Id") or lines.optional("X-Shopify-Webhook-Id")
        document = Fields(load_object(raw, self._limits))
        try:
            kind, external_id, fetch = _meaning(topic, document)
        except UnprocessableOrder as error:
            raise MalformedPayload(f"this is not a document of {topic}: {error}", pointer=error.pointer) from None
        return VerifiedDelivery(
            channel=self.channel,
            tenant=secret.tenant,
            shop=secret.shop,
            topic=topic,
            dedupe_id=f"shopify:{secret.shop}:{topic}:{event or hashlib.sha256(raw).hexdigest()}",
            external_id=external_id,
            source_time=_triggered_at(lines.optional("X-Shopify-Triggered-At"), now),
            kind=kind,
            fetch=fetch,
        )

    def normalise(self, raw_text: str, *, tenant: str, shop: str, payload_ref: str) -> list[Order]:
        """The orders in a webhook body, ``{"order": ...}`` or ``{"orders": [...]}``; ``risks`` may stand beside them.

        Raises:
            MalformedPayload: not JSON, or neither of these documents.
            UnprocessableOrder: a document that cannot be an order; ``pointer`` names the part.
        """
        document = load_object(raw_text, self._limits)
        risky = _orders_at_risk(Fields(document))
        return [
            ShopifyOrder(fields, risk_says_cancel=_at_risk(fields, risky)).canonical(
                tenant=tenant, shop=shop, payload_ref=payload_ref
            )
            for fields in _orders(document)
        ]

    def fetch_request(self, external_id: str, secret: ShopSecret, *, now: datetime) -> ChannelRequest:
        """``GET orders/<id>.json``."""
        return call("GET", f"/orders/{external_id}.json", secret)

    def preread(
        self, intent: UpdateChannel | CancelChannel, secret: ShopSecret, *, now: datetime
    ) -> ChannelRequest | None:
        """Fulfilment orders before a shipment; nothing before a cancellation."""
        if isinstance(intent, CancelChannel):
            return None
        return call("GET", f"/orders/{intent.external_id}/fulfillment_orders.json", secret)

    def denormalise(
        self, intent: UpdateChannel | CancelChannel, secret: ShopSecret, *, now: datetime, read: str = ""
    ) -> tuple[ChannelRequest, ...]:
        """A fulfilment for the open units with the tracking numbers, or a cancellation.

        Raises:
            MalformedPayload: ``read`` is not the list of fulfilment orders.
            ConnectorRejected: no open unit is ours to fulfil.
        """
        if isinstance(intent, CancelChannel):
            return (cancel_call(intent, secret),)
        return shipment_calls(intent, secret, read)


def _signer(raw: bytes, given: str, shop: str, secrets: Sequence[ShopSecret]) -> ShopSecret:
    """The secret that signed the body, among those of the shop the delivery names (all, when it names none)."""
    candidates = [secret for secret in secrets if not shop or secret.shop.lower() == shop]
    if not candidates:
        name = shop if _SHOP.fullmatch(shop) else "this shop"
        raise BadSignature(f"no webhook secret is configured for {name}; add it to the tenant's shops")
    matches = [secret for secret in candidates if same(signature(raw, secret.secret), given)]
    if not matches:
        raise BadSignature("X-Shopify-Hmac-Sha256 does not match the body; check the app's client secret")
    return matches[0]


def _meaning(topic: str, document: Fields) -> tuple[DeliveryKind, str | None, bool]:
    """Kind, order id and whether the order must be fetched, from topic and document."""
    if topic == "orders/edited":
        edit = document.object("order_edit") or document
        return DeliveryKind.ORDER, order_number_of(edit, "order_id"), True
    if topic in _FETCH_BY_ORDER_ID:
        return DeliveryKind.ORDER, order_number_of(document, "order_id"), True
    about_order = topic.startswith("orders/") or (not topic and isinstance(document.raw("line_items"), list))
    if not about_order or topic in _NOT_AN_ORDER:
        return DeliveryKind.IGNORED, _id_or_none(document), False
    cancelled = topic == "orders/cancelled" or "cancelled_at" in document
    return DeliveryKind.CANCEL if cancelled else DeliveryKind.ORDER, order_number_of(document, "id"), False


def _id_or_none(document: Fields) -> str | None:
    try:
        return order_number_of(document, "id")
    except InputError:
        return None


def _triggered_at(text: str, now: datetime) -> datetime | None:
    """The header's time; None when it is unreadable or in the future. It is not signed and decides nothing."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.utcoffset() is None or moment > now + _CLOCK_SKEW:
        return None
    return moment.astimezone(UTC)


def _orders(document: dict[str, Any]) -> Iterator[Fields]:
    """The order objects of any of the accepted documents, each with its pointer."""
    fields = Fields(document)
    if "orders" in document:
        yield from fields.objects("orders")
    elif "order" in document:
        yield fields.required("order", fields.object("order"))
    elif "line_items" in document and "order_id" not in document:
        yield fields
    elif "errors" in document:
        raise MalformedPayload(f"Shopify answered with an error: {clean(str(document['errors']), 200)}")
    else:
        raise MalformedPayload("this is not a Shopify order; send a webhook body, {order} or {orders}", pointer="")


def _orders_at_risk(document: Fields) -> set[str]:
    """Ids of the orders for which a risk beside them recommends to cancel."""
    return {
        order_number_of(risk, "order_id")
        for risk in document.objects("risks")
        if risk.text("recommendation").lower() == "cancel"
    }


def _at_risk(order: Fields, risky: set[str]) -> bool:
    """Whether Shopify recommends to cancel: by risks beside or inside the order, or its own assessment."""
    inside = [*order.objects("risks")]
    if (assessment := order.object("risk")) is not None:
        inside.append(assessment)
    if any(risk.text("recommendation").lower() == "cancel" for risk in inside):
        return True
    return bool(risky) and order_number_of(order, "id") in risky
