"""The desk's clock: reminders, escalations, safe defaults and the end of snoozes, each once, whoever leads.

A step is taken by compare-and-set on the case, so two leaders, a crash or a restart repeat nothing; what came due while
nobody watched is made up for in order. Silence never approves.
"""

import asyncio
from contextlib import suppress
from datetime import datetime

import structlog

from domain.errors import NotFound, StoreUnavailable, Transient
from domain.review import Review, ReviewAction, ReviewAnswer, ReviewState
from domain.review_case import Case, CaseFile
from domain.review_policy import SafeDefault, Step, StepKind
from graph.runtime.cases import Cases
from graph.runtime.clock import Clock
from graph.runtime.leases import Leadership
from graph.runtime.metrics import Metrics
from graph.runtime.review_events import review_event
from graph.runtime.reviews import Change, ReviewDesk

log = structlog.get_logger(__name__)

TICK_S = 1.0
AT_ONCE = 100
"""Cases looked at in one tick and shard."""
SHOW_S = 15.0
MOST_SHOWN = 5000
NOBODY = "policy:timeout"
"""Who answers when nobody did."""


class ReviewWatch:
    """Takes the timed steps. One process at a time ticks; more do no harm."""

    def __init__(self, cases: Cases, desk: ReviewDesk, *, lead: Leadership, clock: Clock, metrics: Metrics) -> None:
        """``lead`` says whether it is this process that watches."""
        self._cases = cases
        self._desk = desk
        self._lead = lead
        self._clock = clock
        self._metrics = metrics
        self._shown_at = float("-inf")

    async def watch(self, stop: asyncio.Event) -> None:
        """Tick until stopped, while this process leads; what cannot be done now is done at a later tick."""
        while not stop.is_set():
            try:
                if await self._lead.lead():
                    await self.tick()
                    await self._show()
                else:
                    self._shown_at = float("-inf")
                    self._cases.instruments.forget()
            except Transient as away:
                log.warning("reviews.not_now", why=str(away))
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await stop.wait()
        with suppress(StoreUnavailable):
            await self._lead.resign()

    async def _show(self) -> None:
        at = asyncio.get_running_loop().time()
        if at - self._shown_at >= SHOW_S:
            self._shown_at = at
            standing = await self._desk.open_everywhere(limit=MOST_SHOWN)
            self._cases.instruments.standing(standing, self._clock.now())

    async def tick(self) -> int:
        """Take every step that is due now; returns how many.

        Raises:
            StoreUnavailable: the store is away; the next tick goes on.
        """
        now = self._clock.now()
        taken = 0
        for tenant, review_id in await self._desk.due(now, limit=AT_ONCE):
            try:
                while await self._one(await self._desk.file(tenant, review_id), now):
                    taken += 1
            except NotFound:
                await self._desk.forget_due(tenant, review_id)
        return taken

    async def _one(self, file: CaseFile, now: datetime) -> bool:
        """Take the first step of a case that is due; False when there is none, and the timetable is right again."""
        review, case = file.review, file.case
        if review.state is not ReviewState.OPEN:
            await self._desk.forget_due(review.tenant, review.review_id)
            return False
        queue = self._cases.policy.queue(review.queue)
        step = queue.next_step(review, case)
        if step is not None and step.due_at <= now:
            return await self._taken(file, step, queue.safe_default, now)
        if case.snoozed_until is not None and case.snoozed_until <= now:
            back = case.model_copy(update={"snoozed_until": None})
            event = review_event(
                review, "returned", {"assignee": case.assignee}, by="signalbox", at=now, part=str(file.revision)
            )
            return await self._write(file, Change(case=back, due_at=self._cases.due(review, back), event=event), now)
        await self._desk.change(file, Change(due_at=self._cases.due(review, case)), at=now)
        return False

    async def _taken(self, file: CaseFile, step: Step, default: SafeDefault, now: datetime) -> bool:
        review, case = file.review, file.case.model_copy(update={"step": file.case.step + 1})
        facts: dict[str, object] = {"due_at": step.due_at.isoformat(), "deadline": review.deadline.isoformat()}
        match step.kind:
            case StepKind.REMINDER:
                facts["to"] = case.holder(now) or case.assignee or f"queue:{review.queue}"
            case StepKind.ESCALATION:
                was = {"assignee": step.to, "escalated_to": step.to, "snoozed_until": None}
                facts |= {"to": step.to, "from": case.holder(now) or case.assignee}
                case = case.unclaimed().model_copy(update=was)
            case StepKind.DEFAULT if default is SafeDefault.REJECT:
                return await self._write(file, self._rejected(review, case, now), now)
            case StepKind.DEFAULT:
                facts |= {"default": default.value, "detail": f"nobody answered; the {review.entity_type} stays held"}
                case = case.model_copy(update={"defaulted_at": now})
        event = review_event(review, step.kind.value, facts, by="signalbox", at=now, part=str(file.case.step))
        return await self._write(file, Change(case=case, due_at=self._cases.due(review, case), event=event), now)

    def _rejected(self, review: Review, case: Case, now: datetime) -> Change:
        """The queue's rule that silence cancels: an answer like any other, and never an approval."""
        answer = ReviewAnswer(
            action=ReviewAction.REJECT,
            decided_by=NOBODY,
            decided_at=now,
            via="timeout",
            reason=f"nobody answered by {review.deadline:%Y-%m-%d %H:%M} UTC or after the escalations; queue {review.queue} rejects then",
        )
        return self._cases.closing(review, case.model_copy(update={"defaulted_at": now}), answer)

    async def _write(self, file: CaseFile, change: Change, now: datetime) -> bool:
        written = await self._desk.change(file, change, at=now)
        done = written is not None and written.done
        if done and change.event is not None:
            self._metrics.reviewed(change.event.event_type.rpartition(".")[2])
        return done or written is None
