"""LangGraph threads of orders. A thread runs only under the graph version it was started with."""

from typing import Any

from graph.order.run import OrderRun
from graph.order.state import SCHEMA, OrderGraphState
from graph.topology.model import Workflow
from graph.topology.threads import RECURSION_LIMIT, STRICT, UnknownGraphVersion, WorkflowThreads

__all__ = ["RECURSION_LIMIT", "STRICT", "OrderThreads", "UnknownGraphVersion", "graph_version"]


def graph_version(workflow: Workflow) -> str:
    """Names the graph a thread belongs to: shape of state and nodes, and the exact topology."""
    return f"{SCHEMA}/{workflow.version}/{workflow.digest[:12]}"


class OrderThreads(WorkflowThreads[OrderRun]):
    """Runs compiled order graphs by version."""

    workflow = "order_workflow"

    def first(self, run: OrderRun) -> dict[str, Any]:
        """The state a fresh order begins with."""
        state: OrderGraphState = {
            "tenant": run.tenant,
            "order_id": run.order_id,
            "attempt_group": run.attempt_group,
            "decisions": {},
            "stage": 0,
            "approved": [],
            "round": 0,
        }
        return dict(state)
