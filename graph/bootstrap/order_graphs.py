"""Compiles the order graphs: the workflow in force and the earlier ones whose threads may still be waiting."""

from collections.abc import Callable
from typing import Any

import structlog

from agents import SPECS
from domain.conflict import ConflictPolicy
from domain.errors import ConfigError
from domain.ports import Agent
from graph.bootstrap.reviews import ReviewArea
from graph.bootstrap.settings import Settings
from graph.effects import Effects
from graph.order.asking import Asking
from graph.order.claiming import Claiming
from graph.order.earning import Earning
from graph.order.nodes import OrderNodes
from graph.order.parking import Parking
from graph.order.reviewing import Reviewing
from graph.order.run import OrderRun
from graph.order.state import OrderGraphState
from graph.order.taping import Tapes
from graph.order.threads import OrderThreads, graph_version
from graph.runtime.claims import Claims
from graph.runtime.degraded import DegradedSwitch
from graph.runtime.degraded_orders import DegradedOrders
from graph.runtime.examples import ExampleBook
from graph.runtime.store import Store
from graph.topology.compile import build as compile_graph
from graph.topology.loader import load
from graph.topology.model import Workflow

log = structlog.get_logger(__name__)

ORDER_WORKFLOW = "order_workflow"


def order_threads(
    carried: list[Workflow],
    store: Store,
    effects: Effects,
    parking: Parking,
    staff: Callable[[Workflow], dict[str, Agent]],
    *,
    switch: DegradedSwitch,
    tapes: Tapes,
    conflicts: ConflictPolicy,
    reviews: ReviewArea,
    examples: ExampleBook,
    earning: Earning,
    claims: Claims,
) -> OrderThreads:
    """Compile the workflow in force, which comes first, and the earlier ones whose threads may still be waiting."""
    reviewing = Reviewing(
        store.reviews, store.journal, store.checkpointer, store.keys,
        policy=reviews.cases.policy, clock=store.clock, metrics=store.metrics,
    )  # fmt: skip
    graphs: dict[str, Any] = {}
    for workflow in carried:
        asking = Asking(
            staff(workflow), store.journal, effects, store.clock, store.metrics,
            switch=switch, remembered=DegradedOrders(store.batcher, store.keys), tapes=tapes, examples=examples,
            earning=earning,
        )  # fmt: skip
        nodes = OrderNodes(
            workflow, asking, reviewing, effects, store.journal,
            parking=parking, earning=earning, clock=store.clock, metrics=store.metrics, conflicts=conflicts,
            claiming=Claiming(claims, store.clock),
        )  # fmt: skip
        builder = compile_graph(workflow, nodes, state_schema=OrderGraphState, context_schema=OrderRun)
        graphs[graph_version(workflow)] = builder.compile(checkpointer=store.checkpointer)
    return OrderThreads(graphs, store.checkpointer, current=graph_version(carried[0]))


def carried_workflows(current: Workflow, settings: Settings) -> list[Workflow]:
    """The workflow in force and those kept in ``home/topologies`` whose agents all still exist.

    Threads finish under the topology they were started with; one that cannot be carried any more is left to the
    dead letters, which name its version.
    """
    archive = settings.home / "topologies"
    archive.mkdir(exist_ok=True)
    kept = archive / f"{graph_version(current).replace('/', '_')}.yaml"
    if not kept.exists():
        kept.write_text(settings.topology_file.read_text(encoding="utf-8"), encoding="utf-8")
    found = {graph_version(current): current}
    for path in sorted(archive.glob("*.yaml")):
        try:
            earlier = load(path).workflow(ORDER_WORKFLOW)
        except ConfigError as unreadable:
            log.warning("topology.not_carried", file=path.name, why=str(unreadable))
            continue
        if all((node.name, node.version) in SPECS for node in earlier.agents):
            found.setdefault(graph_version(earlier), earlier)
    return list(found.values())
