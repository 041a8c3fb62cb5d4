"""The conflict graph as data: what is read and written by whom, and the pairs of writers that nothing settles."""

from collections.abc import Sequence

from api.services import Json
from domain.automation import AutomationBook
from domain.conflict import ConflictPolicy
from graph.topology.model import Workflow
from graph.topology.participants import data_of, pairs, participants


def conflict_graph(workflows: Sequence[Workflow], book: AutomationBook, policy: ConflictPolicy) -> Json:
    """Everybody's data and every pair of writers, of all workflows and automations."""
    everybody, found = participants(workflows, book), pairs(workflows, book, policy)
    rules: dict[str, dict[str, None]] = {}
    for pair in found:
        rules.setdefault(pair.facet, {})[pair.rule or "none"] = None
    told = [
        {"data": pair.facet, "one": pair.one, "other": pair.other, "rule": pair.rule or None} for pair in found
    ]  # fmt: skip
    return {
        "workflow": ", ".join(flow.name for flow in workflows),
        "workflows": [flow.name for flow in workflows],
        "data": [
            {
                "data": facet,
                "writers": [one.name for one in everybody if one.changes(facet)],
                "readers": [one.name for one in everybody if facet in one.reads],
                "rule": "; ".join(rules[facet]) if facet in rules else None,
            }
            for facet in data_of(everybody)
        ],
        "pairs": told,
        "without_rule": [pair for pair in told if pair["rule"] is None],
    }
