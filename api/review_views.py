"""The review desk as routes and the command line see it: cases as JSON, acts, bulk work, figures."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import orjson

from api.services import Json
from domain.errors import NotFound
from domain.ids import ReviewId, TenantId
from domain.review import ReviewAnswer, ReviewState
from domain.review_acts import Act
from domain.review_case import Actor, CaseFile, shown
from graph.bootstrap.system import Signalbox
from graph.runtime import crash
from graph.runtime.audit_reviews import ReviewRecord
from graph.runtime.cases import CaseQuery, Verdict

CLOSED_LISTED = 500


class ReviewViews:
    """The part of the desk that is about reviews."""

    def __init__(self, box: Signalbox) -> None:
        """``box`` is the running system."""
        self._box = box
        self._cases = box.reviews.cases

    async def reviews(
        self, tenant: TenantId, *, state: ReviewState, wanted: CaseQuery | None = None, reason: str = ""
    ) -> list[Json]:
        """The tenant's reviews in one state: open ones from the desk, dearest delay first, closed ones from the audit."""
        if state is ReviewState.OPEN:
            return [self.view(file) for file in await self._cases.listed(tenant, wanted, limit=CLOSED_LISTED)]
        found = await self._box.audit.reviews(tenant, state=state, reason=reason, limit=CLOSED_LISTED)
        if wanted is not None and wanted.entity_id:
            found = [one for one in found if one.entity_id == wanted.entity_id]
        return [_closed(one) for one in found]

    async def review(self, tenant: TenantId, review_id: str) -> Json:
        """One case with everything that has happened to it; of one the desk has forgotten, what the audit keeps.

        Raises:
            NotFound: no such review in this tenant.
        """
        try:
            return self.view(await self._cases.find(tenant, review_id))
        except NotFound:
            kept = await self._box.audit.review(tenant, review_id)
            if kept is None:
                raise
            return _closed(kept) | {"archived": True}

    async def act(self, tenant: TenantId, review_id: str, act: Act, by: Actor, *, seen_digest: str = "") -> Json:
        """Claim, release, assign, snooze, comment or ask.

        Raises:
            NotFound, Forbidden, AlreadyDecided, Conflict, InputError: see ``graph.runtime.cases.Cases.act``.
        """
        return self.view(await self._cases.act(tenant, review_id, act, by, seen_digest=seen_digest))

    async def bulk(self, tenant: TenantId, review_ids: Sequence[str], work: Act | Verdict, by: Actor) -> list[Json]:
        """The same on many cases; one result each."""
        return [asdict(result) for result in await self._cases.bulk(tenant, review_ids, work, by)]

    async def decide(
        self,
        tenant: TenantId,
        review_id: ReviewId,
        answer: ReviewAnswer,
        roles: frozenset[str],
        *,
        limit_usd_minor: int | None = None,
    ) -> Json:
        """Answer a review, once; the order resumes in a worker.

        Raises:
            NotFound, Forbidden, AlreadyDecided, Conflict, UnprocessableOrder: see ``api.services.OrderDesk``.
        """
        by = Actor(name=answer.decided_by, roles=roles, limit_usd_minor=limit_usd_minor, via=answer.via)
        decided = await self._cases.decide(tenant, review_id, answer, by)
        crash.point("review.decided")
        return self.view(decided)

    async def measures(self, tenant: TenantId, *, since: datetime, until: datetime) -> Json:
        """What reviewing cost and yielded in a period."""
        return (await self._box.reviews.history.measures(tenant, since=since, until=until)).model_dump(mode="json")

    def view(self, file: CaseFile) -> Json:
        """A case as people and programs see it."""
        now, policy = self._box.clock.now(), self._cases.policy
        review, case = file.review, file.case
        step = policy.queue(review.queue).next_step(review, case) if review.state is ReviewState.OPEN else None
        return shown(review) | {
            "status": file.status(now).value,
            "priority": policy.priority(review, now).model_dump(mode="json"),
            "assignee": case.assignee,
            "claimed_by": case.holder(now),
            "case": case.model_dump(mode="json"),
            "waits_for_second": bool(review.second_roles and case.approval and review.state is ReviewState.OPEN),
            "next_step": step.model_dump(mode="json") if step else None,
        }


def _closed(record: ReviewRecord) -> Json:
    """A review as the audit tells it: for those who see every case."""
    found: Json = orjson.loads(orjson.dumps(vars(record), default=str))
    return found | {"allowed_roles": ["ops", "admin"]}
