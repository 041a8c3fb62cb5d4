"""The formulas of stock: what may have been sold since a count, and what is kept back against uncertain demand. Pure."""

import math
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from statistics import NormalDist

LARGE_MEAN = 400.0
"""From here on a Poisson quantile is taken from the normal approximation with continuity correction (error below one
unit in a thousand)."""


@lru_cache(maxsize=4096)
def poisson_quantile(mean: float, level: float) -> int:
    """The least number of units that a Poisson count with this mean stays at or below with probability ``level``.

    Raises:
        ValueError: a negative mean, or a level outside 0..1.
    """
    if not (mean >= 0 and math.isfinite(mean)) or not 0 < level < 1:
        raise ValueError(f"a Poisson quantile needs a mean of at least 0 and a level in (0, 1), not {mean} and {level}")
    if mean > LARGE_MEAN:
        return max(0, math.ceil(mean + NormalDist().inv_cdf(level) * math.sqrt(mean) - 0.5))
    units, term = 0, math.exp(-mean)
    below = term
    while below < level and units < 2 * LARGE_MEAN:
        units += 1
        term *= mean / units
        below += term
    return units


def fast_mover_safety(
    *, service_level: float, daily_mean: float, daily_sd: float, lead_days: float, lead_sd_days: float
) -> int:
    """Safety stock of a regularly selling SKU in units, rounded up: ``z * sqrt(L * sd_d^2 + d^2 * sd_L^2)``.

    The classical reorder-point formula with uncertain demand and uncertain lead time. Never negative: a service level
    below one half keeps nothing back.

    Raises:
        ValueError: the service level is outside 0..1, or a spread or time is negative.
    """
    if min(daily_mean, daily_sd, lead_days, lead_sd_days) < 0:
        raise ValueError("demand, lead time and their spreads cannot be negative")
    if not 0 < service_level < 1:
        raise ValueError(f"a service level lies between 0 and 1, not at {service_level}")
    z = NormalDist().inv_cdf(service_level)
    return max(0, math.ceil(z * math.sqrt(lead_days * daily_sd**2 + daily_mean**2 * lead_sd_days**2) - 1e-9))


def lumpy_safety(demands: Sequence[int], *, service_level: float, draws: int = 200, seed: int = 0) -> int:
    """Safety stock of a SKU that sells in lumps: bootstrap quantile of its lead-time demand less the mean, in units.

    ``demands`` are the units sold over past lead times. The quantile is the mean over ``draws`` resamples, so that one
    extreme order does not decide alone; the same seed gives the same answer.

    Raises:
        ValueError: the service level is outside 0..1.
    """
    if not 0 < service_level < 1:
        raise ValueError(f"a service level lies between 0 and 1, not at {service_level}")
    if not demands:
        return 0
    random = Random(seed)  # noqa: S311 - a repeatable resample, no secret
    size = len(demands)
    place = min(size - 1, math.ceil(service_level * size) - 1)
    total = sum(sorted(random.choices(demands, k=size))[place] for _ in range(draws))
    return max(0, math.ceil(total / draws - sum(demands) / size - 1e-9))
