"""The fraud agent: rules, points, windows, confidence and the reasons it gives."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agents import build
from agents.fraud_activity import activity_account, activity_keys, telling_keys
from agents.fraud_detection import Edition, FraudDetection, FraudJudge, rules_edition
from agents.fraud_rules import RULES, Finding, NotEvaluated
from agents.fraud_scoring import evaluate
from agents.fraud_signals import Signals
from agents.fraud_table import shipped_table
from domain.decision import CONFIDENCE_TO_ACT, Outcome, Verdict
from domain.errors import ConfigError, ConnectorUnavailable
from domain.ports import CustomerHistory
from tests.support.agent_world import (
    NOW,
    Address,
    Channel,
    Customer,
    Device,
    MemoryActivity,
    Payment,
    PaymentMethod,
    PaymentState,
    World,
    case,
    line,
    order,
    product,
    world,
)
from tests.support.fraud_signs import DAY_S, FIRES, QUIET, of_amount

SILENT: dict[str, dict[str, Any]] = {
    "CARD_VELOCITY": {"counts": {"CARD_VELOCITY": 2}},
    "DEVICE_MULTI_ACCOUNT": {"counts": {"DEVICE_MULTI_ACCOUNT": 2}},
    "IP_VELOCITY": {"counts": {"IP_VELOCITY": 4}},
    "DECLINES_BEFORE_SUCCESS": {"counts": {"DECLINES_BEFORE_SUCCESS": 3}, "paid": False},
    "ADDRESS_MULTI_ACCOUNT": {"counts": {"ADDRESS_MULTI_ACCOUNT": 3}},
    "AVS_FAIL": {"avs": "match"},
    "AVS_PARTIAL": {"avs": "match"},
    "CVV_FAIL": {"cvv": "match"},
    "BIN_COUNTRY": {"bin_country": "SG", "bill_country": "SG", "ship_country": "MY"},
    "BIN_PREPAID_HIGH": {"bin_prepaid": True, "segment": of_amount(279_99)},
    "IP_SHIP_COUNTRY": {"ip_country": "CN", "ship_country": "HK"},
    "PROXY_TOR": {"proxy": False},
    "HOSTING_ASN": {"hosting": False},
    "FORWARDER_ADDRESS": {"forwarder": True, "ship_country": "HK"},
    "FORWARDER_CONSOLIDATION": {"forwarder": True, "ship_country": "SG"},
    "DISPOSABLE_EMAIL": {"throwaway": ""},
    "NEW_ACCOUNT_HIGH": {"account_age_s": DAY_S, "segment": of_amount(180_00)},
    "TAKEOVER": {"delivered": 9, "profile_age_s": DAY_S, "new_device": True},
    "RESALE_SKU": {"resale_quantity": 2},
    "QTY_OUTLIER": {"quantity_known": True},
    "RUSH_FIRST": {"first_order": True, "express": True, "resale_quantity": 0},
    "COD_REFUSER": {"cash_on_delivery": True, "refused": 2, "delivered": 1},
    "COD_CAP": {"cash_on_delivery": True, "first_order": True, "currency": "TWD", "total_minor": 2_000_000},
    "PHONE_INVALID": {"phone": "ok"},
    "KNOWN_BAD": {"known_bad": False},
    "GOOD_HISTORY": {"delivered": 3, "disputed": 0, "history_age_s": 60 * DAY_S},
}
ALWAYS_KNOWN = {"THREE_DS_SHIFT", "COD_REFUSER", "COD_CAP"}
"""Silent without input instead of unknown: the fact is a plain yes or no."""


def answer(code: str, signals: Signals) -> Finding | NotEvaluated | None:
    return RULES[code](signals, shipped_table().rules[code], shipped_table())


def agent(of: World | None = None, **changes: Any) -> FraudDetection:
    ports = (of or world()).ports
    return FraudDetection(activity=ports.activity, crm=ports.crm, erp=ports.erp, **changes)


def judged(signals: Signals, edition: Edition | None = None) -> Verdict:
    return FraudJudge(edition or rules_edition()).judge(signals, at=NOW)


@pytest.mark.parametrize("code", RULES)
def test_rule_fires(code: str) -> None:
    """domain/F1: each rule fires at its limit and names value, threshold and evidence."""
    found = answer(code, replace(QUIET, **FIRES[code]))
    assert isinstance(found, Finding)
    assert found.value
    assert found.threshold
    assert found.evidence


@pytest.mark.parametrize("code", SILENT)
def test_rule_stays_silent(code: str) -> None:
    """domain/F1: each rule is silent one step below its limit."""
    assert answer(code, replace(QUIET, **SILENT[code])) is None


@pytest.mark.parametrize("code", sorted(set(RULES) - ALWAYS_KNOWN))
def test_rule_without_input_is_not_evaluated(code: str) -> None:
    """domain/F1: unsupported input is neither hit nor miss."""
    assert code in evaluate(QUIET, shipped_table()).not_evaluated


def test_cod_rules_need_history() -> None:
    """domain/F1: cash on delivery without a history cannot be judged."""
    for code in ("COD_REFUSER", "COD_CAP"):
        assert isinstance(answer(code, replace(QUIET, cash_on_delivery=True)), NotEvaluated)


@pytest.mark.parametrize(("seconds_ago", "hit"), [(3599, True), (3600, True), (3601, False)])
async def test_velocity_window_is_exact(seconds_ago: int, hit: bool) -> None:
    """domain/F1: the one-hour window is exact to the second."""
    around = world()
    subject = order(payment=Payment(method=PaymentMethod.CARD, state=PaymentState.PAID, card_fingerprint="fp"))
    for i, ago in enumerate((0, 10, seconds_ago)):
        at = subject.placed_at - timedelta(seconds=ago)
        await around.activity.record(tenant="demo", keys={"card": "fp"}, order_id=f"o{i}", account=f"a{i}", at=at)
    verdict = await agent(around).decide(case(subject))
    assert ("CARD_VELOCITY" in codes(verdict)) is hit


def codes(verdict: Verdict) -> set[str]:
    return {reason.code for reason in verdict.reasons}


async def test_distinct_accounts_not_orders_are_counted_per_device() -> None:
    """domain/F1: three orders of one account on a device are no multi-account device."""
    around = world()
    subject = order(device=Device(device_id="dev"))
    for i in range(3):
        await around.activity.record(tenant="demo", keys={"device": "dev"}, order_id=f"o{i}", account="same", at=NOW)
    assert "DEVICE_MULTI_ACCOUNT" not in codes(await agent(around).decide(case(subject)))
    for i in range(2):
        await around.activity.record(
            tenant="demo", keys={"device": "dev"}, order_id=f"p{i}", account=f"other{i}", at=NOW
        )
    assert "DEVICE_MULTI_ACCOUNT" in codes(await agent(around).decide(case(subject)))


async def test_ordinary_order_is_approved_with_confidence() -> None:
    """F10: nothing against an order means approve, and surely enough to act."""
    verdict = await agent().decide(case(order()))
    assert (verdict.decision, verdict.outcome) == ("approve", Outcome.PROCEED)
    assert verdict.confidence is not None
    assert verdict.confidence >= CONFIDENCE_TO_ACT
    assert verdict.facts["calibrated"] is True


async def test_signals_come_from_order_history_and_catalogue() -> None:
    """F10: an order that shows several signs is caught through the ports, not only through signals made by hand."""
    around = world(products=[product("GPU", high_resale=True)])
    around.crm.known["C-9"] = CustomerHistory(customer_id="C-9", orders_refused=6, orders_delivered=1)
    subject = order(
        [line("GPU", 3, 90_000)],
        customer=Customer(customer_id="C-9", email="x@mailinator.com", phone="12", orders_before=0, created_at=NOW),
        payment=Payment(method=PaymentMethod.COD, state=PaymentState.PENDING),
        ship_to=Address(name="HK12345678", line1="Unit 1 集運倉", city="Kwai Chung", country="HK"),
        shipping_option="SF Express",
    )
    found = codes(await agent(around).decide(case(subject)))
    assert {
        "DISPOSABLE_EMAIL", "NEW_ACCOUNT_HIGH", "RESALE_SKU", "COD_REFUSER", "PHONE_INVALID", "FORWARDER_CONSOLIDATION",
    } <= found  # fmt: skip


@pytest.mark.parametrize(
    ("phone", "country", "hit"),
    [
        ("+852 9123 4567", "HK", False),
        ("91234567", "HK", False),
        ("9123", "HK", True),
        ("0912-345-678", "TW", False),
        ("+886 912 345 678", "TW", False),
        ("+61 412 345 678", "TW", False),
        ("090****678", "VN", False),
        ("00000000", "HK", True),
        ("0901234567", "VN", False),
        ("5551234", "US", True),
        ("5551234", "ZW", False),
        ("+1 212 555 0100", "HK", False),
        ("+65 3123 4567", "SG", True),
        ("070 1234 5678", "TW", True),
    ],
)
async def test_phone_rule(phone: str, country: str, hit: bool) -> None:
    """domain/F1: C3 judges numbers of the ship country only; masked and foreign ones are not evaluated."""
    subject = order(country=country, customer=Customer(customer_id="C-1", phone=phone))
    assert ("PHONE_INVALID" in codes(await agent().decide(case(subject)))) is hit


def test_shared_places_are_not_counted() -> None:
    """domain/F1: pick-up points, masked addresses and carrier-grade networks are left out of the velocity rules."""
    table = shipped_table()
    ordinary = order(device=Device(ip="203.0.113.9"))
    assert set(telling_keys(ordinary, table)) == set(activity_keys(ordinary)) == {"ip", "address"}
    shop = Address(line1="7-ELEVEN 信義門市", city="台北市", country="TW")
    assert "address" not in telling_keys(order(ship_to=shop), table)
    masked = Address(line1="****", city="Hanoi", country="VN")
    assert "address" not in telling_keys(order(ship_to=masked), table)
    assert "ip" not in telling_keys(order(device=Device(ip="100.64.3.4")), table)
    assert "ip" not in telling_keys(order(device=Device(ip="not-an-ip")), table)
    guest = order(customer=Customer(email="A@x.com"))
    assert activity_account(guest) == "a@x.com"


async def test_an_unreadable_count_is_the_fallbacks_case() -> None:
    """F9: when a count cannot be read the agent does not guess; its fallback is the review queue."""
    around = world()
    around.activity = MemoryActivity(down=True)
    subject = order(device=Device(device_id="dev"))
    detector = build("fraud_detection", "fd-1.0", around.ports)
    with pytest.raises(ConnectorUnavailable):
        await detector.decide(case(subject))
    verdict = detector.fallback("manual_review_queue", case(subject), "timed out")
    assert (verdict.outcome, verdict.confidence) == (Outcome.REVIEW, None)
    with pytest.raises(ConfigError, match="manual_review_queue"):
        detector.fallback("approve_all", case(subject), "x")


async def test_no_personal_data_in_reasons() -> None:
    """F10: reasons name fields and counts, never the person."""
    subject = order(
        customer=Customer(customer_id="C-1", name="Chan Tai Man", email="secret.name@mailinator.com", phone="1"),
        channel=Channel.STOREFRONT,
    )
    verdict = await agent().decide(case(subject))
    text = verdict.to_json()
    assert "DISPOSABLE_EMAIL" in text
    for private in ("Chan", "secret.name", "Queen"):
        assert private not in text
