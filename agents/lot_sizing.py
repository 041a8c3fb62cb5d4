"""How much to order at a time when demand is known: economic order quantity and its relatives, lots over time, joint orders.

Pure arithmetic on rates and costs per the same time unit and the same currency. These are the classic inventory models
(Harris 1913; Wagner and Whitin 1958; Silver 1976), used for reorder quantities and consolidated purchase orders.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from domain.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Lot:
    """An order quantity and what it costs per time unit."""

    quantity: float
    cost: float
    """Fixed and holding cost per time unit; with purchase cost where prices depend on the quantity."""
    backordered: float = 0.0
    """Share of demand that waits for the next delivery."""
    tier: int = 0
    """Index of the price tier the quantity falls into."""


@dataclass(frozen=True, kw_only=True)
class JointLots:
    """Items ordered together: every so often, each item in every n-th order."""

    cycle: float
    """Time between orders."""
    multiples: tuple[int, ...]
    quantities: tuple[float, ...]
    cost: float
    """Fixed and holding cost per time unit."""


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} is {value!r}; it must be a positive number")


def economic_order_quantity(fixed_cost: float, holding_cost: float, demand_rate: float) -> Lot:
    """The lot that balances order and holding cost (Harris).

    Raises:
        InputError: a cost or the rate is not a positive number.
    """
    _positive(fixed_cost=fixed_cost, holding_cost=holding_cost, demand_rate=demand_rate)
    quantity = math.sqrt(2 * fixed_cost * demand_rate / holding_cost)
    return Lot(quantity=quantity, cost=math.sqrt(2 * fixed_cost * demand_rate * holding_cost))


def production_quantity(fixed_cost: float, holding_cost: float, demand_rate: float, *, supply_rate: float) -> Lot:
    """The lot when it arrives gradually at ``supply_rate`` instead of at once.

    Raises:
        InputError: a value is not positive, or the supply is not faster than the demand.
    """
    _positive(supply_rate=supply_rate)
    if supply_rate <= demand_rate:
        raise InputError(f"a supply of {supply_rate} never catches up with a demand of {demand_rate}")
    return economic_order_quantity(fixed_cost, holding_cost * (1 - demand_rate / supply_rate), demand_rate)


def backorder_quantity(fixed_cost: float, holding_cost: float, demand_rate: float, *, stockout_cost: float) -> Lot:
    """The lot when customers may wait, at ``stockout_cost`` a unit and time unit.

    Raises:
        InputError: a value is not a positive number.
    """
    _positive(stockout_cost=stockout_cost)
    plain = economic_order_quantity(fixed_cost, holding_cost, demand_rate)
    waiting = holding_cost / (holding_cost + stockout_cost)
    stretch = math.sqrt((holding_cost + stockout_cost) / stockout_cost)
    return Lot(quantity=plain.quantity * stretch, cost=plain.cost / stretch, backordered=waiting)


def quantity_discount(
    fixed_cost: float,
    holding_rate: float,
    demand_rate: float,
    *,
    breakpoints: Sequence[float],
    unit_costs: Sequence[float],
    incremental: bool = False,
) -> Lot:
    """The best lot under price tiers; ``incremental`` means a tier's price holds only for the units inside it.

    ``holding_rate`` is per unit of money and time. ``cost`` includes the goods.

    Raises:
        InputError: the tiers do not start at 0 and rise, or a value is not positive.
    """
    _positive(fixed_cost=fixed_cost, holding_rate=holding_rate, demand_rate=demand_rate)
    rising = all(a < b for a, b in pairwise(breakpoints))
    if len(breakpoints) != len(unit_costs) or not breakpoints or breakpoints[0] != 0 or not rising:
        raise InputError("price tiers need one price each, start at 0 and rise")
    price_tier = _incremental if incremental else _all_units
    best: Lot | None = None
    for tier in range(len(breakpoints)):
        _positive(unit_cost=unit_costs[tier])
        lot = price_tier(fixed_cost, holding_rate, demand_rate, breakpoints, unit_costs, tier)
        if lot is not None and (best is None or lot.cost < best.cost):
            best = lot
    if best is None:
        raise InputError("no price tier admits a quantity")
    return best


def _all_units(
    fixed: float, rate: float, demand: float, breaks: Sequence[float], prices: Sequence[float], tier: int
) -> Lot | None:
    price, end = prices[tier], breaks[tier + 1] if tier + 1 < len(breaks) else math.inf
    quantity = max(math.sqrt(2 * fixed * demand / (rate * price)), breaks[tier])
    if quantity >= end:
        return None
    cost = price * demand + fixed * demand / quantity + rate * price * quantity / 2
    return Lot(quantity=quantity, cost=cost, tier=tier)


def _incremental(
    fixed: float, rate: float, demand: float, breaks: Sequence[float], prices: Sequence[float], tier: int
) -> Lot | None:
    # What the dearer units below this tier cost more than its own price acts like a fixed cost of the order.
    extra = sum((prices[i] - prices[tier]) * (breaks[i + 1] - breaks[i]) for i in range(tier))
    price, end = prices[tier], breaks[tier + 1] if tier + 1 < len(breaks) else math.inf
    quantity = math.sqrt(2 * (fixed + extra) * demand / (rate * price))
    if not breaks[tier] <= quantity < end:
        return None
    cost = price * demand + rate * extra / 2 + (fixed + extra) * demand / quantity + rate * price * quantity / 2
    return Lot(quantity=quantity, cost=cost, tier=tier)


def lots_over_time(
    demand: Sequence[float],
    *,
    fixed_costs: Sequence[float],
    holding_costs: Sequence[float],
    unit_costs: Sequence[float] | None = None,
) -> tuple[tuple[float, ...], float]:
    """Cheapest order quantities per period for known demand (Wagner and Whitin), and their total cost.

    A period's holding cost is charged on what is left at its end. Every list has one entry a period.

    Raises:
        InputError: the lists differ in length, or one holds a negative number.
    """
    periods = len(demand)
    prices = list(unit_costs) if unit_costs is not None else [0.0] * periods
    for name, values in (("demand", demand), ("fixed_costs", fixed_costs), ("holding_costs", holding_costs)):
        if len(values) != periods or any(not math.isfinite(v) or v < 0 for v in values):
            raise InputError(f"{name} needs {periods} numbers of 0 or more")
    best = [0.0] + [math.inf] * periods
    chosen = [0] * (periods + 1)
    for start in range(periods):
        cost, carried = best[start] + fixed_costs[start], 0.0
        for end in range(start, periods):
            cost += demand[end] * (prices[start] + carried)
            # From here on every further unit is carried through one more period.
            carried += holding_costs[end]
            total = best[start] if sum(demand[start : end + 1]) == 0 else cost
            if total < best[end + 1]:
                best[end + 1], chosen[end + 1] = total, start
    quantities, end = [0.0] * periods, periods
    while end > 0:
        quantities[chosen[end]] = float(sum(demand[chosen[end] : end]))
        end = chosen[end]
    return tuple(quantities), best[periods]


def joint_replenishment(
    shared_cost: float, own_costs: Sequence[float], holding_costs: Sequence[float], demand_rates: Sequence[float]
) -> JointLots:
    """Items that share an order: Silver's heuristic, then multiples and cycle improved in turn until neither changes.

    ``cost`` is never above the plain heuristic's.

    Raises:
        InputError: the lists differ in length or a value is not positive.
    """
    first = silver_joint_replenishment(shared_cost, own_costs, holding_costs, demand_rates)
    carry = [h * d for h, d in zip(holding_costs, demand_rates, strict=True)]
    best = first
    # The best cycle lies between all items ordered every time and the cheapest item alone.
    cycles = {first.cycle * (0.2 + 0.02 * step) for step in range(151)}
    for start in sorted(cycles):
        cycle = start
        multiples: tuple[int, ...] = ()
        while True:
            wanted = tuple(_multiple(2 * k / (c * cycle * cycle)) for k, c in zip(own_costs, carry, strict=True))
            if wanted == multiples:
                break
            multiples = wanted
            cycle = _cycle(shared_cost, own_costs, carry, multiples)
        cost = _joint_cost(shared_cost, own_costs, carry, multiples, cycle)
        if cost < best.cost - 1e-12:
            best = _joint(cycle, multiples, demand_rates, cost)
    return best


def silver_joint_replenishment(
    shared_cost: float, own_costs: Sequence[float], holding_costs: Sequence[float], demand_rates: Sequence[float]
) -> JointLots:
    """Silver's heuristic (1976): the item with the least own cost per carried value is in every order.

    Raises:
        InputError: the lists differ in length or a value is not positive.
    """
    if not own_costs or not len(own_costs) == len(holding_costs) == len(demand_rates):
        raise InputError("a joint order needs one own cost, holding cost and demand rate for each item")
    _positive(shared_cost=shared_cost)
    for k, h, d in zip(own_costs, holding_costs, demand_rates, strict=True):
        _positive(own_cost=k, holding_cost=h, demand_rate=d)
    carry = [h * d for h, d in zip(holding_costs, demand_rates, strict=True)]
    base = min(range(len(carry)), key=lambda i: own_costs[i] / carry[i])
    scale = carry[base] / (shared_cost + own_costs[base])
    multiples = tuple(
        1 if i == base else max(1, _round(math.sqrt(k / c * scale)))
        for i, (k, c) in enumerate(zip(own_costs, carry, strict=True))
    )
    cycle = _cycle(shared_cost, own_costs, carry, multiples)
    return _joint(cycle, multiples, demand_rates, _joint_cost(shared_cost, own_costs, carry, multiples, cycle))


def _round(value: float) -> int:
    return math.floor(value + 0.5)


def _multiple(ratio: float) -> int:
    """The least integer m with m(m+1) >= ratio: the best multiple for a given cycle."""
    return max(1, math.ceil(-0.5 + math.sqrt(0.25 + ratio)))


def _cycle(shared: float, own: Sequence[float], carry: Sequence[float], multiples: Sequence[int]) -> float:
    orders = shared + sum(k / m for k, m in zip(own, multiples, strict=True))
    return math.sqrt(2 * orders / sum(c * m for c, m in zip(carry, multiples, strict=True)))


def _joint_cost(
    shared: float, own: Sequence[float], carry: Sequence[float], multiples: Sequence[int], cycle: float
) -> float:
    orders = (shared + sum(k / m for k, m in zip(own, multiples, strict=True))) / cycle
    return orders + cycle * sum(c * m for c, m in zip(carry, multiples, strict=True)) / 2


def _joint(cycle: float, multiples: tuple[int, ...], demand: Sequence[float], cost: float) -> JointLots:
    quantities = tuple(d * m * cycle for d, m in zip(demand, multiples, strict=True))
    return JointLots(cycle=cycle, multiples=multiples, quantities=quantities, cost=cost)
