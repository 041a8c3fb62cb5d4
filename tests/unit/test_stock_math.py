"""The formulas of stock against worked values and their definitions."""

import math
from itertools import pairwise
from statistics import NormalDist

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agents.stock_math import fast_mover_safety, lumpy_safety, poisson_quantile
from agents.stock_policy import POLICY_FILE, parse_policy, shipped_policy
from domain.errors import ConfigError

PEAK_PER_S = 15_000 * 0.02 / 3600


@pytest.mark.parametrize(("age_s", "units"), [(30, 5), (120, 15), (1800, 170)])
def test_the_worked_buffers(age_s: int, units: int) -> None:
    """I4: 15,000 orders an hour, a share of 2 %: 5 units at 30 s, 15 at 120 s, 170 at half an hour."""
    assert poisson_quantile(PEAK_PER_S * age_s, 0.95) == units


@given(mean=st.floats(0, 390), level=st.floats(0.5, 0.999))
def test_a_poisson_quantile_is_the_least_that_suffices(mean: float, level: float) -> None:
    """I4: by the definition, summed independently."""
    units = poisson_quantile(mean, level)

    def below(most: int) -> float:
        terms = (-mean + k * math.log(mean) - math.lgamma(k + 1) for k in range(most + 1)) if mean else [0.0]
        return math.fsum(map(math.exp, terms))

    assert below(units) >= level - 1e-9
    assert units == 0 or below(units - 1) < level + 1e-9


def test_a_poisson_quantile_grows_over_the_switch_to_the_approximation() -> None:
    """I4: the approximation joins the exact sum without a step."""
    found = [poisson_quantile(380 + step / 4, 0.95) for step in range(160)]
    assert all(0 <= after - before <= 1 for before, after in pairwise(found))


@pytest.mark.parametrize(("mean", "level"), [(-1.0, 0.95), (float("nan"), 0.95), (1.0, 0.0), (1.0, 1.0)])
def test_a_poisson_quantile_refuses_nonsense(mean: float, level: float) -> None:
    with pytest.raises(ValueError, match="Poisson"):
        poisson_quantile(mean, level)


def test_safety_stock_of_a_fast_mover() -> None:
    """P13: z * sqrt(L * sd_d^2 + d^2 * sd_L^2), rounded up; never negative."""
    given = {"daily_mean": 40.0, "daily_sd": 15.0, "lead_days": 7.0, "lead_sd_days": 2.0}
    expected = NormalDist().inv_cdf(0.95) * math.sqrt(7 * 15**2 + 40**2 * 2**2)
    assert fast_mover_safety(service_level=0.95, **given) == math.ceil(expected) == 147
    assert fast_mover_safety(service_level=0.3, **given) == 0
    assert fast_mover_safety(service_level=0.95, daily_mean=0, daily_sd=0, lead_days=9, lead_sd_days=0) == 0
    with pytest.raises(ValueError, match="negative"):
        fast_mover_safety(service_level=0.95, **given | {"daily_sd": -1.0})
    with pytest.raises(ValueError, match="service level"):
        fast_mover_safety(service_level=1.0, **given)


def test_safety_stock_of_a_lumpy_seller() -> None:
    """P13: the bootstrap quantile of lead-time demand above its mean; repeatable, and never negative."""
    demands = [0, 0, 0, 4, 0, 12, 0, 0, 1, 0]
    units = lumpy_safety(demands, service_level=0.95)
    assert units == lumpy_safety(demands, service_level=0.95)
    assert 4 <= units <= 12
    assert lumpy_safety(demands, service_level=0.5) == 0
    assert lumpy_safety([3] * 8, service_level=0.99) == 0
    assert lumpy_safety([], service_level=0.95) == 0
    with pytest.raises(ValueError, match="service level"):
        lumpy_safety(demands, service_level=0.0)


@pytest.mark.parametrize(
    "change",
    [
        {"ages": {"normal_s": 120, "open_s": 30, "ahead_s": 5}},
        {"waits_days": {"shopee": 3}},
        {"floors": [{"channel": "ebay", "sku_class": "fast", "units": 1}]},
        {"floors": [{"channel": "shopee", "sku_class": "odd", "units": 1}]},
        {"buffer": {"quantile": "much"}},
    ],
)
def test_a_policy_that_does_not_fit_is_refused(change: dict[str, object]) -> None:
    """P13: at the start, with what to mend."""
    raw = yaml.safe_load(POLICY_FILE.read_text(encoding="utf-8"))
    assert parse_policy(raw) == shipped_policy()
    with pytest.raises(ConfigError, match="stock policy"):
        parse_policy(raw | change)
