"""What Signalbox tells Shopee, as signed Open Platform v2 calls: arrange a shipment, cancel, accept a cancellation.

Both need facts only Shopee has (pick-up address and time slot; item ids and whether the buyer already asked), so each
reads first.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

import orjson

from domain.errors import ConnectorRejected, ConnectorUnavailable, MalformedPayload
from domain.intent import CancelChannel, UpdateChannel
from tools.channels.protocol import ChannelRequest, ShopSecret
from tools.channels.reading import Fields
from tools.channels.strict_json import load_object

_BUSY = frozenset({"error_rate_limit", "error_limit", "error_server", "error_network", "error_inner", "error_system"})
"""``error`` values that a later call may not meet again, without their module prefix."""

_DETAIL_FIELDS = (
    "buyer_user_id,buyer_username,estimated_shipping_fee,actual_shipping_fee,recipient_address,note,item_list,pay_time,"
    "split_up,cancel_reason,fulfillment_flag,package_list,shipping_carrier,checkout_shipping_carrier,payment_method,"
    "total_amount,edt"
)
"""Order detail leaves these out unless asked."""


def request_sign(path: str, secret: ShopSecret, *, timestamp: int) -> str:
    """The ``sign`` of a shop call: hex HMAC-SHA256 over partner id, path, timestamp, access token and shop id."""
    base = f"{secret.partner_id}{path}{timestamp}{secret.access_token}{secret.shop}"
    key = secret.request_secret or secret.secret
    return hmac.new(key.encode(), base.encode(), hashlib.sha256).hexdigest()


def call(
    path: str, secret: ShopSecret, *, now: datetime, query: Mapping[str, str] | None = None, body: object = None
) -> ChannelRequest:
    """One signed call: POST when it has a body, GET otherwise. The signature lives five minutes."""
    timestamp = int(now.timestamp())
    signed = {
        "partner_id": secret.partner_id,
        "timestamp": str(timestamp),
        "access_token": secret.access_token,
        "shop_id": secret.shop,
        "sign": request_sign(path, secret, timestamp=timestamp),
    }
    return ChannelRequest(
        method="GET" if body is None else "POST",
        path=path,
        query={**signed, **(query or {})},
        headers={} if body is None else {"Content-Type": "application/json"},
        body="" if body is None else orjson.dumps(body).decode(),
    )


def detail_call(order_sn: str, secret: ShopSecret, *, now: datetime) -> ChannelRequest:
    """Read one order, with the fields that are only given on request."""
    query = {
        "order_sn_list": order_sn,
        "request_order_status_pending": "true",
        "response_optional_fields": _DETAIL_FIELDS,
    }
    return call("/api/v2/order/get_order_detail", secret, now=now, query=query)


def parameter_call(order_sn: str, secret: ShopSecret, *, now: datetime) -> ChannelRequest:
    """Read how the order may be handed over."""
    return call("/api/v2/logistics/get_shipping_parameter", secret, now=now, query={"order_sn": order_sn})


def answer_of(read: str) -> Fields:
    """The ``response`` of an answer.

    Raises:
        ConnectorUnavailable: Shopee says it cannot now (rate limit, its own failure).
        ConnectorRejected: Shopee refused the call.
        MalformedPayload: not an answer of Shopee's.
    """
    document = Fields(load_object(read))
    if error := document.text("error", 100):
        said = f"Shopee answered {error}: {document.text('message', 200)}"
        if error.rpartition(".")[2].strip() in _BUSY:
            raise ConnectorUnavailable(said)
        raise ConnectorRejected(said)
    response = document.object("response")
    if response is None:
        raise MalformedPayload("Shopee's answer holds no response", pointer="/response")
    return response


def shipment_calls(
    intent: UpdateChannel, secret: ShopSecret, *, now: datetime, read: str
) -> tuple[ChannelRequest, ...]:
    """Arrange the shipment in the way ``get_shipping_parameter`` allows: pick-up, else drop-off, else our own carrier.

    Raises:
        ConnectorUnavailable, ConnectorRejected, MalformedPayload: see ``answer_of``; rejected also when Shopee needs
            something we have not got, such as one tracking number for several parcels.
    """
    answer = answer_of(read)
    needed = answer.object("info_needed") or Fields({}, answer.at("info_needed"))
    body: dict[str, object] = {"order_sn": intent.external_id}
    if "pickup" in needed:
        body["pickup"] = _pickup(intent, answer, needed.texts("pickup"))
    elif "dropoff" in needed:
        body["dropoff"] = _dropoff(intent, answer, needed.texts("dropoff"))
    elif "non_integrated" in needed:
        body["non_integrated"] = {"tracking_number": _one_tracking(intent)}
    else:
        raise ConnectorRejected(f"Shopee offers no way to ship order {intent.external_id} now; look at Seller Centre")
    return (call("/api/v2/logistics/ship_order", secret, now=now, body=body),)


def _pickup(intent: UpdateChannel, answer: Fields, needed: list[str]) -> dict[str, object]:
    offered = answer.object("pickup") or Fields({}, answer.at("pickup"))
    addresses = [*offered.objects("address_list")]
    chosen: dict[str, object] = {}
    if "address_id" in needed:
        if not addresses:
            raise ConnectorRejected(f"Shopee offers no pick-up address for order {intent.external_id}; add one there")
        address = max(addresses, key=lambda entry: _preference(entry.texts("address_flag")))
        chosen["address_id"] = address.count_id("address_id")
        slot = next(address.objects("time_slot_list"), None)
        if "pickup_time_id" in needed and slot is not None:
            chosen["pickup_time_id"] = slot.text("pickup_time_id")
    if "tracking_number" in needed:
        chosen["tracking_number"] = _one_tracking(intent)
    return chosen


def _preference(flags: list[str]) -> int:
    """A pick-up address before the default address before any other; the first among equals."""
    return 2 * ("pickup_address" in flags) + ("default_address" in flags)


def _dropoff(intent: UpdateChannel, answer: Fields, needed: list[str]) -> dict[str, object]:
    """Of sender's real name and tracking number only one may be given; we have the number."""
    offered = answer.object("dropoff") or Fields({}, answer.at("dropoff"))
    chosen: dict[str, object] = {}
    if "branch_id" in needed and (branch := next(offered.objects("branch_list"), None)) is not None:
        chosen["branch_id"] = branch.count_id("branch_id")
    if "slug" in needed and (slug := next(offered.objects("slug_list"), None)) is not None:
        chosen["slug"] = slug.text("slug")
    if {"tracking_number", "tracking_no"} & set(needed):
        chosen["tracking_number"] = _one_tracking(intent)
    elif "sender_real_name" in needed:
        raise ConnectorRejected(f"Shopee wants the sender's real name for order {intent.external_id}; ship it there")
    return chosen


def _one_tracking(intent: UpdateChannel) -> str:
    if len(intent.tracking) != 1:
        raise ConnectorRejected(
            f"Shopee takes one tracking number per package and order {intent.external_id} has {len(intent.tracking)}; "
            "split the order there first"
        )
    return intent.tracking[0]


def cancel_calls(intent: CancelChannel, secret: ShopSecret, *, now: datetime, read: str) -> tuple[ChannelRequest, ...]:
    """Cancel, or accept the cancellation the buyer already asked for; nothing when it is cancelled already.

    Raises:
        ConnectorUnavailable, ConnectorRejected, MalformedPayload: see ``answer_of``; rejected also when Shopee has no
            reason that would be true.
    """
    order = next(answer_of(read).objects("order_list"), None)
    if order is None or order.text("order_sn") != intent.external_id:
        raise MalformedPayload(f"Shopee's answer is not order {intent.external_id}", pointer="/response/order_list/0")
    status = order.text("order_status").upper()
    if status == "CANCELLED":
        return ()
    if status == "IN_CANCEL":
        accept = {"order_sn": intent.external_id, "operation": "ACCEPT"}
        return (call("/api/v2/order/handle_buyer_cancellation", secret, now=now, body=accept),)
    body: dict[str, object] = {"order_sn": intent.external_id, "cancel_reason": _reason(intent, order)}
    if body["cancel_reason"] == "OUT_OF_STOCK":
        body["item_list"] = [
            {"item_id": item.count_id("item_id"), "model_id": item.count_id("model_id")}
            for item in order.objects("item_list")
        ]
    return (call("/api/v2/order/cancel_order", secret, now=now, body=body),)


def _reason(intent: CancelChannel, order: Fields) -> str:
    """One of the four reasons Shopee accepts; a seller who gives a false one is penalised."""
    words = intent.reason.lower()
    if any(mark in words for mark in ("stock", "inventory", "backorder")):
        return "OUT_OF_STOCK"
    if any(mark in words for mark in ("customer", "buyer")):
        return "CUSTOMER_REQUEST"
    if "cod" in words.replace("_", " ").split() or "cash on delivery" in words:
        return "COD_NOT_SUPPORTED"
    if any(mark in words for mark in ("deliver", "address", "lane", "rout")) and order.text("region") in ("TW", "MY"):
        return "UNDELIVERABLE_AREA"
    raise ConnectorRejected(
        f"Shopee has no cancel reason for {intent.reason[:60]!r}; a person must settle order {intent.external_id} there"
    )
