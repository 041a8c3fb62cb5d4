"""The figures earned autonomy rests on: bounds, allowed disagreements, drift and calibration error."""

from random import Random

import pytest

from domain.drift import cusum, rate_alarm, stability_index
from domain.proportions import (
    Z_95,
    Z_THREE_LOOKS,
    allowed_disagreements,
    error_upper,
    least_cases,
    safe_threshold,
    wilson_lower,
    wilson_upper,
)
from domain.reliability import bins_of, calibration_error, measured, noise_floor

LOOKS = (500, 750, 1000)


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311  # repeatable trials


def test_twelve_of_twelve_proves_little() -> None:
    """domain/A1: the one-sided 95 % bound of 12 of 12 is 0.816."""
    assert wilson_lower(12, 12, Z_95) == pytest.approx(0.816, abs=0.0005)
    assert wilson_lower(0, 0) == 0.0
    assert wilson_upper(0, 0) == 1.0
    assert wilson_upper(95, 100) > 0.95 > wilson_lower(95, 100)


@pytest.mark.parametrize(
    ("target", "row"),
    [
        (0.90, {100: 3, 200: 10, 500: 35, 750: 57, 1000: 79}),
        (0.95, {100: 0, 200: 3, 500: 14, 750: 24, 1000: 35}),
        (0.98, {100: None, 200: None, 500: 3, 750: 6, 1000: 10}),
    ],
)
def test_the_table_of_allowed_disagreements_follows_from_the_formula(target: float, row: dict[int, int | None]) -> None:
    """domain/A1: three looks at z = 2.128; with 15 of 500 wrong the agent stays where it is."""
    assert {n: allowed_disagreements(n, target) for n in row} == row


@pytest.mark.parametrize(("target", "row"), [(0.90, (5, 38, 84)), (0.95, (1, 16, 38)), (0.98, (None, 4, 12))])
def test_the_table_of_a_single_look(target: float, row: tuple[int | None, ...]) -> None:
    assert tuple(allowed_disagreements(n, target, Z_95) for n in (100, 500, 1000)) == row


@pytest.mark.parametrize("target", [0.9, 0.95, 0.98])
@pytest.mark.parametrize("z", [Z_95, Z_THREE_LOOKS])
def test_the_least_cases_are_the_first_that_can_pass(target: float, z: float) -> None:
    n = least_cases(target, z)
    assert wilson_lower(n, n, z) >= target > wilson_lower(n - 1, n - 1, z)


def promoted(random: Random, true_share: float, target: float = 0.95) -> bool:
    wrong = done = 0
    for look in LOOKS:
        wrong += sum(random.random() >= true_share for _ in range(look - done))
        done = look
        allowed = allowed_disagreements(look, target)
        if allowed is not None and wrong <= allowed:
            return True
    return False


def test_an_agent_at_the_target_is_hardly_ever_promoted() -> None:
    """domain/A2: 1,000 simulated agents at 0.95, three looks each: at most 5 % false promotions; 0.99 nearly always passes."""
    random = seeded(20261122)
    false = sum(promoted(random, 0.95) for _ in range(1000))
    assert 0 < false <= 50
    assert sum(promoted(random, 0.99) for _ in range(200)) >= 195


def test_no_error_bounds_the_error_only_by_the_cases() -> None:
    """With 0 errors, 5 % takes 59 cases, 2 % takes 149 and 1 % takes 299 (Clopper and Pearson)."""
    for share, cases in ((0.05, 59), (0.02, 149), (0.01, 299)):
        assert error_upper(0, cases) <= share < error_upper(0, cases - 1)
    assert error_upper(0, 0) == error_upper(5, 5) == 1.0
    # The textbook value for 3 of 50.
    assert error_upper(3, 50) == pytest.approx(0.1478, abs=0.001)


def test_the_safe_threshold_is_the_lowest_that_keeps_the_promise() -> None:
    judged = [(0.95, True)] * 300 + [(0.80, True)] * 80 + [(0.80, False)] * 20
    assert safe_threshold(judged, most_errors=0.05, candidates=(0.7, 0.8, 0.9)) == 0.9
    assert safe_threshold(judged, most_errors=0.10, candidates=(0.7, 0.8, 0.9)) == 0.7
    assert safe_threshold(judged[300:], most_errors=0.05, candidates=(0.7, 0.8, 0.9)) is None
    assert safe_threshold([], most_errors=0.05, candidates=(0.7,)) is None


def test_a_rise_in_overrides_alarms_and_chance_does_not() -> None:
    random = seeded(7)
    calm = [random.random() < 0.02 for _ in range(5000)]
    assert not rate_alarm(calm, before=0.02, batch=50)
    worse = calm[:500] + [random.random() < 0.08 for _ in range(500)]
    assert rate_alarm(worse, before=0.02, batch=50)
    assert not rate_alarm([True] * 49, before=0.02, batch=50), "half a batch says nothing"
    assert cusum([6.0], mean=0, sigma=1)
    assert not cusum([5.5], mean=0, sigma=1)


def test_the_stability_index_sees_a_shift_and_not_the_size() -> None:
    before = {"a": 500, "b": 300, "c": 200}
    assert stability_index(before, {"a": 50, "b": 30, "c": 20}) < 0.01
    assert stability_index(before, {"a": 200, "b": 300, "c": 500}) > 0.25
    assert stability_index(before, {"d": 500}) > 0.25
    assert stability_index({"a": 5}, {"a": 900}) == 0.0


@pytest.mark.parametrize(("cases", "p95"), [(200, 0.096), (500, 0.058), (1000, 0.042), (5000, 0.018)])
def test_the_noise_floor_of_a_perfect_agent(cases: int, p95: float) -> None:
    """The pass mark for the n at hand. The published figures name no spread of confidences: even ones come within 16 %."""
    random = seeded(3)
    floor = noise_floor([random.random() for _ in range(cases)], rounds=300 if cases < 5000 else 120)
    assert floor == pytest.approx(p95, rel=0.16)


def test_an_agent_that_says_too_much_is_found_out() -> None:
    random = seeded(5)
    said = [0.7 + 0.3 * random.random() for _ in range(1000)]
    honest = measured([(c, random.random() < c) for c in said])
    proud = measured([(c, random.random() < c - 0.15) for c in said])
    assert honest.holds
    assert honest.error == pytest.approx(sum(b.cases * abs(b.said - b.seen) for b in honest.bins) / 1000)
    assert not proud.holds
    assert proud.error > 0.10
    assert calibration_error([]) == 0.0
    assert sum(b.cases for b in bins_of([(0.9, True)] * 3)) == 3


def test_equal_confidences_make_no_error_by_themselves() -> None:
    """Bins that sorted ties by outcome would show 90 % said against 0 % seen."""
    random = seeded(11)
    judged = [(0.9, random.random() < 0.9) for _ in range(1000)]
    assert measured(judged).holds
