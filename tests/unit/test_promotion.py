"""Earned autonomy as rules: when the record is looked at, what passes, how it ramps, and what ends it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from domain.autonomy import POLICY, Band, Level, Segment, Standing, band_of, is_blind, roll
from domain.decision import Outcome
from domain.promotion import Case, Change, Signs, advance, demoted, lost_because, tally

START = datetime(2026, 11, 1, tzinfo=UTC)
PLAIN = Signs()


def segment(**changes: object) -> Segment:
    given: dict[str, object] = {
        "tenant": "demo", "agent": "fraud_detection", "version": "fd-1.0", "action": "approve",
        "outcome": Outcome.PROCEED, "market": "HK", "band": Band.LOW,
    }  # fmt: skip
    return Segment.model_validate(given | changes)


def beginning(**changes: object) -> Standing:
    return Standing(segment=segment(**changes), since=START, stepped_at=START)


def answers(count: int, wrong: int = 0, *, days: float = 1.0, after: datetime = START, **changes: object) -> list[Case]:
    """So many answers spread evenly over the days, the wrong ones among them as well."""
    step = timedelta(days=days) / max(1, count)
    made = []
    for n in range(count):
        bad = (n + 1) * wrong // max(1, count) > n * wrong // max(1, count)
        case = Case(decided_at=after + n * step, agreed=not bad, blind=n % 10 == 0, channel="storefront",
                    confidence=0.97)  # fmt: skip
        made.append(replace(case, **changes))  # type: ignore[arg-type]
    return made


def looked(
    cases: Sequence[Case], *, on_day: float, standing: Standing | None = None, signs: Signs = PLAIN
) -> Change | None:
    return advance(standing or beginning(), cases, START + timedelta(days=on_day), signs)


def test_before_the_first_look_the_agent_only_suggests() -> None:
    """F30: at decision 499 on day 13 nothing changes, however good the record is."""
    assert looked(answers(499, days=12), on_day=13) is None


def test_twelve_of_twelve_in_two_weeks_is_not_enough() -> None:
    """domain/A1: the first look comes on day 14 and finds too little proven."""
    change = looked(answers(12, days=13), on_day=14)
    assert change is not None
    assert change.kind == "looked"
    assert change.standing.level is Level.SUGGESTION
    assert "12 answers cannot prove 95%" in change.standing.why


@pytest.mark.parametrize(("wrong", "kind"), [(14, "promoted"), (15, "looked")])
def test_fourteen_of_five_hundred_pass_and_fifteen_do_not(wrong: int, kind: str) -> None:
    """domain/A1, F30: at the gate with too low an accuracy the agent stays."""
    change = looked(answers(500, wrong), on_day=5)
    assert change is not None
    assert change.kind == kind
    assert change.standing.level is (Level.TENTH if kind == "promoted" else Level.SUGGESTION)
    assert change.standing.looks == 1


def test_three_looks_and_no_more() -> None:
    """A second look takes 250 more answers, and after the third the record stays as it is."""
    standing, seen, given = beginning(), [], answers(1600, 80)
    for count in range(490, 1600):
        change = looked(given[:count], on_day=5, standing=standing)
        if change is not None:
            standing = change.standing
            seen.append(count)
    assert seen == [500, 750, 1000]
    assert standing.level is Level.SUGGESTION


def test_a_bad_market_does_not_hide_in_a_good_average() -> None:
    """domain/A4: 97 % over all; Viet Nam at 80 % stays in suggestion while Hong Kong is promoted."""
    bad = looked(answers(500, 100), on_day=5, standing=beginning(market="VN"))
    good = looked(answers(500, 5), on_day=5)
    assert bad is not None and good is not None  # noqa: PT018
    assert (bad.standing.level, good.standing.level) == (Level.SUGGESTION, Level.TENTH)


def test_a_bad_channel_does_not_hide_in_a_good_segment() -> None:
    cases = answers(440, 4) + answers(60, 8, channel="shopee")
    change = looked(cases, on_day=5)
    assert change is not None
    assert change.kind == "looked"
    assert "channel shopee" in change.standing.why


def test_what_people_approve_only_when_they_see_the_machine_does_not_count() -> None:
    """Blind answers are a slice of their own: 60 of them with 10 disagreements stop a promotion."""
    cases = answers(440, 2, blind=False) + answers(60, 10, blind=True)
    change = looked(cases, on_day=5)
    assert change is not None
    assert "blind answers" in change.standing.why


def test_a_severe_error_stops_a_promotion() -> None:
    cases = answers(499) + answers(1, severe=True)
    change = looked(cases, on_day=5)
    assert change is not None
    assert change.kind == "looked"
    assert "severe" in change.standing.why


def test_answers_below_the_confidence_to_act_do_not_count() -> None:
    """Autonomy is about decisions that would have acted; unsure ones neither help nor harm."""
    assert looked(answers(400) + answers(200, eligible=False), on_day=5) is None
    assert tally(answers(400, 4) + answers(200, 100, eligible=False)).wrong == 4


def test_rejecting_needs_more_and_asking_is_never_promoted() -> None:
    rejecting = beginning(action="reject", outcome=Outcome.REJECT)
    assert looked(answers(500, 3), on_day=5, standing=rejecting).kind == "promoted"  # type: ignore[union-attr]
    assert looked(answers(500, 4), on_day=5, standing=rejecting).kind == "looked"  # type: ignore[union-attr]
    holding = beginning(action="hold", outcome=Outcome.HOLD)
    assert looked(answers(900), on_day=15, standing=holding) is None


def test_a_measured_confidence_must_be_right_to_be_promoted() -> None:
    """A calibrated agent that says 0.80 where people agree in 99 % has a calibration that does not hold."""
    cases = answers(500, 5, confidence=0.80)
    calibrated = Signs(calibrated_at=START)
    assert looked(cases, on_day=5, signs=calibrated).kind == "looked"  # type: ignore[union-attr]
    assert looked(answers(500, 5, confidence=0.99), on_day=5, signs=calibrated).kind == "promoted"  # type: ignore[union-attr]


def test_the_ramp_goes_up_by_steps() -> None:
    """10, 50, 100 %: a step takes 100 further answers at the target."""
    promoted = looked(answers(500, 5), on_day=5)
    assert promoted is not None
    standing, levels, cases, day = promoted.standing, [], answers(500, 5), 5
    for _ in range(4):
        assert looked(cases + answers(99, after=standing.stepped_at), on_day=day, standing=standing) is None
        cases += answers(100, after=standing.stepped_at)
        day += 1
        change = looked(cases, on_day=day, standing=standing)
        if change is None:
            break
        standing = change.standing
        levels.append(standing.level)
    assert levels == [Level.HALF, Level.FULL]
    assert [level.share for level in Level] == [0, 1000, 5000, 10000]


def full(cases: Sequence[Case] = ()) -> Standing:
    return beginning().model_copy(update={"level": Level.FULL, "stepped_at": START, "baseline": 0.02, "promoted": True})


@pytest.mark.parametrize(
    ("cases", "signs", "why"),
    [
        (answers(100, 12), PLAIN, "last 100 answers"),
        (answers(1000) + answers(300, 24, after=START + timedelta(days=2)), PLAIN, "overrides have risen"),
        (answers(250, confidence=0.75), PLAIN, "calibration error"),
        ([], Signs(asked=500, silent=11), "got no answer in time"),
        ([], Signs(calibrated_at=START - timedelta(days=29)), "older than"),
        (answers(1, severe=True), PLAIN, "severe"),
    ],
)  # fmt: skip
def test_each_trigger_ends_it_at_once(cases: list[Case], signs: Signs, why: str) -> None:
    """F30: a later drop demotes; the record begins anew."""
    change = looked(cases, on_day=5, standing=full(), signs=signs)
    assert change is not None
    assert change.kind == "demoted"
    assert why in change.standing.why
    assert (change.standing.level, change.standing.looks) == (Level.SUGGESTION, 0)
    assert change.standing.since == START + timedelta(days=5)


@pytest.mark.parametrize(
    ("cases", "signs"),
    [
        (answers(100, 4), PLAIN),
        (answers(1000, 20), PLAIN),
        (answers(199, confidence=0.75), PLAIN),
        ([], Signs(asked=500, silent=10)),
        ([], Signs(asked=10, silent=10)),
        ([], Signs(calibrated_at=START - timedelta(days=20))),
    ],
)
def test_what_is_no_trigger_changes_nothing(cases: list[Case], signs: Signs) -> None:
    assert lost_because(full(), cases, START + timedelta(days=5), signs) == ""


def test_other_orders_than_those_it_was_promoted_on_demote() -> None:
    standing = full().model_copy(update={"features": {"amount": {"3": 300, "4": 200}}})
    same = Signs(features={"amount": {"3": 130, "4": 90}})
    moved = Signs(features={"amount": {"3": 40, "4": 180}})
    assert lost_because(standing, [], START, same) == ""
    assert "amount is distributed otherwise" in lost_because(standing, [], START, moved)


def test_a_version_that_passed_the_shadow_gate_takes_the_fast_track() -> None:
    """100 decisions and one look with 1 disagreement allowed; where the target is 98 % as many as can prove it."""
    fast = Signs(fast_track=True)
    assert looked(answers(99), on_day=20, signs=fast) is None
    assert looked(answers(100, 1), on_day=1, signs=fast).kind == "promoted"  # type: ignore[union-attr]
    assert looked(answers(100, 2), on_day=1, signs=fast).kind == "looked"  # type: ignore[union-attr]
    rejecting = beginning(action="reject", outcome=Outcome.REJECT)
    assert looked(answers(132), on_day=1, standing=rejecting, signs=fast) is None
    assert looked(answers(133), on_day=1, standing=rejecting, signs=fast).kind == "promoted"  # type: ignore[union-attr]


def test_a_demotion_begins_the_record_anew() -> None:
    standing = demoted(full(), "by hand", START + timedelta(days=9), by="person:mei").standing
    assert standing.since == START + timedelta(days=9)
    assert standing.by == "person:mei"
    assert standing.promoted, "that the version once acted here is remembered"


def test_bands_and_rolls_follow_from_what_is_known() -> None:
    assert [band_of(usd) for usd in (Decimal("49.99"), Decimal(50), Decimal("499.99"), Decimal(500), None)] == [
        Band.LOW, Band.MIDDLE, Band.MIDDLE, Band.HIGH, Band.HIGH,
    ]  # fmt: skip
    assert roll("ramp", "demo", "o-1") == roll("ramp", "demo", "o-1") != roll("sample", "demo", "o-1")
    shares = [roll("ramp", "demo", f"o-{n}") for n in range(4000)]
    assert 340 < sum(one < 1000 for one in shares) < 460
    blind = sum(is_blind("demo", f"rv0-{n}") for n in range(4000))
    assert 340 < blind < 460
    assert POLICY.target_of("approve", Outcome.PROCEED) == 0.95
    assert POLICY.target_of("notify", Outcome.PROCEED) == 0.90
    assert POLICY.target_of("refuse", Outcome.REJECT) == POLICY.target_of("refund", Outcome.PROCEED) == 0.98
