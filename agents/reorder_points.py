"""When to order when demand is uncertain: newsvendor, base stock, (s, S) and (r, Q) policies.

Pure arithmetic; costs are per unit, demand per time unit. Sources: Scarf and Zheng-Federgruen for (s, S), Ehrhardt and
Mosier's power approximation, Hadley and Whitin for (r, Q), Federgruen and Zheng for its discrete form.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

from domain.errors import InputError

STANDARD = NormalDist()
_TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class Level:
    """Order up to this much, and what uncertainty costs per period."""

    base_stock: float
    cost: float


@dataclass(frozen=True, kw_only=True)
class ReorderPolicy:
    """At or below ``point`` order: up to ``up_to`` where given, else ``quantity``."""

    point: float
    quantity: float = 0.0
    up_to: float = 0.0
    cost: float = math.nan
    """Per time unit; not a number where the method gives none."""


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} is {value!r}; it must be a positive number")


def normal_loss(level: float, mean: float, deviation: float) -> float:
    """Expected units short when ``level`` units meet a normal demand."""
    if deviation <= 0:
        return max(0.0, mean - level)
    z = (level - mean) / deviation
    return deviation * (STANDARD.pdf(z) - z * (1 - STANDARD.cdf(z)))


def poisson_pmf(count: int, mean: float) -> float:
    """Probability of ``count`` units under a Poisson demand."""
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1)) if mean > 0 else float(count == 0)


def newsvendor(
    holding_cost: float, stockout_cost: float, *, mean: float, deviation: float, lead_time: float = 0.0
) -> Level:
    """The base stock for a normal demand per period, reviewed every period, delivered after ``lead_time`` periods.

    Raises:
        InputError: a cost or the deviation is not positive, or the lead time negative.
    """
    _positive(holding_cost=holding_cost, stockout_cost=stockout_cost, deviation=deviation)
    if lead_time < 0:
        raise InputError(f"a lead time of {lead_time} lies in the past")
    over = lead_time + 1
    z = STANDARD.inv_cdf(stockout_cost / (stockout_cost + holding_cost))
    spread = deviation * math.sqrt(over)
    return Level(base_stock=mean * over + z * spread, cost=(holding_cost + stockout_cost) * spread * STANDARD.pdf(z))


def newsvendor_profit(
    revenue: float, purchase_cost: float, salvage_value: float, *, mean: float, deviation: float
) -> Level:
    """The best one-time purchase for a normal demand; ``cost`` is minus the expected profit.

    Raises:
        InputError: not salvage < purchase cost < revenue.
    """
    if not salvage_value < purchase_cost < revenue:
        raise InputError("a one-time purchase needs salvage value < purchase cost < revenue")
    level = newsvendor(purchase_cost - salvage_value, revenue - purchase_cost, mean=mean, deviation=deviation)
    return Level(base_stock=level.base_stock, cost=level.cost - (revenue - purchase_cost) * mean)


def newsvendor_poisson(holding_cost: float, stockout_cost: float, *, mean: float) -> Level:
    """The base stock for a Poisson demand: the least whole number whose cover reaches the critical ratio.

    Raises:
        InputError: a value is not a positive number.
    """
    _positive(holding_cost=holding_cost, stockout_cost=stockout_cost, mean=mean)
    ratio, level, cover = stockout_cost / (stockout_cost + holding_cost), 0, poisson_pmf(0, mean)
    while cover < ratio:
        level += 1
        cover += poisson_pmf(level, mean)
    return Level(base_stock=level, cost=_expected_cost(holding_cost, stockout_cost, mean)(level))


def _expected_cost(holding_cost: float, stockout_cost: float, mean: float) -> Callable[[int], float]:
    """Holding and shortage cost of a stock level under a Poisson demand, remembered per level."""
    known: dict[int, float] = {}

    def cost(level: int) -> float:
        if level not in known:
            left = sum((level - n) * poisson_pmf(n, mean) for n in range(max(0, level)))
            known[level] = holding_cost * left + stockout_cost * (left + mean - level)
        return known[level]

    return cost


def s_s_poisson(fixed_cost: float, holding_cost: float, stockout_cost: float, *, mean: float) -> ReorderPolicy:
    """The optimal (s, S) policy for Poisson demand, reviewed every period (Zheng and Federgruen 1991).

    Raises:
        InputError: a value is not a positive number.
    """
    _positive(fixed_cost=fixed_cost, holding_cost=holding_cost, stockout_cost=stockout_cost, mean=mean)
    cost = _expected_cost(holding_cost, stockout_cost, mean)
    renewals = _renewals(mean)
    best_level = int(newsvendor_poisson(holding_cost, stockout_cost, mean=mean).base_stock)

    def average(point: int, up_to: int) -> float:
        weights = [renewals(j) for j in range(up_to - point)]
        total = fixed_cost + sum(w * cost(up_to - j) for j, w in enumerate(weights))
        return total / sum(weights)

    point = best_level - 1
    while average(point, best_level) > cost(point):
        point -= 1
    up_to, least = best_level, average(point, best_level)
    candidate = best_level + 1
    while cost(candidate) <= least:
        if average(point, candidate) < least - _TINY:
            up_to = candidate
            while average(point, candidate) <= cost(point + 1):
                point += 1
            least = average(point, candidate)
        candidate += 1
    return ReorderPolicy(point=point, up_to=up_to, quantity=up_to - point, cost=least)


def _renewals(mean: float) -> Callable[[int], float]:
    """How often the inventory position is expected to stand a given number of units below the top in one cycle."""
    first = 1 / (1 - poisson_pmf(0, mean))
    known = [first]

    def renewal(below: int) -> float:
        while len(known) <= below:
            n = len(known)
            known.append(first * sum(poisson_pmf(k, mean) * known[n - k] for k in range(1, n + 1)))
        return known[below]

    return renewal


def s_s_power(
    fixed_cost: float, holding_cost: float, stockout_cost: float, *, mean: float, deviation: float, lead_time: float = 0
) -> ReorderPolicy:
    """The power approximation of (s, S) (Ehrhardt and Mosier 1984) for a demand of given mean and deviation.

    Raises:
        InputError: a value is not a positive number.
    """
    _positive(fixed_cost=fixed_cost, holding_cost=holding_cost, stockout_cost=stockout_cost)
    _positive(mean=mean, deviation=deviation)
    over, spread = mean * (lead_time + 1), deviation * math.sqrt(lead_time + 1)
    quantity = 1.30 * mean**0.494 * (fixed_cost / holding_cost) ** 0.506 * (1 + spread**2 / mean**2) ** 0.116
    z = math.sqrt(quantity * holding_cost / (spread * stockout_cost))
    point = 0.973 * over + spread * (0.183 / z + 1.063 - 2.192 * z)
    return ReorderPolicy(point=point, up_to=point + quantity, quantity=quantity)


def r_q_normal(
    fixed_cost: float, holding_cost: float, stockout_cost: float, *, mean: float, deviation: float, lead_time: float
) -> ReorderPolicy:
    """Reorder point and quantity for a normal demand, shortage charged per unit (Hadley and Whitin's iteration).

    Raises:
        InputError: a value is not positive, or holding stock costs more than being without it.
    """
    _positive(fixed_cost=fixed_cost, holding_cost=holding_cost, stockout_cost=stockout_cost)
    _positive(mean=mean, deviation=deviation, lead_time=lead_time)
    during, spread = mean * lead_time, deviation * math.sqrt(lead_time)
    quantity, point = math.sqrt(2 * fixed_cost * mean / holding_cost), during
    for _ in range(1000):
        cover = 1 - holding_cost * quantity / (stockout_cost * mean)
        if not 0 < cover < 1:
            raise InputError("holding this item costs more than being without it; order on demand instead")
        point = during + spread * STANDARD.inv_cdf(cover)
        short = normal_loss(point, during, spread)
        better = math.sqrt(2 * mean * (fixed_cost + stockout_cost * short) / holding_cost)
        if abs(better - quantity) < 1e-14 * quantity:
            break
        quantity = better
    short = normal_loss(point, during, spread)
    holding = holding_cost * (point - during + quantity / 2)
    cost = holding + (fixed_cost + stockout_cost * short) * mean / quantity
    return ReorderPolicy(point=point, quantity=quantity, cost=cost)


def r_q_poisson(
    fixed_cost: float, holding_cost: float, stockout_cost: float, *, mean: float, lead_time: float
) -> ReorderPolicy:
    """The optimal (r, Q) for Poisson demand, shortage charged per unit and time (Federgruen and Zheng 1992).

    Raises:
        InputError: a value is not a positive number.
    """
    _positive(fixed_cost=fixed_cost, holding_cost=holding_cost, stockout_cost=stockout_cost)
    _positive(mean=mean, lead_time=lead_time)
    cost = _expected_cost(holding_cost, stockout_cost, mean * lead_time)
    low = high = int(newsvendor_poisson(holding_cost, stockout_cost, mean=mean * lead_time).base_stock)
    total = fixed_cost * mean + cost(low)
    quantity = 1
    while min(cost(low - 1), cost(high + 1)) < total / quantity - _TINY:
        if cost(low - 1) <= cost(high + 1):
            low -= 1
            total += cost(low)
        else:
            high += 1
            total += cost(high)
        quantity += 1
    return ReorderPolicy(point=low - 1, quantity=quantity, cost=total / quantity)
