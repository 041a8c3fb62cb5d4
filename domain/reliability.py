"""Whether a stated confidence means what it says: bins of equal mass, the calibration error, and its noise floor.

Even a perfectly calibrated agent shows an error on few cases; the pass mark is what such an agent stays under 95 times
in 100 on as many cases with the same confidences.
"""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

from domain.values import Document

BINS = 10
MOST_CASES = 5_000
"""The newest cases measured; more would only make the measurement slow."""


class Bin(Document):
    """One row of a reliability table."""

    cases: int
    lowest: float
    highest: float
    said: float
    """Mean confidence."""
    seen: float
    """Share that was right."""


class Reliability(Document):
    """How well confidence holds over a set of cases."""

    cases: int
    error: float
    """Expected calibration error."""
    floor: float
    """The error a perfectly calibrated agent exceeds only 5 times in 100."""
    bins: tuple[Bin, ...]

    @property
    def holds(self) -> bool:
        """Whether the error is no more than chance explains."""
        return self.error <= self.floor


def bins_of(judged: Sequence[tuple[float, bool]], bins: int = BINS) -> list[Bin]:
    """The reliability table in bins of equal mass; fewer bins where there are fewer cases."""
    ranked, rows = _ranked(judged), []
    count = min(bins, len(ranked))
    for place in range(count):
        part = ranked[len(ranked) * place // count : len(ranked) * (place + 1) // count]
        said, seen = sum(c for c, _ in part) / len(part), sum(right for _, right in part) / len(part)
        rows.append(Bin(cases=len(part), lowest=part[0][0], highest=part[-1][0], said=said, seen=seen))
    return rows


def _ranked(judged: Sequence[tuple[float, bool]]) -> list[tuple[float, bool]]:
    """By confidence alone: ordering equal confidences by their outcome would fill bins with one kind of answer."""
    return sorted(judged, key=lambda one: one[0])


def calibration_error(judged: Sequence[tuple[float, bool]], bins: int = BINS) -> float:
    """Mean distance between what was said and what was seen, weighted by bin; 0 without cases."""
    ranked = _ranked(judged)
    bounds = [len(ranked) * place // bins for place in range(bins + 1)]
    gaps = [
        abs(sum(said for said, _ in ranked[low:high]) - sum(right for _, right in ranked[low:high]))
        for low, high in pairwise(bounds)
    ]
    return sum(gaps) / max(1, len(ranked))


def noise_floor(
    confidences: Sequence[float], *, seed: int = 1, rounds: int = 400, percent: int = 95, bins: int = BINS
) -> float:
    """The calibration error below which a perfectly calibrated agent of these confidences stays in so many of 100 trials."""
    random = Random(seed)  # noqa: S311  # repeatable trials, no secret
    ranked = sorted(confidences)
    bounds = [len(ranked) * place // bins for place in range(bins + 1)]
    parts = [ranked[low:high] for low, high in pairwise(bounds)]
    said = [sum(part) for part in parts]
    drawn = sorted(
        sum(abs(total - sum(random.random() < p for p in part)) for part, total in zip(parts, said, strict=True))
        for _ in range(rounds)
    )
    return drawn[min(rounds - 1, rounds * percent // 100)] / max(1, len(ranked))


def measured(judged: Sequence[tuple[float, bool]], *, seed: int = 1) -> Reliability:
    """The reliability of the newest cases, given oldest first."""
    newest = list(judged[-MOST_CASES:])
    return Reliability(
        cases=len(newest),
        error=calibration_error(newest),
        floor=noise_floor([said for said, _ in newest], seed=seed),
        bins=tuple(bins_of(newest)),
    )
