"""What joint routing is measured against: plain enumeration, and the carrier chosen after the warehouse."""

from collections.abc import Iterator
from importlib import import_module
from itertools import product
from typing import Any

from agents.routing_problem import Block, Offer, Problem, Shipment, Solution, appraise, merged
from domain.ids import WarehouseId


def enumerate_plans(problem: Problem) -> Iterator[Solution]:
    """Every division into parcels with every lane for each; exponential, for a handful of lines and lanes."""
    for division in _divisions(tuple(range(len(problem.blocks)))):
        contents = [merged(problem.blocks[i] for i in part) for part in division]
        priced = [
            [(offer, price) for offer in problem.offers if (price := _carries(problem, offer, content)) is not None]
            for content in contents
        ]
        for lanes in product(*priced):
            yield appraise(
                problem,
                [
                    Shipment(offer=offer, content=content, price_minor=price)
                    for content, (offer, price) in zip(contents, lanes, strict=True)
                ],
            )


def _carries(problem: Problem, offer: Offer, content: Block) -> int | None:
    """The price of a parcel; orders here name every SKU once, so parcels never compete for units."""
    return offer.price_minor(content) if problem.in_stock(offer.warehouse, content) else None


def _divisions(items: tuple[int, ...]) -> Iterator[list[tuple[int, ...]]]:
    if not items:
        yield []
        return
    for rest in _divisions(items[1:]):
        for i, part in enumerate(rest):
            yield [*rest[:i], (items[0], *part), *rest[i + 1 :]]
        yield [(items[0],), *rest]


def carrier_after_warehouse(problem: Problem) -> Solution | None:
    """Fewest sites first, by stock alone, then the cheapest carrier of each; None when there is none: the order is stuck."""
    sites = list(dict.fromkeys(site for site, _ in problem.stock))
    left, parcels = list(problem.blocks), []
    while left:
        held: dict[WarehouseId, list[Block]] = {
            site: [block for block in left if problem.in_stock(site, block)] for site in sites
        }
        site = max(sites, key=lambda name: (len(held[name]), name))
        if not held[site]:
            return None
        content = merged(held[site])
        quotes = [(price, offer) for offer in problem.offers if offer.warehouse == site
                  and (price := offer.price_minor(content)) is not None]  # fmt: skip
        if not quotes:
            return None
        price, offer = min(quotes, key=lambda quote: (quote[0], quote[1].service))
        parcels.append(Shipment(offer=offer, content=content, price_minor=price))
        left = [block for block in left if block not in held[site]]
    return appraise(problem, parcels)


def solver_objective(problem: Problem) -> int | None:
    """The optimum by CP-SAT over every parcel any lane carries; None when there is none. Needs the extra ``routing``."""
    cp_model: Any = import_module("ortools.sat.python.cp_model")
    model = cp_model.CpModel()
    covering: list[list[Any]] = [[] for _ in problem.blocks]
    terms: list[Any] = [-problem.weights.split_minor]
    late = model.new_int_var(0, 10_000, "")
    missed = model.new_bool_var("")
    for mask in range(1, 1 << len(problem.blocks)):
        inside = [i for i in range(len(problem.blocks)) if mask >> i & 1]
        content = merged(problem.blocks[i] for i in inside)
        for offer in problem.offers:
            price = _carries(problem, offer, content)
            if price is None:
                continue
            taken = model.new_bool_var("")
            for i in inside:
                covering[i].append(taken)
            terms.append(taken * (price + problem.weights.split_minor))
            model.add(late >= taken * problem.late_hours(offer.arrives_p80))
            if offer.ships_late:
                model.add(missed >= taken)
    for covers in covering:
        model.add_exactly_one(covers)
    penalties = late * problem.weights.late_hour_minor + missed * problem.weights.ship_by_minor
    model.minimize(sum(terms) + penalties)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    status = solver.solve(model)
    return round(solver.objective_value) if status == cp_model.OPTIMAL else None
