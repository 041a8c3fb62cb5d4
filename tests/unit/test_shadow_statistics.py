"""The statistics of the release gate, against figures worked out elsewhere."""

import pytest

from evals.shadow_statistics import holm, lower_share, mcnemar, power, quantile, regression_bound, upper_share


@pytest.mark.parametrize(
    ("worse", "better", "p"), [(10, 3, 0.046), (20, 8, 0.018), (8, 1, 0.020), (40, 25, 0.041), (12, 12, 0.58)]
)
def test_mcnemar_gives_the_published_figures(worse: int, better: int, p: float) -> None:
    """Domain 11.4: exact one-sided McNemar on discordant pairs."""
    assert mcnemar(worse, better) == pytest.approx(p, abs=0.0006 if p < 0.5 else 0.005)


@pytest.mark.parametrize(
    ("worse", "better", "found"), [(0.03, 0.01, 0.93), (0.04, 0.02, 0.81), (0.015, 0.005, 0.67), (0.02, 0.01, 0.52)]
)
def test_power_at_a_thousand_is_near_the_published_figures(worse: float, better: float, found: float) -> None:
    """Domain 11.4: what a sample of 1,000 can find."""
    assert power(1000, worse=worse, better=better) == pytest.approx(found, abs=0.011)


@pytest.mark.parametrize(("n", "loss"), [(59, 0.05), (100, 0.03), (300, 0.01)])
def test_no_miss_bounds_the_loss_of_recall(n: int, loss: float) -> None:
    """Domain 11.4: 0 misses in 59, 100, 300 bound the loss at 5, 3, 1 %."""
    assert upper_share(0, n) == pytest.approx(loss, abs=0.0006)


def test_bounds_enclose_the_share_and_meet_at_the_ends() -> None:
    assert lower_share(5, 100) < 0.05 < upper_share(5, 100)
    assert upper_share(100, 100) == 1.0
    assert lower_share(0, 100) == pytest.approx(0.0)
    assert upper_share(0, 0) == 1.0
    # One in ten thousand on either side: 0.05 is the tail that is left.
    assert upper_share(3, 50) == pytest.approx(0.1482, abs=0.0005)


def test_nothing_seen_in_a_few_cases_is_no_proof_of_no_regression() -> None:
    """Domain 11.4: 'no regression' only when the bound of (b - c) / n is below 1 %."""
    assert regression_bound(0, 0, 300) > 0.01
    assert regression_bound(0, 0, 1000) < 0.01
    assert regression_bound(0, 0, 0) == 1.0
    assert regression_bound(30, 5, 1000) > 0.01


def test_holm_is_monotone_and_multiplies_the_smallest_by_all() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.9})
    assert adjusted == pytest.approx({"a": 0.04, "c": 0.09, "b": 0.09, "d": 0.9})
    assert holm({}) == {}


def test_quantiles_are_values_that_occurred() -> None:
    assert quantile([3.0, 1.0, 2.0], 50) == 2.0
    assert quantile([1.0], 95) == 1.0
    assert quantile([], 95) == 0.0
