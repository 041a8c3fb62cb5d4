"""The supplier controller: takes one unit of work and carries its chain as far as it can go.

Every unit may come twice; whatever was done the first time is found, not repeated.
"""

from dataclasses import dataclass, replace
from datetime import datetime

import orjson
import structlog

from domain.errors import Conflict, NotFound
from domain.ids import EventId, stable_id
from domain.ports import Delivery
from domain.purchasing import PurchaseOrderState
from domain.review import Review, ReviewAction, ReviewState
from domain.supply_case import SupplyProgress
from domain.values import Plain
from graph.runtime import crash
from graph.runtime.intake import TOPIC as INTAKE
from graph.runtime.purchase_orders import PurchaseOrders
from graph.runtime.review_events import review_event
from graph.runtime.store import Store
from graph.runtime.supply_cases import WORKFLOW, SupplyCases, SupplyRecord, thread_of
from graph.supplier.reviewing import RELEASE_STAGE
from graph.supplier.run import SupplyRun
from graph.supplier.state import SupplyResumption
from graph.supplier.threads import SupplyThreads

log = structlog.get_logger(__name__)

START = "start"
RESUME = "resume"
RECHECK = "recheck"


@dataclass(frozen=True, kw_only=True)
class Held:
    """A chain whose lease this worker holds."""

    record: SupplyRecord
    token: int


class SupplyController:
    """Does the supplier workflow's work, as a consumer group of its own on the intake topic.

    Its own group, so that it works while the order workflow is switched off and orders are only kept.
    """

    topic = INTAKE
    group = WORKFLOW

    def __init__(self, store: Store, threads: SupplyThreads, cases: SupplyCases, orders: PurchaseOrders) -> None:
        """All collaborators are shared by every chain."""
        self._store = store
        self._threads = threads
        self._cases = cases
        self._orders = orders

    def concerns(self, delivery: Delivery) -> bool:
        """Whether the work is ours."""
        return delivery.message.headers.get("workflow") == WORKFLOW

    async def handle(self, delivery: Delivery) -> None:
        """Do one unit of work.

        Raises:
            Transient: it cannot be done now; it should be delivered again.
            UnknownGraphVersion: another worker must do it.
        """
        headers = delivery.message.headers
        thread = thread_of(headers["tenant"], headers["order_id"])
        async with self._store.leases.hold(thread) as token:
            record = await self._cases.find(headers["tenant"], headers["order_id"])
            if record is None:
                log.info("supply.unknown", number=headers["order_id"], work=headers["work"])
                return
            held = Held(record=record, token=token)
            if record.progress.over:
                await self._threads.discard(thread)
            elif headers["work"] == RESUME:
                await self._answered(held, headers["review"])
            elif headers["work"] == RECHECK:
                await self._changed(held, headers.get("why", "terms have changed"))
            else:
                await self._go_on(held)

    async def ask_again(self, tenant: str, number: str, why: str) -> None:
        """Queue a new look at an order under review: what was shown no longer stands."""
        headers = {"workflow": WORKFLOW, "work": RECHECK, "tenant": tenant, "order_id": number, "why": why[:300]}
        await self._store.intake.push(thread_of(tenant, number), headers, at=self._store.clock.now())

    async def _go_on(self, held: Held) -> None:
        """Start the chain, or take up a run a crash left behind."""
        record = held.record
        if not record.graph_version:
            fields = {"graph_version": self._threads.current, "attempt_group": "1", "version": "1"}
            now = self._store.clock.now()
            await self._store.journal.advance(record.thread, fields, [], token=held.token, at=now)
            record = replace(record, graph_version=self._threads.current)
        run = await self._run(record, held.token)
        waiting = await self._threads.go_on(run, record.graph_version)
        now_at = await self._cases.find(run.tenant, record.number) or record
        if waiting and not now_at.review_id and now_at.recheck:
            answer = SupplyResumption.model_validate_json(now_at.recheck)
            waiting = await self._threads.resume(run, record.graph_version, waiting, answer)
        await self._finish(run, waiting)

    async def _answered(self, held: Held, review_id: str) -> None:
        record = held.record
        if record.review_id != review_id:
            log.info("review.already_resumed", number=record.number, review=review_id)
            if not record.review_id:
                await self._go_on(held)
            return
        review = await self._store.reviews.find(record.trigger.tenant, review_id)
        if review.state is not ReviewState.DECIDED or review.answer is None:
            return
        said = f"{review.answer.decided_by} via {review.answer.via}: {review.answer.reason}"
        match review.answer.action:
            case ReviewAction.EDIT:
                await self._recheck(held, f"edited by {said}", edits=record.edits | review.answer.edits)
            case ReviewAction.APPROVE if review.stage == RELEASE_STAGE or not await self._drafted(record):
                await self._recheck(held, f"tried again on the word of {said}")
            case ReviewAction.APPROVE:
                granted = SupplyResumption(action="approve", detail=f"approved by {said}", approved=_keys(review))
                await self._give(held, granted)
            case ReviewAction.REJECT:
                await self._give(held, SupplyResumption(action="reject", detail=f"rejected by {said}"))

    async def _changed(self, held: Held, why: str) -> None:
        """Void an open question whose order no longer stands, and write the next version."""
        record = held.record
        if not record.review_id:
            return
        review = await self._store.reviews.find(record.trigger.tenant, record.review_id)
        if review.state is ReviewState.OPEN:
            await self._recheck(held, why)

    async def _recheck(self, held: Held, why: str, *, edits: dict[str, Plain] | None = None) -> None:
        """Let the agents write the next version in a new attempt group."""
        record, now = held.record, self._store.clock.now()
        await self._void(record, why, now)
        answer = SupplyResumption(action="recheck", detail=why)
        fields = {
            "attempt_group": str(record.attempt_group + 1),
            "version": str(await self._next_version(record)),
            "progress": SupplyProgress.RUNNING.value,
            "review": "",
            "recheck": answer.model_dump_json(),
            "edits": orjson.dumps(record.edits if edits is None else edits).decode(),
        }
        await self._store.journal.advance(record.thread, fields, [], token=held.token, at=now)
        crash.point("supply.recheck")
        fresh = await self._cases.find(record.trigger.tenant, record.number) or record
        await self._give(Held(record=fresh, token=held.token), answer)

    async def _void(self, record: SupplyRecord, why: str, now: datetime) -> None:
        if not record.review_id:
            return
        review = await self._store.reviews.find(record.trigger.tenant, record.review_id)
        if review.state is ReviewState.OPEN:
            event = review_event(review, "voided", {"reason": why}, by="signalbox", at=now)
            event = event.model_copy(
                update={"event_id": EventId(stable_id(review.thread_id, "voided", review.review_id))}
            )
            await self._store.reviews.void(review, event)

    async def _next_version(self, record: SupplyRecord) -> int:
        try:
            return (await self._orders.find(record.trigger.tenant, record.number)).order.version + 1
        except NotFound:
            return 1

    async def _drafted(self, record: SupplyRecord) -> bool:
        """Whether there is an order an approval could send."""
        try:
            stored = await self._orders.find(record.trigger.tenant, record.number)
        except NotFound:
            return False
        return stored.state in {PurchaseOrderState.IN_REVIEW, PurchaseOrderState.APPROVED} and (
            stored.order.version == record.version
        )

    async def _give(self, held: Held, answer: SupplyResumption) -> None:
        """Resume the waiting thread, bringing it to its interrupt first where a crash came between."""
        run = await self._run(held.record, held.token)
        version = held.record.graph_version
        waiting = await self._threads.go_on(run, version)
        if waiting is None:
            await self._finish(run, None)
            return
        crash.point("review.resumed")
        await self._finish(run, await self._threads.resume(run, version, waiting, answer))

    async def _finish(self, run: SupplyRun, waiting: str | None) -> None:
        if waiting is None:
            await self._threads.discard(run.thread)
            return
        record = await self._cases.find(run.tenant, run.number)
        if record is not None and record.review_id:
            await self._store.reviews.set_interrupt(run.tenant, record.review_id, waiting)
        crash.point("review.interrupted")

    async def _run(self, record: SupplyRecord, token: int) -> SupplyRun:
        if not record.graph_version:
            raise Conflict(f"{record.number} has not been started")
        return SupplyRun(
            record=record,
            token=token,
            topology_version=record.graph_version,
            decisions=await self._store.journal.latest(record.thread, attempt_group=record.attempt_group),
        )


def _keys(review: Review) -> list[str]:
    approved = review.facts.get("grounds", [])
    return [str(key) for key in approved] if isinstance(approved, list) else []
