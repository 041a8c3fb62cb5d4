"""Rules of the Shopee adapter that the shared payloads do not show."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import UnprocessableOrder
from domain.money import Money
from domain.order import Order, OrderIssue, OrderState, PaymentMethod, PaymentState
from tests.support.payloads import normalised, shopee_answer, shopee_item, shopee_order
from tools.channels import adapter
from tools.channels.shopee_status import ORDER_STATE


def sgd(amount_minor: int) -> Money:
    return Money(amount_minor=amount_minor, currency="SGD")


def read(**changes: Any) -> Order:
    return normalised("shopee", shopee_answer(shopee_order(**changes)))


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("UNPAID", OrderState.CREATED),
        ("INVOICE_PENDING", OrderState.HELD),
        ("PENDING", OrderState.HELD),
        ("READY_TO_SHIP", OrderState.PAID),
        ("PROCESSED", OrderState.READY_TO_SHIP),
        ("RETRY_SHIP", OrderState.READY_TO_SHIP),
        ("SHIPPED", OrderState.SHIPPED),
        ("TO_CONFIRM_RECEIVE", OrderState.DELIVERED),
        ("COMPLETED", OrderState.COMPLETED),
        ("IN_CANCEL", OrderState.CANCEL_REQUESTED),
        ("CANCELLED", OrderState.CANCELLED),
        ("TO_RETURN", OrderState.RETURN_REQUESTED),
    ],
)
def test_statuses_map_by_the_table(status: str, state: OrderState) -> None:
    """domain 8.1 (K1)."""
    order = read(order_status=status)
    assert order.state is state
    assert order.platform_status == status
    assert order.issues == ()


@given(st.text(max_size=20).filter(lambda word: word.strip().upper() not in ORDER_STATE))
def test_unknown_statuses_are_unknown_and_never_a_crash(status: str) -> None:
    """domain 8.1 (K1): an unknown status is UNKNOWN plus an issue."""
    order = read(order_status=status)
    assert order.state is OrderState.UNKNOWN
    assert OrderIssue.UNKNOWN_STATUS in order.issues


@pytest.mark.parametrize(
    ("logistics", "state"),
    [
        (["LOGISTICS_LOST"], OrderState.LOST),
        (["LOGISTICS_DELIVERY_FAILED"], OrderState.DELIVERY_FAILED),
        (["LOGISTICS_LOST", "LOGISTICS_DELIVERY_DONE"], OrderState.SHIPPED),
        ([], OrderState.SHIPPED),
    ],
)
def test_a_lost_parcel_outranks_shipped(logistics: list[str], state: OrderState) -> None:
    packages = [{"package_number": str(i), "logistics_status": word} for i, word in enumerate(logistics)]
    assert read(order_status="SHIPPED", package_list=packages).state is state


def test_the_seller_ships_what_is_left_of_a_split_order() -> None:
    gone = {
        "logistics_status": "LOGISTICS_PICKUP_DONE",
        "item_list": [{"item_id": 501, "model_id": 901, "model_quantity": 1}],
    }
    waiting = {
        "logistics_status": "LOGISTICS_READY",
        "item_list": [{"item_id": 502, "model_id": 902, "model_quantity": 1}],
    }
    order = read(split_up=True, package_list=[gone, waiting])
    assert [line.quantity_open for line in order.lines] == [1, 1]


@pytest.mark.parametrize("status", ["SHIPPED", "COMPLETED", "CANCELLED", "TO_RETURN"])
def test_nothing_is_open_once_the_order_left_or_ended(status: str) -> None:
    assert read(order_status=status).open_lines == ()


@pytest.mark.parametrize("change", [{"fulfillment_flag": "fulfilled_by_shopee"}, {"advance_package": True}])
def test_what_shopee_ships_is_not_ours(change: dict[str, Any]) -> None:
    assert read(**change).open_lines == ()


def test_cancelled_units_are_not_open_and_not_owed() -> None:
    items = [
        shopee_item(item_id=501, model_id=901, price=12.5, quantity=2, cancelled_qty=1, active_qty=1),
        shopee_item(),
    ]
    order = read(item_list=items)
    assert [line.quantity_open for line in order.lines] == [1, 1]
    assert order.total_open == order.total - sgd(1250)


@pytest.mark.parametrize(
    ("agreed", "discount", "shipping", "issues"),
    [
        (60.0, 0, 500, ()),
        (55.0, 0, 0, ()),
        (41.37, 1363, 0, ()),
        (0, 5500, 0, ()),
        (None, 0, 0, ()),
        (60.01, 0, 501, (OrderIssue.TOTALS_DISAGREE,)),
        (600.0, 0, 54500, (OrderIssue.TOTALS_DISAGREE,)),
    ],
)
def test_totals_are_explained_or_flagged(
    agreed: float | None, discount: int, shipping: int, issues: tuple[OrderIssue, ...]
) -> None:
    """Vouchers and shipping are documented parts of total_amount; a total beyond goods and known fees is not."""
    order = read(total_amount=agreed)
    assert (order.discount, order.shipping) == (sgd(discount), sgd(shipping))
    assert order.subtotal + order.shipping == order.total
    assert sum(line.discount.amount_minor for line in order.lines) == discount
    assert order.issues == issues


def test_without_a_known_fee_shipping_has_no_bound() -> None:
    assert read(total_amount=99.0, estimated_shipping_fee=0).issues == ()


def test_a_bundle_deal_shows_its_price_before_the_bundle() -> None:
    """Order detail: a bundle deal's discounted price is 0 by design."""
    items = [
        shopee_item(model_discounted_price=0, promotion_type="bundle_deal"),
        shopee_item(item_id=9, price=12.5, quantity=2),
    ]
    order = read(item_list=items, total_amount=50.0)
    assert order.lines[0].unit_price == sgd(3000)
    assert order.total == sgd(5000)
    gift = [shopee_item(model_discounted_price=0, promotion_type="add_on_deal_sub"), shopee_item(item_id=9)]
    assert read(item_list=gift, total_amount=30.0).lines[0].unit_price == sgd(0)


@pytest.mark.parametrize(
    ("model_sku", "item_sku", "sku", "issues"),
    [
        ("M-1", "I-1", "M-1", ()),
        ("", "I-1", "I-1", ()),
        (None, "I-1", "I-1", ()),
        ("", "", "", (OrderIssue.NO_SKU,)),
    ],
)
def test_the_models_sku_comes_first(
    model_sku: str | None, item_sku: str, sku: str, issues: tuple[OrderIssue, ...]
) -> None:
    order = read(item_list=[shopee_item(model_sku=model_sku, item_sku=item_sku)], total_amount=30.0)
    assert order.lines[0].sku == sku
    assert order.issues == issues


def test_the_same_model_twice_is_two_lines() -> None:
    order = read(item_list=[shopee_item(), shopee_item()])
    assert [line.line_id for line in order.lines] == ["502:902:502:0", "502:902:502:0#2"]


@pytest.mark.parametrize(
    ("change", "method", "state"),
    [
        ({}, PaymentMethod.PLATFORM, PaymentState.PAID),
        ({"pay_time": None}, PaymentMethod.PLATFORM, PaymentState.PAID),
        ({"pay_time": 0, "order_status": "UNPAID"}, PaymentMethod.PLATFORM, PaymentState.PENDING),
        ({"pay_time": None, "order_status": "CANCELLED"}, PaymentMethod.PLATFORM, PaymentState.VOIDED),
        ({"pay_time": None, "cod": True}, PaymentMethod.COD, PaymentState.PENDING),
        ({"pay_time": None, "payment_method": "Cash on Delivery"}, PaymentMethod.COD, PaymentState.PENDING),
    ],
)
def test_the_platform_collects_except_at_the_door(
    change: dict[str, Any], method: PaymentMethod, state: PaymentState
) -> None:
    payment = read(**change).payment
    assert (payment.method, payment.state) == (method, state)


def test_fully_masked_taiwanese_orders_are_still_orders() -> None:
    masked = dict.fromkeys(("name", "phone", "town", "district", "city", "state", "zipcode", "full_address"), "****")
    order = read(region="TW", currency="TWD", recipient_address={**masked, "region": "TW"}, total_amount=55)
    assert order.ship_to.deliverable
    assert order.locale == "zh-Hant-TW"


@pytest.mark.parametrize("address", [None, {}, {"name": "", "full_address": "", "region": "SG"}])
def test_an_unpaid_order_may_have_no_address_yet(address: object) -> None:
    assert read(order_status="UNPAID", recipient_address=address).issues == (OrderIssue.NO_ADDRESS,)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"order_sn": None}, "order_sn"),
        ({"order_sn": "a b"}, "order_sn"),
        ({"create_time": 1712601591000}, "create_time"),
        ({"create_time": 0}, "create_time"),
        ({"create_time": "2024-04-08"}, "create_time"),
        ({"currency": "XYZ"}, "currency"),
        ({"item_list": []}, "item_list"),
        ({"item_list": None}, "item_list"),
        ({"item_list": [shopee_item(quantity=-1)]}, "item_list/0/model_quantity_purchased"),
        ({"item_list": [shopee_item(model_discounted_price="9.999")]}, "item_list/0/model_discounted_price"),
        ({"item_list": [shopee_item(model_discounted_price=-1)]}, "item_list/0/model_discounted_price"),
        ({"total_amount": -1.0}, "total_amount"),
        ({"total_amount": "60,00"}, "total_amount"),
    ],
)
def test_what_cannot_be_an_order_is_refused_with_its_pointer(change: dict[str, Any], pointer: str) -> None:
    """Shopee README: times are Unix seconds; milliseconds are refused, not taken for the year 56,000."""
    with pytest.raises(UnprocessableOrder) as caught:
        read(**change)
    assert caught.value.pointer == f"/response/order_list/0/{pointer}"


def test_an_answer_may_hold_several_orders_and_a_bare_order_is_one() -> None:
    two = shopee_answer(shopee_order(), shopee_order(order_sn="B"))
    found = adapter("shopee").normalise(json.dumps(two), tenant="t", shop="s", payload_ref="r")
    assert [order.external_id for order in found] == ["260601ABCDEFGH", "B"]
    assert normalised("shopee", shopee_order()).external_id == "260601ABCDEFGH"
