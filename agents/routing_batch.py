"""Routing many waiting orders at once before the pick wave, with the stock and room they share.

Each order brings its candidate plans; the choice never takes more than there is, never breaks a hand-over deadline a
plan keeps now, and never costs more than serving the orders one after another. With the extra ``routing`` the choice
is proved by CP-SAT; without it a deterministic search reports how far from the optimum it can be at most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from agents.routing_batch_bound import lower_bound
from agents.routing_batch_columns import PARCELS, BatchOrder, Candidates, Key, candidates, planned
from agents.routing_batch_exact import installed, proved
from agents.routing_batch_search import Choice, as_held, by_regret, cost_of, first_come, improved
from agents.routing_partition import INFEASIBLE
from agents.routing_problem import Solution
from domain.ids import Sku, WarehouseId

__all__ = ["BATCH", "BatchMethod", "BatchOrder", "BatchPlan", "BatchPolicy", "reroute"]


class BatchMethod(StrEnum):
    """How the choice is made."""

    AUTO = "auto"
    """Proved when the solver is installed, searched otherwise."""
    PROVED = "proved"
    SEARCHED = "searched"


@dataclass(frozen=True, kw_only=True)
class BatchPolicy:
    """Limits of one batch."""

    unserved_minor: int
    """Least penalty for an order that gets no plan; twice the dearest plan of the batch when that is more."""
    most_columns: int
    """Candidates per order."""
    effort_ms: int
    """The solver's own deterministic time, about a fifth of real time."""


BATCH = BatchPolicy(unserved_minor=50_000, most_columns=256, effort_ms=400)


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchPlan:
    """What the batch decided."""

    routes: Mapping[str, Solution]
    """By order id."""
    unserved: tuple[str, ...]
    """Orders for which the shared stock does not suffice, or that have no route at all."""
    cost_minor: int
    """Objectives of the routes, and the penalty for orders not served."""
    first_come_minor: int
    """The same when the orders are served one after another."""
    bound_minor: int
    """No plan of the batch costs less."""
    method: BatchMethod
    worth_minor: Mapping[tuple[WarehouseId, Sku], int]
    """What one more unit would save: opportunity costs for the orders still to come."""

    @property
    def gap_per_mille(self) -> int:
        """How far above the bound the cost is, rounded up; 0 is proved optimal."""
        return -(-(self.cost_minor - self.bound_minor) * 1_000 // max(1, self.cost_minor))


def reroute(
    orders: Sequence[BatchOrder],
    stock: Mapping[tuple[WarehouseId, Sku], int],
    *,
    parcels_left: Mapping[WarehouseId, int],
    policy: BatchPolicy = BATCH,
    method: BatchMethod = BatchMethod.AUTO,
) -> BatchPlan:
    """Plans for all orders together. ``stock`` is what is free plus what these orders hold.

    Raises:
        ConfigError: ``method`` is PROVED and the solver is not installed.
    """
    batch = _batch(orders, policy)
    supply: dict[Key, int] = dict(stock) | {(site, PARCELS): room for site, room in parcels_left.items()}
    served = first_come(batch, supply)
    choice, used = _searched(batch, supply, served), BatchMethod.SEARCHED
    bound = lower_bound(batch, supply, known_minor=cost_of(batch, choice))
    least = bound.cost_minor
    open_gap = method is BatchMethod.AUTO and installed() and cost_of(batch, choice) > least
    if method is BatchMethod.PROVED or open_gap:
        proof = proved(batch, supply, choice, effort_ms=policy.effort_ms)
        choice = min(choice, proof.choice, key=lambda found: cost_of(batch, found))
        used = BatchMethod.PROVED
        if all(order.rest_minor >= min(order.unserved_minor, INFEASIBLE) for order in batch):
            least = max(least, proof.bound_minor)
    routes = {
        order.order_id: plan
        for order, column in zip(orders, choice, strict=True)
        if column is not None and (plan := planned(order, column)) is not None
    }
    return BatchPlan(
        routes=routes,
        unserved=tuple(order.order_id for order in orders if order.order_id not in routes),
        cost_minor=cost_of(batch, choice),
        first_come_minor=cost_of(batch, served),
        bound_minor=least,
        method=used,
        worth_minor=bound.prices_minor,
    )


def _batch(orders: Sequence[BatchOrder], policy: BatchPolicy) -> list[Candidates]:
    found = [candidates(order, most=policy.most_columns, unserved_minor=policy.unserved_minor) for order in orders]
    dearest = max((column.objective_minor for order in found for column in order.columns), default=0)
    return [replace(order, unserved_minor=max(order.unserved_minor, 2 * dearest)) for order in found]


def _searched(batch: Sequence[Candidates], supply: Mapping[Key, int], served: Choice) -> Choice:
    """The best of several beginnings, each improved; what the orders have now is one, so nothing gets worse."""
    starts = [served, by_regret(batch, supply), as_held(batch, supply)]
    found = [improved(batch, start, supply) for start in starts]
    return min(found, key=lambda choice: cost_of(batch, choice))
