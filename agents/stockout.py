"""When stock runs out: many futures drawn from the recent past, with campaigns, promised units and late deliveries.

A future repeats past periods, recent ones more often (weighted bootstrap): it keeps the lumps that an average loses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from hashlib import sha256

import numpy as np

from agents.demand_series import Matrix
from domain.forecast import StockoutEstimate

PATHS = 400
HALF_LIFE = 8.0
"""Periods after which a past period counts half."""
PEAK_HALF_LIFE = 4.0
PERIOD_DAYS = 7
NOTABLE = 0.1
"""A change of the demand rate by this share is worth mentioning."""


@dataclass(frozen=True, kw_only=True)
class Inbound:
    """Units on their way."""

    units: int
    due: date
    on_time: float = 1.0
    """Chance that they come on the day or before."""
    late_days: float = 7.0
    """Mean delay of a late one."""
    reference: str = ""


@dataclass(frozen=True, kw_only=True)
class StockPosition:
    """What is there of one SKU, what is promised, and what is coming."""

    sku: str
    on_hand: int
    promised: int = 0
    """Units already sold and not yet shipped."""
    inbound: tuple[Inbound, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """The circumstances of an estimate, shared by many SKUs."""

    today: date
    """Day the first future period begins."""
    earliest_arrival: date
    """When an order placed today could be there at the earliest."""
    periods: int = 26
    paths: int = PATHS
    half_life: float = HALF_LIFE
    seed: int = 1


def estimate_stockout(
    position: StockPosition,
    units: Matrix,
    outlook: Outlook,
    *,
    future: Sequence[tuple[float, str]] | None = None,
    past: Sequence[float] | None = None,
) -> StockoutEstimate:
    """Estimate when a SKU runs out.

    ``units`` are past periods, newest last, not a number where unknown. ``future`` gives a multiplier and the
    campaign's name for each coming period, ``past`` the multipliers that lay on the past ones.
    """
    rng = np.random.default_rng(int.from_bytes(sha256(f"{outlook.seed}:{position.sku}".encode()).digest()[:8], "big"))
    lifts = np.array([lift for lift, _ in future] if future else [1.0] * outlook.periods)[: outlook.periods]
    draws = _draws(units / np.asarray(past) if past is not None else units, outlook, rng)
    lateness = _arrivals(position.inbound, outlook, rng)
    demand = draws * lifts
    days = _runs_out(position, demand, lateness)
    arrival = max(0.0, (outlook.earliest_arrival - outlook.today).days / PERIOD_DAYS)
    return StockoutEstimate(
        sku=position.sku,
        p10=_day(days, 0.10, outlook),
        p50=_day(days, 0.50, outlook),
        p90=_day(days, 0.90, outlook),
        horizon_end=outlook.today + timedelta(days=outlook.periods * PERIOD_DAYS),
        probability_before_arrival=float((days < arrival).mean()),
        earliest_arrival=outlook.earliest_arrival,
        expected_short=_short(position, demand, lateness, arrival),
        drivers=_drivers(position, units, draws, lifts, lateness, days, future or ()),
    )


def _draws(units: Matrix, outlook: Outlook, rng: np.random.Generator) -> Matrix:
    """Demand per path and period, drawn from the known past."""
    known = np.flatnonzero(~np.isnan(units))
    shape = (outlook.paths, outlook.periods)
    if not len(known):
        return np.zeros(shape)
    weights = np.cumsum(0.5 ** ((len(units) - 1 - known) / outlook.half_life))
    picks = np.searchsorted(weights / weights[-1], rng.random(shape), side="right")
    return np.asarray(units[known][np.minimum(picks, len(known) - 1)])


def _arrivals(inbound: Sequence[Inbound], outlook: Outlook, rng: np.random.Generator) -> list[tuple[int, Matrix]]:
    """For each delivery its units and, per path, when it comes, in periods from now; in order of due date."""
    found = []
    for one in sorted(inbound, key=lambda each: each.due):
        due = max(0, (one.due - outlook.today).days)
        late = rng.random(outlook.paths) >= one.on_time
        delay = np.where(late, rng.exponential(one.late_days, outlook.paths), 0.0)
        found.append((one.units, (due + delay) / PERIOD_DAYS))
    return found


def _runs_out(position: StockPosition, demand: Matrix, arrivals: Sequence[tuple[int, Matrix]]) -> Matrix:
    """Per path when the stock is gone, in periods from now; infinite when it lasts."""
    paths = len(demand)
    total = np.concatenate([np.zeros((paths, 1)), demand.cumsum(axis=1)], axis=1)
    supply = np.full(paths, float(position.on_hand - position.promised))
    gone = _crossing(total, supply)
    pending = np.array([when for _, when in arrivals]).T if arrivals else np.empty((paths, 0))
    quantity = np.array([units for units, _ in arrivals], dtype=float)
    for column in pending.argsort(axis=1).T:
        rows = np.arange(paths)
        in_time = pending[rows, column] <= gone
        supply = np.where(in_time, supply + quantity[column], supply)
        gone = np.where(in_time, _crossing(total, supply), gone)
    return gone


def _crossing(total: Matrix, supply: Matrix) -> Matrix:
    """When cumulated demand passes the supply, demand being even within a period."""
    passed = (total <= supply[:, None]).sum(axis=1)
    last = total.shape[1] - 1
    rows, before = np.arange(len(total)), np.clip(passed - 1, 0, last - 1)
    step = total[rows, before + 1] - total[rows, before]
    with np.errstate(divide="ignore", invalid="ignore"):
        when = before + (supply - total[rows, before]) / step
    return np.where(supply <= 0, 0.0, np.where(passed > last, np.inf, when))


def _short(position: StockPosition, demand: Matrix, arrivals: Sequence[tuple[int, Matrix]], until: float) -> float:
    """Expected units that cannot be delivered before ``until``."""
    whole, part = int(until), until - int(until)
    wanted = demand[:, :whole].sum(axis=1)
    if whole < demand.shape[1]:
        wanted = wanted + part * demand[:, whole]
    supply = np.full(len(demand), float(position.on_hand - position.promised))
    for units, when in arrivals:
        supply = supply + np.where(when <= until, units, 0)
    return float(np.maximum(wanted - supply, 0).mean())


def _day(periods: Matrix, share: float, outlook: Outlook) -> date | None:
    when = float(np.quantile(periods, share, method="inverted_cdf"))
    return None if np.isinf(when) else outlook.today + timedelta(days=int(when * PERIOD_DAYS))


def _drivers(
    position: StockPosition,
    units: Matrix,
    draws: Matrix,
    lifts: Matrix,
    arrivals: Sequence[tuple[int, Matrix]],
    days: Matrix,
    future: Sequence[tuple[float, str]],
) -> tuple[str, ...]:
    """What moves the median day, found by leaving each out on the same futures; strongest first."""
    median, horizon = _median(days), draws.shape[1]
    found: list[tuple[float, str]] = []
    campaigns = sorted({name for lift, name in future if name and lift != 1})
    if campaigns:
        moved = median - _median(_runs_out(position, draws, arrivals))
        found.append((abs(moved), f"{', '.join(campaigns)}: {_moves(moved)}"))
    if position.promised:
        free = replace(position, promised=0)
        moved = median - _median(_runs_out(free, draws * lifts, arrivals))
        found.append((abs(moved), f"{position.promised} units promised to open orders: {_moves(moved)}"))
    if arrivals:
        moved = median - _median(_runs_out(position, draws * lifts, ()))
        expected = ", ".join(
            f"{one.units} due {one.due.isoformat()} ({one.on_time:.0%} on time)" for one in position.inbound
        )
        found.append((abs(moved), f"inbound {expected}: {_moves(moved)}"))
    known = units[~np.isnan(units)]
    if len(known) >= 2 * HALF_LIFE and known.mean() > 0:
        change = float(known[-int(HALF_LIFE) :].mean() / known.mean() - 1)
        if abs(change) >= NOTABLE:
            word = "faster" if change > 0 else "slower"
            size = min(abs(change), 1.0) * min(median, horizon)
            found.append((size, f"sells {abs(change):.0%} {word} lately than over its whole history"))
    return tuple(text for _, text in sorted(found, key=lambda each: -each[0]))


def _median(days: Matrix) -> float:
    """The median in periods; one past the horizon counts as twice the longest seen, so that differences stay finite."""
    finite = days[np.isfinite(days)]
    ceiling = 2 * float(finite.max()) if len(finite) else 52.0
    return float(np.median(np.where(np.isinf(days), ceiling, days)))


def _moves(periods: float) -> str:
    whole = round(abs(periods) * PERIOD_DAYS)
    if whole == 0:
        return "no effect on the day"
    return f"about {whole} days {'later' if periods > 0 else 'sooner'}"


def lifts_of(campaigns: Mapping[int, tuple[float, str]], periods: int) -> list[tuple[float, str]]:
    """Multipliers of the coming periods from the few that have a campaign."""
    return [campaigns.get(period, (1.0, "")) for period in range(periods)]
