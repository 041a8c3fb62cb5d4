"""The Shopee adapter: pushes that only announce, order details fetched after them, signed calls out.

A push carries no order: whatever it says, the order is read from Shopee again, so late, repeated or lost pushes cannot
set anything back.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from domain.errors import BadSignature, MalformedPayload, UnprocessableOrder
from domain.ids import TenantId
from domain.intent import CancelChannel, UpdateChannel
from domain.order import Channel, Order
from tools.channels.protocol import ChannelRequest, DeliveryKind, HeaderLines, ShopSecret, VerifiedDelivery
from tools.channels.reading import Fields
from tools.channels.shopee_calls import cancel_calls, detail_call, parameter_call, shipment_calls
from tools.channels.shopee_order import ShopeeOrder
from tools.channels.shopee_status import CANCELLING
from tools.channels.signing import DeliveryHeaders, same
from tools.channels.strict_json import DEFAULT_LIMITS, ParseLimits, check_size, load_object

ORDER_STATUS_PUSH = 3


def signature(raw: bytes, callback_url: str, secret: str) -> str:
    """Shopee's push signature: hex HMAC-SHA256 over the registered callback URL, a bar, and the raw body."""
    return hmac.new(secret.encode(), callback_url.encode() + b"|" + raw, hashlib.sha256).hexdigest()


class ShopeeAdapter:
    """Shopee, in and out."""

    channel = Channel.SHOPEE

    def __init__(self, limits: ParseLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits

    def verify(
        self, raw: bytes, headers: HeaderLines, secrets: Sequence[ShopSecret], *, now: datetime
    ) -> VerifiedDelivery:
        """Check ``Authorization``, then read the push. Order status pushes (code 3) ask to fetch; others are recorded.

        Raises:
            BadSignature: no secret matches, the shop is not configured, or the header is missing, empty, repeated or
                not ASCII.
            PayloadTooLarge: more bytes than accepted; nothing was hashed.
            MalformedPayload: signed, but not a push.
        """
        check_size(raw, self._limits)
        given = DeliveryHeaders(headers).required("Authorization")
        signers = [entry for entry in secrets if same(signature(raw, entry.callback_url, entry.secret), given)]
        if not signers:
            raise BadSignature(
                "Authorization does not match the body; check the push partner key and the registered callback URL"
            )
        try:
            return self._read_push(Fields(load_object(raw, self._limits)), raw, signers)
        except UnprocessableOrder as error:
            raise MalformedPayload(f"this is not a Shopee push: {error}", pointer=error.pointer) from None

    def _read_push(self, push: Fields, raw: bytes, signers: Sequence[ShopSecret]) -> VerifiedDelivery:
        code = push.required("code", push.count("code"))
        tenant, shop = _owner(push, signers)
        data = push.object("data") or Fields({}, push.at("data"))
        order_key = "ordersn" if "ordersn" in data else "order_sn"
        about_order = code == ORDER_STATUS_PUSH
        kind = DeliveryKind.IGNORED
        if about_order:
            cancelling = data.text("status").upper() in CANCELLING
            kind = DeliveryKind.CANCEL if cancelling else DeliveryKind.ORDER
        return VerifiedDelivery(
            channel=self.channel,
            tenant=tenant,
            shop=shop,
            topic=f"push/{code}",
            dedupe_id=f"shopee:{shop}:{code}:{hashlib.sha256(raw).hexdigest()}",
            external_id=data.identifier(order_key) if about_order or order_key in data else None,
            source_time=(data.unix("update_time") if about_order else None) or push.unix("timestamp"),
            kind=kind,
            fetch=about_order,
        )

    def normalise(self, raw_text: str, *, tenant: str, shop: str, payload_ref: str) -> list[Order]:
        """The orders in an order detail answer.

        Raises:
            MalformedPayload: not JSON, an error answer, or a push (which holds no order).
            UnprocessableOrder: a document that cannot be an order; ``pointer`` names the part.
        """
        document = Fields(load_object(raw_text, self._limits))
        return [
            ShopeeOrder(fields).canonical(tenant=tenant, shop=shop, payload_ref=payload_ref)
            for fields in _orders(document)
        ]

    def fetch_request(self, external_id: str, secret: ShopSecret, *, now: datetime) -> ChannelRequest:
        """``get_order_detail``, signed."""
        return detail_call(external_id, secret, now=now)

    def preread(
        self, intent: UpdateChannel | CancelChannel, secret: ShopSecret, *, now: datetime
    ) -> ChannelRequest | None:
        """How the order may be shipped, or the order itself before a cancellation."""
        if isinstance(intent, CancelChannel):
            return detail_call(intent.external_id, secret, now=now)
        return parameter_call(intent.external_id, secret, now=now)

    def denormalise(
        self, intent: UpdateChannel | CancelChannel, secret: ShopSecret, *, now: datetime, read: str = ""
    ) -> tuple[ChannelRequest, ...]:
        """``ship_order``, ``cancel_order`` or ``handle_buyer_cancellation``, signed.

        Raises:
            MalformedPayload: ``read`` is not Shopee's answer.
            ConnectorRejected: Shopee cannot do this.
            ConnectorUnavailable: Shopee said it cannot now.
        """
        if isinstance(intent, CancelChannel):
            return cancel_calls(intent, secret, now=now, read=read)
        return shipment_calls(intent, secret, now=now, read=read)


def _owner(push: Fields, signers: Sequence[ShopSecret]) -> tuple[TenantId, str]:
    """Tenant and shop of a push. One partner key signs for every shop of an app; the signed shop id tells which."""
    if not push.raw("shop_id"):
        return signers[0].tenant, ""
    shop = push.identifier("shop_id")
    for entry in signers:
        if entry.shop == shop:
            return entry.tenant, shop
    raise BadSignature(f"the push is signed, but no secret is configured for its shop {shop}; add the shop")


def _orders(document: Fields) -> list[Fields]:
    """The order objects of an order detail answer, or one bare order detail."""
    if document.raw("error"):
        raise MalformedPayload(
            f"Shopee answered {document.text('error', 100)}: {document.text('message', 200)}", pointer="/error"
        )
    response = document.object("response")
    if response is not None and "order_list" in response:
        return [*response.objects("order_list")]
    if "order_sn" in document and "item_list" in document:
        return [document]
    if "code" in document and "data" in document:
        raise MalformedPayload("this is a push, which holds no order; fetch the order detail it announces")
    raise MalformedPayload("this is not a Shopee order detail; send the answer of get_order_detail", pointer="")
