"""Asking agents: deadline, journal, reversible effects, fallback. The wrapper every agent runs in."""

import asyncio
from collections.abc import Mapping
from importlib.metadata import version as installed_version
from typing import Any

import structlog
from langgraph.errors import NodeError, NodeTimeoutError
from langgraph.runtime import Runtime
from langgraph.types import Command

from agents import SPECS, AgentSpec
from agents.recording import Recorder, on_tape
from agents.taught import HINT, situation_of
from domain.decision import Decision, Mode, Outcome, Proposal, Reason, Verdict, Versions
from domain.effect import Effect
from domain.errors import (
    AuditBehind,
    ConnectorRejected,
    InsufficientStock,
    LeaseLost,
    SignalboxError,
    StaleFence,
    StoreUnavailable,
)
from domain.event import decision_event
from domain.ports import Agent, AgentCase, ExamplePort
from domain.values import Plain, digest
from graph.effects import CancelRequested, Effects, effect_key
from graph.order.earning import Earning
from graph.order.run import OrderRun
from graph.order.state import OrderGraphState, brief
from graph.order.taping import Asked, Tapes
from graph.runtime import crash, tracing
from graph.runtime.clock import Clock
from graph.runtime.degraded import DegradedSwitch
from graph.runtime.degraded_orders import DegradedOrders
from graph.runtime.journal import Journal
from graph.runtime.metrics import Metrics
from graph.topology.model import AgentNode, Autonomy

log = structlog.get_logger(__name__)

HOLD_ATTEMPTS = 3
"""Races for stock an order may lose before its fallback decides."""
OURS = (StaleFence, LeaseLost, StoreUnavailable, AuditBehind, CancelRequested)
"""Not the agent's failure: no fallback helps, the run stops and is delivered again."""
MODES = {
    Autonomy.AUTONOMOUS: Mode.NORMAL,
    Autonomy.EARNED: Mode.NORMAL,
    Autonomy.SUGGESTION: Mode.SUGGESTION,
    Autonomy.SHADOW: Mode.SHADOW,
}
"""Under which mode an agent's own decision is recorded."""
DEGRADED = "degraded"
"""The flag of every decision made while peak mode is on."""
NO_FALLBACK = "none"
"""What a tape calls the question to a person that stands in where no fallback is declared."""
_CODE = installed_version("signalbox")


class Asking:
    """Asks one agent about one order and makes its answer durable before anybody acts on it."""

    def __init__(
        self,
        agents: Mapping[str, Agent],
        journal: Journal,
        effects: Effects,
        clock: Clock,
        metrics: Metrics,
        *,
        switch: DegradedSwitch,
        remembered: DegradedOrders,
        tapes: Tapes,
        examples: ExamplePort,
        earning: Earning,
    ) -> None:
        """``agents`` by registry name, in the versions the topology names; ``switch`` says when they judge simply."""
        self._tapes = tapes
        self._examples = examples
        self._earning = earning
        self._switch = switch
        self._remembered = remembered
        self._agents = agents
        self._journal = journal
        self._effects = effects
        self._clock = clock
        self._metrics = metrics

    async def ask(self, node: AgentNode, state: OrderGraphState, runtime: Runtime[OrderRun]) -> dict[str, Any]:
        """The agent's node: the decision already journaled in this attempt group, or a new one."""
        run = runtime.context
        decision = run.decisions.get(node.name)
        with tracing.agent_span(node.name, node.version, run.thread) as spanned:
            if decision is None:
                decision = await self._decide(run, node, attempt=1, hints={})
            decision = await self._secure(run, node, decision)
            spanned.note(
                signalbox__decision=decision.decision, signalbox__outcome=decision.outcome.value,
                signalbox__mode=decision.mode.value,
            )  # fmt: skip
        return {"decisions": {node.name: brief(decision)}}

    async def recover(self, node: AgentNode, goto: str, runtime: Runtime[OrderRun], error: NodeError) -> Command[Any]:
        """The error handler's work: the declared fallback decides, unless the agent's own decision was already complete."""
        if isinstance(error.error, OURS):
            raise error.error
        run = runtime.context
        self._switch.pulse.unanswered(node.name, tenant=run.tenant)
        decided = run.decisions.get(node.name)
        if decided is None or reversible_effects(decided):
            attempt = 1 if decided is None else decided.attempt + 1
            why = _why(error.error, node)
            log.warning("agent.fell_back", agent=node.name, order=run.order_id, why=why, fallback=node.fallback)
            decided = await self._fall_back(run, node, why, attempt=attempt)
        return Command(update={"decisions": {node.name: brief(decided)}}, goto=goto)

    async def _fall_back(self, run: OrderRun, node: AgentNode, why: str, *, attempt: int) -> Decision:
        """The declared fallback's decision, marked when it falls into peak mode."""
        simple = await self._switch.hints(run.tenant)
        asked = Asked(
            at=self._clock.now(), recorder=Recorder(), hints=simple, seen=run.decisions.ids(),
            fallback=node.fallback or NO_FALLBACK, why=why,
        )  # fmt: skip
        with on_tape(asked.recorder):
            verdict = fallback_verdict(self._agents[node.name], node.fallback, run.case(asked.at), why)
        if simple:
            verdict, _ = marked(verdict, Mode.FALLBACK)
        return await self._record(run, node, verdict, asked, attempt=attempt, mode=Mode.FALLBACK, took_ms=0)

    async def _decide(self, run: OrderRun, node: AgentNode, *, attempt: int, hints: dict[str, Plain]) -> Decision:
        started = self._clock.now()
        simple = await self._switch.hints(run.tenant)
        hints = hints | await self._taught(node.name, run)
        asked = Asked(at=started, recorder=Recorder(), hints=hints | simple, seen=run.decisions.ids())
        with on_tape(asked.recorder):
            verdict = await _answer(self._agents[node.name], run.case(started, hints=hints | simple))
        took_ms = round((self._clock.now() - started).total_seconds() * 1000)
        self._switch.pulse.answered(node.name, tenant=run.tenant, took_ms=took_ms, deadline_ms=node.timeout_ms)
        mode = MODES[node.mode]
        if simple:
            verdict, mode = marked(verdict, mode)
            if node.name in self._switch.policy.rescored:
                # Before the decision is journaled: a crash in between leaves one look too many, not one too few.
                await self._remembered.remember(run.tenant, run.order_id, at=started)
        return await self._record(run, node, verdict, asked, attempt=attempt, mode=mode, took_ms=took_ms)

    async def _taught(self, agent: str, run: OrderRun) -> dict[str, Plain]:
        """What people's edits of similar orders say; without the book the agent judges as if nobody had said anything."""
        situation = situation_of(agent, run.order)
        if situation is None:
            return {}
        try:
            found = await self._examples.similar(run.tenant, situation)
        except StoreUnavailable as away:
            log.warning("examples.not_read", agent=agent, order=run.order_id, why=str(away))
            return {}
        return {HINT: [example.model_dump(mode="json") for example in found]} if found else {}

    async def _record(
        self, run: OrderRun, node: AgentNode, verdict: Verdict, asked: Asked, *, attempt: int, mode: Mode, took_ms: int
    ) -> Decision:
        verdict, mode = await self._earning.weigh(run, node, verdict, mode)
        offered = decided(run, node, verdict, self._clock, attempt=attempt, mode=mode, took_ms=took_ms)
        tape = self._tapes.tape(run, offered, asked)
        event = decision_event(
            offered,
            correlation_id=run.correlation_id,
            causation_id="",
            currency=run.order.currency,
            locale=run.order.locale,
        )
        recorded = await self._journal.record(run.thread, offered, event, token=run.token, tape=tape.to_json())
        crash.point("decision.journaled")
        run.decisions[node.name] = recorded.decision
        if recorded.won:
            self._tapes.sent(tape)
            self._metrics.decided(recorded.decision)
        return recorded.decision

    async def _secure(self, run: OrderRun, node: AgentNode, decision: Decision) -> Decision:
        """Apply the reversible effects the decision proposes; a lost race is decided again on fresh stock."""
        if node.mode not in {Autonomy.AUTONOMOUS, Autonomy.EARNED} or decision.mode in {Mode.FALLBACK, Mode.SUGGESTION}:
            return decision
        while effects := reversible_effects(decision):
            try:
                for effect in effects:
                    await self._effects.apply(run.holder, effect, heed_cancel=False)
            except (InsufficientStock, ConnectorRejected) as lost:
                decision = await self._decide_again(run, node, decision, lost)
            else:
                return decision
        return decision

    async def _decide_again(self, run: OrderRun, node: AgentNode, decision: Decision, lost: SignalboxError) -> Decision:
        attempt = decision.attempt + 1
        if attempt > HOLD_ATTEMPTS:
            return await self._fall_back(
                run, node, f"lost the race for stock {HOLD_ATTEMPTS} times: {lost}", attempt=attempt
            )
        short: dict[str, Plain] = dict(lost.short) if isinstance(lost, InsufficientStock) else {}
        return await self._decide(run, node, attempt=attempt, hints={"short": short})


def fallback_verdict(agent: Agent, fallback: str | None, case: AgentCase, why: str) -> Verdict:
    """What stands in for an agent that could not decide: its declared fallback, else the question to a person."""
    if fallback is None:
        reason = Reason(code="NO_ANSWER", text=f"{agent.name} {why}; it declares no fallback")
        return Verdict(decision="ask_person", outcome=Outcome.REVIEW, confidence=None, reasons=(reason,))
    return agent.fallback(fallback, case, why)


async def _answer(agent: Agent, case: AgentCase) -> Verdict:
    """The agent's verdict. Cut off, this ends at once, and an agent that will not be cut off is left with its answer."""
    asked = asyncio.get_running_loop().create_task(agent.decide(case))
    try:
        return await asyncio.shield(asked)
    except asyncio.CancelledError:
        asked.cancel()
        asked.add_done_callback(_disregard)
        raise


def marked(verdict: Verdict, mode: Mode) -> tuple[Verdict, Mode]:
    """The verdict flagged as one of peak days, whatever the agent makes of them, and the mode it is recorded under."""
    flags = verdict.flags if DEGRADED in verdict.flags else (*verdict.flags, DEGRADED)
    return verdict.model_copy(update={"flags": flags}), Mode.DEGRADED if mode is Mode.NORMAL else mode


def _disregard(late: asyncio.Task[Verdict]) -> None:
    if not late.cancelled():
        log.warning("agent.answered_late", failed=late.exception() is not None)


def reversible_effects(decision: Decision) -> list[Effect]:
    """The effects a decision proposes that may run before the gate; their keys name the attempt that proposed them."""
    return [
        Effect(
            key=effect_key(
                decision.tenant, decision.entity_id, p.kind, f"{p.part}{decision.attempt}", decision.attempt_group
            ),
            kind=p.kind,
            tenant=decision.tenant,
            entity_id=decision.entity_id,
            args=p.args,
            decision_id=decision.decision_id,
        )
        for p in decision.proposals
        if p.kind.reversible
    ]


def decided(
    run: OrderRun, node: AgentNode, verdict: Verdict, clock: Clock, *, attempt: int, mode: Mode, took_ms: int
) -> Decision:
    """The verdict as a decision: with ids, versions, digest of the inputs, mode and time."""
    seen = run.decisions.ids()
    inputs = {"order": run.content_digest, "version": run.version, "seen": seen, "read": verdict.inputs}
    named = verdict.versions
    spec = SPECS.get((node.name, node.version))
    proposals, refused = allowed(verdict, spec)
    versions = Versions(
        agent=node.version,
        thresholds=named.get("thresholds") or (spec.thresholds if spec else ""),
        calibration=named.get("calibration") or (spec.calibration if spec else None),
        model=named.get("model"),
        prompt=named.get("prompt"),
        topology=run.topology_version,
        code=_CODE,
    )
    return Decision(
        decision_id=clock.new_id(),
        tenant=run.tenant,
        entity_type="order",
        entity_id=run.order_id,
        agent=node.name,
        versions=versions,
        decision=verdict.decision,
        outcome=verdict.outcome,
        confidence=verdict.confidence,
        flags=(*verdict.flags, *refused),
        reasons=verdict.reasons,
        counterfactual=verdict.counterfactual,
        proposals=proposals,
        facts=verdict.facts,
        inputs=verdict.inputs,
        inputs_digest=digest(inputs),
        order_version=run.version,
        mode=mode,
        attempt_group=run.attempt_group,
        attempt=attempt,
        cost=verdict.cost,
        processing_time_ms=took_ms,
        decided_at=clock.now(),
    )


def allowed(verdict: Verdict, spec: AgentSpec | None) -> tuple[tuple[Proposal, ...], tuple[str, ...]]:
    """The proposals of the kinds the registry allows the agent, and a flag for each kind it may not propose."""
    if spec is None:
        return verdict.proposals, ()
    kept = tuple(one for one in verdict.proposals if one.kind.value in spec.actions)
    over = sorted({one.kind.value for one in verdict.proposals} - set(spec.actions))
    return kept, tuple(f"refused:{kind}" for kind in over)


def _why(error: BaseException, node: AgentNode) -> str:
    if isinstance(error, NodeTimeoutError):
        return f"gave no answer within {node.timeout_ms} ms"
    if isinstance(error, SignalboxError):
        return f"could not decide: {error}"
    return f"failed with {type(error).__name__}"
