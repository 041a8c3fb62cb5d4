"""Who writes the same data, and the declared rule that settles it."""

from collections.abc import Mapping
from typing import NamedTuple

from graph.topology.model import Rule, Workflow, covers


class Conflict(NamedTuple):
    """A facet with more than one writer."""

    facet: str
    agents: tuple[str, ...]
    """Its writers, in the order of the file."""
    rule: Rule | None
    """None when the file declares nothing, which ``load`` refuses."""


def conflicts(workflow: Workflow) -> list[Conflict]:
    """Every facet more than one agent writes; a writer of ``order`` also writes ``order.release``."""
    facets = dict.fromkeys(facet for agent in workflow.agents for facet in agent.writes)
    found = []
    for facet in facets:
        writers = tuple(a.name for a in workflow.agents if any(covers(written, facet) for written in a.writes))
        if len(writers) > 1:
            found.append(Conflict(facet, writers, rule_for(workflow, facet)))
    return found


def rule_for(workflow: Workflow, facet: str) -> Rule | None:
    """The rule declared for a facet, or for the nearest facet that contains it."""
    return nearest({declared.facet: declared.rule for declared in workflow.conflict_rules}, facet)


def nearest(rules: Mapping[str, Rule], facet: str) -> Rule | None:
    """The rule of a facet, or of the nearest facet that contains it."""
    fitting = [declared for declared in rules if covers(declared, facet)]
    return rules[max(fitting, key=len)] if fitting else None
