"""A lower bound for a batch by Lagrangian relaxation of the shared stock, in integers; its prices are worth keeping.

The price of a unit is what one more of it would save the batch: the opportunity cost later orders are routed with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.routing_batch_columns import PARCELS, Candidates, Column, Key

SCALE = 1 << 10
"""Prices are kept in 1/1024 of a minor unit."""
STEPS = 150
PATIENCE = 6
"""Steps without progress before they are halved."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """No plan of the batch costs less."""

    cost_minor: int
    prices_minor: Mapping[Key, int]
    """Worth of one more unit, whole minor units; scarce ones only."""


def lower_bound(batch: Sequence[Candidates], supply: Mapping[Key, int], *, known_minor: int) -> Bound:
    """The best of ``STEPS`` subgradient steps towards ``known_minor``, the cost of a plan already found."""
    scarce = _scarce(batch, supply)
    prices = dict.fromkeys(scarce, 0)
    best, kept, agility, idle = -(1 << 62), dict(prices), 2 * SCALE, 0
    for _ in range(STEPS):
        value, slack = _relaxed(batch, supply, prices)
        if value > best:
            best, kept, idle = value, dict(prices), 0
        else:
            idle += 1
        if idle >= PATIENCE:
            agility, idle, prices = agility // 2, 0, dict(kept)
        length = sum(short * short for short in slack.values())
        if not length or not agility or best >= known_minor * SCALE:
            break
        step = max(1, agility * (known_minor * SCALE - value) // SCALE // length)
        prices = {key: max(0, price + step * slack[key]) for key, price in prices.items()}
    worth = {key: price // SCALE for key, price in kept.items() if price >= SCALE and key[1] != PARCELS}
    return Bound(cost_minor=min(known_minor, -(-best // SCALE)), prices_minor=worth)


def _scarce(batch: Sequence[Candidates], supply: Mapping[Key, int]) -> list[Key]:
    """What might be asked for more often than there is."""
    asked: dict[Key, int] = {}
    for order in batch:
        most: dict[Key, int] = {}
        for column in order.columns:
            for key, units in column.uses:
                most[key] = max(most.get(key, 0), units)
        for key, units in most.items():
            asked[key] = asked.get(key, 0) + units
    return sorted(key for key, units in asked.items() if units > supply.get(key, 0))


def _relaxed(
    batch: Sequence[Candidates], supply: Mapping[Key, int], prices: Mapping[Key, int]
) -> tuple[int, dict[Key, int]]:
    """The relaxed optimum at these prices (scaled), and by how much each scarce key is asked for too often."""
    value = -sum(price * supply.get(key, 0) for key, price in prices.items())
    slack = {key: -supply.get(key, 0) for key in prices}
    for order in batch:
        least = min(order.unserved_minor, order.rest_minor) * SCALE
        chosen: Column | None = None
        for column in order.columns:
            if column.objective_minor * SCALE >= least:
                break
            cost = _priced(column, prices)
            if cost < least:
                least, chosen = cost, column
        value += least
        for key, units in chosen.uses if chosen is not None else ():
            if key in slack:
                slack[key] += units
    return value, slack


def _priced(column: Column, prices: Mapping[Key, int]) -> int:
    return column.objective_minor * SCALE + sum(prices.get(key, 0) * units for key, units in column.uses)
