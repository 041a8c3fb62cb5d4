"""The batch solved to proof by CP-SAT, from the optional extra ``routing``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from agents.routing_batch_columns import Candidates, Key
from agents.routing_batch_search import Choice
from domain.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What the solver found."""

    choice: Choice
    bound_minor: int
    """No choice of these columns costs less."""
    optimal: bool


def installed() -> bool:
    """Whether the solver is there."""
    return find_spec("ortools") is not None


def proved(batch: Sequence[Candidates], supply: Mapping[Key, int], start: Choice, *, effort_ms: int) -> Proof:
    """The cheapest choice, beginning from ``start``; ``effort_ms`` limits the search in the solver's deterministic time.

    Raises:
        ConfigError: the solver is not installed.
    """
    if not installed():
        raise ConfigError("exact batch routing needs the extra: pip install 'signalbox[routing]' (ortools)")
    cp_model: Any = import_module("ortools.sat.python.cp_model")
    model = cp_model.CpModel()
    taken: dict[Key, list[Any]] = {}
    terms, picks = [], []
    for order, first in zip(batch, start, strict=True):
        pick = [model.new_bool_var("") for _ in (*order.columns, None)]
        model.add_exactly_one(pick)
        picks.append(pick)
        for chosen, column in zip(pick, order.columns, strict=False):
            terms.append(chosen * column.objective_minor)
            model.add_hint(chosen, column is first)
            for key, units in column.uses:
                taken.setdefault(key, []).append(chosen * units)
        terms.append(pick[-1] * order.unserved_minor)
        model.add_hint(pick[-1], first is None)
    for key, uses in taken.items():
        model.add(sum(uses) <= supply.get(key, 0))
    model.minimize(sum(terms))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 1
    solver.parameters.max_deterministic_time = effort_ms / 1_000
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Proof(choice=start, bound_minor=0, optimal=False)
    choice: Choice = [
        next(
            (column for chosen, column in zip(pick, order.columns, strict=False) if solver.boolean_value(chosen)), None
        )
        for order, pick in zip(batch, picks, strict=True)
    ]
    return Proof(
        choice=choice, bound_minor=round(solver.best_objective_bound), optimal=bool(status == cp_model.OPTIMAL)
    )
