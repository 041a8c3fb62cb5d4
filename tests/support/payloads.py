"""Platform documents for tests: the shared real ones where they are at hand, and one small order in every channel's form."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from domain.ids import TenantId
from domain.order import Order
from tools.channels import ShopSecret, adapter

TENANT = TenantId("acme")
CALLBACK_URL = "https://hooks.example.com/v1/channels/shopee/webhooks"
SHOPIFY_SECRET = ShopSecret(
    tenant=TENANT, shop="acme-hk.myshopify.com", secret="shopify-client-secret", access_token="shpat-placeholder"
)
SHOPEE_SECRET = ShopSecret(
    tenant=TENANT,
    shop="727720655",
    secret="shopee-push-key",
    callback_url=CALLBACK_URL,
    partner_id="2001887",
    request_secret="shopee-partner-key",
    access_token="c09222e3fc40ffb25fc947f738b1abf1",
)


def data_root() -> Path | None:
    """Where the shared real payloads are: ``SIGNALBOX_DATA``, else ``../shared/data`` beside the repository."""
    named = os.environ.get("SIGNALBOX_DATA")
    root = Path(named) if named else Path(__file__).resolve().parents[2].parent / "shared" / "data"
    return root if root.is_dir() else None


def payload(name: str) -> str:
    """A shared file as text, for example ``orders/shopify/order.json``. Skips the test where the data is not at hand."""
    root = data_root()
    if root is None:
        pytest.skip("the shared real payloads are not here; set SIGNALBOX_DATA to their folder")
    return (root / name).read_text(encoding="utf-8")


def document(name: str) -> dict[str, Any]:
    """A shared JSON file as a dict of plain values (numbers with a point as text, so that they stay exact)."""
    parsed: dict[str, Any] = json.loads(payload(name), parse_float=str)
    return parsed


def normalised(channel: str, document: dict[str, Any] | str) -> Order:
    """The one order in a document, as its channel's adapter reads it."""
    text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    (order,) = adapter(channel).normalise(text, tenant=TENANT, shop="shop-1", payload_ref="raw:1")
    return order


def shopify_order(**changes: Any) -> dict[str, Any]:
    """A paid Shopify order of two lines for Singapore: 2 x 12.50 + 1 x 30.00, shipping 5.00, 9 % tax on top."""
    return {
        "id": 450789470,
        "name": "#2001",
        "created_at": "2026-06-01T10:00:00+08:00",
        "updated_at": "2026-06-01T10:00:05+08:00",
        "currency": "SGD",
        "customer_locale": "en-SG",
        "financial_status": "paid",
        "fulfillment_status": None,
        "cancelled_at": None,
        "taxes_included": False,
        "test": False,
        "subtotal_price": "55.00",
        "total_discounts": "0.00",
        "total_tax": "4.95",
        "total_price": "64.95",
        "current_total_price": "64.95",
        "payment_gateway_names": ["shopify_payments"],
        "email": "tan@mail.example.com",
        "note": "Ring twice",
        "customer": {"id": 88001, "first_name": "Mei", "last_name": "Tan"},
        "line_items": [shopify_line(id=11, sku="SB-00001", price="12.50", quantity=2), shopify_line()],
        "shipping_lines": [{"title": "Standard", "price": "5.00", "discounted_price": "5.00"}],
        "shipping_address": {
            "name": "Mei Tan",
            "address1": "10 Anson Road",
            "city": "Singapore",
            "zip": "079903",
            "country": "Singapore",
            "country_code": "SG",
            "phone": "+6561234567",
        },
        **changes,
    }


def shopify_line(**changes: Any) -> dict[str, Any]:
    """A Shopify line of one unit at 30.00."""
    line = {
        "id": 12,
        "sku": "SB-00002",
        "name": "Kettle",
        "quantity": 1,
        "price": "30.00",
        "grams": 900,
        "requires_shipping": True,
        **changes,
    }
    line.setdefault("current_quantity", line["quantity"])
    line.setdefault("fulfillable_quantity", line["quantity"])
    return line


def shopee_order(**changes: Any) -> dict[str, Any]:
    """The same goods as a paid Shopee order detail: total 60.00 with 5.00 shipping, tax inside the prices."""
    return {
        "order_sn": "260601ABCDEFGH",
        "order_status": "READY_TO_SHIP",
        "region": "SG",
        "currency": "SGD",
        "cod": False,
        "create_time": 1780279200,
        "update_time": 1780279205,
        "pay_time": 1780279203,
        "ship_by_date": 1780452000,
        "payment_method": "Credit/Debit Card",
        "total_amount": 60.0,
        "estimated_shipping_fee": 5.0,
        "buyer_user_id": 88001,
        "buyer_username": "meitan",
        "message_to_seller": "Ring twice",
        "shipping_carrier": "Standard",
        "recipient_address": {
            "name": "M****n",
            "phone": "******67",
            "full_address": "10 Anson Road******",
            "city": "Singapore",
            "zipcode": "079903",
            "region": "SG",
        },
        "item_list": [
            shopee_item(item_id=501, model_id=901, model_sku="SB-00001", price=12.5, quantity=2),
            shopee_item(),
        ],
        **changes,
    }


def shopee_item(*, price: Any = 30.0, quantity: int = 1, **changes: Any) -> dict[str, Any]:
    """A Shopee item of one unit at 30.00."""
    return {
        "item_id": 502,
        "model_id": 902,
        "order_item_id": changes.get("item_id", 502),
        "promotion_group_id": 0,
        "item_name": "Kettle",
        "model_sku": "SB-00002",
        "item_sku": "",
        "model_quantity_purchased": quantity,
        "model_original_price": price,
        "model_discounted_price": price,
        "weight": 0.9,
        **changes,
    }


def shopee_answer(*orders: dict[str, Any]) -> dict[str, Any]:
    """An order detail answer."""
    return {"error": "", "message": "", "request_id": "r", "response": {"order_list": list(orders)}}


def native_order(**changes: Any) -> dict[str, Any]:
    """The same goods as a native order: total 64.95 with 5.00 shipping and 4.95 tax."""
    return {
        "external_id": "WEB-2001",
        "number": "#2001",
        "placed_at": "2026-06-01T10:00:00+08:00",
        "updated_at": "2026-06-01T10:00:05+08:00",
        "currency": "SGD",
        "locale": "en-SG",
        "lines": [
            {"line_id": "11", "sku": "SB-00001", "title": "Kettle", "quantity": 2, "unit_price": sgd(1250)},
            {"line_id": "12", "sku": "SB-00002", "title": "Kettle", "quantity": 1, "unit_price": sgd(3000)},
        ],
        "shipping": sgd(500),
        "tax": sgd(495),
        "ship_to": {
            "name": "Mei Tan",
            "line1": "10 Anson Road",
            "city": "Singapore",
            "postcode": "079903",
            "country": "SG",
            "phone": "+6561234567",
        },
        "customer": {"customer_id": "88001", "name": "Mei Tan", "email": "tan@mail.example.com"},
        "payment": {"method": "card", "state": "paid", "gateway": "shopify_payments"},
        "shipping_option": "Standard",
        "note": "Ring twice",
        **changes,
    }


def sgd(amount_minor: int) -> dict[str, Any]:
    """Singapore cents as JSON."""
    return {"amount_minor": amount_minor, "currency": "SGD"}
