"""Drafts as signed Shopify ``orders/create`` webhooks, in the form of the 2025-04 API version."""

import hashlib
from typing import Any

import orjson

from domain.money import Money
from domain.order import PaymentMethod
from evals.world_common import (
    COUNTRY_NAMES,
    GATEWAYS,
    decimal_of,
    finished,
    ip_of,
    placeholder,
    shopify_shop,
    tax_inside,
)
from evals.world_draft import Draft, DraftLine, RawOrder
from tools.channels.shopify import signature


def shopify_webhook(draft: Draft) -> RawOrder:
    """The draft as a webhook."""
    number = 6_000_000_000_000 + draft.seed % 100_000 * 10_000_000 + draft.number
    shop = shopify_shop(draft.market)
    body = orjson.dumps(_shopify_document(draft, number))
    headers = {
        "Content-Type": "application/json",
        "X-Shopify-Topic": "orders/create",
        "X-Shopify-Shop-Domain": shop,
        "X-Shopify-Event-Id": hashlib.sha256(f"event:{number}".encode()).hexdigest()[:32],
        "X-Shopify-Webhook-Id": hashlib.sha256(f"webhook:{number}".encode()).hexdigest()[:32],
        "X-Shopify-Triggered-At": draft.placed_at.isoformat(),
        "X-Shopify-Hmac-Sha256": signature(body, placeholder(f"shopify:{draft.market.country}")),
    }
    return finished(draft, str(number), shop=shop, topic="orders/create", body=body, headers=headers)


def _shopify_document(draft: Draft, number: int) -> dict[str, Any]:
    total = decimal_of(draft.total)
    tax = tax_inside(draft, draft.total)
    given, _, surname = draft.buyer.name.partition(" ")
    return {
        "id": number,
        "admin_graphql_api_id": f"gid://shopify/Order/{number}",
        "name": f"#{1000 + draft.number}",
        "order_number": 1000 + draft.number,
        "created_at": draft.placed_at.isoformat(),
        "updated_at": draft.placed_at.isoformat(),
        "processed_at": draft.placed_at.isoformat(),
        "cancelled_at": None,
        "confirmed": True,
        "test": False,
        "currency": draft.market.currency,
        "presentment_currency": draft.market.currency,
        "customer_locale": draft.language,
        "financial_status": "pending" if draft.method is PaymentMethod.COD else "paid",
        "fulfillment_status": None,
        "payment_gateway_names": [GATEWAYS[draft.method]],
        "payment_details": _shopify_card(draft),
        "taxes_included": True,
        "subtotal_price": decimal_of(draft.goods),
        "total_line_items_price": decimal_of(draft.goods),
        "total_discounts": decimal_of(Money.zero(draft.market.currency)),
        "total_tax": decimal_of(tax),
        "total_price": total,
        "total_price_set": _set(total, draft.market.currency),
        "current_total_price": total,
        "current_total_price_set": _set(total, draft.market.currency),
        "browser_ip": ip_of(draft),
        "client_details": {"accept_language": draft.language, "browser_ip": ip_of(draft)},
        "email": draft.buyer.email,
        "note": draft.note or None,
        "customer": {
            "id": draft.buyer.number,
            "email": draft.buyer.email,
            "first_name": given,
            "last_name": surname or None,
            "phone": draft.buyer.phone,
            "created_at": draft.buyer_since.isoformat(),
        },
        "line_items": [_shopify_line(draft, line, i) for i, line in enumerate(draft.lines)],
        "shipping_lines": [
            {
                "id": number * 10,
                "code": "standard",
                "title": "Standard",
                "price": decimal_of(draft.shipping),
                "discounted_price": decimal_of(draft.shipping),
                "tax_lines": [],
            }
        ],
        "shipping_address": _shopify_address(draft) if draft.addressed else None,
        "billing_address": _shopify_address(draft),
        "fulfillments": [],
        "refunds": [],
    }


def _shopify_line(draft: Draft, line: DraftLine, place: int) -> dict[str, Any]:
    return {
        "id": draft.number * 100 + place + 1,
        "sku": line.sku,
        "title": line.title,
        "name": line.title,
        "quantity": line.quantity,
        "current_quantity": line.quantity,
        "fulfillable_quantity": line.quantity,
        "fulfillment_status": None,
        "gift_card": False,
        "requires_shipping": True,
        "taxable": True,
        "grams": line.weight_g,
        "price": decimal_of(line.unit_price),
        "price_set": _set(decimal_of(line.unit_price), draft.market.currency),
        "total_discount": decimal_of(Money.zero(draft.market.currency)),
        "discount_allocations": [],
        "properties": [],
    }


def _shopify_address(draft: Draft) -> dict[str, Any]:
    buyer = draft.buyer
    return {
        "name": buyer.name,
        "address1": buyer.street,
        "address2": None,
        "city": buyer.city,
        "province": buyer.region or None,
        "zip": buyer.postcode or None,
        "country": COUNTRY_NAMES[draft.country],
        "country_code": draft.country,
        "phone": buyer.phone,
    }


def _shopify_card(draft: Draft) -> dict[str, Any] | None:
    if draft.card is None:
        return None
    return {
        "credit_card_bin": draft.card.bin_digits,
        "credit_card_number": f"•••• •••• •••• {draft.card.last4}",
        "credit_card_company": "Visa",
        "avs_result_code": draft.card.avs,
        "cvv_result_code": draft.card.cvv,
    }


def _set(amount: str, currency: str) -> dict[str, Any]:
    money = {"amount": amount, "currency_code": currency}
    return {"shop_money": money, "presentment_money": money}
