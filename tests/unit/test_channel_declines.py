"""Declined attempts before a payment succeeded, as channels report them."""

from typing import Any

import orjson
import pytest

from domain.order import Order
from tests.support.payloads import shopify_order
from tests.support.system import native_order
from tools.channels import adapter


def read(channel: str, document: dict[str, Any]) -> Order:
    return adapter(channel).normalise(orjson.dumps(document).decode(), tenant="t", shop="s", payload_ref="r")[0]


def attempt(status: str, at: str, kind: str = "sale") -> dict[str, Any]:
    return {"kind": kind, "status": status, "created_at": f"2026-11-11T{at}+08:00"}


@pytest.mark.parametrize(
    ("transactions", "declines"),
    [
        ([], None),
        ([attempt("failure", "10:00:00")], None),
        ([attempt("success", "10:00:00")], 0),
        (
            [
                attempt("failure", "08:59:59"),
                attempt("failure", "09:00:00"),
                attempt("error", "09:30:00", "authorization"),
                attempt("failure", "09:59:00", "refund"),
                attempt("pending", "09:59:30"),
                attempt("success", "10:00:00"),
                attempt("failure", "10:00:01"),
            ],
            2,
        ),
    ],
)
def test_shopify_transactions_tell_the_declines_of_the_hour(
    transactions: list[dict[str, Any]], declines: int | None
) -> None:
    """domain/F1: V4 counts what was declined within the hour before the success, to the second; nothing known is None."""
    assert read("shopify", shopify_order(transactions=transactions)).payment.declines_1h == declines


def test_a_native_order_names_its_declines() -> None:
    """domain/F1: the provider's own count reaches the order."""
    paid = {"method": "card", "state": "paid", "declines_1h": 3}
    assert read("storefront", native_order(payment=paid)).payment.declines_1h == 3
    assert read("storefront", native_order()).payment.declines_1h is None
