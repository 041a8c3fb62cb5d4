"""LangGraph threads of purchase orders."""

from typing import Any

from graph.supplier.run import SupplyRun
from graph.supplier.state import SCHEMA, SupplyGraphState
from graph.topology.model import Workflow
from graph.topology.threads import WorkflowThreads


def graph_version(workflow: Workflow) -> str:
    """Names the graph a thread belongs to: shape of state and nodes, and the exact topology."""
    return f"{SCHEMA}/{workflow.version}/{workflow.digest[:12]}"


class SupplyThreads(WorkflowThreads[SupplyRun]):
    """Runs compiled supplier graphs by version."""

    def first(self, run: SupplyRun) -> dict[str, Any]:
        """The state a fresh chain begins with."""
        state: SupplyGraphState = {
            "tenant": run.tenant,
            "number": run.number,
            "attempt_group": run.record.attempt_group,
            "decisions": {},
            "stage": 0,
            "grounds": [],
            "approved": [],
            "round": 0,
        }
        return dict(state)
