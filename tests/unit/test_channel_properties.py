"""Whatever a platform sends, an adapter either reads it exactly or refuses it clearly."""

import contextlib
import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import InputError
from domain.order import Order
from tests.support.payloads import (
    data_root,
    native_order,
    normalised,
    shopee_answer,
    shopee_item,
    shopee_order,
    shopify_line,
    shopify_order,
)
from tools.channels import adapter

Builder = Callable[[], dict[str, Any]]


def _real(name: str) -> dict[str, Any] | None:
    root = data_root()
    return json.loads((root / name).read_text(encoding="utf-8")) if root else None


def _samples() -> list[tuple[str, dict[str, Any]]]:
    """Real documents where they are at hand, and our own small ones always."""
    real = [
        ("shopify", _real("orders/shopify/order.json")),
        ("shopify", _real("orders/shopify/api_2025-04.orders.json")),
        ("shopee", _real("orders/shopee/samples/v2.order.get_order_detail.response.repaired.json")),
    ]
    own = [("shopify", shopify_order()), ("shopee", shopee_answer(shopee_order())), ("storefront", native_order())]
    return [(channel, document) for channel, document in real if document is not None] + own


def _paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    here = [path] if path else []
    if isinstance(node, dict):
        return here + [p for key, value in node.items() for p in _paths(value, (*path, key))]
    if isinstance(node, list):
        return here + [p for i, value in enumerate(node) for p in _paths(value, (*path, i))]
    return here


SAMPLES = [(channel, document, _paths(document)) for channel, document in _samples()]

junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["-1.00", "1e9", "0.001", "NaN", "2026-06-01T00:00:00Z", "USD", "VND", "gid://shopify/Order/1", ""]
    ),
    st.just([]),
    st.just({}),
    st.just([{}]),
    st.lists(st.integers(), max_size=2),
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_a_damaged_document_is_read_or_refused(data: st.DataObject) -> None:
    """reliability/S16: never a crash, only an input error; what is read adds up."""
    channel, document, paths = data.draw(st.sampled_from(SAMPLES))
    damaged = copy.deepcopy(document)
    for path in data.draw(st.lists(st.sampled_from(paths), min_size=1, max_size=4)):
        _damage(damaged, path, data)
    orders: list[Order] = []
    with contextlib.suppress(InputError):
        orders = adapter(channel).normalise(json.dumps(damaged), tenant="t", shop="s", payload_ref="r")
    for order in orders:
        _adds_up(order)
        assert Order.from_json(order.to_json()) == order


def _damage(document: Any, path: tuple[Any, ...], data: st.DataObject) -> None:
    node = document
    for key in path[:-1]:
        if not isinstance(node, dict | list) or (isinstance(node, dict) and key not in node):
            return
        if isinstance(node, list) and not (isinstance(key, int) and key < len(node)):
            return
        node = node[key]
    last = path[-1]
    reachable = (isinstance(node, dict) and last in node) or (
        isinstance(node, list) and isinstance(last, int) and last < len(node)
    )
    if not reachable:
        return
    if data.draw(st.booleans()):
        node[last] = data.draw(junk)
    else:
        del node[last]


def _adds_up(order: Order) -> None:
    """Lines add up to the order, nothing is open that was not bought, one currency throughout."""
    goods = sum(line.unit_price.amount_minor * line.quantity - line.discount.amount_minor for line in order.lines)
    assert goods == order.subtotal.amount_minor
    assert sum(line.discount.amount_minor for line in order.lines) == order.discount.amount_minor
    assert all(0 <= line.quantity_open <= line.quantity for line in order.lines)
    assert {order.total.currency, order.subtotal.currency, order.total_open.currency} == {order.currency}
    assert all(line.unit_price.currency == order.currency for line in order.lines)


cents = st.integers(0, 5_000_000)


@given(
    st.lists(st.tuples(cents, st.integers(1, 50)), min_size=1, max_size=12),
    st.integers(0, 100),
    cents,
    cents,
    st.sampled_from([("SGD", 2), ("VND", 0), ("TWD", 2), ("KWD", 3), ("JPY", 0)]),
)
def test_shopify_money_is_exact_to_the_minor_unit(
    lines: list[tuple[int, int]], discount_percent: int, shipping: int, tax: int, money: tuple[str, int]
) -> None:
    """domain 9 (X3): the lines add up to the total for any cart and currency."""
    currency, digits = money
    goods = sum(price * quantity for price, quantity in lines)
    discount = goods * discount_percent // 100
    total = goods - discount + shipping + tax

    def written(minor: int) -> str:
        text = str(minor).rjust(digits + 1, "0")
        return f"{text[:-digits]}.{text[-digits:]}" if digits else text

    order = normalised(
        "shopify",
        shopify_order(
            currency=currency,
            line_items=[
                shopify_line(id=i + 1, price=written(price), quantity=quantity)
                for i, (price, quantity) in enumerate(lines)
            ],
            shipping_lines=[{"title": "S", "price": written(shipping)}],
            subtotal_price=written(goods - discount),
            total_discounts=written(discount),
            total_tax=written(tax),
            total_price=written(total),
            current_total_price=written(total),
        ),
    )
    assert order.issues == ()
    assert order.total.amount_minor == total
    assert sum(line.discount.amount_minor for line in order.lines) == discount
    assert sum(line.tax.amount_minor for line in order.lines) == tax
    _adds_up(order)


@given(st.lists(st.tuples(cents, st.integers(1, 50)), min_size=1, max_size=12), cents)
def test_shopee_money_is_exact_to_the_minor_unit(items: list[tuple[int, int]], agreed: int) -> None:
    order = normalised(
        "shopee",
        shopee_answer(
            shopee_order(
                currency="VND",
                total_amount=agreed,
                estimated_shipping_fee=None,
                item_list=[
                    shopee_item(item_id=i + 1, price=price, quantity=quantity)
                    for i, (price, quantity) in enumerate(items)
                ],
            )
        ),
    )
    assert order.total.amount_minor == agreed
    assert order.subtotal + order.shipping == order.total
    _adds_up(order)


@given(st.integers(1, 10**15))
def test_a_shopify_id_is_the_same_order_however_it_is_written(number: int) -> None:
    forms: list[object] = [number, str(number), f"gid://shopify/Order/{number}", f"00{number}"]
    assert {normalised("shopify", shopify_order(id=form)).order_id for form in forms} == {f"shopify-{number}"}


@given(st.text(max_size=60))
def test_any_text_survives_or_is_cleaned_but_never_breaks(text: str) -> None:
    for channel, document in (
        ("shopify", shopify_order(note=text, customer={"id": 1, "first_name": text})),
        ("storefront", native_order(note=text, customer={"name": text})),
    ):
        order = normalised(channel, json.dumps(document)) if text.isascii() else _read_or_none(channel, document)
        if order is not None:
            assert "\x00" not in order.note + order.customer.name
            assert Order.from_json(order.to_json()) == order


def _read_or_none(channel: str, document: dict[str, Any]) -> Order | None:
    """A lone surrogate cannot be sent as UTF-8; JSON that escapes one is refused at the door."""
    try:
        return normalised(channel, json.dumps(document))
    except InputError:
        return None
