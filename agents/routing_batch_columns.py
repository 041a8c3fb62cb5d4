"""Candidate plans of one order in a batch: every way to divide its goods over sites, each at its lowest objective."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product as choices

from agents.routing_blocks import coarsened
from agents.routing_partition import INFEASIBLE, SitePlans
from agents.routing_problem import Offer, Problem, Solution
from agents.routing_solver import Search, solve
from domain.ids import Sku, WarehouseId

Key = tuple[WarehouseId, Sku]
"""Units of an SKU at a site; with ``PARCELS`` in place of the SKU, the site's room for parcels."""
PARCELS = Sku("")
Uses = tuple[tuple[Key, int], ...]
"""What a plan takes from the shared supply."""
NEVER = 1 << 40
MOST_BLOCKS = 6
"""An order in more pieces than this is merged into fewer, and keeps its plan when that is not enough."""
MOST_DIVISIONS = 1_500
"""Beyond this many ways to divide an order over sites, its dearest sites are left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchOrder:
    """One order waiting for the pick wave."""

    order_id: str
    problem: Problem
    """``stock`` and ``parcels_left`` are those of the whole batch."""
    current: Solution | None = None
    """The plan it has now, whose units it holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One candidate: what it costs by the order's objective, and what it takes from the others."""

    objective_minor: int
    uses: Uses
    plan: Solution | None = None
    """Known for the current plan; the others are worked out when they are chosen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidates:
    """The columns of one order, cheapest first."""

    order: BatchOrder
    columns: tuple[Column, ...]
    rest_minor: int
    """No candidate left out has a lower objective."""
    unserved_minor: int
    """What it costs to leave the order without a plan; one that has a plan never loses it."""


def candidates(order: BatchOrder, *, most: int, unserved_minor: int) -> Candidates:
    """The order's columns. One that keeps the hand-over deadline is never replaced by one that does not."""
    problem = order.problem if len(order.problem.blocks) <= MOST_BLOCKS else coarsened(order.problem)
    prompt = tuple(offer for offer in problem.offers if not offer.ships_late)
    kept = order.current is not None and not order.current.ship_by_missed
    found: dict[Uses, int] = {}
    rest = INFEASIBLE
    if len(problem.blocks) <= MOST_BLOCKS:
        found, rest = _divided(problem, prompt, most) if prompt else ({}, INFEASIBLE)
        if not found and not kept:
            found, rest = _divided(problem, problem.offers, most)
            found = {uses: cost + problem.weights.ship_by_minor for uses, cost in found.items()}
    columns = [Column(objective_minor=cost, uses=uses) for uses, cost in found.items()]
    if order.current is not None:
        uses = uses_of(order.current, order.problem)
        columns = [column for column in columns if column.uses != uses or column.objective_minor < _worth(order)]
        columns.append(Column(objective_minor=_worth(order), uses=uses, plan=order.current))
    columns.sort(key=lambda column: (column.objective_minor, column.plan is None, column.uses))
    penalty = unserved_minor if order.current is None else NEVER
    return Candidates(order=order, columns=tuple(columns), rest_minor=rest, unserved_minor=penalty)


def _worth(order: BatchOrder) -> int:
    return order.current.objective_minor if order.current else INFEASIBLE


def uses_of(plan: Solution, problem: Problem) -> Uses:
    """What a plan takes: units by site and SKU, and parcels of sites with little room."""
    used: dict[Key, int] = {}
    for shipment in plan.shipments:
        site = shipment.offer.warehouse
        for sku, units in shipment.content.units().items():
            used[site, sku] = used.get((site, sku), 0) + units
        if site in problem.parcels_left:
            used[site, PARCELS] = used.get((site, PARCELS), 0) + 1
    return tuple(sorted(used.items()))


def planned(order: BatchOrder, column: Column) -> Solution | None:
    """The best plan with exactly what the column takes."""
    if column.plan is not None:
        return column.plan
    uses = dict(column.uses)
    room = {site: uses.get((site, PARCELS), 0) for site in order.problem.parcels_left}
    stock = {key: units for key, units in uses.items() if key[1] != PARCELS}
    routing = solve(replace(order.problem, stock=stock, parcels_left=room))
    return routing.best if routing else None


def _divided(problem: Problem, offers: Sequence[Offer], most: int) -> tuple[dict[Uses, int], int]:
    """The lowest objective by what is used, at most ``most`` of them, and what those left out cost at least."""
    search = Search(problem, offers)
    sites = list(search.masks)
    split = problem.weights.split_minor
    best: dict[tuple[int, ...], tuple[int, Mapping[WarehouseId, SitePlans]]] = {}
    complete = True
    for by in _dates(problem, search.dates):
        plans: Mapping[WarehouseId, SitePlans] = {site: search.of_site(site, by) for site in sites}
        late = problem.weights.late_hour_minor * problem.late_hours(by)
        homes, whole = _homes(search, plans, sites)
        complete = complete and whole
        for division in choices(*homes):
            masks = [0] * len(sites)
            for block, home in enumerate(division):
                masks[home] |= 1 << block
            cost = late - split + sum(plans[sites[i]].prices[mask] for i, mask in enumerate(masks) if mask)
            if cost < INFEASIBLE // 2 and cost < best.get(division, (INFEASIBLE, {}))[0]:
                best[division] = (cost, plans)
    ranked = sorted(best.items(), key=lambda entry: (entry[1][0], entry[0]))
    merged: dict[Uses, int] = {}
    for division, (cost, plans) in ranked[:most]:
        merged.setdefault(_uses(problem, division, sites, plans), cost)
    rest = ranked[most][1][0] if len(ranked) > most else INFEASIBLE
    if not complete:
        routing = solve(replace(problem, offers=tuple(offers)))
        rest = min(rest, routing.best.objective_minor if routing else INFEASIBLE)
    return merged, rest


def _dates(problem: Problem, dates: Sequence[datetime]) -> list[datetime]:
    """The dates that can matter: the last one that keeps the promise, and every later one."""
    in_time = [date for date in dates if problem.late_hours(date) == 0]
    return [*in_time[-1:], *(date for date in dates if problem.late_hours(date) > 0)]


def _homes(
    search: Search, plans: Mapping[WarehouseId, SitePlans], sites: Sequence[WarehouseId]
) -> tuple[list[list[int]], bool]:
    """The sites each block may leave from, cheapest first, and whether none had to be left out."""
    homes = []
    for block in range(len(search.problem.blocks)):
        prices = [(plans[site].prices[1 << block], i) for i, site in enumerate(sites)]
        homes.append([i for price, i in sorted(prices) if price < INFEASIBLE])
    whole = True
    while _ways(homes) > MOST_DIVISIONS:
        max(homes, key=len).pop()
        whole = False
    return homes, whole


def _ways(homes: Iterable[Sequence[int]]) -> int:
    ways = 1
    for home in homes:
        ways *= len(home)
    return ways


def _uses(
    problem: Problem, division: Sequence[int], sites: Sequence[WarehouseId], plans: Mapping[WarehouseId, SitePlans]
) -> Uses:
    used: dict[Key, int] = {}
    masks: dict[WarehouseId, int] = {}
    for block, home in enumerate(division):
        site = sites[home]
        masks[site] = masks.get(site, 0) | 1 << block
        for sku, units in problem.blocks[block].units().items():
            used[site, sku] = used.get((site, sku), 0) + units
    for site, mask in masks.items():
        if site in problem.parcels_left:
            used[site, PARCELS] = len(plans[site].parcels(mask))
    return tuple(sorted(used.items()))
