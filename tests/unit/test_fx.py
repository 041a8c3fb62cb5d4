"""Dated exchange rates: freshness, the 500 US dollar rule at its boundary, conversion, and money for payment gateways."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decision import Outcome, Reason, Verdict
from domain.errors import ConnectorUnavailable, MalformedAmount, MissingRate
from domain.fx import Freshness, Rate, RateTable, fresh_limit
from domain.money import GATEWAY_EXPONENT, STORAGE_EXPONENT, Money, from_gateway, to_gateway
from graph.gate import GateAction, judge
from graph.topology.conflict_policy import shipped_policy
from graph.topology.model import AgentNode
from tests.support.agent_world import FIXTURE_RATES, MemoryCatalogue, decided
from tools.fx import FirstSource, Rates

EXPOSURE_USD = shipped_policy().exposure_usd
WEDNESDAY = date(2026, 11, 11)
NOW = datetime(2026, 11, 11, 3, tzinfo=UTC)


def rate(quote: str, value: str, day: date = WEDNESDAY, **more: object) -> Rate:
    return Rate.model_validate(
        {"base": "USD", "quote": quote, "day": day, "value": Decimal(value), "source": "fixture"} | more
    )


FIXTURE = RateTable(rate(quote, value) for quote, value in FIXTURE_RATES.items())
BOUNDARY = {
    "USD": 50_000, "HKD": 390_000, "SGD": 65_000, "TWD": 1_600_000, "AUD": 75_000, "MYR": 210_000, "VND": 12_700_000,
}  # fmt: skip
"""500 US dollars in minor units at the fixture rates."""


@pytest.mark.parametrize("currency", BOUNDARY)
def test_the_500_dollar_rule_is_exact_to_the_minor_unit(currency: str) -> None:
    """domain/X1, F49: one minor unit below is below, the exact amount and one above are not."""
    exact = BOUNDARY[currency]
    judged = [
        FIXTURE.usd_equivalent(Money(amount_minor=exact + step, currency=currency), at=NOW).amount >= EXPOSURE_USD
        for step in (-1, 0, 1)
    ]
    assert judged == [False, True, True]


@pytest.mark.parametrize(
    ("amount", "currency", "high"),
    [("450", "USD", False), ("3900", "HKD", True), ("15000", "TWD", False)],
)
def test_named_amounts_fall_on_their_side(amount: str, currency: str, high: bool) -> None:
    """F49: 450 USD and 15,000 TWD are below the rule, 3,900 HKD is at it; the decision can name a dated rate."""
    worth = FIXTURE.usd_equivalent(Money.parse(amount, currency), at=NOW)
    assert (worth.amount >= EXPOSURE_USD) is high
    assert worth.rate_id == ("USD" if currency == "USD" else f"fixture:USD{currency}:2026-11-11")


@given(
    euro_dollars=st.decimals("0.9", "1.3", places=4),
    euro_units=st.decimals("0.5", "30000", places=4),
    steps=st.integers(-2, 2),
)
def test_the_rule_agrees_with_whole_numbers(euro_dollars: Decimal, euro_units: Decimal, steps: int) -> None:
    """domain/X1: with any cross rate through the euro the verdict is that of exact integer arithmetic."""
    table = RateTable([rate("HKD", str(euro_units / euro_dollars))])
    minor = int(500 * euro_units / euro_dollars * 100) + steps
    worth = table.usd_equivalent(Money(amount_minor=minor, currency="HKD"), at=NOW)
    assert (worth.amount >= 500) is (minor * int(euro_dollars * 10_000) >= 500 * 100 * int(euro_units * 10_000))


def test_an_inverse_rate_is_never_rounded() -> None:
    """domain/X1: 15,720 TWD at 31.44 is 500 dollars; a reciprocal kept in four digits would say 499.90."""
    table = RateTable([rate("TWD", "31.44")])
    limit = Money.parse(15_720, "TWD")
    assert table.usd_equivalent(limit, at=NOW).amount == 500
    assert limit.decimal * (1 / Decimal("31.44")).quantize(Decimal("0.0001")) < 500
    back = table.convert(Money.parse(500, "USD"), "TWD", at=NOW)
    assert Money.rounded(back.amount, "TWD") == limit


@given(minor=st.integers(0, 10**12), value=st.decimals("0.0001", "30000", places=4))
def test_there_and_back_again_loses_nothing(minor: int, value: Decimal) -> None:
    """domain/X1: converting to dollars unrounded and back gives the amount that was started from."""
    table = RateTable([rate("SGD", str(value)), rate("AUD", "1.5")])
    money = Money(amount_minor=minor, currency="SGD")
    dollars = table.usd_equivalent(money, at=NOW).amount
    assert Money.rounded(dollars * value, "SGD") == money
    aussie = table.convert(money, "AUD", at=NOW)
    assert abs(aussie.amount * value / Decimal("1.5") - money.decimal) < Decimal("1e-9")
    assert aussie.low == aussie.amount == aussie.high


@pytest.mark.parametrize(
    ("at", "freshness"),
    [
        ("2026-11-06T23:00", Freshness.FRESH),
        ("2026-11-08T12:00", Freshness.FRESH),
        ("2026-11-09T18:00", Freshness.FRESH),
        ("2026-11-09T18:01", Freshness.LATE),
        ("2026-11-11T23:59", Freshness.LATE),
        ("2026-11-12T00:00", Freshness.STALE),
    ],
)
def test_a_fridays_rate_serves_the_weekend_and_26_working_hours(at: str, freshness: Freshness) -> None:
    """domain/X5: published Friday 16:00 UTC: fresh until Monday 18:00, late after, stale beyond five days."""
    moment = datetime.fromisoformat(f"{at}:00+00:00")
    assert rate("HKD", "7.8", date(2026, 11, 6)).freshness(moment) is freshness


def test_closed_days_do_not_count_and_clock_changes_do_not_matter() -> None:
    """domain/X5: 26 hours are counted in the publisher's zone, without its holidays."""
    published = datetime(2026, 12, 24, 16, tzinfo=UTC)
    closed = frozenset({date(2026, 12, 25), date(2026, 12, 26)})
    assert fresh_limit(published, closed=closed) == datetime(2026, 12, 28, 18, tzinfo=UTC)
    assert fresh_limit(published) == datetime(2026, 12, 25, 18, tzinfo=UTC)


def test_a_stale_rate_errs_upwards() -> None:
    """domain/X5, conflict row 12: 495 nominal with a stale rate counts as above 500 (dearest of 30 days, plus 2 %)."""
    old = [rate("HKD", "7.90", date(2026, 11, 2)), rate("HKD", "7.80", date(2026, 10, 15))]
    worth = RateTable(old).usd_equivalent(Money.parse("3861", "HKD"), at=NOW)
    assert worth.stale
    assert worth.amount == Decimal(3861) * Decimal("1.02") / Decimal("7.80")
    assert worth.amount >= EXPOSURE_USD
    assert worth.rate_id == "fixture:USDHKD:2026-11-02"


def test_the_margin_is_exact_at_the_boundary() -> None:
    """domain/X5: 2,500 at 5.10 plus 2 % is 500 exactly; dividing first would land one digit below."""
    worth = RateTable([rate("MYR", "5.10", date(2026, 11, 2))]).usd_equivalent(Money.parse(2500, "MYR"), at=NOW)
    assert worth.amount == 500


def test_a_rate_of_tomorrow_is_not_used() -> None:
    """F49: rows dated after the decision's day do not exist yet; without another rate the answer is to ask."""
    ahead = rate("HKD", "1", WEDNESDAY + timedelta(days=1))
    table = RateTable([ahead, rate("HKD", "7.8")])
    assert table.usd_equivalent(Money.parse(3900, "HKD"), at=NOW).amount == 500
    with pytest.raises(MissingRate, match="no USD/HKD rate"):
        RateTable([ahead]).usd_equivalent(Money.parse(1, "HKD"), at=NOW)


@pytest.mark.parametrize("days", [31, 400])
def test_no_rate_within_thirty_days_asks(days: int) -> None:
    """domain/X5: beyond the look-back there is no rate, and none is guessed."""
    table = RateTable([rate("HKD", "7.8", WEDNESDAY - timedelta(days=days))])
    with pytest.raises(MissingRate):
        table.usd_equivalent(Money.parse(1, "HKD"), at=NOW)
    with pytest.raises(MissingRate):
        table.convert(Money.parse(1, "USD"), "HKD", at=NOW)


def test_a_stale_conversion_says_how_far_it_may_be_off() -> None:
    """domain/X5: where a limit is judged, the range of the last 30 days tells whether the rate decides it."""
    table = RateTable([rate("MYR", "4.20", date(2026, 11, 3)), rate("MYR", "4.40", date(2026, 10, 20))])
    worth = table.convert(Money.parse(119, "USD"), "MYR", at=NOW)
    assert (worth.low, worth.amount, worth.high) == (Decimal("499.80"), Decimal("499.80"), Decimal("523.60"))
    assert worth.freshness is Freshness.STALE
    assert worth.rate_ids == ("fixture:USDMYR:2026-11-03",)


async def test_rates_without_a_source_stop_and_ask() -> None:
    """domain/X5: VND has no open daily rate: the value is unknown, which the gate judges as high."""
    erp = MemoryCatalogue(quoted={"HKD": "7.80"})
    rates = Rates(erp, lambda: NOW)
    assert (await rates.usd_equivalent(Money.parse(3900, "HKD"))).amount == 500
    with pytest.raises(MissingRate, match="VND"):
        await rates.usd_equivalent(Money.parse(25_400, "VND"))
    node = AgentNode(
        name="fraud_detection", version="x", tier=1, timeout_ms=1, hard_kill_ms=2, fallback="f", writes=("order.release",),
    )  # fmt: skip
    other = node.model_copy(update={"name": "order_routing", "tier": 2})
    said = [
        Verdict(decision="d", outcome=outcome, confidence=0.95, reasons=(Reason(code="C", text="t"),))
        for outcome in (Outcome.HOLD, Outcome.PROCEED)
    ]
    decisions = {n.name: decided(n.name, verdict) for n, verdict in zip((node, other), said, strict=True)}
    judged = judge([node, other], decisions, exposure_usd=None)
    assert judged.action is GateAction.REVIEW
    assert "EXPOSURE" in {ground.code for ground in judged.grounds}


async def test_a_source_that_is_down_leaves_the_kept_rates() -> None:
    """domain/X5: the table judges its own age, so a kept one goes on and turns stale by itself."""
    erp, clock = MemoryCatalogue(), [NOW]
    rates = Rates(erp, lambda: clock[0])
    assert not (await rates.usd_equivalent(Money.parse(1, "HKD"))).stale
    erp.down = True
    clock[0] += timedelta(days=6)
    assert (await rates.usd_equivalent(Money.parse(1, "HKD"))).stale
    with pytest.raises(MissingRate, match="cannot be read"):
        await rates.usd_equivalent(Money.parse(1, "SGD"))


async def test_sources_are_asked_in_order_and_never_mixed() -> None:
    """F49: each currency comes from the first source that has it."""
    first, second = MemoryCatalogue(quoted={"HKD": "7.80"}), MemoryCatalogue(quoted={"HKD": "9", "TWD": "32"})
    found = await FirstSource(first, second).rates(["HKD", "TWD", "VND"])
    assert {r.quote: r.value for r in found} == {"HKD": Decimal("7.80"), "TWD": Decimal(32)}
    second.down = True
    assert len(await FirstSource(first, second).rates(["HKD"])) == 1
    with pytest.raises(ConnectorUnavailable):
        await FirstSource(first, second).rates(["TWD"])


@pytest.mark.parametrize(
    ("gateway", "units"), [("adyen", 150_000), ("stripe", 150_000), ("paypal", 1_500), ("ecpay", 1_500)]
)
def test_taiwan_dollars_through_gateways_of_two_and_no_digits(gateway: str, units: int) -> None:
    """domain/X4: 1,500 TWD are 150,000 units at gateways that follow ISO and 1,500 at those that do not."""
    money = Money.parse(1500, "TWD")
    assert to_gateway(money, gateway) == units
    assert from_gateway(units, "TWD", gateway) == money


def test_a_gateway_is_never_given_a_rounded_amount() -> None:
    """domain/X4: 15.50 TWD cannot be charged where only whole dollars are, and unknown gateways are not guessed at."""
    with pytest.raises(MalformedAmount, match="cannot take"):
        to_gateway(Money.parse("15.50", "TWD"), "paypal")
    with pytest.raises(MalformedAmount, match="not known"):
        to_gateway(Money.parse(1, "TWD"), "unheard-of")
    with pytest.raises(MalformedAmount, match="more digits"):
        from_gateway(1, "ISK", "adyen")
    assert to_gateway(Money.parse(100, "ISK"), "stripe") == 10_000


@given(
    minor=st.integers(0, 10**12),
    currency=st.sampled_from(sorted(STORAGE_EXPONENT)),
    gateway=st.sampled_from(sorted(GATEWAY_EXPONENT)),
)
def test_what_a_gateway_takes_comes_back_the_same(minor: int, currency: str, gateway: str) -> None:
    """domain/X4: exact both ways, or refused."""
    money = Money(amount_minor=minor, currency=currency)
    try:
        units = to_gateway(money, gateway)
    except MalformedAmount:
        return
    assert from_gateway(units, currency, gateway) == money
