"""Support's rules: return eligibility, contact reasons in four languages, worth, next action, what is masked."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from agents.support_next import Situation, next_action, refund_options
from agents.support_reason import classify
from agents.support_returns import eligible_lines, read_table, shipped_table
from agents.support_shown import masked
from agents.support_worth import ltv_bucket
from domain.errors import ConfigError
from domain.order import Channel, OrderProgress, OrderState
from domain.support import LtvBucket, ShipmentStatus, ShipmentView, SupportAction
from domain.support_identity import order_key, phone_key, same_phone
from domain.support_outcome import Contact, outcomes
from domain.support_reason import parse_reason
from domain.support_sources import HistoryPayment
from tests.support.customers import HOME, PLACED, hkd, order

DELIVERED = datetime(2026, 11, 1, 15, 30, tzinfo=UTC)
"""23:30 on the 1st in Taipei, Singapore, Manila and Kuala Lumpur."""
_LOCAL = {"TW", "SG", "MY", "PH", "HK"}

CASES: list[tuple[str, str, bool, str, str, int, str]] = []
for days, rule in ((0, "TW-CPA-19"), (6, "TW-CPA-19"), (7, "TW-CPA-19"), (8, "")):
    CASES += [
        (channel, "TW", mall, "", "change_of_mind", days, rule)
        for channel, mall in (("shopee", False), ("amazon", False), ("rakuten", False))
    ]
for days, rule in ((7, "LAZADA-7"), (8, ""), (30, ""), (31, "")):
    CASES += [("lazada", country, False, "", "change_of_mind", days, rule) for country in ("SG", "MY")]
for days, rule in ((7, "LAZADA-MALL-30"), (8, "LAZADA-MALL-30"), (30, "LAZADA-MALL-30"), (31, "")):
    CASES += [("lazada", country, True, "", "damaged", days, rule) for country in ("SG", "PH")]
for days, rule in ((15, "SHOPEE-SG-15"), (16, "")):
    CASES += [("shopee", "SG", mall, "", "wrong", days, rule) for mall in (False, True)]
for mall, days, rule in ((True, 15, "SHOPEE-MY-MALL-15"), (True, 16, ""), (False, 1, "")):
    CASES.append(("shopee", "MY", mall, "", "change_of_mind", days, rule))
for mall, days, rule in ((True, 15, "SHOPEE-PH-MALL-15"), (True, 16, ""), (False, 7, "SHOPEE-PH-7"), (False, 8, "")):
    CASES.append(("shopee", "PH", mall, "", "missing", days, rule))
for category in ("perishable", "customised", "newspaper", "opened_media", "digital", "hygiene_opened"):
    CASES.append(("amazon", "TW", False, category, "change_of_mind", 2, ""))
for days, rule in ((7, "TW-CPA-19"), (8, "SHOP-MIND-30"), (30, "SHOP-MIND-30"), (31, "")):
    CASES.append(("shopify", "TW", False, "", "change_of_mind", days, rule))
for reason, days, rule in (
    ("damaged", 60, "SHOP-FAULTY-60"),
    ("damaged", 61, ""),
    ("wrong", 45, "SHOP-FAULTY-60"),
    ("missing", 60, "SHOP-FAULTY-60"),
    ("missing", 61, ""),
):
    CASES.append(("storefront", "HK", False, "", reason, days, rule))
CASES += [
    ("shopify", "HK", False, "", "change_of_mind", 30, "SHOP-MIND-30"),
    ("shopify", "HK", False, "", "change_of_mind", 31, ""),
    ("shopify", "HK", False, "hygiene_opened", "change_of_mind", 1, ""),
    ("shopify", "HK", False, "hygiene_opened", "damaged", 1, "SHOP-FAULTY-60"),
    ("b2b", "HK", False, "", "change_of_mind", 1, ""),
    ("b2b", "HK", False, "", "wrong", 60, "SHOP-FAULTY-60"),
    ("lazada", "TW", False, "", "change_of_mind", 8, ""),
    ("lazada", "TW", True, "", "change_of_mind", 8, "LAZADA-MALL-30"),
    ("lazada", "TW", True, "digital", "change_of_mind", 5, "LAZADA-MALL-30"),
    ("shopee", "MY", False, "", "damaged", 1, ""),
]  # fmt: skip


def test_there_are_at_least_sixty_cases() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize(("channel", "country", "mall", "category", "reason", "days", "rule"), CASES)
def test_returns(channel: str, country: str, mall: bool, category: str, reason: str, days: int, rule: str) -> None:
    """domain/S4: law first, then platform, then shop; the last day belongs to it, the day after does not."""
    line = order().lines[0].model_copy(update={"category": category})
    sold = order(
        channel=Channel(channel), mall=mall, state=OrderState.DELIVERED, delivered_at=DELIVERED, lines=(line,),
        ship_to=HOME.model_copy(update={"country": country}),
    )  # fmt: skip
    # the last minute of the local day: these countries are eight hours ahead
    last_minute = datetime(2026, 11, 1, 15, 59, tzinfo=UTC) + timedelta(days=days)
    (view,) = eligible_lines(sold, reason=reason, now=last_minute)
    assert (view.eligible, view.rule_id if view.eligible else "") == (bool(rule), rule), view.why
    (tomorrow,) = eligible_lines(sold, reason=reason, now=last_minute + timedelta(minutes=2))
    if rule and view.until is not None and days == (view.until - DELIVERED.date()).days:
        assert tomorrow.rule_id != rule or not tomorrow.eligible


def test_law_asks_for_no_evidence_and_an_unknown_day_is_said() -> None:
    sold = order(state=OrderState.DELIVERED, delivered_at=DELIVERED, ship_to=HOME.model_copy(update={"country": "TW"}))
    (view,) = eligible_lines(sold, reason="damaged", now=DELIVERED)
    assert (view.basis, view.evidence, view.who_pays) == ("law", (), "shop")
    (unknown,) = eligible_lines(sold.model_copy(update={"delivered_at": None}), reason="", now=DELIVERED)
    assert unknown.eligible is None
    (early,) = eligible_lines(order(), reason="", now=DELIVERED)
    assert early.eligible is False


def test_a_wrong_table_is_refused_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("version: x\nwithdrawal_exceptions: []\nevidence: {}\nrules: [{rule_id: A, basis: whim}]\n")
    with pytest.raises(ConfigError, match=r"rules\.0"):
        read_table(file)
    assert shipped_table().version


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("Where is my order?", "wismo"),
        ("My parcel is two weeks late", "wismo/late"),
        ("It says delivered but I never got it", "wismo/delivered_not_received"),
        ("訂單還沒到，太慢了", "wismo/late"),
        ("物流一直没更新", "wismo/no_scan"),
        ("包裹卡在海關", "wismo/customs"),
        ("Giao hàng thất bại hôm nay", "wismo/failed_attempt"),
        ("đơn hàng của tôi ở đâu", "wismo"),
        ("Please cancel it", "change/cancel"),
        ("我想取消訂單", "change/cancel"),
        ("Tôi muốn hủy đơn", "change/cancel"),
        ("I need to change my address", "change/address"),
        ("地址填錯了", "change/address"),
        ("cho mình đổi địa chỉ", "change/address"),
        ("收到的東西破損", "return/damaged"),
        ("寄错了，想退货", "return/wrong"),
        ("giao thiếu một món", "return/missing"),
        ("I want to return this", "return"),
        ("退款什麼時候到帳", "refund_status"),
        ("hoàn tiền chưa", "refund_status"),
        ("請補開統一編號發票", "payment/invoice"),
        ("可以貨到付款嗎", "payment/cod"),
        ("保固多久", "warranty"),
        ("bảo hành mấy tháng", "warranty"),
        ("Delete my account", "account/privacy"),
        ("This is unacceptable", "complaint/complaint"),
        ("還有現貨嗎？有貨嗎", "presales"),
    ],
)
def test_contact_reasons(words: str, name: str) -> None:
    """F39: two levels, in four languages, by rules."""
    found = classify(words)
    assert found.name == name
    assert found.by == "contact-rules-1"


def test_words_that_say_nothing_are_a_guess_and_hostile_ones_are_bounded() -> None:
    assert classify("zzz").confidence < 0.5
    assert classify("").confidence < 0.5
    assert classify("a" * 200_000 + " cancel").confidence < 0.5
    both = classify("I want to return the lamp, and where is my order?")
    assert (both.topic.value, both.confidence < 0.7) == ("return", True)


def situation(reason: str, **changes: object) -> Situation:
    given: dict[str, object] = {
        "reason": parse_reason(reason), "order": order(), "progress": None, "holds": (), "shipments": (), "returns": (),
        "missing": (),
    }  # fmt: skip
    return Situation(**given | changes)  # type: ignore[arg-type]


def test_the_next_action_follows_from_the_facts() -> None:
    """domain/S2: advice that rests on a silent carrier is never surer than 0.69."""
    lost = (ShipmentView(tracking_number="T", status=ShipmentStatus.EXCEPTION, sub_reason="lost"),)
    assert next_action(situation("wismo", shipments=lost)).action is SupportAction.RESHIP
    coming = (ShipmentView(tracking_number="T", status=ShipmentStatus.IN_TRANSIT, days_late=0),)
    assert next_action(situation("wismo", shipments=coming)).action is SupportAction.WAIT
    unsure = next_action(situation("wismo", shipments=coming, missing=("carrier",)))
    assert unsure.confidence == 0.69
    paid = order(state=OrderState.PAID)
    assert next_action(situation("change/cancel", order=paid)).action is SupportAction.CANCEL
    released = situation("change/cancel", order=paid, progress=OrderProgress.FULFILLED)
    assert next_action(released).action is SupportAction.RETURN
    assert next_action(situation("wismo", order=None)).action is SupportAction.ASK


def test_refunds_are_what_was_paid_and_not_given_back() -> None:
    back = HistoryPayment(kind="refund", amount=hkd(2_000), method_id="card_1")
    (option,) = refund_options(order(payments=(*order().payments, back)), ())
    assert (option.amount, option.condition) == (hkd(40_000), "goods returned")
    whole = HistoryPayment(kind="refund", amount=hkd(42_000), method_id="card_1")
    assert refund_options(order(payments=(*order().payments, whole)), ()) == ()


def test_worth_is_a_bucket_and_needs_a_rate() -> None:
    done = order(state=OrderState.DELIVERED, costs=hkd(20_000))
    rate = lambda money, _day: money.decimal / Decimal("7.8")  # noqa: E731
    assert ltv_bucket([done], rate) == (LtvBucket.LOW, 1.0)
    assert ltv_bucket([done.model_copy(update={"costs": None})], rate) == (LtvBucket.LOW, 0.6)
    assert ltv_bucket([done], lambda _money, _day: None) == (None, 0.0)
    assert ltv_bucket([order()], rate)[0] is LtvBucket.NEW
    dear = done.model_copy(update={"costs": hkd(90_000)})
    assert ltv_bucket([dear], rate)[0] is LtvBucket.NEGATIVE


def test_notes_lose_what_names_a_person() -> None:
    """domain/S3, reliability/S05."""
    note = masked("card 4111 1111 1111 1111, mail a.b@c.example, call +852 5123 4567 or 0912-345-678, order W2378156")
    assert note == "card [number], mail [e-mail], call [phone] or [phone], order W2378156"


def test_order_and_phone_keys() -> None:
    assert (
        len({order_key(one) for one in ("#1001", "Order no. 1001", "shopify-1001", "訂單編號 1001", "１００１")}) == 1
    )
    assert order_key("123-1234567-1234567") == "12312345671234567"
    assert same_phone(phone_key("+886 912 345 678"), phone_key("0912-345-678"))
    assert not same_phone(phone_key("+886 912 345 678"), phone_key("0912 345 679"))
    assert phone_key("119") == ""


def test_first_contact_resolution() -> None:
    """F40, domain/S5: no second contact on order and reason within seven days, no escalation; young ones wait."""
    now = PLACED + timedelta(days=60)

    def contact(name: str, days: int, **changes: object) -> Contact:
        given = {"contact_id": name, "order_id": name[0], "reason": "wismo", "opened_at": PLACED + timedelta(days=days)}
        return Contact.model_validate(given | changes)

    rows = outcomes(
        [contact("a1", 0), contact("a2", 7), contact("b1", 0), contact("b2", 8), contact("c1", 0, escalated=True),
         contact("d1", 58), contact("e1", 0, context_id="x"), contact("f1", 0, reason="return", context_id="x")],
        now=now,
    )  # fmt: skip
    found = {(row.reason, row.with_context): (row.resolved, row.contacts) for row in rows}
    assert found == {
        ("all", False): (3, 5), ("all", True): (2, 2), ("return", True): (1, 1), ("wismo", False): (3, 5),
        ("wismo", True): (1, 1),
    }  # fmt: skip
    (row,) = [row for row in rows if (row.reason, row.with_context) == ("wismo", False)]
    assert row.low is not None
    assert row.high is not None
    assert 0 <= row.low <= 0.6 <= row.high <= 1
