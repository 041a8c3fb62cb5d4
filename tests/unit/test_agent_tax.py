"""The tax agent: golden values by country and date, exact sums, and the channel's figure beside ours."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import build
from agents.exchange import Exchange
from agents.tax import TaxAssessment
from agents.tax_rules import assess, parse_rules, shipped_rules
from domain.consignee import Consigned
from domain.decision import Decision, Outcome, Reason, Verdict
from domain.errors import ConfigError, ConnectorUnavailable
from domain.fx import Rate
from domain.money import CASH_EXPONENT, Money, exponent, total
from domain.order import Channel
from tests.support.agent_world import Address, MemoryCatalogue, case, decided, line, money, order, product, world

DAY = datetime(2026, 11, 11, 3, tzinfo=UTC)


def routed_from(*countries: str) -> dict[str, Decision]:
    verdict = Verdict(
        decision="route",
        outcome=Outcome.PROCEED,
        confidence=0.9,
        reasons=(Reason(code="R", text="r"),),
        facts={"origins": list(countries)},
    )
    return {"order_routing": decided("order_routing", verdict)}


async def taxed(
    country: str,
    currency: str,
    price: int,
    *,
    origin: str = "CN",
    now: datetime = DAY,
    sent: Consigned | None = None,
    hints: Any = None,
    **changes: Any,
) -> Verdict:
    around = world()
    around.consignees.sent_before = sent
    agent = build("tax", "tx-1.0", around.ports)
    lines = changes.pop("lines", None) or [line(price=price, currency=currency)]
    subject = order(lines, country, **changes)
    return await agent.decide(case(subject, decisions=routed_from(origin), now=now, hints=hints or {}))


@pytest.mark.parametrize(
    ("country", "currency", "price", "shipping", "origin", "day", "duty", "tax", "rule"),
    [
        ("MY", "MYR", 12_000, 1_000, "SG", "2026-11-11", 0, 1_200, "MY-LVG"),
        ("MY", "MYR", 50_001, 0, "SG", "2026-11-11", 0, 5_000, "MY-IMPORT"),
        ("MY", "MYR", 12_000, 1_000, "MY", "2026-11-11", 0, 0, "MY-RETAIL"),
        ("TW", "TWD", 199_000, 0, "CN", "2026-11-11", 0, 0, "TW-RELIEF"),
        ("TW", "TWD", 200_000, 0, "CN", "2026-11-11", 0, 0, "TW-RELIEF"),
        ("TW", "TWD", 300_000, 0, "CN", "2026-11-11", 15_000, 15_800, "TW-IMPORT"),
        ("TW", "TWD", 100_000, 0, "TW", "2026-11-11", 0, 5_000, "TW-BT"),
        ("TH", "THB", 100_000, 0, "CN", "2026-01-01", 10_000, 7_700, "TH-IMPORT-2026"),
        ("TH", "THB", 100_000, 0, "CN", "2025-12-31", 0, 7_000, "TH-LVG"),
        ("VN", "VND", 800_000, 0, "CN", "2026-12-31", 0, 64_000, "VN-EXPRESS-8"),
        ("VN", "VND", 800_000, 0, "CN", "2027-01-01", 0, 80_000, "VN-EXPRESS-10"),
        ("JP", "JPY", 9_000, 0, "CN", "2028-03-31", 0, 0, "JP-RELIEF"),
        ("JP", "JPY", 9_000, 0, "CN", "2028-04-01", 0, 900, "JP-LVG-2028"),
        ("SG", "SGD", 10_050, 500, "MY", "2026-11-11", 0, 950, "SG-OVR"),
        ("SG", "SGD", 40_000, 0, "MY", "2026-11-11", 0, 3_600, "SG-OVR"),
        ("SG", "SGD", 40_001, 0, "MY", "2026-11-11", 0, 3_600, "SG-IMPORT"),
        ("AU", "AUD", 19_995, 1_000, "CN", "2026-11-11", 0, 2_100, "AU-LVG"),
        ("HK", "HKD", 123_456, 1_000, "CN", "2026-11-11", 0, 0, "HK-NONE"),
    ],
)
async def test_golden_taxes(
    country: str, currency: str, price: int, shipping: int, origin: str, day: str, duty: int, tax: int, rule: str
) -> None:
    """F15, domain/X2: hand-computed taxes by destination, value, origin and day, rounded half up to cash units."""
    now = datetime.fromisoformat(f"{day}T03:00:00+00:00")
    verdict = await taxed(country, currency, price, origin=origin, now=now, shipping=money(shipping, currency))
    assert (verdict.facts["rule"], verdict.facts["duty_minor"], verdict.facts["tax_minor"]) == (rule, duty, tax)
    assert verdict.outcome is Outcome.PROCEED


async def test_the_seventh_taiwan_parcel_is_taxed() -> None:
    """domain/X2: relief is for six imports in a half year; the next one of 500 TWD pays."""
    sixth = await taxed("TW", "TWD", 50_000, sent=Consigned(imports=5))
    seventh = await taxed("TW", "TWD", 50_000, sent=Consigned(imports=6))
    assert (sixth.facts["rule"], sixth.facts["tax_minor"]) == ("TW-RELIEF", 0)
    assert (seventh.facts["rule"], seventh.facts["duty_minor"], seventh.facts["tax_minor"]) == (
        "TW-IMPORT",
        2_500,
        2_600,
    )


async def test_tax_included_in_the_price_is_taken_out_of_it() -> None:
    """F15: domestic GST inside the price: 109.00 SGD holds 9.00, and matches what the channel charged."""
    verdict = await taxed("SG", "SGD", 10_900, origin="SG", tax_included=True, tax=money(900, "SGD"))
    assert verdict.facts["tax_minor"] == 900
    assert verdict.decision == "tax_assessed"


async def test_the_order_discount_lowers_the_base() -> None:
    """F15: an order-level discount is allocated to lines by largest remainder before tax."""
    lines = [line("A", 1, 3333, "SGD"), line("B", 1, 6667, "SGD")]
    total_paid = money(9_000 + 810, "SGD")
    verdict = await taxed(
        "SG", "SGD", 0, origin="SG", lines=lines, discount=money(1_000, "SGD"), tax=money(810, "SGD"), total=total_paid
    )
    assert verdict.facts["tax_minor"] == 810


async def test_difference_to_the_channel_is_flagged_not_blocking() -> None:
    """F15: the order goes on, with the difference in figures."""
    verdict = await taxed("SG", "SGD", 10_000, origin="SG", tax=money(0, "SGD"))
    assert (verdict.decision, verdict.outcome) == ("tax_differs", Outcome.PROCEED)
    assert "tax_difference" in verdict.flags
    assert verdict.reasons[1].value == "900"
    close = await taxed("SG", "SGD", 10_000, origin="SG", tax=money(898, "SGD"))
    assert close.decision == "tax_assessed"


async def test_marketplace_tax_stands() -> None:
    """F15: where the channel is the merchant of record its figure is accepted."""
    verdict = await taxed("SG", "SGD", 10_000, channel=Channel.SHOPEE, tax=money(123, "SGD"))
    assert (verdict.decision, verdict.facts["tax_minor"]) == ("channel_tax", 123)


@pytest.mark.parametrize(
    ("country", "currency", "day", "code"),
    [
        ("BR", "USD", "2026-11-11", "UNKNOWN_COUNTRY"),
        ("", "USD", "2026-11-11", "UNKNOWN_COUNTRY"),
        ("MY", "IDR", "2026-11-11", "RATE_MISSING"),
        ("TH", "THB", "2020-01-01", "NO_RULE_IN_FORCE"),
    ],
)
async def test_what_no_row_covers_goes_to_a_person(country: str, currency: str, day: str, code: str) -> None:
    """F15: unknown country, a date no row covers, or a limit without a rate is a review, never a guess."""
    now = datetime.fromisoformat(f"{day}T03:00:00+00:00")
    verdict = await taxed(country, currency, 1_000, now=now, ship_to=Address(line1="1", country=country))
    assert (verdict.outcome, verdict.reasons[0].code) == (Outcome.REVIEW, code)


async def test_limit_is_judged_in_its_own_currency() -> None:
    """F15: a US-dollar order to Malaysia is low value up to 500 MYR at the day's rate."""
    low = await taxed("MY", "USD", 11_904)
    high = await taxed("MY", "USD", 11_905)
    assert (low.facts["rule"], high.facts["rule"]) == ("MY-LVG", "MY-IMPORT")


async def test_fallback_is_the_cached_table() -> None:
    """F15: the provider of rates is down; the dated table decides with the rates it has, else a person does."""
    around = world()
    agent = build("tax", "tx-1.0", around.ports)
    subject = case(order([line(price=11_000)], "MY"), decisions=routed_from("SG"), now=DAY)
    assert agent.fallback("cached_rule_table", subject, "down").outcome is Outcome.REVIEW
    await agent.decide(subject)
    around.erp.down = True
    later = case(subject.order, decisions=routed_from("SG"), now=DAY.replace(hour=9))
    with pytest.raises(ConnectorUnavailable):
        await agent.decide(later)
    verdict = agent.fallback("cached_rule_table", later, "down")
    assert verdict.facts["rule"] == "MY-LVG"
    assert verdict.facts["fallback"] == "cached_rule_table"
    assert verdict.confidence is not None
    assert verdict.confidence >= 0.7


async def test_the_fallback_says_how_old_its_table_is() -> None:
    """F15, domain/G1: effective date of the row, and a flag once nobody has checked the table for 24 hours."""
    agent = build("tax", "tx-1.0", world().ports)
    subject = order([line(price=300_000, currency="TWD")], "TW")
    verdict = agent.fallback("cached_rule_table", case(subject, decisions=routed_from("CN"), now=DAY), "down")
    assert (verdict.facts["effective_from"], verdict.facts["table_as_of"]) == ("2018-01-01", "2026-11-01")
    assert {"fallback", "table_over_24h", "duty_default"} <= set(verdict.flags)
    fresh = case(subject, decisions=routed_from("CN"), now=datetime(2026, 11, 2, 12, tzinfo=UTC))
    assert "table_over_24h" not in agent.fallback("cached_rule_table", fresh, "down").flags


async def test_duty_follows_the_tariff_code() -> None:
    """F15: a phone is free of duty, a shirt is not, and each line names its row."""
    lines = [line("PHONE", 1, 300_000, "TWD"), line("SHIRT", 1, 100_000, "TWD"), line("THING", 1, 100_000, "TWD")]
    goods = [product("PHONE", hs_code="8517.13"), product("SHIRT", hs_code="610910"), product("THING")]
    agent = build("tax", "tx-1.0", world(products=goods).ports)
    verdict = await agent.decide(case(order(lines, "TW"), decisions=routed_from("CN"), now=DAY))
    assert [(entry["duty_row"], entry["duty_minor"]) for entry in verdict.facts["lines"]] == [  # type: ignore[index, union-attr, call-overload]
        ("ITA-PHONES", 0), ("TW-KNITWEAR", 12_000), ("default", 5_000),
    ]  # fmt: skip
    assert verdict.facts["duty_minor"] == 17_000
    assert "duty_default" in verdict.flags


async def test_low_value_relief_is_from_duty_whatever_the_tariff_says() -> None:
    """F15: a shirt of 500,000 dong pays value-added tax and no duty."""
    agent = build("tax", "tx-1.0", world(products=[product(hs_code="610910")]).ports)
    subject = order([line(price=500_000, currency="VND")], "VN")
    verdict = await agent.decide(case(subject, decisions=routed_from("CN"), now=DAY))
    assert (verdict.facts["duty_minor"], verdict.facts["tax_minor"]) == (0, 40_000)


async def test_unknown_import_count_is_said_with_what_it_may_cost() -> None:
    """domain/X2: nobody counted: relief as for the first six, flagged, with duty and tax of a seventh in figures."""
    for address in (None, Address(name="C***n", line1="*** Rd", city="Taipei", country="TW")):
        known = None if address is None else Consigned(imports=0)
        changes: dict[str, Any] = {} if address is None else {"ship_to": address}
        verdict = await taxed("TW", "TWD", 50_000, sent=known, **changes)
        assert (verdict.facts["tax_minor"], verdict.flags) == (0, ("imports_unknown",))
        assert (verdict.facts["duty_at_risk_minor"], verdict.facts["tax_at_risk_minor"]) == (2_500, 2_600)
        assert verdict.confidence == 0.75
    counted = await taxed("TW", "TWD", 50_000, sent=Consigned(imports=0))
    assert (counted.flags, counted.confidence) == ((), 0.95)


async def test_the_count_is_asked_by_the_destinations_calendar() -> None:
    """domain/X2: half year and day begin at midnight in Taipei, not in Greenwich; another country's are not asked."""
    around = world()
    agent = build("tax", "tx-1.0", around.ports)
    now = datetime(2026, 12, 31, 16, 30, tzinfo=UTC)
    for country in ("TW", "HK"):
        subject = order([line(price=50_000, currency="TWD")], country)
        await agent.decide(case(subject, decisions=routed_from("CN"), now=now))
    (asked,) = around.consignees.asked
    assert asked["half_year"] == asked["day"] == datetime(2026, 12, 31, 16, tzinfo=UTC)
    assert asked["order_id"] == "shopify-1001"
    assert "Chan" not in str(asked["consignee"])


@pytest.mark.parametrize(
    ("country", "currency", "price", "today", "rule"),
    [
        ("TW", "TWD", 100_000, money(100_000, "TWD"), "TW-RELIEF"),
        ("TW", "TWD", 100_000, money(100_001, "TWD"), "TW-IMPORT"),
        ("TW", "TWD", 100_000, money(3_125, "USD"), "TW-RELIEF"),
        ("TW", "TWD", 100_000, money(3_126, "USD"), "TW-IMPORT"),
        ("JP", "JPY", 9_000, money(1_001, "JPY"), "JP-IMPORT"),
        ("VN", "VND", 800_000, money(300_000, "VND"), "VN-IMPORT-8"),
        ("AU", "AUD", 90_000, money(90_000, "AUD"), "AU-LVG"),
        ("SG", "SGD", 30_000, money(30_000, "SGD"), "SG-OVR"),
    ],
)
async def test_orders_of_one_day_to_one_consignee_are_one_import(
    country: str, currency: str, price: int, today: Money, rule: str
) -> None:
    """F15, domain 2.1: two orders instead of one win no relief at the border; what is charged at the sale stays so."""
    alone = await taxed(country, currency, price, sent=Consigned(imports=0))
    both = await taxed(country, currency, price, sent=Consigned(imports=1, today=(today,)))
    assert both.facts["rule"] == rule
    aggregated = rule != alone.facts["rule"]
    assert ("same_day_consignee" in both.flags) is aggregated
    assert ("SAME_DAY_CONSIGNEE" in {reason.code for reason in both.reasons}) is aggregated


async def test_what_was_sent_in_a_currency_without_rate_is_a_persons() -> None:
    """F15: a day's value that cannot be added up is never left out."""
    verdict = await taxed("TW", "TWD", 100_000, sent=Consigned(imports=1, today=(money(100, "CHF"),)))
    assert (verdict.outcome, verdict.reasons[0].code) == (Outcome.REVIEW, "RATE_MISSING")


async def test_splitting_an_order_is_never_rewarded() -> None:
    """F15: two lines of 1,500 TWD from two origins are one import of 3,000."""
    lines = [line("A", 1, 150_000, "TWD"), line("B", 1, 150_000, "TWD")]
    agent = build("tax", "tx-1.0", world().ports)
    verdict = await agent.decide(case(order(lines, "TW"), decisions=routed_from("CN", "SG"), now=DAY))
    assert verdict.facts["rule"] == "TW-IMPORT"


async def test_the_rate_behind_a_limit_is_recorded_with_its_freshness() -> None:
    """domain/X5: the decision names the rates; a late one is flagged; a stale one near the limit asks a person."""
    sure = await taxed("MY", "USD", 11_000)
    assert sure.facts["rate_ids"] == ["fixture:USDMYR:2026-11-11"]
    assert (sure.facts["fx"], Decimal(str(sure.facts["value_at_limit"]))) == ("fresh", Decimal(462))

    async def aged(days: int, price: int) -> Verdict:
        around = world()
        around.erp.day = date(2026, 11, 11 - days)
        agent = build("tax", "tx-1.0", around.ports)
        return await agent.decide(case(order([line(price=price)], "MY"), decisions=routed_from("SG"), now=DAY))

    assert "fx_late" in (await aged(2, 11_000)).flags
    assert "fx_stale" in (await aged(8, 11_000)).flags
    agent = TaxAssessment(exchange=Exchange(Wavering()))
    near = await agent.decide(case(order([line(price=11_904)], "MY"), decisions=routed_from("SG"), now=DAY))
    assert (near.outcome, near.reasons[0].code) == (Outcome.REVIEW, "RATE_STALE")
    far = await agent.decide(case(order([line(price=5_000)], "MY"), decisions=routed_from("SG"), now=DAY))
    assert far.facts["rule"] == "MY-LVG"


class Wavering(MemoryCatalogue):
    """A source whose newest rate is eight days old, with others a week before it."""

    async def rates(self, currencies: Sequence[str]) -> Sequence[Rate]:
        return [
            Rate(base="USD", quote="MYR", day=date(2026, 11, day), value=Decimal(value), source="old")
            for day, value in ((3, "4.20"), (2, "4.30"))
        ]


async def test_amounts_in_two_currencies_go_to_a_person() -> None:
    """F15: no sum of them means anything, so none is made."""
    mixed = [line("A", 1, 1_000, "SGD"), line("B", 1, 1_000, "HKD")]
    verdict = await taxed("SG", "SGD", 0, lines=mixed)
    assert verdict.reasons[0].code == "MIXED_CURRENCY"


@pytest.mark.parametrize(
    ("country", "law", "flags"),
    [("SG", "SG-PLATFORM", ("channel_collects",)), ("VN", "", ("channel_collects", "no_platform_rule"))],
)
async def test_the_law_behind_a_platforms_tax_is_named(country: str, law: str, flags: tuple[str, ...]) -> None:
    """F15: a marketplace's tax is accepted and recorded, with the law that makes it the supplier where there is one."""
    verdict = await taxed(country, "SGD", 10_000, channel=Channel.SHOPEE, tax=money(900, "SGD"))
    assert (verdict.facts["platform_rule"], verdict.flags) == (law, flags)
    assert verdict.outcome is Outcome.PROCEED


@pytest.mark.parametrize("locale", ["zh-Hant-TW", "vi", "en-SG", "ar"])
async def test_the_language_of_an_order_changes_no_figure(locale: str) -> None:
    """F50: tax follows the destination and the money, never the customer's language."""
    plain = await taxed("TW", "TWD", 300_000)
    assert await taxed("TW", "TWD", 300_000, locale=locale) == plain


CURRENCIES = ("SGD", "MYR", "TWD", "AUD", "VND", "JPY", "THB", "HKD")


@settings(max_examples=300, deadline=None)
@given(
    prices=st.lists(st.integers(0, 10**7), min_size=1, max_size=8),
    currency=st.sampled_from(CURRENCIES),
    rule=st.sampled_from(sorted(shipped_rules().rules)),
    included=st.booleans(),
)
def test_lines_add_up_to_the_total(prices: list[int], currency: str, rule: str, included: bool) -> None:
    """domain/X3: the sum over lines is the total to the minor unit, in units people can pay."""
    goods = [money(price, currency) for price in prices]
    owed = assess(shipped_rules().rules[rule], goods, money(500, currency), tax_included=included)
    assert owed.tax == total([*owed.taxes, owed.shipping_tax], currency)
    assert owed.duty == total(owed.duties, currency)
    unit = 10 ** (exponent(currency) - CASH_EXPONENT[currency])
    assert all(amount.amount_minor % unit == 0 for amount in (*owed.taxes, *owed.duties, owed.shipping_tax))


def test_a_rule_file_with_a_dangling_reference_is_refused() -> None:
    """F15: otherwise must name a row."""
    row = {
        "id": "A", "country": "TW", "origin": "import", "from": DAY.date(), "tax_bp": 0, "collector": "none",
        "shipping_in_base": True, "otherwise": "B",
    }  # fmt: skip
    with pytest.raises(ConfigError, match="does not exist"):
        parse_rules({"version": "x", "no_tax": [], "tolerance": {"percent_bp": 1, "units": 1}, "rules": [row]})


async def test_peak_mode_reads_the_rows_at_hand_and_says_how_old_they_are() -> None:
    """domain 10.1: the dated rows as cached; past 24 hours the decision is flagged."""
    old = shipped_rules().as_of
    day = datetime(old.year, old.month, old.day, 12, tzinfo=UTC)
    peak = {"mode": "degraded"}
    fresh = await taxed("MY", "MYR", 12_000, origin="MY", now=day, hints=peak)
    late = await taxed("MY", "MYR", 12_000, origin="MY", now=day + timedelta(days=2), hints=peak)
    usual = await taxed("MY", "MYR", 12_000, origin="MY", now=day + timedelta(days=2))
    assert fresh.facts["tax_minor"] == late.facts["tax_minor"] == usual.facts["tax_minor"]
    flagged = ["table_over_24h" in verdict.flags for verdict in (fresh, late, usual)]
    assert flagged == [False, True, False]
    assert late.facts["table_version"] == shipped_rules().version
