"""Demand forecasts of a whole assortment: the method each class earned in the back-test, a prior for new SKUs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.demand_backtest import FALLBACK, Backtest, backtest, unsteady
from agents.demand_methods import METHODS, forecast
from agents.demand_series import DemandMatrix, Matrix, classify
from domain.forecast import DemandForecast, SeriesClass

VERSION = "df-1.0"
UNPROVEN = 0.69
"""A forecast nothing was measured of never acts alone."""
PRIOR_PERIODS = 4
"""A new SKU's own periods weigh against this many of its category."""
SLOW = "sba"
"""Forgets slowly: right for steady spare parts, wrong for what grows."""


@dataclass(frozen=True, kw_only=True)
class Forecasts:
    """What was expected, and how it was chosen."""

    by_sku: Mapping[str, DemandForecast]
    backtest: Backtest


def forecast_demand(
    history: DemandMatrix,
    *,
    horizon: int,
    categories: Mapping[str, str] | None = None,
    prices: Matrix | None = None,
) -> Forecasts:
    """Forecast every SKU of a history; ``horizon`` is the number of periods an order must cover.

    ``categories`` lend a new SKU its peers' demand; ``prices`` weigh the back-test by money.
    """
    measured = backtest(history, horizon=horizon, weights=prices)
    classes = classify(history)
    by_method = {name: forecast(history, name) for name in METHODS}
    shaky = unsteady(history)
    spread = _deviation(history)
    priors = _priors(history, classes, by_method[FALLBACK], categories or {})
    found = {}
    for i, sku in enumerate(history.skus):
        if classes[i] is SeriesClass.NEW:
            found[sku] = _new(sku, history.units[i], priors.get((categories or {}).get(sku, ""), priors[""]))
            continue
        method = _method(measured, classes[i], shaky=bool(shaky[i]))
        found[sku] = _known(sku, classes[i], method, float(by_method[method][i]), float(spread[i]), measured)
    return Forecasts(by_sku=found, backtest=measured)


def _method(measured: Backtest, kind: SeriesClass, *, shaky: bool) -> str:
    chosen = measured.chosen[kind]
    if chosen != SLOW or not shaky:
        return chosen
    others = {name: miss for name, miss in measured.missed.get(kind, {}).items() if name != SLOW}
    return min(others, key=lambda name: (others[name], name)) if others else FALLBACK


def _known(
    sku: str, kind: SeriesClass, method: str, per_period: float, deviation: float, measured: Backtest
) -> DemandForecast:
    error = measured.missed.get(kind, {}).get(method)
    reasons = [f"sells {kind.value}: {method.replace('_', ' ')}"]
    if error is None:
        reasons.append(f"too little history for a back-test over {measured.horizon} periods")
    else:
        reasons.append(f"missed {error:.0%} of demand over {measured.horizon} periods in the back-test of its class")
    confidence = UNPROVEN if error is None else max(0.0, min(0.95, 1 - error / 2))
    return DemandForecast(
        sku=sku,
        series_class=kind,
        method=method,
        per_period=per_period,
        deviation=deviation,
        error=error,
        confidence=confidence,
        reasons=tuple(reasons),
    )


def _new(sku: str, units: Matrix, prior: tuple[float, float]) -> DemandForecast:
    known = units[~np.isnan(units)]
    mean, deviation = prior
    per_period = (mean * PRIOR_PERIODS + float(known.sum())) / (PRIOR_PERIODS + len(known))
    return DemandForecast(
        sku=sku,
        series_class=SeriesClass.NEW,
        method="prior",
        per_period=per_period,
        deviation=deviation,
        error=None,
        confidence=min(UNPROVEN, 0.3 + 0.1 * len(known)),
        reasons=(f"sold in fewer than two periods: {PRIOR_PERIODS} periods of its category's mean and its own",),
    )


def _priors(
    history: DemandMatrix, classes: list[SeriesClass], expected: Matrix, categories: Mapping[str, str]
) -> dict[str, tuple[float, float]]:
    """Median demand and its spread over the SKUs of a category; under no name those of all."""
    groups: dict[str, list[float]] = {"": []}
    for sku, kind, rate in zip(history.skus, classes, expected, strict=True):
        if kind is not SeriesClass.NEW:
            groups[""].append(float(rate))
            groups.setdefault(categories.get(sku, ""), []).append(float(rate))
    return {name: _typical(rates) for name, rates in groups.items()}


def _typical(rates: list[float]) -> tuple[float, float]:
    if not rates:
        return 0.0, 0.0
    mean = float(np.median(rates))
    return mean, max(mean, float(np.std(rates)))


def _deviation(history: DemandMatrix) -> Matrix:
    known = (~np.isnan(history.units)).sum(axis=1)
    mean = np.nansum(history.units, axis=1) / np.maximum(known, 1)
    squares = np.nansum((history.units - mean[:, None]) ** 2, axis=1)
    return np.asarray(np.sqrt(squares / np.maximum(known - 1, 1)))
