"""Published facility-location instances as joint warehouse-and-carrier choice: a method must reach their known optimum.

``python -m evals.facility_location [FOLDER]``: OR-Library's capacitated warehouse location problems p1 to p12 with their
facilities expanded to (warehouse, carrier) pairs. Some lanes are missing, one carrier of every pair of warehouse and
customer sells at the published cost and the others are dearer, so the optimum is the published one and only a method
that chooses warehouse and carrier together finds it. Costs are exact integers in 1/100,000 of a unit.
"""

import csv
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

from domain.errors import ConfigError

SCALE = 100_000
"""Units of cost in one published unit: the files have five decimals."""
CARRIERS = 3
MISSING_PER_CENT = 30
FOLDER = Path("routing/sscflp_orlib")


@dataclass(frozen=True, kw_only=True, slots=True)
class Arc:
    """One lane from a warehouse by a carrier to a customer."""

    warehouse: int
    carrier: int
    customer: int
    cost: int
    """For all of the customer's demand."""


@dataclass(frozen=True, kw_only=True)
class Instance:
    """Warehouses to open, customers to serve, and the lanes that exist."""

    name: str
    capacity: tuple[int, ...]
    fixed: tuple[int, ...]
    demand: tuple[int, ...]
    arcs: tuple[Arc, ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A solution and what is known of the optimum."""

    cost: int
    bound: int
    """No solution costs less."""


def published_folder() -> Path | None:
    """Where the instances are: below ``SIGNALBOX_DATA``, else ``../shared/data`` beside the repository; None if nowhere."""
    named = os.environ.get("SIGNALBOX_DATA")
    data = Path(named) if named else Path(__file__).resolve().parents[2] / "shared/data"
    return data / FOLDER if (data / FOLDER / "optimal_values.csv").is_file() else None


def read_instance(path: Path, *, seed: int = 1) -> Instance:
    """One published instance, expanded to carriers.

    Raises:
        ConfigError: the file is not in the published form.
    """
    numbers = iter(path.read_text(encoding="utf-8").split())
    try:
        facilities, customers = int(next(numbers)), int(next(numbers))
        sites = [(_whole(next(numbers)), _scaled(next(numbers))) for _ in range(facilities)]
        demand = tuple(_whole(next(numbers)) for _ in range(customers))
        costs = [[_scaled(next(numbers)) for _ in range(customers)] for _ in range(facilities)]
    except (StopIteration, ArithmeticError, ValueError):
        raise ConfigError(f"{path} is not an OR-Library facility-location file; fetch it again") from None
    return Instance(
        name=path.stem,
        capacity=tuple(capacity for capacity, _ in sites),
        fixed=tuple(fixed for _, fixed in sites),
        demand=demand,
        arcs=tuple(_expanded(costs, Random(f"{path.stem}:{seed}"))),
    )


def _whole(text: str) -> int:
    value = Decimal(text)
    if value != value.to_integral_value():
        raise ValueError(text)
    return int(value)


def _scaled(text: str) -> int:
    return int((Decimal(text) * SCALE).to_integral_exact())


def _expanded(costs: Sequence[Sequence[int]], rng: Random) -> Iterator[Arc]:
    """Lanes by carrier: 30 % of the dearer ones missing, one at the published cost always there."""
    for warehouse, row in enumerate(costs):
        for customer, cost in enumerate(row):
            honest = rng.randrange(CARRIERS)
            for carrier in range(CARRIERS):
                dearer = cost + cost * rng.randint(1, 20) // 100 + 1
                if carrier == honest or rng.randrange(100) >= MISSING_PER_CENT:
                    price = cost if carrier == honest else dearer
                    yield Arc(warehouse=warehouse, carrier=carrier, customer=customer, cost=price)


def published_optima(folder: Path) -> dict[str, tuple[int, int]]:
    """Known optima by instance: every customer from one warehouse, and with customers divided; in 1/100 of a unit."""
    with (folder / "optimal_values.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["instance"]: (
                int(Decimal(row["optimal_single_source_published"]) * 100),
                int(Decimal(row["optimal_split_allowed_computed"]) * 100),
            )
            for row in csv.DictReader(file)
        }


def reaches(cost: int, known: int) -> bool:
    """Whether a cost is the known optimum, which was published to two places, now rounded, now cut."""
    return abs(cost * 100 - known * SCALE) < SCALE


def solver_installed() -> bool:
    """Whether the optional extra ``routing`` is there."""
    return find_spec("ortools") is not None


def solve_exactly(instance: Instance, *, single_source: bool, limit_s: int = 120) -> Answer:
    """The optimum over open warehouses and lanes together, by mixed-integer programming.

    Raises:
        ConfigError: the optional solver is not installed.
    """
    if not solver_installed():
        raise ConfigError("exact facility location needs the extra: pip install 'signalbox[routing]' (ortools)")
    linear: Any = import_module("ortools.linear_solver.pywraplp")
    solver = linear.Solver.CreateSolver("SCIP")
    solver.SetTimeLimit(limit_s * 1_000)
    parameters = linear.MPSolverParameters()
    parameters.SetDoubleParam(linear.MPSolverParameters.RELATIVE_MIP_GAP, 1e-9)
    opened = [solver.BoolVar("") for _ in instance.capacity]
    taken = [solver.BoolVar("") if single_source else solver.NumVar(0, 1, "") for _ in instance.arcs]
    _constrain(solver, instance, opened, taken)
    fixed = [site * cost for site, cost in zip(opened, instance.fixed, strict=True)]
    lanes = [share * arc.cost for share, arc in zip(taken, instance.arcs, strict=True)]
    solver.Minimize(solver.Sum([*fixed, *lanes]))
    status = solver.Solve(parameters)
    if status not in (linear.Solver.OPTIMAL, linear.Solver.FEASIBLE):
        raise ConfigError(f"{instance.name} has no solution; the instance file is damaged")
    if single_source:
        chosen = [arc for arc, share in zip(instance.arcs, taken, strict=True) if share.solution_value() > 0.5]
        return Answer(cost=cost_of(instance, chosen), bound=round(solver.Objective().BestBound()))
    return Answer(cost=round(solver.Objective().Value()), bound=round(solver.Objective().BestBound()))


def _constrain(solver: Any, instance: Instance, opened: Sequence[Any], taken: Sequence[Any]) -> None:
    """Every customer served in full, no warehouse over its capacity, no lane from a closed one."""
    by_customer: dict[int, list[Any]] = {}
    by_pair: dict[tuple[int, int], list[Any]] = {}
    for share, arc in zip(taken, instance.arcs, strict=True):
        by_customer.setdefault(arc.customer, []).append(share)
        by_pair.setdefault((arc.warehouse, arc.customer), []).append(share)
    for shares in by_customer.values():
        solver.Add(solver.Sum(shares) == 1)
    loads: list[list[Any]] = [[] for _ in instance.capacity]
    for (warehouse, customer), shares in by_pair.items():
        solver.Add(solver.Sum(shares) <= opened[warehouse])
        loads[warehouse].append(solver.Sum(shares) * instance.demand[customer])
    for warehouse, load in enumerate(loads):
        solver.Add(solver.Sum(load) <= opened[warehouse] * instance.capacity[warehouse])


def cost_of(instance: Instance, chosen: Sequence[Arc]) -> int:
    """The exact cost of lanes, one per customer, with the warehouses they open.

    Raises:
        ValueError: a customer is not served exactly once, or a warehouse sends more than it can.
    """
    if sorted(arc.customer for arc in chosen) != list(range(len(instance.demand))):
        raise ValueError(f"{instance.name}: not every customer is served exactly once")
    load = [0] * len(instance.capacity)
    for arc in chosen:
        load[arc.warehouse] += instance.demand[arc.customer]
    if any(sent > capacity for sent, capacity in zip(load, instance.capacity, strict=True)):
        raise ValueError(f"{instance.name}: a warehouse sends more than it can")
    used = {arc.warehouse for arc in chosen}
    return sum(arc.cost for arc in chosen) + sum(instance.fixed[warehouse] for warehouse in used)


def carrier_after_warehouse(instance: Instance, *, carrier: int = 0) -> int | None:
    """What choosing the warehouse first costs: published costs decide, then the house carrier sells or does not.

    Every customer goes to its nearest warehouse with room; None when the house carrier has no lane there.
    """
    nearest: dict[tuple[int, int], int] = {}
    for arc in instance.arcs:
        pair = (arc.warehouse, arc.customer)
        nearest[pair] = min(nearest.get(pair, arc.cost), arc.cost)
    sold = {(arc.warehouse, arc.customer): arc for arc in instance.arcs if arc.carrier == carrier}
    room, chosen = list(instance.capacity), []
    for customer in sorted(range(len(instance.demand)), key=lambda c: -instance.demand[c]):
        open_to = [w for w in range(len(room)) if room[w] >= instance.demand[customer]]
        if not open_to:
            return None
        warehouse = min(open_to, key=lambda w: nearest[w, customer])
        if (warehouse, customer) not in sold:
            return None
        room[warehouse] -= instance.demand[customer]
        chosen.append(sold[warehouse, customer])
    return cost_of(instance, chosen)


def report(folder: Path, solve: Callable[..., Answer] = solve_exactly) -> Iterator[str]:
    """One line per instance: found and published, in both forms."""
    for name, (single, split) in published_optima(folder).items():
        instance = read_instance(folder / f"{name}.txt")
        alone, divided = (solve(instance, single_source=one) for one in (True, False))
        met = reaches(alone.cost, single) and reaches(divided.cost, split)
        yield (
            f"{name:4} single source {alone.cost / SCALE:14.3f} published {single / 100:12.2f}  "
            f"divided {divided.cost / SCALE:14.3f} known {split / 100:12.2f}  {'reached' if met else 'MISSED'}"
        )


def main() -> int:
    """Print the report; 1 when an optimum was missed."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else published_folder()
    if folder is None:
        print("the instances are not here; set SIGNALBOX_DATA to the folder of shared data")
        return 1
    missed = 0
    for text in report(folder):
        print(text, flush=True)
        missed += text.endswith("MISSED")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
