"""The order graph for LangGraph's development server: real agents and real gates on one order, and nothing outside.

``langgraph dev`` (a developer's extra) calls ``make_graph``. Its runs have no lease, no journal and no effect: the input
is a native order document, the result is what would be done. Reviews interrupt and are answered like anywhere else.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypedDict

import orjson
from langgraph.errors import NodeError
from langgraph.types import Command, interrupt

from agents import AgentPorts, build
from domain.decision import Decision, Mode, Verdict
from domain.ids import thread_id
from domain.order import Order
from domain.ports import Agent
from domain.values import Plain
from graph.bootstrap.order_graphs import ORDER_WORKFLOW
from graph.bootstrap.settings import ORDER_TOPOLOGY
from graph.gate import GateAction, judge
from graph.order.asking import decided
from graph.order.inbox import inbox_request
from graph.order.run import OrderRun
from graph.order.state import Resumption, merge
from graph.runtime.clock import SystemClock
from graph.runtime.journal import Latest
from graph.topology.compile import NodeFunction
from graph.topology.compile import build as compile_graph
from graph.topology.loader import load
from graph.topology.model import AgentNode, Workflow
from tools.channels import adapter
from tools.sandbox import Sandbox


class DryState(TypedDict, total=False):
    """Input: ``order``, a native order document. Everything else is what the dry run finds."""

    order: dict[str, Any]
    decisions: Annotated[dict[str, Any], merge]
    grounds: list[Any]
    resume_to: list[str]
    outcome: str
    would_do: list[str]


class NoActivity:
    """Counts nothing: a dry run has no past."""

    async def record(self, **_: object) -> None:
        """Note nothing."""

    async def count(self, **_: object) -> int:
        """Always one: the order itself."""
        return 1


class DryNodes:
    """Makes nodes that ask and judge, and apply nothing."""

    def __init__(self, workflow: Workflow, agents: dict[str, Agent]) -> None:
        """``agents`` by name."""
        self._workflow = workflow
        self._agents = agents
        self._clock = SystemClock()

    def agent(self, node: AgentNode) -> NodeFunction:
        """Asks the agent about the order in the input."""

        async def ask(state: DryState) -> dict[str, Any]:
            run = self._run(state)
            verdict = await self._agents[node.name].decide(run.case(self._clock.now()))
            return {"decisions": {node.name: self._noted(run, node, verdict, Mode.SHADOW)}}

        return ask

    def on_failure(self, node: AgentNode, goto: str) -> NodeFunction:
        """Takes the declared fallback."""

        async def recover(state: DryState, error: NodeError) -> Command[Any]:
            run, name = self._run(state), node.fallback or ""
            verdict = self._agents[node.name].fallback(name, run.case(self._clock.now()), str(error.error))
            return Command(update={"decisions": {node.name: self._noted(run, node, verdict, Mode.FALLBACK)}}, goto=goto)

        return recover

    def gate(self, stage: int, next_nodes: list[str]) -> NodeFunction:
        """Judges a stage by the production rules."""
        here = self._workflow.stages[stage - 1]

        async def join(state: DryState) -> Command[Any]:
            decisions = {name: Decision.model_validate(kept) for name, kept in state["decisions"].items()}
            judgement = judge(here, decisions, exposure_usd=None)
            after = ["park"] if judgement.after_approval is GateAction.PARK else next_nodes
            match judgement.action:
                case GateAction.PROCEED:
                    return Command(goto=next_nodes)
                case GateAction.PARK | GateAction.CANCEL:
                    return Command(goto=judgement.action.value)
                case GateAction.REVIEW:
                    grounds = [asdict(ground) for ground in judgement.grounds]
                    return Command(goto="request_review", update={"grounds": grounds, "resume_to": after})

        return join

    @property
    def request_review(self) -> NodeFunction:
        """Nothing is written anywhere."""

        async def request(state: DryState) -> dict[str, Any]:
            return {}

        return request

    @property
    def await_review(self) -> NodeFunction:
        """Waits for ``{"action": "approve" | "reject", "detail": "..."}`` or an inbox's answer."""

        async def wait(state: DryState) -> Command[Any]:
            args: dict[str, Plain] = {"resume_to": list(state["resume_to"])}
            sentences = "\n".join(str(ground["sentence"]) for ground in state["grounds"])
            shown = {**inbox_request("release_order", args, sentences), "grounds": state["grounds"]}
            answer = Resumption.model_validate(interrupt(shown, response_schema=Resumption))
            return Command(goto=state["resume_to"] if answer.action == "approve" else "cancel")

        return wait

    @property
    def fulfil(self) -> NodeFunction:
        """Names the effects the decisions propose."""

        async def fulfil(state: DryState) -> Command[Any]:
            proposed = [p["kind"] for kept in state["decisions"].values() for p in kept["proposals"]]
            return Command(goto="close", update={"outcome": "fulfilled", "would_do": proposed})

        return fulfil

    @property
    def cancel(self) -> NodeFunction:
        """Says that the order would be cancelled."""
        return self._ends("cancelled")

    @property
    def park(self) -> NodeFunction:
        """Says that the order would wait for stock."""
        return self._ends("backordered")

    @property
    def close(self) -> NodeFunction:
        """The end."""

        async def close(state: DryState) -> dict[str, Any]:
            return {}

        return close

    def _ends(self, outcome: str) -> NodeFunction:
        async def end(state: DryState) -> dict[str, Any]:
            return {"outcome": outcome}

        return end

    def _noted(self, run: OrderRun, node: AgentNode, verdict: Verdict, mode: Mode) -> dict[str, Any]:
        # Judged as in production: a shadow decision would be passed over by the gate.
        kept = Mode.NORMAL if mode is Mode.SHADOW else mode
        decision = decided(run, node, verdict, self._clock, attempt=1, mode=kept, took_ms=0)
        noted: dict[str, Any] = decision.model_dump(mode="json")
        return noted

    def _run(self, state: DryState) -> OrderRun:
        order = _order(state["order"])
        taken = {name: orjson.dumps(kept).decode() for name, kept in state.get("decisions", {}).items()}
        return OrderRun(
            thread=thread_id(order.tenant, "dry", order.order_id),
            order=order,
            version=1,
            attempt_group=1,
            token=0,
            correlation_id="dry",
            topology_version=self._workflow.version,
            exposure_usd=None,
            decisions=Latest(taken),
        )


def _order(document: dict[str, Any]) -> Order:
    text = orjson.dumps({"placed_at": datetime.now(UTC).isoformat()} | document).decode()
    return adapter("storefront").normalise(text, tenant="dry", shop="studio", payload_ref="studio")[0]


@asynccontextmanager
async def make_graph() -> AsyncIterator[Any]:
    """The compiled order graph, without a checkpointer: the server brings its own."""
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="signalbox-studio-")
    try:
        async with await asyncio.to_thread(Sandbox, Path(folder) / "sandbox.sqlite3") as sandbox:
            yield await asyncio.to_thread(_compiled, sandbox)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _compiled(sandbox: Sandbox) -> Any:
    """Everything that reads files: the development server refuses to do that on its loop."""
    workflow = load(ORDER_TOPOLOGY).workflow(ORDER_WORKFLOW)
    ports = AgentPorts(
        wms=sandbox.wms,
        carriers=sandbox.carriers,
        crm=sandbox.crm,
        erp=sandbox.erp,
        activity=NoActivity(),
    )
    agents = {node.name: build(node.name, node.version, ports) for stage in workflow.stages for node in stage}
    return compile_graph(workflow, DryNodes(workflow, agents), state_schema=DryState).compile()
