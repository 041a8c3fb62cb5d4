"""Asking the agents of the supplier workflow: journal first, the draft kept in the store, the declared fallback on failure."""

from collections.abc import Mapping
from importlib.metadata import version as installed_version
from typing import Any

import structlog
from langgraph.errors import NodeError, NodeTimeoutError
from langgraph.runtime import Runtime
from langgraph.types import Command

from agents.supply_case import SupplyAgent, fallback_verdict
from domain.decision import Decision, Mode, Verdict, Versions
from domain.errors import AuditBehind, LeaseLost, SignalboxError, StaleFence, StoreUnavailable
from domain.event import decision_event
from domain.purchasing import PurchaseOrder
from domain.values import canonical_json, digest
from graph.effects import CancelRequested
from graph.runtime import crash
from graph.runtime.clock import Clock
from graph.runtime.journal import Journal
from graph.runtime.metrics import Metrics
from graph.runtime.purchase_orders import PurchaseOrders
from graph.runtime.supply_cases import ENTITY
from graph.supplier.run import SupplyRun
from graph.supplier.state import SupplyGraphState, brief
from graph.topology.model import AgentNode, Autonomy

log = structlog.get_logger(__name__)

OURS = (StaleFence, LeaseLost, StoreUnavailable, AuditBehind, CancelRequested)
"""Not the agent's failure: the run stops and is delivered again."""
DRAFT = "purchase_order_draft"
_MODES = {Autonomy.SUGGESTION: Mode.SUGGESTION, Autonomy.SHADOW: Mode.SHADOW}
_CODE = installed_version("signalbox")


class SupplyAsking:
    """Asks one agent and makes its answer durable before anybody acts on it."""

    def __init__(
        self,
        agents: Mapping[str, SupplyAgent],
        journal: Journal,
        orders: PurchaseOrders,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """``agents`` by registry name, in the versions the topology names."""
        self._agents = agents
        self._journal = journal
        self._orders = orders
        self._clock = clock
        self._metrics = metrics

    async def ask(self, node: AgentNode, state: SupplyGraphState, runtime: Runtime[SupplyRun]) -> dict[str, Any]:
        """The agent's node: the decision already journaled in this attempt group, or a new one."""
        run = runtime.context
        decision = run.decisions.get(node.name)
        if decision is None:
            started = self._clock.now()
            verdict = await self._agents[node.name].decide(run.case(started))
            took_ms = round((self._clock.now() - started).total_seconds() * 1000)
            mode = _MODES.get(node.mode, Mode.NORMAL)
            decision = await self._record(run, node, verdict, mode=mode, attempt=1, took_ms=took_ms)
        if node.name == DRAFT:
            await self._keep(run, decision)
        return {"decisions": {node.name: brief(decision)}}

    async def recover(self, node: AgentNode, goto: str, runtime: Runtime[SupplyRun], error: NodeError) -> Command[Any]:
        """The error handler's work: the declared fallback decides."""
        if isinstance(error.error, OURS):
            raise error.error
        run = runtime.context
        decision = run.decisions.get(node.name)
        if decision is None:
            why = _why(error.error, node)
            log.warning("agent.fell_back", agent=node.name, number=run.number, why=why, fallback=node.fallback)
            verdict = fallback_verdict(node.fallback, node.name, why)
            decision = await self._record(run, node, verdict, mode=Mode.FALLBACK, attempt=1, took_ms=0)
        return Command(update={"decisions": {node.name: brief(decision)}}, goto=goto)

    async def _keep(self, run: SupplyRun, decision: Decision) -> None:
        """The drafted version in the store, once; from here on its units count as coming."""
        document = decision.facts.get("order")
        if document is None:
            return
        order = PurchaseOrder.model_validate(document)
        letter = decision.facts.get("letter")
        await self._orders.keep(
            order,
            letter=canonical_json(letter) if letter is not None else "",
            by=f"agent:{decision.agent}",
            at=decision.decided_at,
            triggered_at=run.record.trigger.at,
        )
        crash.point("purchase_order.kept")

    async def _record(
        self, run: SupplyRun, node: AgentNode, verdict: Verdict, *, mode: Mode, attempt: int, took_ms: int
    ) -> Decision:
        offered = self._decided(run, node, verdict, mode=mode, attempt=attempt, took_ms=took_ms)
        order = run.order
        event = decision_event(
            offered,
            correlation_id=run.record.correlation_id,
            causation_id="",
            currency=order.currency if order else "",
            locale=order.vendor.language if order else "",
        )
        recorded = await self._journal.record(run.thread, offered, event, token=run.token)
        crash.point("decision.journaled")
        run.decisions[node.name] = recorded.decision
        if recorded.won:
            self._metrics.decided(recorded.decision)
        return recorded.decision

    def _decided(
        self, run: SupplyRun, node: AgentNode, verdict: Verdict, *, mode: Mode, attempt: int, took_ms: int
    ) -> Decision:
        seen = run.decisions.ids()
        read = {"number": run.number, "version": run.record.version, "seen": seen, "read": verdict.inputs}
        named = verdict.versions
        return Decision(
            decision_id=self._clock.new_id(),
            tenant=run.tenant,
            entity_type=ENTITY,
            entity_id=run.number,
            agent=node.name,
            versions=Versions(
                agent=node.version,
                model=named.get("model"),
                prompt=named.get("prompt"),
                topology=run.topology_version,
                code=_CODE,
            ),
            decision=verdict.decision,
            outcome=verdict.outcome,
            confidence=verdict.confidence,
            flags=verdict.flags,
            reasons=verdict.reasons,
            counterfactual=verdict.counterfactual,
            proposals=verdict.proposals,
            facts=verdict.facts,
            inputs=verdict.inputs,
            inputs_digest=digest(read),
            order_version=run.record.version,
            mode=mode,
            attempt_group=run.record.attempt_group,
            attempt=attempt,
            cost=verdict.cost,
            processing_time_ms=took_ms,
            decided_at=self._clock.now(),
        )


def _why(error: BaseException, node: AgentNode) -> str:
    if isinstance(error, NodeTimeoutError):
        return f"gave no answer within {node.timeout_ms} ms"
    if isinstance(error, SignalboxError):
        return f"could not decide: {error}"
    return f"failed with {type(error).__name__}"
