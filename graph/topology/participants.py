"""Everybody who reads and writes data, agents of all workflows and automations alike, and the pairs no rule settles."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

from domain.automation import EMITTER, AutomationBook
from domain.conflict import ConflictPolicy
from graph.topology.conflict_graph import Column, matrix_svg
from graph.topology.conflicts import rule_for
from graph.topology.mermaid import edge, heading, node
from graph.topology.model import Workflow, covers


class Participant(NamedTuple):
    """One who reads or writes."""

    name: str
    """An automation's begins with ``automation:``."""
    workflow: str
    """Empty for an automation."""
    reads: tuple[str, ...]
    writes: tuple[str, ...]

    def changes(self, facet: str) -> bool:
        """Whether it writes the facet, or one that contains it."""
        return any(covers(written, facet) for written in self.writes)


class Pair(NamedTuple):
    """Two who write the same data."""

    facet: str
    one: str
    other: str
    rule: str
    """What settles it; empty when nothing does."""


def participants(workflows: Iterable[Workflow], book: AutomationBook) -> list[Participant]:
    """Agents in the order of their files, then automations."""
    found = [Participant(a.name, flow.name, a.reads, a.writes) for flow in workflows for a in flow.agents]
    return found + [Participant(EMITTER + a.name, "", a.reads, a.writes) for a in book.automations]


def data_of(everybody: Sequence[Participant]) -> list[str]:
    """Everything read or written, what is written first."""
    written = [facet for one in everybody for facet in one.writes]
    return list(dict.fromkeys(written + [facet for one in everybody for facet in one.reads]))


def pairs(workflows: Sequence[Workflow], book: AutomationBook, policy: ConflictPolicy) -> list[Pair]:
    """Every two writers of the same data, and what settles it: the workflow's rule, the policy, or their owners' word."""
    everybody = participants(workflows, book)
    found = []
    for facet in dict.fromkeys(facet for one in everybody for facet in one.writes):
        writers = [one for one in everybody if one.changes(facet)]
        for one, other in combinations(writers, 2):
            if (one.name, one.workflow) != (other.name, other.workflow):
                found.append(Pair(facet, one.name, other.name, _rule(facet, one, other, workflows, book, policy)))
    return found


def _rule(
    facet: str, one: Participant, other: Participant, workflows: Sequence[Workflow], book: AutomationBook,
    policy: ConflictPolicy,
) -> str:  # fmt: skip
    if not (one.workflow and other.workflow):  # nobody here can stop an automation, so no rule of ours holds it
        return next((f"agreed: {each.how}" for each in book.settled if covers(each.facet, facet)), "")
    if one.workflow == other.workflow:
        workflow = next(flow for flow in workflows if flow.name == one.workflow)
        return str(rule_for(workflow, facet) or "")
    return f"conflict policy {policy.version}" if facet in policy.facets else ""


def everybody_mermaid(workflows: Sequence[Workflow], book: AutomationBook, policy: ConflictPolicy) -> str:
    """Everybody and all data as a Mermaid flowchart: solid arrows write, dashed arrows read."""
    everybody = participants(workflows, book)
    rules: dict[str, set[str]] = {}
    for pair in pairs(workflows, book, policy):
        rules.setdefault(pair.facet, set()).add(pair.rule or "missing")
    lines = heading("LR", "Who reads and writes what")
    for one in everybody:
        lines.append(node(_id(one), (one.name, one.workflow or "automation")))
    for facet in data_of(everybody):
        told = tuple(f"rule: {rule}" for rule in sorted(rules.get(facet, ())))
        lines.append(node(f"data:{facet}", (facet, *told), "data"))
    for one in everybody:
        lines += [edge(_id(one), f"data:{facet}", label="writes") for facet in one.writes]
        lines += [edge(f"data:{facet}", _id(one), dashed=True) for facet in one.reads]
    return "\n".join(lines) + "\n"


def everybody_svg(workflows: Sequence[Workflow], book: AutomationBook, policy: ConflictPolicy) -> str:
    """The same as a table in SVG: data down, agents by workflow and tier and automations across."""
    groups = [
        (f"{flow.name} {number}" if len(workflows) > 1 else f"tier {number}",
         [Column(agent.name, agent.reads, agent.writes) for agent in tier])
        for flow in workflows
        for number, tier in enumerate(flow.tiers, start=1)
    ]  # fmt: skip
    groups.append(("automations", [Column(each.name, each.reads, each.writes) for each in book.automations]))
    rules: dict[str, dict[str, None]] = {facet: {} for facet in data_of(participants(workflows, book))}
    found = pairs(workflows, book, policy)
    for pair in found:
        rules[pair.facet][f"rule: {pair.rule or 'missing'}"] = None
    told = "; ".join(f"{pair.one} and {pair.other} write {pair.facet}" for pair in found)
    lines = {facet: tuple(said) for facet, said in rules.items()}
    title, key = ", ".join(flow.name for flow in workflows), "-".join(flow.digest[:8] for flow in workflows)
    return matrix_svg(title, groups, lines, told=told, key=key)


def _id(one: Participant) -> str:
    return f"{one.workflow}:{one.name}" if one.workflow else one.name
