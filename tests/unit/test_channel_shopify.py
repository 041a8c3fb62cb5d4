"""Rules of the Shopify adapter that the shared payloads do not show."""

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.errors import InputError, MalformedPayload, UnprocessableOrder
from domain.money import Money
from domain.order import OrderIssue, OrderState, PaymentMethod, PaymentState
from tests.support.payloads import normalised, shopify_line, shopify_order
from tools.channels.payments import card_fingerprint, method_of
from tools.channels.places import locale_of


def sgd(amount_minor: int) -> Money:
    return Money(amount_minor=amount_minor, currency="SGD")


def pair(amount: str, shop: str = "SGD", shown: str = "MYR") -> dict[str, Any]:
    return {
        "shop_money": {"amount": amount, "currency_code": shop},
        "presentment_money": {"amount": "1.00", "currency_code": shown},
    }


def test_a_plain_order_is_read_in_full() -> None:
    order = normalised("shopify", shopify_order())
    assert order.total == sgd(6495)
    assert order.subtotal + order.shipping + order.tax == order.total
    assert order.updated_at == datetime(2026, 6, 1, 2, 0, 5, tzinfo=UTC)
    assert [line.tax for line in order.lines] == [sgd(225), sgd(270)]
    assert order.issues == ()
    assert order.payload_ref == "raw:1"
    assert order.external_number == "#2001"


@pytest.mark.parametrize(
    "sent",
    [450789470, "450789470", "gid://shopify/Order/450789470", "gid://shopify/Order/450789470?x=1"],
    ids=repr,
)
def test_every_form_of_an_id_is_the_same_order(sent: object) -> None:
    assert normalised("shopify", shopify_order(id=sent)).order_id == "shopify-450789470"


@pytest.mark.parametrize(
    "sent", [None, "", "abc", -5, 1.5, True, [], "4 5", "४५", "gid://shopify/Customer/1"], ids=repr
)
def test_what_is_no_id_is_refused(sent: object) -> None:
    with pytest.raises(UnprocessableOrder) as caught:
        normalised("shopify", shopify_order(id=sent))
    assert caught.value.pointer == "/id"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"line_items": []}, "/line_items"),
        ({"line_items": [shopify_line(quantity=-1)]}, "/line_items/0/quantity"),
        ({"line_items": [shopify_line(quantity="two")]}, "/line_items/0/quantity"),
        ({"line_items": [shopify_line(quantity=10**9)]}, "/line_items/0/quantity"),
        ({"line_items": [shopify_line(price="-1.00")]}, "/line_items/0/price"),
        ({"line_items": [shopify_line(price="1.005")]}, "/line_items/0/price"),
        ({"line_items": [shopify_line(price=None)]}, "/line_items/0/price"),
        ({"line_items": [shopify_line(id=7), shopify_line(id="7")]}, "/line_items/1/id"),
        ({"line_items": [shopify_line(total_discount="31.00")]}, "/line_items/0/discount_allocations"),
        ({"line_items": [shopify_line(price_set=pair("30.00", shop="USD"))]}, "/line_items/0/price_set/shop_money/currency_code"),
        ({"line_items": {"0": {}}}, "/line_items"),
        ({"line_items": ["x"]}, "/line_items/0"),
        ({"currency": "XXX"}, "/currency"),
        ({"currency": None}, "/currency"),
        ({"currency": 5}, "/currency"),
        ({"total_price": None}, "/total_price"),
        ({"total_price": "-1.00"}, "/total_price"),
        ({"total_price": "9" * 40}, "/total_price"),
        ({"created_at": "2026-06-01 10:00:00"}, "/created_at"),
        ({"created_at": None}, "/created_at"),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, "/created_at"),
        ({"shipping_address": "here"}, "/shipping_address"),
        ({"test": "no"}, "/test"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_order_is_refused_with_its_pointer(change: dict[str, Any], pointer: str) -> None:
    """reliability/S16: bad input is a clear refusal that names the place."""
    with pytest.raises(UnprocessableOrder) as caught:
        normalised("shopify", shopify_order(**change))
    assert caught.value.pointer == pointer
    assert caught.value.status == 422
    assert pointer in str(caught.value)


def test_the_pointer_counts_orders_in_a_list() -> None:
    broken = {"orders": [shopify_order(), shopify_order(currency="ZZZ")]}
    with pytest.raises(UnprocessableOrder) as caught:
        normalised("shopify", broken)
    assert caught.value.pointer == "/orders/1/currency"


@pytest.mark.parametrize("document", ['{"errors": "Not Found"}', "{}", '{"id": 1}', '{"data": {"order": {}}}'])
def test_answers_without_an_order_are_refused(document: str) -> None:
    with pytest.raises(MalformedPayload):
        normalised("shopify", document)


def test_money_may_be_text_or_number() -> None:
    written = shopify_order()
    as_numbers = shopify_order(
        total_price=64.95, total_tax=4.95, line_items=[
            shopify_line(id=11, sku="SB-00001", price=12.5, quantity=2), shopify_line(price=30),
        ],
    )  # fmt: skip
    assert normalised("shopify", as_numbers) == normalised("shopify", written)


def test_zero_decimal_currencies_have_no_cents() -> None:
    """Money README and domain 9: VND and JPY have no minor unit, TWD is stored with two digits."""
    amounts = {"subtotal_price": "300000", "total_tax": "0", "total_price": "300000", "shipping_lines": []}
    line = shopify_line(price="300000")
    order = normalised(
        "shopify", shopify_order(currency="VND", line_items=[line], **amounts, current_total_price="300000")
    )
    assert order.total == Money(amount_minor=300000, currency="VND")
    assert order.issues == ()
    with pytest.raises(UnprocessableOrder, match="more digits after the point than VND"):
        normalised("shopify", shopify_order(currency="VND", line_items=[shopify_line(price="300000.50")], **amounts))


def test_the_shops_money_is_taken_from_the_set() -> None:
    line = shopify_line(price="30.00", price_set=pair("30.00"))
    order = normalised("shopify", shopify_order(
        line_items=[shopify_line(id=11, price="12.50", quantity=2), line],
        total_price_set={
            "shop_money": {"amount": "64.95", "currency_code": "SGD"},
            "presentment_money": {"amount": "221.00", "currency_code": "MYR"},
        },
    ))  # fmt: skip
    assert order.total == sgd(6495)
    assert order.presented_total == Money(amount_minor=22100, currency="MYR")
    assert OrderIssue.MIXED_CURRENCY not in order.issues


def test_amounts_that_disagree_with_their_own_set_are_mixed() -> None:
    order = normalised("shopify", shopify_order(total_price="221.00", total_price_set=pair("64.95")))
    assert order.total == sgd(6495)
    assert order.issues == (OrderIssue.MIXED_CURRENCY,)


def test_a_code_that_is_not_allocated_is_spread_over_the_lines() -> None:
    """domain 9: order discounts by largest remainder, so that the lines add up to the order exactly."""
    order = normalised("shopify", shopify_order(total_discounts="10.00", subtotal_price="45.00", total_price="54.95"))
    assert [line.discount for line in order.lines] == [sgd(455), sgd(545)]
    assert order.subtotal + order.shipping + order.tax == order.total
    assert order.issues == ()


def test_a_shipping_discount_is_not_taken_off_the_goods() -> None:
    free = [{"title": "Standard", "price": "5.00", "discounted_price": "0.00"}]
    order = normalised("shopify", shopify_order(shipping_lines=free, total_discounts="5.00", total_price="59.95"))
    assert order.shipping == sgd(0)
    assert order.discount == sgd(0)
    assert order.issues == ()


def test_a_removed_shipping_line_costs_nothing() -> None:
    lines = [
        {"title": "Express", "price": "15.00", "is_removed": True},
        {"title": "Standard", "price": "5.00"},
    ]
    order = normalised("shopify", shopify_order(shipping_lines=lines))
    assert (order.shipping, order.shipping_option) == (sgd(500), "Standard")


def test_included_tax_is_not_added_again() -> None:
    order = normalised("shopify", shopify_order(taxes_included=True, total_price="60.00"))
    assert order.tax_included
    assert order.subtotal + order.shipping == order.total
    assert order.issues == ()


def test_tips_duties_and_rounding_are_part_of_the_total() -> None:
    order = normalised("shopify", shopify_order(
        total_tip_received="2.00",
        original_total_duties_set=pair("3.00"),
        total_cash_rounding_payment_adjustment_set=pair("-0.05"),
        total_price="69.90",
    ))  # fmt: skip
    assert order.issues == ()


def test_shipping_tax_stays_off_the_lines() -> None:
    lines = [{"title": "Standard", "price": "5.00", "tax_lines": [{"price": "0.45"}]}]
    order = normalised("shopify", shopify_order(shipping_lines=lines))
    assert sum(line.tax.amount_minor for line in order.lines) == 450


def test_gift_cards_need_no_parcel_no_sku_and_no_address() -> None:
    card = shopify_line(id=13, sku=None, gift_card=True, requires_shipping=False)
    order = normalised("shopify", shopify_order(line_items=[card], shipping_address=None, shipping_lines=[],
                                                subtotal_price="30.00", total_tax="0.00", total_price="30.00"))  # fmt: skip
    assert order.open_lines == ()
    assert order.issues == ()


@pytest.mark.parametrize(
    ("address", "issues"),
    [
        (None, (OrderIssue.NO_ADDRESS,)),
        ({}, (OrderIssue.NO_ADDRESS,)),
        ({"country_code": "SG"}, (OrderIssue.NO_ADDRESS,)),
        ({"address1": "1 Đường Lê Lợi", "country": "Viet Nam"}, (OrderIssue.NO_COUNTRY,)),
        ({"address1": "1 Đường Lê Lợi", "country": "Viet Nam", "country_code": "VN"}, ()),
        ({"address1": "1 Đường Lê Lợi", "country": "vn"}, ()),
        ({"address1": "1 Đường Lê Lợi", "country_code": "VNM"}, (OrderIssue.NO_COUNTRY,)),
    ],
)
def test_addresses_are_never_guessed(address: object, issues: tuple[OrderIssue, ...]) -> None:
    billing = {"address1": "Elsewhere", "country_code": "SG"}
    order = normalised("shopify", shopify_order(shipping_address=address, billing_address=billing))
    assert order.issues == issues


def test_a_guest_has_no_customer() -> None:
    order = normalised("shopify", shopify_order(customer=None))
    assert order.customer.customer_id == ""
    assert order.customer.email == "tan@mail.example.com"


def test_a_line_without_sku_is_an_issue() -> None:
    assert normalised("shopify", shopify_order(line_items=[
        shopify_line(id=11, price="12.50", quantity=2, sku=""), shopify_line(sku=None),
    ])).issues == (OrderIssue.NO_SKU,)  # fmt: skip


def test_a_test_order_says_so() -> None:
    assert normalised("shopify", shopify_order(test=True)).issues == (OrderIssue.TEST_ORDER,)


@pytest.mark.parametrize(
    ("change", "state", "payment"),
    [
        ({"financial_status": "pending"}, OrderState.CREATED, PaymentState.PENDING),
        ({"financial_status": None}, OrderState.CREATED, PaymentState.PENDING),
        ({"financial_status": "partially_paid"}, OrderState.CREATED, PaymentState.PENDING),
        ({"financial_status": "authorized"}, OrderState.PAID, PaymentState.AUTHORISED),
        ({"financial_status": "paid"}, OrderState.PAID, PaymentState.PAID),
        ({"financial_status": "PAID"}, OrderState.PAID, PaymentState.PAID),
        ({"financial_status": "voided"}, OrderState.CREATED, PaymentState.VOIDED),
        ({"financial_status": "expired"}, OrderState.CREATED, PaymentState.VOIDED),
        ({"financial_status": "refunded"}, OrderState.PAID, PaymentState.REFUNDED),
        ({"fulfillment_status": "unfulfilled"}, OrderState.PAID, PaymentState.PAID),
        ({"fulfillment_status": "OPEN"}, OrderState.PAID, PaymentState.PAID),
        ({"fulfillment_status": "on_hold"}, OrderState.HELD, PaymentState.PAID),
        ({"fulfillment_status": "scheduled"}, OrderState.HELD, PaymentState.PAID),
        ({"fulfillment_status": "request_declined"}, OrderState.HELD, PaymentState.PAID),
        ({"fulfillment_status": "in_progress"}, OrderState.ALLOCATED, PaymentState.PAID),
        ({"fulfillment_status": "pending_fulfillment"}, OrderState.ALLOCATED, PaymentState.PAID),
        ({"fulfillment_status": "fulfilled"}, OrderState.SHIPPED, PaymentState.PAID),
        ({"fulfillment_status": "restocked"}, OrderState.CANCELLED, PaymentState.PAID),
        ({"fulfillment_status": "fulfillment_not_required"}, OrderState.CANCELLED, PaymentState.PAID),
        ({"cancelled_at": "2026-06-01T12:00:00Z"}, OrderState.CANCELLED, PaymentState.PAID),
        ({"fulfillment_status": "teleported"}, OrderState.UNKNOWN, PaymentState.PAID),
        ({"financial_status": "bartered"}, OrderState.UNKNOWN, PaymentState.PENDING),
    ],
)
def test_statuses_map_by_the_table(change: dict[str, Any], state: OrderState, payment: PaymentState) -> None:
    """domain 8.1 (K1): every listed status maps, an unknown one is UNKNOWN and an issue, never a crash."""
    order = normalised("shopify", shopify_order(**change))
    assert (order.state, order.payment.state) == (state, payment)
    assert (OrderIssue.UNKNOWN_STATUS in order.issues) == (state is OrderState.UNKNOWN)


def test_a_partly_fulfilled_order_is_as_far_as_its_least_advanced_line() -> None:
    """domain 8.1: order = least advanced active line."""
    half = [shopify_line(id=11, price="12.50", quantity=2, fulfillable_quantity=0), shopify_line()]
    assert normalised("shopify", shopify_order(fulfillment_status="partial", line_items=half)).state is OrderState.PAID
    done = [
        shopify_line(id=11, price="12.50", quantity=2, fulfillable_quantity=0),
        shopify_line(fulfillable_quantity=0),
    ]
    order = normalised("shopify", shopify_order(fulfillment_status="partial", line_items=done))
    assert order.state is OrderState.SHIPPED


def test_a_cancelled_order_has_nothing_open() -> None:
    order = normalised("shopify", shopify_order(cancelled_at="2026-06-01T12:00:00Z"))
    assert order.open_lines == ()
    assert order.total_open == sgd(0)
    assert order.total == sgd(6495)


def test_cash_on_delivery_is_released_before_it_is_paid() -> None:
    order = normalised(
        "shopify", shopify_order(financial_status="pending", payment_gateway_names=["Cash on Delivery (COD)"])
    )
    assert (order.payment.method, order.state) == (PaymentMethod.COD, OrderState.PAID)


@pytest.mark.parametrize(
    ("words", "method"),
    [
        ("shopify_payments", PaymentMethod.CARD),
        ("Credit/Debit Card", PaymentMethod.CARD),
        ("paypal", PaymentMethod.WALLET),
        ("PayMe by HSBC", PaymentMethod.WALLET),
        ("line_pay", PaymentMethod.WALLET),
        ("Touch 'n Go eWallet", PaymentMethod.WALLET),
        ("7-ELEVEN CVS", PaymentMethod.CONVENIENCE_STORE),
        ("超商取貨付款", PaymentMethod.CONVENIENCE_STORE),
        ("貨到付款", PaymentMethod.COD),
        ("Bank Deposit", PaymentMethod.BANK_TRANSFER),
        ("codfish credits", PaymentMethod.OTHER),
        ("", PaymentMethod.OTHER),
    ],
)
def test_gateways_name_a_method(words: str, method: PaymentMethod) -> None:
    assert method_of(words) is method


def test_card_facts_come_from_payment_details_of_order_or_transaction() -> None:
    card = {
        "credit_card_bin": "424242",
        "credit_card_number": "•••• •••• •••• 4242",
        "credit_card_company": "Visa",
        "avs_result_code": "N",
        "cvv_result_code": "M",
    }
    first = normalised("shopify", shopify_order(payment_details=card)).payment
    second = normalised("shopify", shopify_order(transactions=[{"kind": "sale", "payment_details": card}])).payment
    assert first == second
    assert (first.card_bin, first.avs, first.cvv) == ("424242", "fail", "match")
    assert first.card_fingerprint == card_fingerprint("visa", "424242", "4242", "/")


def test_a_half_masked_card_has_no_fingerprint() -> None:
    assert card_fingerprint("Visa", "", "4242", "/") is None
    assert card_fingerprint("Visa", "424242", "XXXX", "/") is None
    assert card_fingerprint("Visa", "424242", "x4242", "1/27") != card_fingerprint("Visa", "424242", "x4242", "2/27")


@pytest.mark.parametrize(
    ("tag", "country", "locale"),
    [
        ("zh-TW", "TW", "zh-Hant-TW"),
        ("zh-HK", "", "zh-Hant-HK"),
        ("zh", "HK", "zh-Hant-HK"),
        ("zh-CN", "TW", "zh-Hans-CN"),
        ("zh_Hans", "SG", "zh-Hans-SG"),
        ("en", "AU", "en-AU"),
        ("vi", "VN", "vi-VN"),
        ("", "VN", "vi-VN"),
        ("", "TW", "zh-Hant-TW"),
        ("", "FR", "en"),
        ("!!", "MY", "en-MY"),
        ("en-US-x-private", "HK", "en-US"),
    ],
)
def test_locales_follow_the_buyer_then_the_country(tag: str, country: str, locale: str) -> None:
    assert locale_of(tag, country) == locale


@pytest.mark.parametrize("address", ["0.0.0.0", "", "nonsense", None, "::"], ids=repr)  # noqa: S104
def test_an_unknown_browser_address_is_none(address: str | None) -> None:
    assert normalised("shopify", shopify_order(browser_ip=address)).device.ip is None


def test_the_browser_address_is_kept() -> None:
    assert normalised("shopify", shopify_order(browser_ip="203.0.113.7")).device.ip == "203.0.113.7"


def test_wishes_written_into_the_cart_are_part_of_the_note() -> None:
    order = normalised(
        "shopify", shopify_order(note="生日快樂\n謝謝", note_attributes=[{"name": "wrap", "value": "🎁"}])
    )
    assert order.note == "生日快樂\n謝謝\nwrap: 🎁"


def test_an_older_version_keeps_its_older_time() -> None:
    """reliability/B03: a late retry carries the original document; its own time shows that it is older."""
    newer = normalised("shopify", shopify_order(updated_at="2026-06-01T12:00:00+08:00", note="changed"))
    older = normalised("shopify", shopify_order())
    assert newer.order_id == older.order_id
    assert older.updated_at < newer.updated_at


def test_no_personal_data_is_in_a_refusal() -> None:
    with pytest.raises(InputError) as caught:
        normalised("shopify", shopify_order(email=["mei.tan@mail.example.com"]))
    assert "mei" not in str(caught.value)
