"""Which method to trust: each is run on the past from several origins and judged on what it would have missed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.demand_methods import METHODS, forecast
from agents.demand_series import DemandMatrix, Matrix, classify
from domain.forecast import SeriesClass

ORIGINS = 3
FALLBACK = "imapa"
LEARN_FROM = 16
"""Periods of history an origin needs before it."""
STABLE = (0.8, 1.25)
"""Recent over all demand: outside of this the Syntetos-Boylan method, which forgets slowly, is not used."""
RARE = frozenset({SeriesClass.INTERMITTENT, SeriesClass.LUMPY})
"""Classes the Syntetos-Boylan correction is meant for; elsewhere it only lowers the forecast by a fixed share."""
FEW = 12
"""A class with fewer SKUs borrows the choice of all SKUs together."""


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """What a back-test found."""

    horizon: int
    """Periods each forecast had to cover."""
    origins: tuple[int, ...]
    missed: Mapping[SeriesClass, Mapping[str, float]]
    """Per class and method: sum of absolute misses over the horizon, as a share of what was sold."""
    chosen: Mapping[SeriesClass, str]

    def error(self, series_class: SeriesClass) -> float | None:
        """The chosen method's share missed for a class, where it was measured."""
        return self.missed.get(series_class, {}).get(self.chosen.get(series_class, FALLBACK))


def backtest(
    history: DemandMatrix, *, horizon: int, weights: Matrix | None = None, methods: Sequence[str] = tuple(METHODS)
) -> Backtest:
    """Run every method from several origins and choose one per class; ``weights`` are money per unit of each SKU.

    With too little history for an origin nothing is measured and the fallback is chosen.
    """
    origins = tuple(
        origin
        for origin in (history.periods - horizon - step * max(1, horizon // 2) for step in range(ORIGINS))
        if origin >= LEARN_FROM
    )
    value = np.ones(len(history.skus)) if weights is None else weights
    tally: dict[SeriesClass, dict[str, list[float]]] = {}
    for origin in origins:
        past, actual = history.until(origin), _actual(history, origin, horizon)
        classes = np.array(classify(past))
        usable = ~np.isnan(actual)
        for method in methods:
            missed = np.abs(forecast(past, method) * horizon - actual) * value
            for kind in SeriesClass:
                rows = usable & (classes == kind)
                entry = tally.setdefault(kind, {}).setdefault(method, [0.0, 0.0, 0.0])
                entry[0] += float(missed[rows].sum())
                entry[1] += float((actual * value)[rows].sum())
                entry[2] += int(rows.sum())
    shares = _shares(tally)
    overall = _shares({SeriesClass.NEW: _together(tally)}).get(SeriesClass.NEW, {})
    chosen = {kind: _choose(kind, shares.get(kind, {}), overall, _count(tally, kind)) for kind in SeriesClass}
    return Backtest(horizon=horizon, origins=origins, missed=shares, chosen=chosen)


def unsteady(history: DemandMatrix) -> NDArray[np.bool_]:
    """Which SKUs sell clearly more or less lately than they used to."""
    recent, always = forecast(history, "moving_average"), forecast(history, "average")
    ratio = recent / np.maximum(always, 1e-9)
    return np.asarray((ratio < STABLE[0]) | (ratio > STABLE[1]))


def rmsse(history: DemandMatrix, origin: int, expected: Matrix, horizon: int) -> Matrix:
    """Root mean squared scaled error per SKU; not a number where the past never changed."""
    past, future = history.units[:, :origin], history.units[:, origin : origin + horizon]
    scale = np.nanmean(np.diff(past, axis=1) ** 2, axis=1)
    error = np.nanmean((future - expected[:, None]) ** 2, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(scale > 0, np.sqrt(error / scale), np.nan)


def _actual(history: DemandMatrix, origin: int, horizon: int) -> Matrix:
    """What was sold over the horizon; unknown where too much of it is masked to tell."""
    window = history.units[:, origin : origin + horizon]
    known = (~np.isnan(window)).sum(axis=1)
    return np.where(known * 2 >= horizon, np.nansum(window, axis=1) * horizon / np.maximum(known, 1), np.nan)


def _shares(tally: Mapping[SeriesClass, Mapping[str, Sequence[float]]]) -> dict[SeriesClass, dict[str, float]]:
    return {
        kind: {method: missed / sold for method, (missed, sold, _) in by_method.items() if sold > 0}
        for kind, by_method in tally.items()
        if any(sold > 0 for _, sold, _ in by_method.values())
    }


def _together(tally: Mapping[SeriesClass, Mapping[str, Sequence[float]]]) -> dict[str, list[float]]:
    total: dict[str, list[float]] = {}
    for by_method in tally.values():
        for method, entry in by_method.items():
            total[method] = [a + b for a, b in zip(total.get(method, [0.0, 0.0, 0.0]), entry, strict=True)]
    return total


def _count(tally: Mapping[SeriesClass, Mapping[str, Sequence[float]]], kind: SeriesClass) -> float:
    return max((entry[2] for entry in tally.get(kind, {}).values()), default=0.0)


def _choose(kind: SeriesClass, own: Mapping[str, float], overall: Mapping[str, float], count: float) -> str:
    measured = own if count >= FEW and own else overall
    if kind not in RARE:
        measured = {method: miss for method, miss in measured.items() if method != "sba"}
    return min(measured, key=lambda method: (measured[method], method)) if measured else FALLBACK
