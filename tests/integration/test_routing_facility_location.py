"""Published facility-location instances, expanded to warehouse-carrier pairs: the known optima are reached exactly."""

from itertools import groupby
from pathlib import Path

import pytest

from domain.errors import ConfigError
from evals.facility_location import (
    CARRIERS,
    SCALE,
    Instance,
    carrier_after_warehouse,
    cost_of,
    published_folder,
    published_optima,
    reaches,
    read_instance,
    solve_exactly,
    solver_installed,
)

NAMES = tuple(f"p{number}" for number in range(1, 13))
needs_solver = pytest.mark.skipif(not solver_installed(), reason="the extra 'routing' (ortools) is not installed")


@pytest.fixture
def folder() -> Path:
    found = published_folder()
    if found is None:
        pytest.skip("the published instances are not here; set SIGNALBOX_DATA to the folder of shared data")
    return found


def instance(folder: Path, name: str) -> Instance:
    return read_instance(folder / f"{name}.txt")


@needs_solver
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("single_source", [True, False], ids=["single-source", "divided"])
def test_the_known_optimum_is_reached(folder: Path, name: str, single_source: bool) -> None:
    """F32: warehouse and carrier chosen together reach the published optimum, with the proof closed."""
    known = published_optima(folder)[name][0 if single_source else 1]
    answer = solve_exactly(instance(folder, name), single_source=single_source)
    assert reaches(answer.cost, known)
    assert abs(answer.cost - answer.bound) <= SCALE // 100


@pytest.mark.parametrize("name", NAMES)
def test_expansion_keeps_the_published_costs(folder: Path, name: str) -> None:
    """F32: every pair of warehouse and customer keeps one lane at the published cost, and some lanes are missing."""
    read = instance(folder, name)
    numbers = (folder / f"{name}.txt").read_text(encoding="utf-8").split()
    costs = iter(numbers[2 + 2 * len(read.capacity) + len(read.demand) :])
    pairs = groupby(read.arcs, key=lambda arc: (arc.warehouse, arc.customer))
    cheapest = [min(arc.cost for arc in arcs) for _, arcs in pairs]
    assert cheapest == [int(float(next(costs)) * SCALE + 0.5) for _ in cheapest]
    whole = len(read.capacity) * len(read.demand) * CARRIERS
    assert 0.7 * whole < len(read.arcs) < 0.9 * whole
    assert read == instance(folder, name)


@pytest.mark.parametrize("name", NAMES)
def test_choosing_the_carrier_afterwards_fails_or_costs_more(folder: Path, name: str) -> None:
    """F32: the nearest warehouse first and then the house carrier: a lane is missing, or it is dearer than the optimum."""
    known, _ = published_optima(folder)[name]
    cost = carrier_after_warehouse(instance(folder, name))
    assert cost is None or cost * 100 > known * SCALE


def test_an_infeasible_answer_is_refused(folder: Path) -> None:
    """F32: a cost is only given for what serves everybody within capacity."""
    read = instance(folder, "p1")
    first = [next(arc for arc in read.arcs if arc.customer == customer) for customer in range(len(read.demand))]
    with pytest.raises(ValueError, match="more than it can"):
        cost_of(read, first)
    with pytest.raises(ValueError, match="exactly once"):
        cost_of(read, first[1:])


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """F32: a file cut short says which one it is."""
    (tmp_path / "p0.txt").write_text("16 50\n15000.0", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"p0\.txt"):
        read_instance(tmp_path / "p0.txt")
