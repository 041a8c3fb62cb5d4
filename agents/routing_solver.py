"""Joint choice of warehouse and carrier service for one order, exactly, by dynamic programming over subsets of blocks.

For every arrival date T worth considering, ``best[mask]`` is the cheapest lane carrying those blocks by T, and
``f[mask] = min over sub containing the lowest block of best[sub] + f[mask - sub]``. The cheapest total over T, lateness
included, is optimal for any price steps: |T| * 3^n steps. When blocks compete for a site's last units and the optimum
oversteps, or a site can take fewer parcels than the optimum sends it, each site is used once with a partition of its
own (|sites| * 3^n more), which is exact again.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.routing_partition import (
    INFEASIBLE,
    Parcels,
    SitePlans,
    Table,
    cover,
    extend,
    partition,
    partition_within,
    unwind,
)
from agents.routing_problem import Block, Offer, Problem, Shipment, Solution, appraise, merged
from domain.ids import Sku, WarehouseId


@dataclass(frozen=True, kw_only=True, slots=True)
class Routing:
    """The optimum, and other plans no plan dominates in cost and arrival among those examined."""

    best: Solution
    frontier: tuple[Solution, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sums:
    """Totals per mask, computed once per problem."""

    grams: list[int]
    volume: list[int]
    value: list[int]
    hazards: list[int]
    duty: list[int]


def solve(problem: Problem) -> Routing | None:
    """The cheapest feasible plan by the declared objective; None when some block cannot travel at all.

    Exponential in the number of blocks: callers keep it at ten or fewer.
    """
    on_time = tuple(offer for offer in problem.offers if not offer.ships_late)
    searches = [Search(problem, on_time)] if on_time else []
    if len(on_time) < len(problem.offers):
        searches.append(Search(problem, problem.offers))
    found = [plan for search in searches for plan in search.plans()]
    if not found:
        return None
    best = min(found, key=lambda plan: (plan.objective_minor, plan.arrives, plan.charged_minor))
    return Routing(best=best, frontier=_pareto(found))


def _pareto(plans: Sequence[Solution]) -> tuple[Solution, ...]:
    """The plans no other one beats in time without charging more."""
    kept: list[Solution] = []
    for plan in sorted(plans, key=lambda plan: (plan.arrives, plan.charged_minor, plan.objective_minor)):
        if not kept or plan.charged_minor < kept[-1].charged_minor:
            kept.append(plan)
    return tuple(kept)


class Search:
    """One problem over one set of offers."""

    def __init__(self, problem: Problem, offers: Sequence[Offer]) -> None:
        self.problem = problem
        self.offers = sorted(offers, key=lambda offer: (offer.arrives_p80, offer.warehouse, offer.service))
        self.size = 1 << len(problem.blocks)
        self.sums = _sums(problem.blocks, self.size)
        self.contested = _contested(problem.blocks)
        names = dict.fromkeys(offer.warehouse for offer in self.offers)
        self.scarce = {name: self._scarce(name) for name in names} if problem.scarcity else {}
        self.masks = {name: self._masks(name) for name in names}
        self.dates = sorted({offer.arrives_p80 for offer in self.offers})
        self.tables = self._tables()
        self.solved: dict[int, Solution | None] = {}

    def plans(self) -> list[Solution]:
        """The best plan of each arrival date that can be optimal, plus earlier ones of the same cost."""
        in_time = [i for i, date in enumerate(self.dates) if self.problem.late_hours(date) == 0]
        first_late = len(in_time)
        if in_time:
            self._earliest(in_time)
        best = min((plan.objective_minor for plan in self.solved.values() if plan), default=INFEASIBLE)
        floor = self._floor() if first_late < len(self.dates) else 0
        for i in range(first_late, len(self.dates)):
            late = self.problem.weights.late_hour_minor * self.problem.late_hours(self.dates[i])
            if floor + late > best:
                break
            plan = self._plan(i)
            best = min(best, plan.objective_minor if plan else INFEASIBLE)
        if len(self.problem.blocks) <= 6:
            for i in range(len(self.dates)):
                self._plan(i)
        return [plan for plan in self.solved.values() if plan]

    def _floor(self) -> int:
        """What the order costs with all the time in the world: no date is cheaper."""
        plan = self._plan(len(self.dates) - 1)
        return plan.charged_minor if plan else INFEASIBLE

    def _earliest(self, in_time: list[int]) -> None:
        """Solve the last date in time, then bisect for the earliest one that costs the same."""
        last = self._plan(in_time[-1])
        if last is None:
            return
        low, high = 0, len(in_time) - 1
        while low < high:
            middle = (low + high) // 2
            plan = self._plan(in_time[middle])
            if plan is not None and plan.objective_minor <= last.objective_minor:
                high = middle
            else:
                low = middle + 1

    def _plan(self, date: int) -> Solution | None:
        if date not in self.solved:
            parcels = cover(self.tables[date], self.size)
            if parcels is not None and not (self._respects_stock(parcels) and self._respects_room(parcels)):
                parcels = self._site_by_site(self.dates[date])
            self.solved[date] = None if parcels is None else self._appraise(parcels)
        return self.solved[date]

    def _appraise(self, parcels: Parcels) -> Solution:
        return appraise(self.problem, (self._shipment(mask, offer) for mask, offer in parcels))

    def _shipment(self, mask: int, index: int) -> Shipment:
        content = merged(block for i, block in enumerate(self.problem.blocks) if mask >> i & 1)
        offer = self.offers[index]
        price = offer.price_minor(content)
        return Shipment(offer=offer, content=content, price_minor=INFEASIBLE if price is None else price)

    def _scarce(self, warehouse: WarehouseId) -> list[int]:
        """What each set of blocks takes from later orders at the site."""
        worth = [0] * self.size
        for mask in range(1, self.size):
            rest = mask & (mask - 1)
            block = self.problem.blocks[(mask ^ rest).bit_length() - 1]
            worth[mask] = worth[rest] + self.problem.scarcity_minor(warehouse, block)
        return worth

    def _masks(self, warehouse: WarehouseId) -> list[int]:
        """Every set of blocks the site has in stock together."""
        blocks, stock = self.problem.blocks, self.problem.stock
        possible = sum(1 << i for i, block in enumerate(blocks) if self.problem.in_stock(warehouse, block))
        masks = [mask for mask in range(1, self.size) if not mask & ~possible]
        for sku, wants in self.contested.items():
            held = stock.get((warehouse, sku), 0)
            masks = [m for m in masks if sum(units for bit, units in wants if m & bit) <= held]
        return masks

    def _billable(self, divisor: int) -> list[int]:
        return [
            max(grams, -(-volume // divisor)) for grams, volume in zip(self.sums.grams, self.sums.volume, strict=True)
        ]

    def _tables(self) -> list[Table]:
        """For each arrival date, the cheapest lane by mask among those arriving by then."""
        best, pick = [INFEASIBLE] * self.size, [-1] * self.size
        billable = {divisor: self._billable(divisor) for divisor in {offer.divisor for offer in self.offers}}
        tables: list[Table] = []
        for index, offer in enumerate(self.offers):
            self._add(index, billable[offer.divisor], best, pick)
            following = self.offers[index + 1].arrives_p80 if index + 1 < len(self.offers) else None
            if following != offer.arrives_p80:
                tables.append((best.copy(), pick.copy()))
        return tables

    def _add(self, index: int, billable: list[int], best: list[int], pick: list[int]) -> None:
        """Enter one offer's prices, handling and scarcity included, where they beat what is there."""
        offer = self.offers[index]
        limits, split = offer.limits_g, self.problem.weights.split_minor
        prices = [price + split for price in offer.prices_minor]
        hazardous = [price + split for price in offer.hazard_prices_minor] or prices
        refused, most = ~offer.accepts, offer.max_value_minor
        hazards, value = self.sums.hazards, self.sums.value
        scarce = self.scarce.get(offer.warehouse)
        by_value = offer.collecting is not None or offer.pays_duty
        heaviest = limits[-1]
        for mask in self.masks[offer.warehouse]:
            grams = billable[mask]
            if grams > heaviest or hazards[mask] & refused or (most is not None and value[mask] > most):
                continue
            price = (hazardous if hazards[mask] else prices)[bisect_left(limits, grams)]
            if by_value:
                price += offer.extra_minor(value[mask], self.sums.duty[mask])
            if scarce is not None:
                price += scarce[mask]
            if price < best[mask]:
                best[mask], pick[mask] = price, index

    def _respects_room(self, parcels: Parcels) -> bool:
        """Whether no site gets more parcels than it can still take."""
        room = self.problem.parcels_left
        if not room:
            return True
        sent: dict[WarehouseId, int] = {}
        for _, index in parcels:
            site = self.offers[index].warehouse
            sent[site] = sent.get(site, 0) + 1
        return all(parcels <= room.get(site, parcels) for site, parcels in sent.items())

    def _respects_stock(self, parcels: Parcels) -> bool:
        stock = self.problem.stock
        for sku, wants in self.contested.items():
            used: dict[WarehouseId, int] = {}
            for mask, index in parcels:
                site = self.offers[index].warehouse
                used[site] = used.get(site, 0) + sum(units for bit, units in wants if mask & bit)
            if any(units > stock.get((site, sku), 0) for site, units in used.items()):
                return False
        return True

    def _site_by_site(self, by: datetime) -> Parcels | None:
        """The exact plan when sites run short: each site is used once, by its own cheapest partition."""
        total = [0] + [INFEASIBLE] * (self.size - 1)
        steps: list[list[Parcels]] = []
        for site in self.masks:
            own = self.of_site(site, by)
            total, step = extend(total, own.prices, set(self.masks[site]))
            steps.append([own.parcels(sub) for sub in step])
        if total[-1] >= INFEASIBLE:
            return None
        return unwind(steps, self.size - 1)

    def of_site(self, site: WarehouseId, by: datetime) -> "SitePlans":
        """The site's cheapest partition of every set of blocks into parcels arriving by then, within its room."""
        best, pick = [INFEASIBLE] * self.size, [-1] * self.size
        for index, offer in enumerate(self.offers):
            if offer.warehouse == site and offer.arrives_p80 <= by:
                self._add(index, self._billable(offer.divisor), best, pick)
        room = self.problem.parcels_left.get(site)
        if room is not None and room < len(self.problem.blocks):
            return SitePlans(*partition_within(best, self.size, room), pick)
        prices, choice = partition(best, self.size)
        return SitePlans(prices, [choice], pick)


def _sums(blocks: Sequence[Block], size: int) -> _Sums:
    grams, volume, value, hazards, duty = [0] * size, [0] * size, [0] * size, [0] * size, [0] * size
    for mask in range(1, size):
        rest = mask & (mask - 1)
        block = blocks[(mask ^ rest).bit_length() - 1]
        grams[mask] = grams[rest] + block.grams
        volume[mask] = volume[rest] + block.volume_mm3
        value[mask] = value[rest] + block.value_minor
        hazards[mask] = hazards[rest] | block.hazards
        duty[mask] = duty[rest] + block.duty_minor
    return _Sums(grams=grams, volume=volume, value=value, hazards=hazards, duty=duty)


def _contested(blocks: Sequence[Block]) -> dict[Sku, list[tuple[int, int]]]:
    """SKUs more than one block wants: the block's bit and units."""
    wanted: dict[Sku, list[tuple[int, int]]] = {}
    for i, block in enumerate(blocks):
        for sku, units in block.units().items():
            wanted.setdefault(sku, []).append((1 << i, units))
    return {sku: wants for sku, wants in wanted.items() if len(wants) > 1}
