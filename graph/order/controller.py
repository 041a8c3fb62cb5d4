"""The controller: takes one unit of work off the intake topic and carries its order as far as it can go.

Every unit may come twice; whatever was done the first time is found, not repeated.
"""

from dataclasses import dataclass, replace

import structlog

from domain.errors import Conflict, MalformedPayload, MissingRate
from domain.fx import UsdEquivalent
from domain.order import Order, OrderProgress, OrderState
from domain.ports import Delivery
from domain.review import Review, ReviewAction, ReviewState
from domain.transitions import admissible
from domain.values import Plain
from graph.effects import Effects
from graph.order.amending import refusal_in_release
from graph.order.arrivals import Arrivals
from graph.order.cancelling import ENDED, Cancelling
from graph.order.claiming import Claiming
from graph.order.editing import accepted, edited
from graph.order.noticing import notice
from graph.order.release import give_back, told_or_gone
from graph.order.reviewing import RELEASE_STAGE
from graph.order.rewaving import Rewaving
from graph.order.run import OrderRun
from graph.order.state import Resumption
from graph.order.threads import OrderThreads
from graph.order.versions import Remembered, Versions, order_event
from graph.runtime import crash
from graph.runtime.intake import Work
from graph.runtime.orders import Arrival, OrderRecord, order_fields, thread_of
from graph.runtime.store import Store
from tools.fx import Rates

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Held:
    """An order whose lease this worker holds."""

    record: OrderRecord
    token: int


class OrderController:
    """Handles work on orders."""

    def __init__(
        self, store: Store, threads: OrderThreads, effects: Effects, arrivals: Arrivals, rates: Rates,
        *, remembered: Remembered, rewaving: Rewaving, claiming: Claiming,
    ) -> None:  # fmt: skip
        """All collaborators are shared by every order."""
        self._store = store
        self._threads = threads
        self._effects = effects
        self._arrivals = arrivals
        self._rates = rates
        self._versions = Versions(store, remembered)
        self._cancelling = Cancelling(store, threads, effects, claiming)
        self._rewaving = rewaving

    async def handle(self, delivery: Delivery) -> None:
        """Do one unit of work; when it returns, the delivery may be acknowledged.

        Raises:
            InputError: the work can never be done; it belongs to the dead letters.
            Transient: it cannot be done now; it should be delivered again.
            UnknownGraphVersion: another worker must do it.
        """
        headers = delivery.message.headers
        match Work(headers["work"]):
            case Work.ORDER | Work.FETCH:
                for order in await self._arrivals.orders(headers):
                    await self._arrived(order, headers)
            case Work.RESUME:
                await self._answered(headers)
            case Work.CANCEL:
                await self._cancel(headers)
            case Work.RETRY:
                await self._again(headers)
            case Work.REWAVE:
                await self._rewave(headers)
            case Work.UNREADABLE:
                raise MalformedPayload(headers["reason"])

    async def receive(self, order: Order, *, correlation_id: str) -> None:
        """Act on an order that is in its canonical form already.

        Raises:
            Transient: it cannot be done now.
        """
        await self._arrived(order, {"correlation_id": correlation_id, "raw": order.payload_ref})

    async def _arrived(self, order: Order, headers: dict[str, str]) -> None:
        thread = thread_of(order.tenant, order.order_id)
        async with self._store.leases.hold(thread) as token:
            record = await self._store.orders.at(thread) or await self._versions.admit(order, headers, token)
            await self._receive(Held(record=record, token=token), order)

    async def _receive(self, held: Held, order: Order) -> None:
        """Act on a version of an order, given what is known of it."""
        order = admissible(held.record.order, order)
        arrival = held.record.arrival(order)
        if held.record.order is not None:
            held = await self._noted(held, order, arrival)
        # What to do follows from what is stored, not from this delivery: the one that stored it may have been cut off.
        record = held.record
        known = record.order or order
        if known.state is OrderState.CANCELLED and record.progress not in ENDED:
            await self._cancelling.from_channel(record, held.token, known, self._run)
            return
        match record.progress:
            case OrderProgress.ACCEPTED | OrderProgress.DEAD_LETTER if record.order is None:
                await self._begin(held, order)
            case OrderProgress.BACKORDERED if record.changed:
                await self._begin(held, known)
            case progress if not progress.terminal:
                await self._go_on(held)
            case progress:
                log.info("order.after_the_end", order=order.order_id, progress=progress, arrival=arrival)
                await self._threads.discard(record.thread)

    async def _noted(self, held: Held, order: Order, arrival: Arrival, *, by_person: bool = False) -> Held:
        noted = await self._versions.note(held.record, order, arrival, held.token, by_person=by_person)
        return Held(record=noted, token=held.token)

    async def _begin(self, held: Held, order: Order) -> None:
        """Start a run: write the version and the progress, note the activity, and let the graph go."""
        record, now = held.record, self._store.clock.now()
        group = record.attempt_group + 1
        version = record.version or 1
        closed = order.state.left_our_hands
        progress = OrderProgress.CLOSED_EXTERNALLY if closed else OrderProgress.RUNNING
        fields = order_fields(order, version=version) | {
            "progress": progress.value,
            "attempt_group": str(group),
            "graph_version": self._threads.current,
            "changed_at": now.isoformat(),
            "detail": f"{order.channel} shows it {order.state}" if closed else "",
            "judged_version": str(version),
            "judged_order": "",
            "review": "",
            "recheck": "",
        }
        facts = _facts(order, progress, version=version, attempt_group=group)
        kind = f"order.progress.{progress.value}"
        event = order_event(order, kind, facts, record.correlation_id, self._store, str(group))
        await self._store.journal.advance(
            record.thread,
            fields,
            [event],
            token=held.token,
            at=now,
            tenant=order.tenant,
            entity_id=order.order_id,
            pin=False,
        )
        if closed:
            self._store.metrics.reached(progress)
            return
        await notice(self._store.activity, order)
        crash.point("run.started")
        started = replace(
            record,
            order=order,
            version=version,
            judged_version=version,
            judged_order="",
            attempt_group=group,
            progress=progress,
            review_id="",
            recheck="",
            graph_version=self._threads.current,
            cancel=await self._store.orders.cancel_request(record.thread),
        )
        if started.cancel:
            await self._cancelling.requested(started, held.token, self._run)
            return
        run = await self._run(started, held.token)
        await self._finish(run, await self._threads.start(run, self._threads.current))

    async def _go_on(self, held: Held) -> None:
        """Take up a run a crash or a full stop left behind."""
        record = held.record
        if record.order is None:
            return
        if not record.attempt_group or not record.graph_version:
            await self._begin(held, record.order)
            return
        if record.changed:
            if await self._taken_anew(held):
                return
            record = record.as_judged()
        run = await self._run(record, held.token)
        waiting = await self._threads.go_on(run, record.graph_version)
        now_at = await self._store.orders.at(record.thread) or record
        if waiting and not now_at.review_id and now_at.recheck:
            answer = Resumption.model_validate_json(now_at.recheck)
            waiting = await self._threads.resume(run, record.graph_version, waiting, answer)
        await self._finish(run, waiting)

    async def _taken_anew(self, held: Held) -> bool:
        """Judge a changed order again, unless it is too late for that: it is being told shipped, or a parcel has left."""
        record = held.record
        if record.order is None:
            return False
        waiting = await self._threads.waiting(record.thread, record.graph_version)
        if waiting and not record.order.state.left_our_hands:
            await self._recheck(held, f"the order changed at {record.order.updated_at.isoformat()}")
            return True
        run = await self._run(record, held.token)
        if await told_or_gone(run, self._effects):
            refused = refusal_in_release(record, now=self._store.clock.now())
            await self._store.journal.publish(record.thread, [refused], at=self._store.clock.now())
            return False
        why = "the order changed meanwhile"
        await self._cancelling.void_review(record, why)
        await give_back(run, self._effects, reason=why)
        await self._threads.discard(record.thread)
        await self._begin(held, record.order)
        return True

    async def _answered(self, headers: dict[str, str]) -> None:
        """Resume the order a decided review is about."""
        thread = thread_of(headers["tenant"], headers["order_id"])
        async with self._store.leases.hold(thread) as token:
            record = await self._store.orders.at(thread)
            if record is None:
                return
            held = Held(record=record, token=token)
            if record.review_id != headers["review"]:
                log.info("review.already_resumed", order=headers["order_id"], review=headers["review"])
                if not record.progress.terminal and not record.review_id:
                    await self._go_on(held)
                elif record.progress.terminal:
                    await self._threads.discard(thread)
                return
            review = await self._store.reviews.find(headers["tenant"], headers["review"])
            if review.state is ReviewState.DECIDED and await self._waits(held, review):
                await self._resume(held, review)

    async def _waits(self, held: Held, review: Review) -> bool:
        """Whether the order stands before this review; a run cut off by a crash is first carried on to where it stops."""
        if await self._threads.waiting(held.record.thread, held.record.graph_version):
            return True
        run = await self._run(held.record, held.token)
        waiting = await self._threads.go_on(run, held.record.graph_version)
        record = await self._store.orders.at(held.record.thread)
        if waiting and record is not None and record.review_id == review.review_id:
            return True
        await self._finish(run, waiting)
        return False

    async def _resume(self, held: Held, review: Review) -> None:
        answer, order = review.answer, held.record.order
        if answer is None or order is None:
            raise Conflict(f"review {review.review_id} has no answer to resume with")
        said = f"{answer.decided_by} via {answer.via}: {answer.reason}"
        approved = _keys(review)
        if order.content_digest() != review.content_digest:
            await self._recheck(held, f"{said} (void: the order changed meanwhile)")
            return
        match answer.action:
            case ReviewAction.EDIT:
                changed = edited(order, answer.edits, at=self._store.clock.now())
                taught = accepted(held.record, review, answer)
                await self._store.journal.publish(held.record.thread, taught, at=self._store.clock.now())
                held = await self._noted(held, changed, Arrival.NEWER, by_person=True)
                await self._recheck(held, f"edited by {said}", approved=approved)
            case ReviewAction.APPROVE if review.stage == RELEASE_STAGE:
                await self._recheck(held, f"tried again on the word of {said}")
            case ReviewAction.APPROVE:
                granted = Resumption(action="approve", detail=f"approved by {said}", approved=approved)
                await self._give(held, granted)
            case ReviewAction.REJECT:
                await self._give(held, Resumption(action="reject", detail=f"rejected by {said}"))

    async def _recheck(self, held: Held, why: str, *, approved: list[str] | None = None) -> None:
        """Void what was asked, free what was held, and let the agents judge the order again in a new attempt group.

        The new group starts only when the rest is done, so that a crash on the way repeats all of it.
        """
        record = held.record
        await give_back(await self._run(record, held.token), self._effects, reason=why)
        await self._cancelling.void_review(record, why)
        answer = Resumption(action="recheck", detail=why, approved=approved or [])
        now = self._store.clock.now()
        fields = {
            "attempt_group": str(record.attempt_group + 1),
            "progress": OrderProgress.RUNNING.value,
            "review": "",
            "recheck": answer.model_dump_json(),
            "judged_version": str(record.version),
            "judged_order": "",
        }
        await self._store.journal.advance(record.thread, fields, [], token=held.token, at=now)
        fresh = await self._store.orders.at(record.thread) or record
        await self._give(Held(record=fresh, token=held.token), answer)

    async def _give(self, held: Held, answer: Resumption) -> None:
        """Resume the waiting thread, bringing it to its interrupt first where a crash came between."""
        run = await self._run(held.record, held.token)
        version = held.record.graph_version
        waiting = await self._threads.go_on(run, version)
        if waiting is None:
            await self._finish(run, None)
            return
        if held.record.progress is not OrderProgress.RUNNING:
            fields = {"progress": OrderProgress.RUNNING.value} | ({"late": ""} if answer.action == "approve" else {})
            await self._store.journal.advance(run.thread, fields, [], token=run.token, at=self._store.clock.now())
        crash.point("review.resumed")
        await self._finish(run, await self._threads.resume(run, version, waiting, answer))

    async def _cancel(self, headers: dict[str, str]) -> None:
        thread = thread_of(headers["tenant"], headers["order_id"])
        async with self._store.leases.hold(thread) as token:
            record = await self._store.orders.at(thread)
            if record is None or not record.cancel:
                return
            # An order nobody has read yet finds the request when its own work begins.
            if record.order is not None or record.progress is not OrderProgress.ACCEPTED:
                await self._cancelling.requested(record, token, self._run)

    async def _rewave(self, headers: dict[str, str]) -> None:
        thread = thread_of(headers["tenant"], headers["order_id"])
        async with self._store.leases.hold(thread) as token:
            record = await self._store.orders.at(thread)
            if record is not None and record.wave and record.order is not None:
                await self._rewaving.change(record, await self._run(record, token))

    async def _again(self, headers: dict[str, str]) -> None:
        thread = thread_of(headers["tenant"], headers["order_id"])
        async with self._store.leases.hold(thread) as token:
            record = await self._store.orders.at(thread)
            if record is None or record.order is None:
                return
            held = Held(record=record, token=token)
            if record.progress is OrderProgress.BACKORDERED:
                await self._begin(held, record.order)
            elif not record.progress.terminal:
                await self._go_on(held)

    async def _finish(self, run: OrderRun, waiting: str | None) -> None:
        """After the graph stopped: note where it waits, or forget the thread."""
        if waiting is None:
            await self._threads.discard(run.thread)
            return
        record = await self._store.orders.at(run.thread)
        if record is not None and record.review_id:
            await self._store.reviews.set_interrupt(run.tenant, record.review_id, waiting)
        crash.point("review.interrupted")

    async def _run(self, record: OrderRecord, token: int) -> OrderRun:
        """The run's context, loaded from the order book and the journal."""
        if record.order is None:
            raise Conflict(f"order {record.order_id} has no document to run on")
        worth = await self._worth(record.order)
        return OrderRun(
            thread=record.thread,
            order=record.order,
            version=record.version,
            attempt_group=record.attempt_group,
            token=token,
            accepted_at=record.came_in,
            correlation_id=record.correlation_id,
            topology_version=record.graph_version,
            exposure_usd=worth.amount if worth else None,
            exposure_rate=f"{worth.rate_id} {worth.freshness.value}" if worth else "",
            late=record.late,
            decisions=await self._store.journal.latest(record.thread, attempt_group=record.attempt_group),
        )

    async def _worth(self, order: Order) -> UsdEquivalent | None:
        try:
            return await self._rates.usd_equivalent(order.total)
        except MissingRate:
            return None


def _keys(review: Review) -> list[str]:
    approved = review.facts.get("grounds", [])
    return [str(key) for key in approved] if isinstance(approved, list) else []


def _facts(order: Order, progress: OrderProgress, *, version: int, attempt_group: int) -> dict[str, Plain]:
    """What the event of a run's beginning says."""
    return {
        "version": version,
        "attempt_group": attempt_group,
        "channel": order.channel.value,
        "total": order.total.model_dump(mode="json"),
        "issues": [issue.value for issue in order.issues],
        "platform_status": order.platform_status,
        "progress": progress.value,
    }
