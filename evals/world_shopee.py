"""Drafts as signed Shopee pushes with the order detail that is fetched after them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson

from domain.order import PaymentMethod
from evals.world_common import CALLBACK_URL, finished, number_of, placeholder
from evals.world_draft import Draft, DraftLine, RawOrder
from tools.channels.shopee import signature


def shopee_push(draft: Draft) -> RawOrder:
    """The draft as a push; ``body`` is the order detail behind it."""
    order_sn = f"{draft.placed_at:%y%m%d}{draft.seed % 1_000:03d}{draft.number:07d}"
    at = int(draft.placed_at.timestamp())
    body = orjson.dumps(
        {
            "error": "",
            "message": "",
            "request_id": order_sn,
            "response": {"order_list": [_shopee_detail(draft, order_sn)]},
        }
    )
    push = orjson.dumps(
        {
            "code": 3,
            "shop_id": int(draft.market.shopee_shop),
            "timestamp": at + 1,
            "data": {"items": [], "ordersn": order_sn, "status": "READY_TO_SHIP", "update_time": at},
        }
    )
    headers = {
        "Content-Type": "application/json",
        "Authorization": signature(push, CALLBACK_URL, placeholder("shopee")),
    }
    raw = finished(draft, order_sn, shop=draft.market.shopee_shop, topic="push/3", body=body, headers=headers)
    return replace(raw, delivery=push)


def _shopee_detail(draft: Draft, order_sn: str) -> dict[str, Any]:
    """Names, phones and streets masked the way Shopee masks them; in Taiwan all of it."""
    at = int(draft.placed_at.timestamp())
    cash = draft.method is PaymentMethod.COD
    buyer, hide_all = draft.buyer, draft.country == "TW"
    address = {
        "name": "****" if hide_all else f"{buyer.name[0]}******{buyer.name[-1]}",
        "phone": "****" if hide_all else f"******{buyer.phone[-2:]}",
        "full_address": "****" if hide_all else f"{buyer.street[:3]}******",
        "town": "",
        "district": "",
        "city": "****" if hide_all else buyer.city,
        "state": "****" if hide_all else buyer.region,
        "zipcode": "****" if hide_all else buyer.postcode,
        "region": draft.country,
    }
    return {
        "order_sn": order_sn,
        "order_status": "READY_TO_SHIP",
        "region": draft.market.country,
        "currency": draft.market.currency,
        "cod": cash,
        "create_time": at,
        "update_time": at,
        "pay_time": None if cash else at,
        "ship_by_date": int((draft.placed_at + timedelta(days=2)).timestamp()),
        "days_to_ship": 2,
        "total_amount": number_of(draft.total),
        "estimated_shipping_fee": number_of(draft.shipping),
        "payment_method": "Cash on Delivery" if cash else "Credit/Debit Card",
        "buyer_user_id": buyer.number,
        "buyer_username": f"user{buyer.number}",
        "message_to_seller": draft.note,
        "note": "",
        "fulfillment_flag": "fulfilled_by_local_seller",
        "shipping_carrier": "Standard Delivery",
        "checkout_shipping_carrier": "Standard Delivery",
        "split_up": False,
        "package_list": [],
        "recipient_address": address if draft.addressed else None,
        "item_list": [_shopee_item(draft, line, i) for i, line in enumerate(draft.lines)],
    }


def _shopee_item(draft: Draft, line: DraftLine, place: int) -> dict[str, Any]:
    item_id = 20_000_000_000 + draft.number * 100 + place
    price = number_of(line.unit_price)
    return {
        "item_id": item_id,
        "item_name": line.title,
        "item_sku": line.sku.rpartition("-")[0],
        "model_id": item_id + 200_000_000_000,
        "model_name": "",
        "model_sku": line.sku,
        "model_quantity_purchased": line.quantity,
        "model_original_price": price,
        "model_discounted_price": price,
        "weight": line.weight_g / 1000,
        "order_item_id": item_id,
        "promotion_group_id": 0,
        "promotion_type": "",
    }
