"""Tier 3: agents that follow the event stream. They never hold an order up, and none of their work is lost.

What an agent proposes goes through the effect ledger like any effect.
"""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal as Dollars

import structlog

from agents.recording import Recorder, on_tape
from domain.decision import Decision, Proposal
from domain.effect import Effect, EffectKind
from domain.errors import ConnectorRejected, MalformedPayload, TooLate, Transient
from domain.event import Event, decision_event
from domain.ids import ThreadId
from domain.order import OrderProgress
from domain.ports import Agent, Delivery
from domain.values import Plain
from graph.effects import Effects, effect_key
from graph.order.asking import MODES, decided, marked
from graph.order.run import OrderRun
from graph.order.taping import Asked, Tapes
from graph.runtime import tracing
from graph.runtime.atomics import UNFENCED
from graph.runtime.degraded import DegradedSwitch
from graph.runtime.journal import OCCASIONS as TOPIC
from graph.runtime.notices import Held, Notices
from graph.runtime.orders import OrderRecord
from graph.runtime.store import Store
from graph.topology.model import AgentNode, Autonomy

log = structlog.get_logger(__name__)

OCCASIONS = (OrderProgress.BACKORDERED, OrderProgress.FULFILLED, OrderProgress.CANCELLED)
"""What tier 3 acts on; the position is the attempt number of the decision within its run."""
_PREFIX = "order.progress."
NOTIFICATION = "customer_notification"
POSTPONED = frozenset({OrderProgress.BACKORDERED, OrderProgress.FULFILLED})
"""What peak mode may tell later; a cancellation and its refund are told at once."""
ONCE_PER_ORDER = frozenset({EffectKind.POST_LOYALTY, EffectKind.REVERSE_LOYALTY})


class Follower:
    """The tier-3 agents of a workflow and their place in the event stream: the order is read once for all of them."""

    topic = TOPIC
    group = "tier3"
    """The consumer group on the occasions topic."""

    def __init__(
        self,
        nodes: Sequence[AgentNode],
        agents: Mapping[str, Agent],
        store: Store,
        effects: Effects,
        switch: DegradedSwitch,
        tapes: Tapes,
        notices: Notices,
    ) -> None:
        """``nodes`` are the agents' entries in the topology, ``agents`` the agents by name.

        ``notices`` keeps what peak mode holds back.
        """
        self._notices = notices
        self._switch = switch
        self._tapes = tapes
        self._nodes = tuple(nodes)
        self._agents = agents
        self._store = store
        self._effects = effects

    def concerns(self, delivery: Delivery) -> bool:
        """Whether the event is an occasion for tier 3; cheap, from the headers alone."""
        kind = delivery.message.headers.get("t", "")
        return kind.startswith(_PREFIX) and kind.removeprefix(_PREFIX) in OCCASIONS

    async def handle(self, delivery: Delivery) -> None:
        """Let every agent decide and act on one occasion, once however often it is delivered.

        One agent's failure holds none of the others up; what they did stays done when the occasion is delivered again.

        Raises:
            MalformedPayload: the event cannot be read.
            Transient: it cannot be done now; it should be delivered again.
        """
        try:
            event = Event.from_json(delivery.message.body)
        except ValueError as bad:
            raise MalformedPayload(f"the event cannot be read: {bad}") from None
        progress = OrderProgress(event.event_type.removeprefix(_PREFIX))
        record = await self._store.orders.at(ThreadId(delivery.message.key))
        if record is None or record.order is None:
            log.info("follower.order_unknown", order=event.entity_id)
            return
        if record.progress.terminal and record.progress is not progress:
            # Overtaken while it waited: points for an order cancelled since would never be taken back.
            log.info("follower.overtaken", order=event.entity_id, by=record.progress)
            return
        run = await self._run(record, event)
        nodes = list(self._nodes)
        if progress in POSTPONED and await self._switch.hints(run.tenant):
            # Held before the others act: a crash in between holds the same happening again, which changes nothing.
            due = event.timestamp + self._switch.policy.notice_delay
            await self._notices.hold(record.thread, event, due=due)
            nodes = [node for node in nodes if node.name != NOTIFICATION]
        ended = await asyncio.gather(
            *(self._follow(node, run, progress, event) for node in nodes), return_exceptions=True
        )
        failures = [failure for failure in ended if isinstance(failure, BaseException)]
        if failures:
            raise failures[0]

    async def tell(self, held: Held) -> None:
        """Tell what was held back, once however often it is asked; what has been overtaken is told by what overtook it.

        Raises:
            Transient: it cannot be told now.
        """
        event = held.event
        progress = OrderProgress(event.event_type.removeprefix(_PREFIX))
        record = await self._store.orders.at(held.thread)
        if record is None or record.order is None or (record.progress.terminal and record.progress is not progress):
            log.info("follower.overtaken", order=event.entity_id)
            return
        run = await self._run(record, event)
        for node in self._nodes:
            if node.name == NOTIFICATION:
                await self._follow(node, run, progress, event, merged=held.merged)

    async def _follow(
        self, node: AgentNode, run: OrderRun, progress: OrderProgress, event: Event, *, merged: Sequence[str] = ()
    ) -> None:
        with tracing.agent_span(node.name, node.version, run.thread) as spanned:
            decision = await self._decide(node, run, progress, event, merged=merged)
            spanned.note(signalbox__decision=decision.decision, signalbox__outcome=decision.outcome.value)
            if node.mode is Autonomy.AUTONOMOUS:
                await self._act(run, decision, progress)

    async def _run(self, record: OrderRecord, occasion: Event) -> OrderRun:
        if record.order is None:
            raise MalformedPayload(f"order {record.order_id} has no document")
        usd_minor = occasion.result.get("usd_minor")
        return OrderRun(
            thread=record.thread,
            order=record.order,
            version=record.version,
            # An order cancelled before its first run has none yet.
            attempt_group=max(1, int(occasion.result.get("attempt_group", record.attempt_group))),
            token=UNFENCED,
            accepted_at=record.came_in,
            correlation_id=record.correlation_id,
            topology_version=record.graph_version,
            exposure_usd=Dollars(usd_minor).scaleb(-2) if isinstance(usd_minor, int) else None,
            decisions=await self._store.journal.latest(record.thread),
        )

    async def _decide(
        self, node: AgentNode, run: OrderRun, progress: OrderProgress, occasion: Event, *, merged: Sequence[str]
    ) -> Decision:
        started = self._store.clock.now()
        again = occasion.result.get("again") is True
        simple = await self._switch.hints(run.tenant)
        hints: dict[str, Plain] = {"progress": progress.value, "again": again, "usd_minor": run.usd_minor, **simple}
        hints |= {"merged": [*merged]} if merged else {}
        asked = Asked(at=started, recorder=Recorder(), hints=hints, seen=run.decisions.ids())
        try:
            async with asyncio.timeout(node.timeout_ms / 1000):
                with on_tape(asked.recorder):
                    verdict = await self._agents[node.name].decide(run.case(started, hints=hints))
        except TimeoutError:
            self._switch.pulse.unanswered(node.name, tenant=run.tenant)
            raise Transient(
                f"{node.name} gave no answer within {node.timeout_ms} ms; it is asked again later"
            ) from None
        took_ms = round((self._store.clock.now() - started).total_seconds() * 1000)
        self._switch.pulse.answered(node.name, tenant=run.tenant, took_ms=took_ms, deadline_ms=node.timeout_ms)
        attempt = OCCASIONS.index(progress) + 1
        verdict, mode = marked(verdict, MODES[node.mode]) if simple or merged else (verdict, MODES[node.mode])
        offered = decided(run, node, verdict, self._store.clock, attempt=attempt, mode=mode, took_ms=took_ms)
        event = decision_event(
            offered,
            correlation_id=run.correlation_id,
            causation_id=occasion.event_id,
            currency=run.order.currency,
            locale=run.order.locale,
        )
        tape = self._tapes.tape(run, offered, asked)
        recorded = await self._store.journal.record(run.thread, offered, event, token=UNFENCED, tape=tape.to_json())
        if recorded.won:
            self._tapes.sent(tape)
            self._store.metrics.decided(recorded.decision)
        return recorded.decision

    async def _act(self, run: OrderRun, decision: Decision, progress: OrderProgress) -> None:
        for proposal in decision.proposals:
            effect = _effect(run, decision, proposal, progress)
            try:
                await self._effects.apply(run.holder, effect, heed_cancel=False)
            except (ConnectorRejected, TooLate) as refused:
                # Settled as refused in the ledger and the journal; asking again would be refused again.
                log.warning("follower.refused", agent=decision.agent, order=run.order_id, why=str(refused))


def _effect(run: OrderRun, decision: Decision, proposal: Proposal, progress: OrderProgress) -> Effect:
    once = proposal.kind in ONCE_PER_ORDER
    part = proposal.part if once else f"{progress.value}{proposal.part}"
    return Effect(
        key=effect_key(run.tenant, run.order_id, proposal.kind, part, 0 if once else run.attempt_group),
        kind=proposal.kind,
        tenant=run.tenant,
        entity_id=run.order_id,
        args=proposal.args,
        decision_id=decision.decision_id,
    )
