"""Real platform payloads through the adapters: every trap their READMEs name, round trips, one order from every channel."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from domain.errors import ConnectorRejected, ConnectorUnavailable, MalformedPayload, SignalboxError, UnknownChannel
from domain.ids import OrderId
from domain.intent import CancelChannel, UpdateChannel
from domain.money import Money
from domain.order import Channel, Order, OrderIssue, OrderState, PaymentMethod, PaymentState
from tests.support.payloads import (
    CALLBACK_URL,
    SHOPEE_SECRET,
    SHOPIFY_SECRET,
    TENANT,
    document,
    native_order,
    normalised,
    payload,
    shopee_answer,
    shopee_order,
    shopify_order,
)
from tools.channels import ShopSecret, adapter, known_channels, load_object
from tools.channels.shopee import signature as shopee_signature

NOW = datetime(2026, 6, 1, 3, 0, tzinfo=UTC)
OLD_SHOPIFY = "orders/shopify/order.json"
NEW_SHOPIFY = "orders/shopify/api_2025-04.orders.json"
SHOPEE_DETAIL = "orders/shopee/samples/v2.order.get_order_detail.response.repaired.json"


def usd(amount_minor: int) -> Money:
    return Money(amount_minor=amount_minor, currency="USD")


def exact(node: Any, *keys: str) -> Decimal:
    for key in keys:
        node = node[key]
    return Decimal(str(node))


# Shopify


def test_the_published_shopify_signature_verifies() -> None:
    """reliability/S06: the vector was computed by others."""
    vector = json.loads(payload("conformance/signature_vectors.json"))["shopify_webhook_hmac"]
    secret = ShopSecret(tenant=TENANT, shop="some-shop.myshopify.com", secret=vector["secret"])
    headers = {vector["expected_header"]: vector["expected"]}
    delivery = adapter("shopify").verify(vector["raw_body"].encode(), headers, [secret], now=NOW)
    assert delivery.shop == "some-shop.myshopify.com"


def test_one_shopify_order_has_one_id_in_both_api_versions() -> None:
    """Shopify README: ids are numbers in one version and strings in the next."""
    old, new = normalised("shopify", payload(OLD_SHOPIFY)), normalised("shopify", payload(NEW_SHOPIFY))
    assert old.order_id == new.order_id == "shopify-450789469"
    assert [line.line_id for line in old.lines] == [line.line_id for line in new.lines]


def test_repeated_line_items_are_counted_once() -> None:
    """Shopify README: line items repeat inside fulfilments and refunds; counting all triples the quantity."""
    for name in (OLD_SHOPIFY, NEW_SHOPIFY):
        order = normalised("shopify", payload(name))
        assert sum(line.quantity for line in order.lines) == len(order.lines) == 3


def test_shopify_arithmetic_holds_to_the_cent() -> None:
    """Shopify README: 597.00 + 11.94 - 10.00 = 598.94, and refunded lines 399.29 + 199.65 = 598.94."""
    order = normalised("shopify", payload(NEW_SHOPIFY))
    gross = sum(line.unit_price.amount_minor * line.quantity for line in order.lines)
    assert (
        gross + order.tax.amount_minor - order.discount.amount_minor == 59700 + 1194 - 1000 == order.total.amount_minor
    )
    assert [line.discount for line in order.lines] == [usd(334), usd(333), usd(333)]
    assert order.subtotal + order.shipping + order.tax == order.total
    assert sum(line.tax.amount_minor for line in order.lines) == order.tax.amount_minor

    refund = load_object(payload(NEW_SHOPIFY))["orders"][0]["refunds"][0]
    back = sum((exact(line, "subtotal") + exact(line, "total_tax") for line in refund["refund_line_items"]), Decimal())
    assert back == Decimal("399.29")
    assert order.total_open == usd(19965)
    assert order.total - order.total_open == Money.parse(back, "USD")


def test_refund_lines_and_money_movements_are_not_computed_from_each_other() -> None:
    """Shopify README: the refund moved 209.00, its lines say 399.29; without current_total_price the lines count."""
    raw = document(NEW_SHOPIFY)
    for key in [key for key in raw["orders"][0] if key.startswith("current_total_price")]:
        del raw["orders"][0][key]
    assert normalised("shopify", raw).total_open == usd(19965)


def test_refunded_units_are_not_sent() -> None:
    order = normalised("shopify", payload(NEW_SHOPIFY))
    assert [line.sku for line in order.open_lines] == ["IPOD2008RED"]
    assert order.payment.state is PaymentState.PARTLY_REFUNDED
    assert order.issues == (OrderIssue.PARTLY_REFUNDED,)


def test_units_are_counted_by_hand_where_the_version_does_not() -> None:
    """A failed fulfilment takes no unit away; refunds do, except returns of units already fulfilled."""
    raw = document(OLD_SHOPIFY)
    assert [line.quantity_open for line in normalised("shopify", raw).lines] == [1, 1, 1]
    raw["order"]["fulfillments"][0]["status"] = "success"
    assert [line.quantity_open for line in normalised("shopify", raw).lines] == [0, 1, 1]
    raw["order"]["refunds"] = [document("orders/shopify/refund.json")["refund"]]
    assert [line.quantity_open for line in normalised("shopify", raw).lines] == [0, 1, 0]


def test_times_with_an_offset_are_instants() -> None:
    """Shopify README: times carry an offset."""
    assert normalised("shopify", payload(OLD_SHOPIFY)).placed_at == datetime(2008, 1, 10, 16, 0, tzinfo=UTC)


def test_totals_that_disagree_are_an_issue_and_not_a_crash() -> None:
    """order.json: lines add up to 597.00, subtotal_price says 398.00, total_price 409.94."""
    order = normalised("shopify", payload(OLD_SHOPIFY))
    assert order.issues == (OrderIssue.TOTALS_DISAGREE,)
    assert order.total == usd(40994)
    assert order.payment.state is PaymentState.AUTHORISED
    assert order.state is OrderState.PAID


def test_a_multi_currency_order_is_the_shops_currency_with_the_buyers_total_beside_it() -> None:
    """Shopify README: a multi-currency case must still be made. Made by giving every set a presentment in HKD."""
    raw = document(NEW_SHOPIFY)

    def present(node: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "presentment_money":
                    node[key] = {"amount": str(exact(value, "amount") * 8), "currency_code": "HKD"}
                else:
                    present(value)
        elif isinstance(node, list):
            for item in node:
                present(item)

    present(raw)
    raw["orders"][0]["presentment_currency"] = "HKD"
    before, order = normalised("shopify", payload(NEW_SHOPIFY)), normalised("shopify", raw)
    assert order.presented_total == Money.parse("4791.52", "HKD")
    assert order.model_copy(update={"presented_total": None}) == before


def test_platform_risks_passed_along_are_an_issue() -> None:
    """order_risks.json: two external risks with recommendation cancel."""
    risks = document("orders/shopify/order_risks.json")["risks"]
    for raw in (
        {**document(OLD_SHOPIFY), "risks": risks},
        {"orders": document(NEW_SHOPIFY)["orders"], "risks": risks},
        {"order": {**document(OLD_SHOPIFY)["order"], "risks": risks}},
    ):
        assert OrderIssue.PLATFORM_RISK_CANCEL in normalised("shopify", raw).issues
    harmless = [{**risk, "recommendation": "accept"} for risk in risks]
    assert (
        OrderIssue.PLATFORM_RISK_CANCEL
        not in normalised("shopify", {**document(OLD_SHOPIFY), "risks": harmless}).issues
    )
    elsewhere = [{**risk, "order_id": 1} for risk in risks]
    assert (
        OrderIssue.PLATFORM_RISK_CANCEL
        not in normalised("shopify", {**document(OLD_SHOPIFY), "risks": elsewhere}).issues
    )


@pytest.mark.parametrize(
    "name",
    [
        "refund", "checkouts", "customer", "dispute", "fulfillment", "graphql", "order_risks", "product", "locations",
        "transactions", "api_2025-04.refunds", "api_2025-04.fulfillment_orders", "inventory_levels",
    ],
)  # fmt: skip
def test_other_shopify_documents_are_refused_as_not_an_order(name: str) -> None:
    with pytest.raises(MalformedPayload):
        adapter("shopify").normalise(payload(f"orders/shopify/{name}.json"), tenant=TENANT, shop="s", payload_ref="r")


# Shopee


def test_the_vietnamese_cash_on_delivery_order_is_read_in_full() -> None:
    """Shopee README: VND whole numbers, Unix seconds, masked names, emoji and Vietnamese text."""
    order = normalised("shopee", payload(SHOPEE_DETAIL))
    assert order.order_id == "shopee-2404098R48U37H"
    assert (order.currency, order.locale) == ("VND", "vi-VN")
    assert order.placed_at == datetime(2024, 4, 8, 18, 39, 51, tzinfo=UTC)
    assert order.updated_at == datetime(2024, 4, 15, 0, 12, 28, tzinfo=UTC)
    assert order.ship_by == datetime(2024, 4, 9, 14, 0, tzinfo=UTC)
    assert order.state is OrderState.COMPLETED
    assert (order.payment.method, order.payment.state) == (PaymentMethod.COD, PaymentState.PAID)
    (line,) = order.lines
    assert line.sku == "QAZ-SADOER-05"
    assert line.title.startswith("🦋giảm giá🦋Kem nở ngực")
    assert line.unit_price == Money(amount_minor=48000, currency="VND")
    assert line.weight_g == 10
    assert order.ship_to.name == "P******n"
    assert order.ship_to.phone == "******64"
    assert order.ship_to.deliverable
    assert order.open_lines == ()


def test_shopee_vouchers_and_shipping_are_no_disagreement() -> None:
    """The buyer paid 32,119 for goods of 48,000: documented vouchers, so the parts add up and nothing is flagged."""
    order = normalised("shopee", payload(SHOPEE_DETAIL))
    assert order.total == Money(amount_minor=32119, currency="VND")
    assert order.subtotal + order.shipping == order.total
    assert order.discount == Money(amount_minor=48000 - 32119, currency="VND")
    assert order.issues == ()


def test_shopee_error_answers_are_refused_with_the_platforms_words() -> None:
    text = payload("orders/shopee/samples/v2.order.get_order_detail.error.json")
    with pytest.raises(MalformedPayload, match=r"error_not_found: .*the order is not found"):
        adapter("shopee").normalise(text, tenant=TENANT, shop="s", payload_ref="r")


def test_a_push_is_not_an_order() -> None:
    with pytest.raises(MalformedPayload, match="fetch the order detail"):
        normalised("shopee", {"code": 3, "shop_id": 1, "data": {"ordersn": "A"}})


def test_the_shopee_push_signature_is_the_documented_construction() -> None:
    """Worked independently with openssl: printf '%s' 'url|body' | openssl dgst -sha256 -hmac key."""
    assert shopee_signature(b'{"code":3}', "https://example.com/push", "key") == (
        "948ee5c085d6e6787830060f324e98f12457d3d39119e2870ff1ffd1a6272233"
    )


# Every channel


def test_known_channels_have_adapters_and_others_are_named() -> None:
    assert known_channels() == ("b2b", "shopee", "shopify", "storefront")
    assert [adapter(name).channel for name in known_channels()] == list(known_channels())
    with pytest.raises(UnknownChannel, match="known are b2b, shopee, shopify, storefront") as caught:
        adapter("etsy")
    assert caught.value.status == 404


def same_goods() -> dict[str, Order]:
    return {
        "shopify": normalised("shopify", shopify_order()),
        "shopee": normalised("shopee", shopee_answer(shopee_order())),
        "storefront": normalised("storefront", native_order()),
        "b2b": normalised("b2b", native_order()),
    }


def test_the_same_order_from_each_channel_is_the_same_canonical_order() -> None:
    """F31: only what the platforms cannot say, or say their own way, differs."""
    orders = same_goods()
    assert {order.channel for order in orders.values()} == {Channel(name) for name in orders}
    told = {
        name: order.model_dump(
            exclude={"order_id", "channel", "external_id", "external_number", "platform_status", "lines", "customer"}
        )
        for name, order in orders.items()
    }
    assert told["storefront"] == told["b2b"]
    differing = {key for key in told["shopify"] if told["shopify"][key] != told["storefront"][key]}
    assert differing == set()
    beyond = {key for key in told["shopee"] if told["shopee"][key] != told["storefront"][key]}
    assert beyond == {"payment", "ship_to", "ship_by", "tax", "tax_included", "total", "total_open"}
    goods = {
        name: [(line.sku, line.quantity, line.quantity_open, line.unit_price) for line in order.lines]
        for name, order in orders.items()
    }
    assert goods["shopify"] == goods["shopee"] == goods["storefront"] == goods["b2b"]


def test_a_repeat_delivery_gives_the_same_order() -> None:
    """F31: a repeat is recognisable: same id, same version, same content."""
    first, again = same_goods(), same_goods()
    assert first == again
    assert {name: order.content_digest() for name, order in first.items()} == {
        name: order.content_digest() for name, order in again.items()
    }


# Outwards


def shipped(order: Order, *tracking: str) -> UpdateChannel:
    return UpdateChannel(
        order_id=order.order_id,
        external_id=order.external_id,
        shop=order.shop,
        state="shipped",
        tracking=tracking,
        carrier="SF Express",
    )


def cancelled(order: Order, reason: str) -> CancelChannel:
    return CancelChannel(order_id=order.order_id, external_id=order.external_id, shop=order.shop, reason=reason)


def test_shopify_is_told_about_its_own_fulfilment_order() -> None:
    """F51: order -> shipment -> call keeps order, fulfilment order, lines, units, carrier and tracking number."""
    order = normalised("shopify", payload(NEW_SHOPIFY))
    shopify = adapter("shopify")
    read_first = shopify.preread(shipped(order, "SF123"), SHOPIFY_SECRET, now=NOW)
    assert read_first is not None
    assert (read_first.method, read_first.path) == (
        "GET", "/admin/api/2025-04/orders/450789469/fulfillment_orders.json",
    )  # fmt: skip
    ours = document("orders/shopify/api_2025-04.fulfillment_order_cancelled_and_replaced.json")
    answer = {"fulfillment_orders": [ours["fulfillment_order"], ours["replacement_fulfillment_order"]]}
    (call,) = shopify.denormalise(shipped(order, "SF123"), SHOPIFY_SECRET, now=NOW, read=json.dumps(answer))
    assert (call.method, call.path) == ("POST", "/admin/api/2025-04/fulfillments.json")
    assert call.headers["X-Shopify-Access-Token"] == SHOPIFY_SECRET.access_token
    assert json.loads(call.body)["fulfillment"] == {
        "line_items_by_fulfillment_order": [
            {
                "fulfillment_order_id": 1046000789,
                "fulfillment_order_line_items": [{"id": 1072503285, "quantity": 1}],
            }
        ],
        "tracking_info": {"number": "SF123", "company": "SF Express"},
        "notify_customer": False,
    }


def test_several_parcels_lose_no_tracking_number() -> None:
    """F51: a REST fulfilment has one number, so several go through the GraphQL mutation."""
    order = normalised("shopify", payload(NEW_SHOPIFY))
    ours = document("orders/shopify/api_2025-04.fulfillment_order_cancelled_and_replaced.json")
    answer = json.dumps({"fulfillment_orders": [ours["replacement_fulfillment_order"]]})
    (call,) = adapter("shopify").denormalise(shipped(order, "A", "B"), SHOPIFY_SECRET, now=NOW, read=answer)
    assert call.path.endswith("/graphql.json")
    fulfilment = json.loads(call.body)["variables"]["fulfillment"]
    assert fulfilment["trackingInfo"] == {"numbers": ["A", "B"], "company": "SF Express"}
    assert fulfilment["lineItemsByFulfillmentOrder"][0]["fulfillmentOrderId"].endswith("/1046000789")


def test_a_fulfilment_order_of_a_third_party_is_not_ours_to_fulfil() -> None:
    """The shared fulfilment order is submitted to a service and only allows cancelling the request."""
    order = normalised("shopify", payload(NEW_SHOPIFY))
    with pytest.raises(ConnectorRejected, match="open for us to fulfil"):
        adapter("shopify").denormalise(
            shipped(order, "SF123"),
            SHOPIFY_SECRET,
            now=NOW,
            read=payload("orders/shopify/api_2025-04.fulfillment_orders.json"),
        )


def test_shopify_needs_no_call_when_nothing_is_open() -> None:
    order = normalised("shopify", payload(NEW_SHOPIFY))
    closed = document("orders/shopify/api_2025-04.fulfillment_order_cancelled_and_replaced.json")["fulfillment_order"]
    answer = json.dumps({"fulfillment_orders": [closed]})
    assert adapter("shopify").denormalise(shipped(order, "S"), SHOPIFY_SECRET, now=NOW, read=answer) == ()


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("fraud: stolen card", "fraud"),
        ("out_of_stock", "inventory"),
        ("customer asked", "customer"),
        ("payment declined", "declined"),
        ("restricted goods", "other"),
    ],
)
def test_shopify_cancellations_carry_a_reason_it_knows(reason: str, word: str) -> None:
    order = normalised("shopify", shopify_order())
    assert adapter("shopify").preread(cancelled(order, reason), SHOPIFY_SECRET, now=NOW) is None
    (call,) = adapter("shopify").denormalise(cancelled(order, reason), SHOPIFY_SECRET, now=NOW)
    assert call.path == f"/admin/api/2025-04/orders/{order.external_id}/cancel.json"
    assert json.loads(call.body) == {"reason": word, "email": False}


def test_shopee_shipments_use_the_pick_up_address_it_offers() -> None:
    """F51: order number, default pick-up address; the sample offers no time slot, so none is sent."""
    order = normalised("shopee", shopee_answer(shopee_order()))
    shopee = adapter("shopee")
    read_first = shopee.preread(shipped(order, "T1"), SHOPEE_SECRET, now=NOW)
    assert read_first is not None
    assert read_first.query["order_sn"] == order.external_id
    answer = payload("orders/shopee/samples/v2.logistics.get_shipping_parameter.response.json")
    (call,) = shopee.denormalise(shipped(order, "T1"), SHOPEE_SECRET, now=NOW, read=answer)
    assert (call.method, call.path) == ("POST", "/api/v2/logistics/ship_order")
    assert json.loads(call.body) == {"order_sn": order.external_id, "pickup": {"address_id": 123}}


@pytest.mark.parametrize(
    ("parameters", "part", "value"),
    [
        pytest.param(
            {
                "info_needed": {"pickup": ["address_id", "pickup_time_id"]},
                "pickup": {
                    "address_list": [
                        {"address_id": 1, "address_flag": ["default_address"]},
                        {
                            "address_id": 2,
                            "address_flag": ["pickup_address"],
                            "time_slot_list": [{"pickup_time_id": "20260602_1"}, {"pickup_time_id": "20260603_1"}],
                        },
                    ]
                },
            },
            "pickup",
            {"address_id": 2, "pickup_time_id": "20260602_1"},
            id="pick-up with a time",
        ),
        pytest.param(
            {
                "info_needed": {"dropoff": ["branch_id", "tracking_no"]},
                "dropoff": {"branch_list": [{"branch_id": 77}]},
            },
            "dropoff",
            {"branch_id": 77, "tracking_number": "T1"},
            id="drop-off at a branch",
        ),
        pytest.param({"info_needed": {"dropoff": []}, "dropoff": None}, "dropoff", {}, id="drop-off anywhere"),
        pytest.param(
            {"info_needed": {"non_integrated": ["tracking_number"]}},
            "non_integrated",
            {"tracking_number": "T1"},
            id="own carrier",
        ),
    ],
)
def test_shopee_shipments_follow_what_it_needs(parameters: dict[str, Any], part: str, value: object) -> None:
    order = normalised("shopee", shopee_answer(shopee_order()))
    answer = json.dumps({"error": "", "message": "", "response": parameters})
    (call,) = adapter("shopee").denormalise(shipped(order, "T1"), SHOPEE_SECRET, now=NOW, read=answer)
    assert json.loads(call.body)[part] == value


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"error": "error_rate_limit", "message": "Too many requests."}, ConnectorUnavailable),
        ({"error": "order.error_limit", "message": "later"}, ConnectorUnavailable),
        ({"error": "error_sign", "message": "Wrong sign."}, ConnectorRejected),
        ({"error": "", "response": {"info_needed": {}}}, ConnectorRejected),
        ({"error": "", "response": {"info_needed": {"pickup": ["address_id"]}, "pickup": {}}}, ConnectorRejected),
        ({"error": ""}, MalformedPayload),
    ],
)
def test_shopee_refusals_say_whether_to_try_again(answer: dict[str, Any], error: type[SignalboxError]) -> None:
    order = normalised("shopee", shopee_answer(shopee_order()))
    with pytest.raises(error):
        adapter("shopee").denormalise(shipped(order, "T1"), SHOPEE_SECRET, now=NOW, read=json.dumps(answer))


def test_two_numbers_for_one_shopee_package_are_refused_not_dropped() -> None:
    order = normalised("shopee", shopee_answer(shopee_order()))
    answer = json.dumps({"error": "", "response": {"info_needed": {"non_integrated": ["tracking_number"]}}})
    with pytest.raises(ConnectorRejected, match="split the order"):
        adapter("shopee").denormalise(shipped(order, "A", "B"), SHOPEE_SECRET, now=NOW, read=answer)


def test_a_shopee_stock_cancellation_names_every_item() -> None:
    """F51: item_list is required when the reason is OUT_OF_STOCK; it comes from the order itself."""
    text = payload(SHOPEE_DETAIL).replace('"COMPLETED"', '"READY_TO_SHIP"')
    order = normalised("shopee", text)
    shopee = adapter("shopee")
    read_first = shopee.preread(cancelled(order, "out_of_stock"), SHOPEE_SECRET, now=NOW)
    assert read_first == shopee.fetch_request(order.external_id, SHOPEE_SECRET, now=NOW)
    (call,) = shopee.denormalise(cancelled(order, "out_of_stock"), SHOPEE_SECRET, now=NOW, read=text)
    assert call.path == "/api/v2/order/cancel_order"
    assert json.loads(call.body) == {
        "order_sn": "2404098R48U37H",
        "cancel_reason": "OUT_OF_STOCK",
        "item_list": [{"item_id": 23620853561, "model_id": 221404189791}],
    }
    assert order.lines[0].line_id.split(":")[:2] == ["23620853561", "221404189791"]


def test_a_buyers_own_cancellation_is_accepted_and_a_done_one_left_alone() -> None:
    """domain 8.1: IN_CANCEL is a request, not a cancellation."""
    shopee = adapter("shopee")
    asked = shopee_answer(shopee_order(order_status="IN_CANCEL"))
    order = normalised("shopee", asked)
    assert order.state is OrderState.CANCEL_REQUESTED
    (call,) = shopee.denormalise(cancelled(order, "customer"), SHOPEE_SECRET, now=NOW, read=json.dumps(asked))
    assert call.path == "/api/v2/order/handle_buyer_cancellation"
    assert json.loads(call.body) == {"order_sn": order.external_id, "operation": "ACCEPT"}
    done = json.dumps(shopee_answer(shopee_order(order_status="CANCELLED")))
    assert shopee.denormalise(cancelled(order, "customer"), SHOPEE_SECRET, now=NOW, read=done) == ()


def test_no_false_reason_is_given_to_shopee() -> None:
    """domain 0.6: a seller's cancellation counts against the shop, so a reason that is not true is never sent."""
    answer = shopee_answer(shopee_order())
    order = normalised("shopee", answer)
    with pytest.raises(ConnectorRejected, match="no cancel reason"):
        adapter("shopee").denormalise(
            cancelled(order, "fraud score 92"), SHOPEE_SECRET, now=NOW, read=json.dumps(answer)
        )


def test_another_orders_answer_is_not_acted_on() -> None:
    order = normalised("shopee", shopee_answer(shopee_order()))
    other = json.dumps(shopee_answer(shopee_order(order_sn="OTHER")))
    with pytest.raises(MalformedPayload):
        adapter("shopee").denormalise(cancelled(order, "customer"), SHOPEE_SECRET, now=NOW, read=other)


def test_shopee_calls_are_signed_over_the_documented_base_string() -> None:
    """Partner id, path, timestamp, access token, shop id. Worked independently with openssl."""
    call = adapter("shopee").fetch_request("A1", SHOPEE_SECRET, now=NOW)
    assert call.query["timestamp"] == "1780282800"
    assert call.query["sign"] == "b4de3c6e2bec826a16b0d8eef90b658852771e579d644285b58ab61308a591c1"
    assert "total_amount" in call.query["response_optional_fields"]


def test_native_channels_need_no_calls() -> None:
    order = normalised("b2b", native_order())
    secret = ShopSecret(tenant=TENANT, shop="acme", secret="-", callback_url=CALLBACK_URL)
    native = adapter("b2b")
    assert native.preread(shipped(order, "T"), secret, now=NOW) is None
    assert native.denormalise(shipped(order, "T"), secret, now=NOW) == ()
    with pytest.raises(ConnectorRejected):
        native.fetch_request(OrderId("x"), secret, now=NOW)
