"""The review desk's service: whatever people, cards, pages and the clock do to a case goes through here.

Every act is one compare-and-set with its event in the same script; of two that meet, one is written and the other looks
again at what stands then. An answer counts once.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from domain.errors import AlreadyDecided, Conflict, Forbidden, Refused, SignalboxError
from domain.ids import ThreadId
from domain.review import Review, ReviewAction, ReviewAnswer, ReviewState
from domain.review_acts import HAPPENINGS, Act, Claim, perform, told, weigh
from domain.review_case import Actor, Case, CaseFile, CaseStatus, ReviewedWorkflow
from domain.review_policy import ReviewPolicy, earliest
from domain.values import Document
from graph.runtime import review_events
from graph.runtime.clock import Clock
from graph.runtime.intake import Work
from graph.runtime.journal import Journal
from graph.runtime.metrics import Metrics
from graph.runtime.review_metrics import ReviewMetrics
from graph.runtime.reviews import Change, ReviewDesk

TRIES = 100
"""Acts on one case that may overtake another before it gives up; each overtaking one has been written."""
MOST_LISTED = 2000
BULK_AT_ONCE = 8


class CaseQuery(Document):
    """Which open cases somebody wants to see."""

    queue: str = ""
    assignee: str = ""
    """``user:<id>`` or ``role:<role>``."""
    status: CaseStatus | None = None
    """None: everything but what is snoozed."""
    entity_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemResult:
    """What became of one case of a bulk act."""

    review_id: str
    done: bool
    detail: str
    code: str = ""
    """Of the refusal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One answer as somebody gives it."""

    action: ReviewAction
    reason: str
    edits: dict[str, object] | None = None
    seen_digest: str = ""
    """The ``content_digest`` of what they were shown."""


class Cases:
    """Finds, works on and decides cases."""

    def __init__(
        self,
        desk: ReviewDesk,
        journal: Journal,
        policy: ReviewPolicy,
        *,
        clock: Clock,
        metrics: Metrics,
        instruments: ReviewMetrics,
    ) -> None:
        """All are shared with the rest of the system; workflows are added with ``register``."""
        self._desk = desk
        self._journal = journal
        self._clock = clock
        self._metrics = metrics
        self.instruments = instruments
        self._workflows: dict[str, ReviewedWorkflow] = {}
        self.policy = policy

    def register(self, workflow: str, reviewed: ReviewedWorkflow) -> None:
        """Let the desk decide reviews of a workflow."""
        self._workflows[workflow] = reviewed

    async def find(self, tenant: str, review_id: str) -> CaseFile:
        """A case, open or closed.

        Raises:
            NotFound: this tenant has no such review.
        """
        return await self._desk.file(tenant, review_id)

    async def listed(self, tenant: str, query: CaseQuery | None = None, *, limit: int = 200) -> list[CaseFile]:
        """Open cases, the one whose delay costs most first."""
        wanted, now = query or CaseQuery(), self._clock.now()
        files = [f for f in await self._desk.files(tenant, limit=MOST_LISTED) if _matches(f, wanted, f.status(now))]
        ranked = sorted(
            files, key=lambda f: (-self.policy.priority(f.review, now).usd_minor_per_hour, f.review.deadline)
        )
        return ranked[:limit]

    async def act(self, tenant: str, review_id: str, act: Act, by: Actor, *, seen_digest: str = "") -> CaseFile:
        """Claim, release, assign, snooze, comment or ask; gives the case as it then stands.

        Raises:
            NotFound: this tenant has no such review.
            Forbidden: the actor's roles do not work on it.
            AlreadyDecided, Conflict: it is closed, somebody else holds it, or what was shown has changed.
            InputError: the act asks for what cannot be.
        """
        for _ in range(TRIES):
            file, now = await self._desk.file(tenant, review_id), self._clock.now()
            _still_open(file.review)
            if not file.visible_to(by.roles):
                raise Forbidden(f"this review is for {' or '.join(file.review.allowed_roles)}")
            if isinstance(act, Claim):
                await self._sealed(file.review, seen_digest)
            case = perform(file.review, file.case, act, by, now=now, lease=timedelta(minutes=self.policy.claim_minutes))
            facts = told(act) | {"by": by.name, "via": by.via} | _outcome(case, act)
            event = review_events.review_event(
                file.review, HAPPENINGS[act.act], facts, by=by.name, at=now, part=str(file.revision)
            )
            written = await self._desk.change(
                file, Change(case=case, due_at=self.due(file.review, case), event=event), at=now
            )
            if written is not None and written.done:
                self._metrics.reviewed(HAPPENINGS[act.act])
                return await self._desk.file(tenant, review_id)
        raise _overtaken(review_id)

    async def decide(self, tenant: str, review_id: str, answer: ReviewAnswer, by: Actor) -> CaseFile:
        """Answer a case; the entity resumes in a worker. Of two approvals the first leaves the case open for the second.

        An answer that changes nothing is journaled with the reason, and the sender is told it.

        Raises:
            NotFound: this tenant has no such review.
            Forbidden: roles or amount limit, or the person proposed it or gave the first approval.
            AlreadyDecided: somebody was first; says who, what and when.
            Conflict: what was shown has changed, or somebody else holds the case.
            UnprocessableOrder: the edits cannot be carried out.
        """
        answer = answer.model_copy(update={"roles": tuple(sorted(by.roles))})
        for _ in range(TRIES):
            file = await self._desk.file(tenant, review_id)
            try:
                _still_open(file.review)
                case, final = weigh(file.review, file.case, answer, by, now=answer.decided_at)
                await self._sealed(file.review, answer.seen_digest)
                await self._workflow(file.review).check(file.review, final or answer)
            except Refused as refusal:
                event = review_events.refused(file.review, answer, str(refusal), file.review.state)
                await self._journal.publish(ThreadId(file.review.thread_id), [event], at=answer.decided_at)
                self._metrics.reviewed("answer_refused")
                raise
            change = self._endorsed(file, case) if final is None else self.closing(file.review, case, final)
            written = await self._desk.change(file, change, at=answer.decided_at)
            if written is not None and written.done:
                self._metrics.reviewed("endorsed" if final is None else final.action.value)
                if final is not None:
                    self.instruments.answered(file.review, final)
                return await self._desk.file(tenant, review_id)
        raise _overtaken(review_id)

    async def bulk(self, tenant: str, review_ids: Sequence[str], work: "Act | Verdict", by: Actor) -> list[ItemResult]:
        """The same act or answer on many cases: each is checked and written by itself, in the order given."""
        turn = asyncio.Semaphore(BULK_AT_ONCE)

        async def one(review_id: str) -> ItemResult:
            async with turn:
                return await self._item(tenant, review_id, work, by)

        return list(await asyncio.gather(*(one(review_id) for review_id in dict.fromkeys(review_ids))))

    async def _item(self, tenant: str, review_id: str, work: "Act | Verdict", by: Actor) -> ItemResult:
        try:
            if isinstance(work, Verdict):
                file = await self.decide(tenant, review_id, self.answer(work, by), by)
            else:
                file = await self.act(tenant, review_id, work, by)
        except SignalboxError as refusal:
            return ItemResult(review_id=review_id, done=False, detail=str(refusal), code=refusal.code)
        return ItemResult(review_id=review_id, done=True, detail=file.status(self._clock.now()).value)

    def answer(self, verdict: Verdict, by: Actor) -> ReviewAnswer:
        """The verdict as an answer of now."""
        return ReviewAnswer.model_validate(
            {
                "action": verdict.action,
                "decided_by": by.name,
                "decided_at": self._clock.now(),
                "via": by.via,
                "reason": verdict.reason,
                "edits": verdict.edits or {},
                "seen_digest": verdict.seen_digest,
            }
        )

    def due(self, review: Review, case: Case) -> datetime | None:
        """When the desk must look at the case next: its next timed step, or the end of a snooze."""
        step = self.policy.queue(review.queue).next_step(review, case)
        return earliest([step.due_at if step else None, case.snoozed_until])

    def closing(self, review: Review, case: Case, answer: ReviewAnswer) -> Change:
        """The change that ends a review with an answer and queues the entity's resumption."""
        headers = {
            "work": Work.RESUME.value,
            "tenant": review.tenant,
            "workflow": review.workflow,
            "order_id": review.entity_id,
            "review": review.review_id,
            "correlation_id": review.correlation_id,
        }
        return Change(
            case=case.unclaimed().model_copy(update={"snoozed_until": None}),
            state=ReviewState.DECIDED,
            answer=answer,
            event=review_events.decided(review, case, answer),
            headers=orjson.dumps(headers).decode(),
        )

    def _endorsed(self, file: CaseFile, case: Case) -> Change:
        first = case.approval
        if first is None:
            raise Conflict(f"review {file.review.review_id} has no first approval to keep")
        facts = {
            "by": first.by,
            "via": first.via,
            "reason": first.reason,
            "edited": sorted(first.edits),
            "waits_for": list(file.review.second_roles),
        }
        event = review_events.review_event(
            file.review, "endorsed", facts, by=first.by, at=first.at, part=str(file.revision)
        )
        return Change(case=case, due_at=self.due(file.review, case), event=event)

    async def _sealed(self, review: Review, seen_digest: str) -> None:
        """What was shown must be what stands."""
        now = await self._workflow(review).content_digest(review)
        if (seen_digest and seen_digest != review.content_digest) or now not in (None, review.content_digest):
            raise Conflict(
                f"{review.entity_type} {review.entity_id} has changed since this was shown; look at it again, a new case follows"
            )

    def _workflow(self, review: Review) -> ReviewedWorkflow:
        try:
            return self._workflows[review.workflow]
        except KeyError:
            raise Conflict(
                f"reviews of the workflow {review.workflow!r} are not decided by this installation"
            ) from None


def _matches(file: CaseFile, query: CaseQuery, status: CaseStatus) -> bool:
    review = file.review
    return (
        query.queue in ("", review.queue)
        and query.assignee in ("", file.case.assignee)
        and query.entity_id in ("", review.entity_id)
        and (status is query.status if query.status else status is not CaseStatus.SNOOZED)
    )


def _outcome(case: Case, act: Act) -> dict[str, str]:
    return {"until": case.claim_until.isoformat()} if isinstance(act, Claim) and case.claim_until else {}


def _still_open(review: Review) -> None:
    if review.state is ReviewState.VOID:
        raise Conflict(f"review {review.review_id} no longer stands: its {review.entity_type} changed or was cancelled")
    first = review.answer
    if review.state is ReviewState.DECIDED and first is not None:
        raise AlreadyDecided(
            f"{first.decided_by} already answered {first.action.value} at {first.decided_at:%Y-%m-%d %H:%M:%S} UTC",
            decided_by=first.decided_by,
            decided_at=first.decided_at,
            action=first.action.value,
        )


def _overtaken(review_id: str) -> Conflict:
    return Conflict(f"review {review_id} is being changed by many at once; look at it and try again")
