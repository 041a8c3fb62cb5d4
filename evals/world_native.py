"""Drafts as native orders of a storefront or a B2B customer."""

from typing import Any

import orjson

from domain.order import Channel, PaymentMethod
from evals.world_common import GATEWAYS, finished, ip_of, minor_of, tax_inside
from evals.world_draft import Draft, RawOrder
from tools.channels.payments import card_fingerprint


def native_order(draft: Draft) -> RawOrder:
    """The draft as ``POST /v1/orders`` takes it."""
    external_id = f"{draft.channel.value.upper()}-{draft.seed}-{draft.number:07d}"
    buyer = draft.buyer
    document: dict[str, Any] = {
        "external_id": external_id,
        "number": f"{'PO' if draft.channel is Channel.B2B else 'W'}{100_000 + draft.number}",
        "placed_at": draft.placed_at.isoformat(),
        "currency": draft.market.currency,
        "locale": draft.language,
        "lines": [
            {
                "sku": line.sku,
                "title": line.title,
                "quantity": line.quantity,
                "unit_price": minor_of(line.unit_price),
                "weight_g": line.weight_g,
            }
            for line in draft.lines
        ],
        "shipping": minor_of(draft.shipping),
        "tax": minor_of(tax_inside(draft, draft.total)),
        "tax_included": True,
        "total": minor_of(draft.total),
        "customer": {
            "customer_id": draft.account or f"W-{buyer.number}",
            "name": buyer.name,
            "email": buyer.email,
            "phone": buyer.phone,
            "created_at": draft.buyer_since.isoformat(),
        },
        "payment": _native_payment(draft),
        "device": {
            "ip": ip_of(draft),
            "ip_country": "NL" if draft.hosted else draft.market.country,
            "device_id": f"d-{buyer.number}",
            "proxy": draft.hosted,
            "hosting_asn": draft.hosted,
        },
        "shipping_option": "Standard",
        "note": draft.note,
    }
    if draft.addressed:
        document["ship_to"] = {
            "name": buyer.name,
            "line1": buyer.street,
            "city": buyer.city,
            "region": buyer.region,
            "postcode": buyer.postcode,
            "country": draft.country,
            "phone": buyer.phone,
        }
    headers = {"Content-Type": "application/json", "Idempotency-Key": external_id}
    body = orjson.dumps(document)
    return finished(draft, external_id, shop=draft.channel.value, topic="", body=body, headers=headers)


def _native_payment(draft: Draft) -> dict[str, Any]:
    payment: dict[str, Any] = {
        "method": draft.method.value,
        "state": "pending" if draft.method is PaymentMethod.COD else "paid",
        "gateway": GATEWAYS[draft.method],
    }
    if draft.card is not None:
        card = draft.card
        payment |= {
            "card_fingerprint": card_fingerprint("Visa", card.bin_digits, card.last4, "/"),
            "card_bin": card.bin_digits,
            "bin_country": card.country,
            "bin_prepaid": False,
        }
        if card.cvv in ("M", "N"):
            payment["cvv"] = "match" if card.cvv == "M" else "fail"
    return payment
