"""Forecasting methods for many SKUs at once; each gives the expected units of one future period.

Simple exponential smoothing with its factor fitted per SKU, Croston (1972), Syntetos and Boylan's correction (2005),
Teunter, Syntetos and Babai (2011), IMAPA (Petropoulos and Kourentzes 2015), moving averages, and their combination.
Unknown periods are skipped.
"""

import warnings
from collections.abc import Callable
from types import MappingProxyType

import numpy as np

from agents.demand_series import DemandMatrix, Matrix

FACTORS = np.linspace(0.05, 0.5, 10)
"""Smoothing factors tried; above one half a flat forecast follows the noise."""
INTERVAL_FACTOR = 0.1
PROBABILITY_FACTOR = 0.1
SIZE_FACTOR = 0.1
LEVELS = 12
"""Periods are added up into blocks of at most this many."""
RECENT = 8

Method = Callable[[Matrix], Matrix]


def naive(units: Matrix) -> Matrix:
    """The last known period again."""
    return _last(units)


def average(units: Matrix) -> Matrix:
    """The mean of all known periods."""
    return _mean(units)


def moving_average(units: Matrix) -> Matrix:
    """The mean of the last eight periods."""
    return _mean(units[:, -RECENT:], otherwise=_mean(units))


def ses(units: Matrix) -> Matrix:
    """Exponential smoothing; per SKU the factor with the least squared one-step error."""
    n, periods = units.shape
    level = np.repeat(_start(units)[:, None], len(FACTORS), axis=1)
    errors = np.zeros((n, len(FACTORS)))
    for t in range(periods):
        now = units[:, t : t + 1]
        gap = np.where(np.isnan(now), 0.0, now - level)
        errors += gap**2
        level += FACTORS * gap
    return np.asarray(level[np.arange(n), errors.argmin(axis=1)])


def croston(units: Matrix) -> Matrix:
    """Size of a demand over the interval between demands, both smoothed."""
    size, interval = _sizes_and_intervals(units)
    return np.where(interval > 0, size / np.maximum(interval, 1e-9), 0.0)


def sba(units: Matrix) -> Matrix:
    """Croston without its upward bias."""
    return (1 - INTERVAL_FACTOR / 2) * croston(units)


def tsb(units: Matrix) -> Matrix:
    """Size times probability of a demand; the probability falls while nothing sells."""
    periods = units.shape[1]
    known = ~np.isnan(units)
    sold = known & (np.nan_to_num(units) > 0)
    size = _mean(np.where(sold, units, np.nan))
    probability = sold.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    for t in range(periods):
        hit, seen = sold[:, t], known[:, t]
        size = np.where(hit, size + SIZE_FACTOR * (np.nan_to_num(units[:, t]) - size), size)
        probability = np.where(seen, probability + PROBABILITY_FACTOR * (hit - probability), probability)
    return np.asarray(size * probability)


def imapa(units: Matrix) -> Matrix:
    """The mean of smoothed forecasts over blocks of 1, 2, ... periods, up to the SKU's mean interval between demands."""
    sold = (np.nan_to_num(units) > 0).sum(axis=1)
    known = (~np.isnan(units)).sum(axis=1)
    levels = np.clip(np.rint(known / np.maximum(sold, 1)), 1, LEVELS).astype(int)
    total, count = np.zeros(len(units)), np.zeros(len(units))
    for level in range(1, int(levels.max(initial=1)) + 1):
        rows = np.flatnonzero(levels >= level)
        if units.shape[1] < 2 * level:
            break
        total[rows] += ses(_blocks(units[rows], level)) / level
        count[rows] += 1
    return np.where(count > 0, total / np.maximum(count, 1), 0.0)


def combination(units: Matrix) -> Matrix:
    """The mean of four methods that err differently."""
    return np.asarray((ses(units) + moving_average(units) + tsb(units) + imapa(units)) / 4)


METHODS: MappingProxyType[str, Method] = MappingProxyType(
    {"ses": ses, "imapa": imapa, "tsb": tsb, "moving_average": moving_average, "sba": sba, "combination": combination}
)
"""What a back-test may choose from."""
PEERS: MappingProxyType[str, Method] = MappingProxyType({"naive": naive, "average": average, "croston": croston})
"""What it is measured against."""


def forecast(history: DemandMatrix, method: str) -> Matrix:
    """Expected units of one future period per SKU, never negative."""
    return np.maximum((METHODS | PEERS)[method](history.units), 0.0)


def _mean(units: Matrix, *, otherwise: Matrix | None = None) -> Matrix:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a SKU with no known period has no mean
        mean = np.nanmean(units, axis=1) if units.shape[1] else np.full(len(units), np.nan)
    return np.where(np.isnan(mean), 0.0 if otherwise is None else otherwise, mean)


def _last(units: Matrix) -> Matrix:
    known = ~np.isnan(units)
    last = units.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
    return np.where(known.any(axis=1), np.nan_to_num(units[np.arange(len(units)), last]), 0.0)


def _start(units: Matrix) -> Matrix:
    """Where smoothing begins: the mean of the first eight known periods."""
    known = ~np.isnan(units)
    early = known & (known.cumsum(axis=1) <= RECENT)
    return _mean(np.where(early, units, np.nan))


def _blocks(units: Matrix, size: int) -> Matrix:
    """Sums over blocks of ``size`` periods, the oldest remainder left out; a partly known block is scaled up."""
    whole = units.shape[1] // size * size
    blocks = units[:, units.shape[1] - whole :].reshape(len(units), -1, size)
    known = (~np.isnan(blocks)).sum(axis=2)
    return np.where(known > 0, np.nansum(blocks, axis=2) * size / np.maximum(known, 1), np.nan)


def _sizes_and_intervals(units: Matrix) -> tuple[Matrix, Matrix]:
    n, periods = units.shape
    size, interval = np.zeros(n), np.zeros(n)
    since = np.ones(n)
    for t in range(periods):
        now = units[:, t]
        seen = ~np.isnan(now)
        hit = seen & (np.nan_to_num(now) > 0)
        first = hit & (interval == 0)
        step = np.where(first, 1.0, INTERVAL_FACTOR)
        size = np.where(hit, size + step * (np.nan_to_num(now) - size), size)
        interval = np.where(hit, interval + step * (since - interval), interval)
        since = np.where(hit, 1.0, since + seen)
    return size, interval
