"""Peak mode's housekeeping: one process takes the samples, and looks again at what was decided by simplified rules.

A second look changes nothing by itself: the order may be on its way. What it finds is journaled, and where it would have
stopped an order that still could be stopped, an alarm asks for a person.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime

import structlog

from domain.decision import Decision, Outcome, Verdict
from domain.degraded import Sample, late_review
from domain.errors import SignalboxError, StoreUnavailable, Transient
from domain.order import OrderProgress
from domain.ports import Agent, Lag
from domain.values import Plain
from graph.effects import Effects
from graph.order.run import OrderRun
from graph.runtime.atomics import UNFENCED
from graph.runtime.degraded import DegradedSwitch
from graph.runtime.degraded_orders import DegradedOrders
from graph.runtime.orders import OrderRecord
from graph.runtime.store import Store
from graph.topology.model import Workflow

log = structlog.get_logger(__name__)

TICK_S = 1.0
SAMPLE_S = 5.0
REVIEWS_S = 30.0
REVIEWS_READ = 500
"""Open reviews looked at per tenant, nearest deadline first: who is late is among them."""
_OVER = frozenset({OrderProgress.CANCELLED, OrderProgress.CLOSED_EXTERNALLY})
_STOPS = frozenset({Outcome.HOLD, Outcome.REJECT})
_ASKED = frozenset({Outcome.REVIEW, Outcome.HOLD})

Backlog = Callable[[], Awaitable[Lag]]
"""How far the work on orders is behind."""


class Rescoring:
    """Watches over peak mode. Every worker reports; one at a time samples and looks again."""

    def __init__(
        self,
        store: Store,
        switch: DegradedSwitch,
        workflow: Workflow,
        agents: Mapping[str, Agent],
        effects: Effects,
    ) -> None:
        """``agents`` by name, of the workflow in force."""
        self._store = store
        self._switch = switch
        self._nodes = [node for node in workflow.agents if node.name in switch.policy.rescored]
        self._agents = agents
        self._effects = effects
        self.orders = DegradedOrders(store.batcher, store.keys)
        self._passed = 0
        self._reviews: tuple[float, int, int] = (float("-inf"), 0, 0)

    async def watch(self, stop: asyncio.Event, backlog: Backlog) -> None:
        """Report, sample and look again until stopped; what cannot be done now is tried at the next tick."""
        reported_at = float("-inf")
        while not stop.is_set():
            try:
                now = asyncio.get_running_loop().time()
                leads = await self._switch.leadership.lead()
                if now - reported_at >= SAMPLE_S:
                    reported_at = now
                    await self._switch.beat()
                    if leads:
                        await self._switch.judge(await self.sample(backlog))
                if leads:
                    await self.look_again(limit=self._switch.policy.rescored_per_s)
            except Transient as away:
                log.warning("degraded.not_now", why=str(away))
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await stop.wait()
        with suppress(StoreUnavailable):
            await self._switch.leadership.resign()

    async def sample(self, backlog: Backlog) -> Sample:
        """How things stand now, over all workers.

        Raises:
            StoreUnavailable: it cannot be read now.
        """
        behind = await backlog()
        late, of = await self._late_reviews()
        return Sample(
            at=self._store.clock.now(),
            agents=await self._switch.taken(),
            backlog=behind.undelivered,
            backlog_age_s=behind.oldest_ms // 1000,
            reviews_open=of,
            reviews_late=late,
        )

    async def look_again(self, *, limit: int) -> int:
        """Judge up to ``limit`` remembered orders by the full policy; returns how many were settled.

        An order waits while peak mode lasts for its tenant, unless it has waited nearly as long as it may.

        Raises:
            StoreUnavailable: the store is away; what was not settled is looked at again.
        """
        page = await self.orders.waiting(limit=limit, after=self._passed)
        if not page:
            self._passed = 0
            return 0
        standing, now = await self._switch.standing(), self._store.clock.now()
        settled = 0
        for tenant, order_id, since in page:
            due = not standing.on(tenant) or now - since >= self._switch.policy.rescore_latest
            if due and await self._settled(tenant, order_id):
                settled += 1
            else:
                self._passed += 1
        return settled

    async def _settled(self, tenant: str, order_id: str) -> bool:
        record = await self._store.orders.find(tenant, order_id)
        if record is None or record.order is None:
            await self.orders.settle(tenant, order_id, None, at=self._store.clock.now())
            return True
        run = await self._run(record)
        try:
            results = [await self._look(run, record, run.decisions[n.name]) for n in self._nodes if _due(run, n.name)]
        except StoreUnavailable:
            raise
        except SignalboxError as failed:
            log.warning("order.not_rescored", order=order_id, why=str(failed))
            return False
        if not results and record.progress in {OrderProgress.ACCEPTED, OrderProgress.RUNNING}:
            return False  # remembered, and about to be decided
        if not results:
            await self.orders.settle(tenant, order_id, None, at=self._store.clock.now())
        for result in results:
            await self.orders.settle(tenant, order_id, result, at=self._store.clock.now())
        return True

    async def _look(self, run: OrderRun, record: OrderRecord, old: Decision) -> dict[str, Plain]:
        """One agent's second look, journaled; the same look again repeats no event."""
        now = self._store.clock.now()
        new = await self._judged(old.agent, run, now)
        worse = new.outcome.severity > old.outcome.severity
        # Where a person was asked, a person has seen it.
        stops = worse and new.outcome in _STOPS and old.outcome not in _ASKED
        open_still = stops and record.progress not in _OVER and not await self._effects.gone(run.holder)
        facts = _facts(old, new) | {"worse": worse, "policy": self._switch.policy.version}
        part = old.decision_id
        events = [run.event("order.rescored", facts, at=now, part=part)]
        if open_still:
            note = (
                f"{old.agent} would {new.decision} this order, which went on as {old.decision} in peak mode: look at it"
            )
            alarm = facts | {"note": note, "progress": record.progress.value}
            events.append(run.event("order.rescore.alarm", alarm, at=now, part=part))
            log.warning("order.rescore.alarm", order=run.order_id, agent=old.agent, was=old.decision, now=new.decision)
        await self._store.journal.publish(run.thread, events, at=now)
        return {
            "tenant": run.tenant,
            "order_id": run.order_id,
            "agent": old.agent,
            "was": old.decision,
            "now": new.decision,
            "worse": worse,
            "alarm": open_still,
            "decided_at": old.decided_at.isoformat(),
            "rescored_at": now.isoformat(),
        }

    async def _judged(self, name: str, run: OrderRun, now: datetime) -> Verdict:
        """The agent's verdict under its full policy and its own deadline.

        Raises:
            Transient: it gave none; it is asked again later.
        """
        node = next(node for node in self._nodes if node.name == name)
        asked = asyncio.get_running_loop().create_task(self._agents[name].decide(run.case(now)))
        try:
            await asyncio.wait({asked}, timeout=node.timeout_ms / 1000)
        finally:
            asked.cancel()
        if not asked.done() or asked.cancelled():
            raise Transient(f"{name} gave no second verdict within {node.timeout_ms} ms; it is asked again later")
        failure = asked.exception()
        if failure is not None:
            raise Transient(f"{name} could not look again: {type(failure).__name__}: {failure}") from failure
        return asked.result()

    async def _run(self, record: OrderRecord) -> OrderRun:
        if record.order is None:
            raise Transient(f"order {record.order_id} has no document yet")
        return OrderRun(
            thread=record.thread,
            order=record.order,
            version=record.version,
            attempt_group=max(1, record.attempt_group),
            token=UNFENCED,
            accepted_at=record.came_in,
            correlation_id=record.correlation_id,
            topology_version=record.graph_version,
            exposure_usd=None,
            decisions=await self._store.journal.latest(record.thread),
        )

    async def _late_reviews(self) -> tuple[int, int]:
        """Late and open reviews of all tenants; read now and then, because it is many."""
        read_at, late, total = self._reviews
        loop_now, now = asyncio.get_running_loop().time(), self._store.clock.now()
        if loop_now - read_at < REVIEWS_S:
            return late, total
        late = total = 0
        for tenant in await self._switch.tenants():
            total += await self._store.reviews.count_open(tenant)
            for review in await self._store.reviews.listed(tenant, limit=REVIEWS_READ):
                given = review.facts.get("ship_by")
                ship_by = datetime.fromisoformat(given) if isinstance(given, str) else None
                late += late_review(created_at=review.created_at, ship_by=ship_by, now=now)
        self._reviews = (loop_now, late, total)
        return late, total


def _due(run: OrderRun, agent: str) -> bool:
    """Whether the agent's last word on the order came from its simplified policy."""
    return agent in run.decisions and "degraded" in run.decisions[agent].flags


def _facts(old: Decision, new: Verdict) -> dict[str, Plain]:
    return {
        "agent": old.agent,
        "old": {
            "decision_id": old.decision_id,
            "decision": old.decision,
            "outcome": old.outcome.value,
            "decided_at": old.decided_at.isoformat(),
        },
        "new": {
            "decision": new.decision,
            "outcome": new.outcome.value,
            "confidence": None if new.confidence is None else f"{new.confidence:.4f}",
            "versions": dict(new.versions),
            "reasons": [f"{reason.code}: {reason.text}" for reason in new.reasons],
        },
    }
