"""Signs that things are no longer as they were: a cumulative sum over rates, and how far a distribution has moved.

Sources: Page (1954) for the cumulative sum, the usual population stability index of credit scoring.
"""

import math
from collections.abc import Iterable, Mapping, Sequence


def cusum(values: Iterable[float], *, mean: float, sigma: float, slack: float = 0.5, limit: float = 5.0) -> bool:
    """Whether the upward cumulative sum of standardised values ever passes ``limit``; ``slack`` is in sigmas."""
    total = 0.0
    for value in values:
        total = max(0.0, total + (value - mean) / sigma - slack)
        if total > limit:
            return True
    return False


def rate_alarm(wrong: Sequence[bool], *, before: float, batch: int, slack: float = 0.5, limit: float = 5.0) -> bool:
    """Whether the share of wrong answers, batch after batch, has risen above the share ``before``.

    Single answers are no fit: with one error in fifty expected, one error alone would be six sigmas. An unfinished
    batch waits.
    """
    rates = [sum(wrong[at : at + batch]) / batch for at in range(0, len(wrong) - batch + 1, batch)]
    return cusum(rates, mean=before, sigma=math.sqrt(before * (1 - before) / batch), slack=slack, limit=limit)


def stability_index(before: Mapping[str, int], now: Mapping[str, int]) -> float:
    """The population stability index of two histograms; half a case is added to every bin, so that empty ones count.

    The index of two equal distributions is about ``(bins - 1) * (1/n + 1/m)``; below 200 cases it means nothing.
    """
    bins = before.keys() | now.keys()
    if len(bins) < 2:
        return 0.0
    old, new = sum(before.values()) + len(bins) / 2, sum(now.values()) + len(bins) / 2
    moved = 0.0
    for name in bins:
        was, is_now = (before.get(name, 0) + 0.5) / old, (now.get(name, 0) + 0.5) / new
        moved += (is_now - was) * math.log(is_now / was)
    return moved
