"""Signals at which each fraud rule fires."""

from dataclasses import replace
from typing import Any

from agents.fraud_segments import Segment
from agents.fraud_signals import QuantityOutlier, Signals

DAY_S = 86400
SEGMENT = Segment(name="SG/phone/SGD", currency="SGD", amount=0, p75=100_00, p90=180_00, p95=280_00)


def of_amount(minor: int) -> Segment:
    return replace(SEGMENT, amount=minor)


QUIET = Signals()
"""Nothing known: every rule that needs an input is not evaluated."""

FIRES: dict[str, dict[str, Any]] = {
    "CARD_VELOCITY": {"counts": {"CARD_VELOCITY": 3}},
    "DEVICE_MULTI_ACCOUNT": {"counts": {"DEVICE_MULTI_ACCOUNT": 3}},
    "IP_VELOCITY": {"counts": {"IP_VELOCITY": 5}},
    "DECLINES_BEFORE_SUCCESS": {"counts": {"DECLINES_BEFORE_SUCCESS": 3}, "paid": True},
    "ADDRESS_MULTI_ACCOUNT": {"counts": {"ADDRESS_MULTI_ACCOUNT": 4}},
    "AVS_FAIL": {"avs": "fail"},
    "AVS_PARTIAL": {"avs": "partial"},
    "CVV_FAIL": {"cvv": "fail"},
    "BIN_COUNTRY": {"bin_country": "BR", "ship_country": "SG"},
    "BIN_PREPAID_HIGH": {"bin_prepaid": True, "segment": of_amount(280_00)},
    "THREE_DS_SHIFT": {"three_ds_shift": True},
    "IP_SHIP_COUNTRY": {"ip_country": "RU", "ship_country": "SG"},
    "PROXY_TOR": {"proxy": True},
    "HOSTING_ASN": {"hosting": True},
    "FORWARDER_ADDRESS": {"forwarder": True, "ship_country": "SG"},
    "FORWARDER_CONSOLIDATION": {"forwarder": True, "ship_country": "TW"},
    "DISPOSABLE_EMAIL": {"throwaway": "mailinator.com"},
    "NEW_ACCOUNT_HIGH": {"account_age_s": DAY_S - 1, "segment": of_amount(180_00)},
    "TAKEOVER": {"delivered": 9, "profile_age_s": DAY_S - 1, "new_device": True},
    "RESALE_SKU": {"resale_quantity": 3},
    "QTY_OUTLIER": {"quantity_known": True, "quantity_outlier": QuantityOutlier(sku="S", quantity=7, p99=6)},
    "RUSH_FIRST": {"first_order": True, "express": True, "resale_quantity": 1},
    "COD_REFUSER": {"cash_on_delivery": True, "refused": 5, "delivered": 0},
    "COD_CAP": {"cash_on_delivery": True, "first_order": True, "currency": "TWD", "total_minor": 2_000_001},
    "PHONE_INVALID": {"phone": "voip", "ship_country": "HK"},
    "KNOWN_BAD": {"known_bad": True},
    "GOOD_HISTORY": {"delivered": 3, "disputed": 0, "history_age_s": 60 * DAY_S + 1},
}
