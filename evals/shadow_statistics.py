"""Exact statistics of a paired comparison: does the new version do worse than the old one on the same cases."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from math import comb, exp, lgamma, log

ALPHA = 0.05


def tail(at_least: int, n: int) -> float:
    """P(X >= at_least) for X ~ Binomial(n, 1/2), exactly."""
    if at_least <= 0:
        return 1.0
    ways: int = sum(comb(n, k) for k in range(at_least, n + 1))
    return float(ways / 2**n)


def mcnemar(worse: int, better: int) -> float:
    """One-sided exact McNemar: how likely at least so many discordant pairs are worse when neither version is."""
    return tail(worse, worse + better)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down adjustment: each p-value as if it were the only one looked at."""
    ranked = sorted(p_values.items(), key=lambda item: (item[1], item[0]))
    adjusted, so_far = {}, 0.0
    for place, (name, p) in enumerate(ranked):
        so_far = max(so_far, min(1.0, p * (len(ranked) - place)))
        adjusted[name] = so_far
    return adjusted


def upper_share(hits: int, n: int, *, confidence: float = 0.95) -> float:
    """The one-sided Clopper-Pearson upper bound of a share."""
    if n == 0 or hits >= n:
        return 1.0
    if hits == 0:
        return float(1 - pow(1 - confidence, 1 / n))
    return _bisect(lambda p: _cdf(hits, n, p) - (1 - confidence))


def lower_share(hits: int, n: int, *, confidence: float = 0.95) -> float:
    """The one-sided Clopper-Pearson lower bound of a share."""
    return 0.0 if n == 0 else 1 - upper_share(n - hits, n, confidence=confidence)


def regression_bound(worse: int, better: int, n: int) -> float:
    """A 95 % upper bound of (worse - better) / n: both shares at 97.5 %, so that together they err once in twenty."""
    if n == 0:
        return 1.0
    return upper_share(worse, n, confidence=0.975) - lower_share(better, n, confidence=0.975)


def power(n: int, *, worse: float, better: float, alpha: float = ALPHA) -> float:
    """How likely the one-sided exact McNemar test finds a version that is ``worse`` and ``better`` on these shares."""
    discordant = worse + better
    found = 0.0
    for pairs in range(1, n + 1):
        weight = _pmf(pairs, n, discordant)
        if weight < 1e-12:
            continue
        least = _critical(pairs, alpha)
        if least <= pairs:
            found += weight * (1 - _cdf(least - 1, pairs, worse / discordant))
    return found


def quantile(values: Sequence[float], percent: int) -> float:
    """The nearest-rank quantile; 0 of nothing."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * percent // 100) - 1)]


@cache
def _critical(pairs: int, alpha: float) -> int:
    """The least number of worse pairs that is significant; one more than there are when none is."""
    return next((worse for worse in range(pairs // 2, pairs + 1) if tail(worse, pairs) < alpha), pairs + 1)


def _pmf(k: int, n: int, p: float) -> float:
    if p in {0.0, 1.0}:
        return 1.0 if k == n * p else 0.0
    return exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) + (n - k) * log(1 - p))


def _cdf(k: int, n: int, p: float) -> float:
    return min(1.0, sum(_pmf(i, n, p) for i in range(k + 1)))


def _bisect(falling: Callable[[float], float]) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return high
