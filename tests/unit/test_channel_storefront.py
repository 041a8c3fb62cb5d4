"""The native order: friendly to correct input, clear about the rest."""

from typing import Any

import pytest

from domain.errors import MalformedPayload, UnprocessableOrder
from domain.money import Money
from domain.order import Channel, OrderIssue, OrderState
from tests.support.payloads import native_order, normalised, sgd
from tools.channels import OrderIn, adapter, parse_order


def line(**changes: Any) -> dict[str, Any]:
    return {"sku": "SB-00001", "quantity": 1, "unit_price": sgd(1000), **changes}


def test_the_smallest_order_is_enough() -> None:
    order = normalised(
        "storefront",
        {
            "external_id": "1",
            "placed_at": "2026-06-01T10:00:00Z",
            "currency": "SGD",
            "lines": [line(quantity=3)],
            "ship_to": {"line1": "10 Anson Road", "country": "SG"},
            "payment": {"method": "card", "state": "paid"},
        },
    )
    assert order.order_id == "storefront-1"
    assert order.total == order.subtotal == Money(amount_minor=3000, currency="SGD")
    assert order.lines[0].line_id == "1"
    assert (order.locale, order.issues) == ("en-SG", ())


def test_both_native_channels_carry_their_own_name() -> None:
    assert normalised("b2b", native_order()).order_id == "b2b-WEB-2001"
    assert normalised("b2b", native_order()).channel is Channel.B2B


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"lines": []}, "/lines"),
        ({"lines": [line(quantity=0)]}, "/lines/0/quantity"),
        ({"lines": [line(quantity=-2)]}, "/lines/0/quantity"),
        ({"lines": [line(quantity=1.5)]}, "/lines/0/quantity"),
        ({"lines": [line(quantity=True)]}, "/lines/0/quantity"),
        ({"lines": [line(unit_price=sgd(-1))]}, "/lines/0/unit_price"),
        ({"lines": [line(unit_price={"amount_minor": 9.5, "currency": "SGD"})]}, "/lines/0/unit_price/amount_minor"),
        ({"lines": [line(unit_price={"amount_minor": "10", "currency": "SGD"})]}, "/lines/0/unit_price/amount_minor"),
        ({"lines": [line(unit_price=sgd(10**16))]}, "/lines/0/unit_price"),
        ({"lines": [line(unit_price={"amount_minor": 10, "currency": "USD"})]}, "/lines/0/unit_price/currency"),
        ({"lines": [line(unit_price={"amount_minor": 10, "currency": "XXX"})]}, "/lines/0/unit_price/currency"),
        ({"lines": [line(discount=sgd(1001))]}, "/lines/0/discount"),
        ({"lines": [line(line_id="a"), line(line_id="a")]}, "/lines/1/line_id"),
        ({"lines": [line(skuu="X")]}, "/lines/0/skuu"),
        ({"shipping": {"amount_minor": 1, "currency": "HKD"}}, "/shipping/currency"),
        ({"total": {"amount_minor": 1, "currency": "HKD"}}, "/total/currency"),
        ({"currency": "sgd"}, "/currency"),
        ({"placed_at": "2026-06-01T10:00:00"}, "/placed_at"),
        ({"placed_at": "9999-12-31T23:59:59-14:00"}, "/placed_at"),
        ({"external_id": "../etc/passwd"}, "/external_id"),
        ({"external_id": ""}, "/external_id"),
        ({"payment": {"method": "barter", "state": "paid"}}, "/payment/method"),
        ({"payment": {"method": "card", "state": "paid", "card_bin": "4242424242424242"}}, "/payment/card_bin"),
        ({"surprise": 1}, "/surprise"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_order_is_refused_with_its_pointer(change: dict[str, Any], pointer: str) -> None:
    """Bad input of the issue: wrong currency, negative quantity, misspelt field: one sentence, one pointer."""
    with pytest.raises(UnprocessableOrder) as caught:
        normalised("storefront", native_order(**change))
    assert caught.value.pointer == pointer
    assert pointer in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_part_is_named() -> None:
    order = native_order()
    del order["payment"]
    with pytest.raises(UnprocessableOrder, match="/payment: Field required"):
        normalised("storefront", order)


@pytest.mark.parametrize("text", ["[]", "1", '"x"', "null", "not json", '{"external_id": "1", "external_id": "2"}'])
def test_what_is_no_document_is_malformed(text: str) -> None:
    with pytest.raises(MalformedPayload):
        adapter("storefront").normalise(text, tenant="t", shop="s", payload_ref="r")


@pytest.mark.parametrize(
    ("change", "issues"),
    [
        ({"ship_to": None}, (OrderIssue.NO_ADDRESS,)),
        ({"ship_to": {"line1": "1 Lê Lợi", "country": "Viet Nam"}}, (OrderIssue.NO_COUNTRY,)),
        ({"lines": [line(sku="")], "shipping": None, "tax": None}, (OrderIssue.NO_SKU,)),
        ({"total": sgd(1)}, (OrderIssue.TOTALS_DISAGREE,)),
        ({"total": sgd(6495)}, ()),
        ({"test": True}, (OrderIssue.TEST_ORDER,)),
        ({"lines": [line(sku="", requires_shipping=False)], "ship_to": None}, ()),
    ],
)
def test_odd_orders_are_accepted_with_an_issue(change: dict[str, Any], issues: tuple[OrderIssue, ...]) -> None:
    assert normalised("storefront", native_order(**change)).issues == issues


@pytest.mark.parametrize(
    ("method", "state", "expected"),
    [
        ("card", "paid", OrderState.PAID),
        ("card", "authorised", OrderState.PAID),
        ("card", "pending", OrderState.CREATED),
        ("card", "voided", OrderState.CREATED),
        ("cod", "pending", OrderState.PAID),
        ("convenience_store", "pending", OrderState.CREATED),
    ],
)
def test_state_follows_the_money(method: str, state: str, expected: OrderState) -> None:
    order = native_order(payment={"method": method, "state": state})
    assert normalised("storefront", order).state is expected


def test_a_sent_total_is_kept_even_when_it_is_wrong() -> None:
    assert normalised("storefront", native_order(total=sgd(1))).total == Money(amount_minor=1, currency="SGD")


def test_included_tax_is_not_added_again() -> None:
    assert normalised("storefront", native_order(tax_included=True)).total == Money(amount_minor=6000, currency="SGD")


def test_text_is_cleaned() -> None:
    order = normalised("storefront", native_order(note="一\r\n二\x00", shipping_option="fast\nlane"))
    assert order.note == "一\n二"
    assert order.shipping_option == "fast lane"


def test_every_field_of_the_schema_is_described() -> None:
    """The schema is published: amounts, times and flags explain themselves."""
    schema = OrderIn.model_json_schema()
    documented = schema["$defs"]["LineIn"]["properties"]["unit_price"]
    assert "before discounts" in documented["description"]
    assert "newest wins" in schema["properties"]["updated_at"]["description"]


def test_parse_order_gives_the_model() -> None:
    assert parse_order(b'{"external_id": "1", "placed_at": "2026-06-01T10:00:00Z", "currency": "VND", "lines": '
                       b'[{"sku": "A", "quantity": 2, "unit_price": {"amount_minor": 5, "currency": "VND"}}], '
                       b'"payment": {"method": "cod", "state": "pending"}}').lines[0].quantity == 2  # fmt: skip
