"""What Signalbox tells Shopify, as REST calls: shipments and cancellations.

A shipment is reported by fulfilment order: Shopify splits an order by location, and only fulfilment orders that carry
the action ``create_fulfillment`` may be fulfilled by us. The call needs their ids, so they are read first.
"""

import orjson

from domain.errors import ConnectorRejected, MalformedPayload
from domain.intent import CancelChannel, UpdateChannel
from tools.channels.protocol import ChannelRequest, ShopSecret
from tools.channels.reading import Fields
from tools.channels.shopify_order import order_number_of
from tools.channels.strict_json import load_object

API_VERSION = "2025-04"

_CANCEL_REASONS = (
    ("fraud", ("fraud", "stolen", "risk")),
    ("inventory", ("stock", "inventory", "backorder")),
    ("declined", ("declin", "payment")),
    ("customer", ("customer", "buyer")),
)

_CREATE_FULFILMENT = (
    "mutation($fulfillment: FulfillmentInput!) { fulfillmentCreate(fulfillment: $fulfillment) "
    "{ fulfillment { id } userErrors { field message } } }"
)

_Fulfillable = tuple[int, list[dict[str, int]]]
"""A fulfilment order's id, and its open lines with their units."""


def call(method: str, path: str, secret: ShopSecret, body: object = None) -> ChannelRequest:
    """One Admin REST call of the API version we speak."""
    headers = {"X-Shopify-Access-Token": secret.access_token, "Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    return ChannelRequest(
        method=method,
        path=f"/admin/api/{API_VERSION}{path}",
        headers=headers,
        body="" if body is None else orjson.dumps(body).decode(),
    )


def cancel_call(intent: CancelChannel, secret: ShopSecret) -> ChannelRequest:
    """Cancel the order. Money and stock are ours to give back, so neither ``refund`` nor ``restock`` is asked for."""
    words = intent.reason.lower()
    reason = next((name for name, marks in _CANCEL_REASONS if any(mark in words for mark in marks)), "other")
    return call("POST", f"/orders/{intent.external_id}/cancel.json", secret, {"reason": reason, "email": False})


def shipment_calls(intent: UpdateChannel, secret: ShopSecret, read: str) -> tuple[ChannelRequest, ...]:
    """Report every open unit as shipped, with all tracking numbers; nothing when nothing is open any more.

    A REST fulfilment holds one tracking number; several go through the GraphQL mutation, which takes a list.

    Raises:
        MalformedPayload: ``read`` is not the order's list of fulfilment orders.
        ConnectorRejected: units are open, but none of them is ours to fulfil.
    """
    ours, waiting = _fulfillable(intent, Fields(load_object(read)))
    if waiting and not ours:
        raise ConnectorRejected(
            f"no fulfilment order of Shopify order {intent.external_id} is open for us to fulfil; "
            "release its hold or take it back from the fulfilment service"
        )
    if not ours:
        return ()
    if len(intent.tracking) > 1:
        return (_graphql_shipment(intent, secret, ours),)
    tracking = {"number": intent.tracking[0]} if intent.tracking else {}
    if intent.carrier:
        tracking["company"] = intent.carrier
    fulfilment = {
        "line_items_by_fulfillment_order": [
            {"fulfillment_order_id": order, "fulfillment_order_line_items": lines} for order, lines in ours
        ],
        "tracking_info": tracking,
        "notify_customer": False,
    }
    return (call("POST", "/fulfillments.json", secret, {"fulfillment": fulfilment}),)


def _graphql_shipment(intent: UpdateChannel, secret: ShopSecret, ours: list["_Fulfillable"]) -> ChannelRequest:
    tracking: dict[str, object] = {"numbers": list(intent.tracking)}
    if intent.carrier:
        tracking["company"] = intent.carrier
    fulfilment = {
        "lineItemsByFulfillmentOrder": [
            {
                "fulfillmentOrderId": f"gid://shopify/FulfillmentOrder/{order}",
                "fulfillmentOrderLineItems": [
                    {"id": f"gid://shopify/FulfillmentOrderLineItem/{line['id']}", "quantity": line["quantity"]}
                    for line in lines
                ],
            }
            for order, lines in ours
        ],
        "trackingInfo": tracking,
        "notifyCustomer": False,
    }
    return call(
        "POST", "/graphql.json", secret, {"query": _CREATE_FULFILMENT, "variables": {"fulfillment": fulfilment}}
    )


def _fulfillable(intent: UpdateChannel, answer: Fields) -> tuple[list["_Fulfillable"], bool]:
    """Fulfilment orders we may fulfil with their open units, and whether others still hold open units."""
    if "fulfillment_orders" not in answer:
        raise MalformedPayload("Shopify's answer holds no fulfillment_orders", pointer="/fulfillment_orders")
    ours: list[_Fulfillable] = []
    waiting = False
    for entry in answer.objects("fulfillment_orders"):
        if order_number_of(entry, "order_id") != intent.external_id:
            raise entry.refuse("order_id", f"is not order {intent.external_id}")
        lines = [
            {"id": int(order_number_of(line, "id")), "quantity": units}
            for line in entry.objects("line_items")
            if (units := line.count("fulfillable_quantity"))
        ]
        if lines and "create_fulfillment" in entry.texts("supported_actions"):
            ours.append((int(order_number_of(entry, "id")), lines))
        else:
            waiting = waiting or bool(lines)
    return ours, waiting
