"""The review desk: what waits for a person, everything a person does with it, and that person's answer, taken once."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import Header, Path, Query
from pydantic import Field, model_validator
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.routes.review_replies import Instant, act_once, as_json, check_known, may_see, once
from api.routing import new_router
from api.security import caller_of
from api.services import Json
from domain.errors import Forbidden, InputError
from domain.ids import ReviewId
from domain.review import ReviewAction, ReviewAnswer, ReviewState
from domain.review_acts import Act, Ask, Assign, Claim, Release, Remark, Snooze
from domain.review_case import CaseStatus
from domain.values import Document, Plain
from graph.runtime.cases import CaseQuery, Verdict

router = new_router("reviews")
MEASURED_DAYS = 30
MOST_AT_ONCE = 200

OfReview = Annotated[str, Path(max_length=200, examples=["rev-1001"])]
Reason = Annotated[str, Field(min_length=1, max_length=2000, examples=["Known customer, card verified by phone"])]
Digest = Annotated[str, Field(max_length=64, pattern=r"^([0-9a-f]{64})?$")]
IfMatch = Annotated[str, Header(alias="If-Match", max_length=80, pattern=r'^("?[0-9a-f]{64}"?)?$')]


class DecisionRequest(Document):
    """One person's answer to a review."""

    action: ReviewAction
    reason: Reason
    """Why; kept in the audit."""
    edits: dict[str, Plain] = Field(default={}, max_length=50)
    """Field name -> new value, of the review's ``editable`` fields; for ``edit`` only."""
    content_digest: Digest = ""
    """The review's ``content_digest`` as it was shown; an answer to anything else is refused. ``If-Match`` does the same."""

    @model_validator(mode="after")
    def _edits_fit_action(self) -> "DecisionRequest":
        if (self.action is ReviewAction.EDIT) != bool(self.edits):
            raise ValueError("'edits' goes with the action 'edit', and only with it")
        return self


class AssignRequest(Document):
    """Whose the case is from now on."""

    to: str = Field(pattern=r"^(user|role):[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$", examples=["user:mei", "role:manager"])
    reason: str = Field(default="", max_length=2000)


class SnoozeRequest(Document):
    """How long the case stays out of sight."""

    until: Instant
    reason: str = Field(default="", max_length=2000)


class CommentRequest(Document):
    """What is to be said."""

    text: str = Field(min_length=1, max_length=2000)


class AskRequest(Document):
    """What is asked back, and whom."""

    text: str = Field(min_length=1, max_length=2000)
    to: Literal["proposer", "customer_service"] = "proposer"


class BulkRequest(Document):
    """The same on many cases."""

    review_ids: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(min_length=1, max_length=MOST_AT_ONCE)
    action: Literal["approve", "reject", "assign", "snooze", "claim", "release"]
    reason: str = Field(default="", max_length=2000)
    """Required to approve and reject."""
    to: str = Field(default="", pattern=r"^((user|role):[A-Za-z0-9][A-Za-z0-9._@+-]{0,63})?$")
    """For ``assign``."""
    until: Instant | None = None
    """For ``snooze``."""

    @model_validator(mode="after")
    def _complete(self) -> "BulkRequest":
        wanted = {"approve": self.reason, "reject": self.reason, "assign": self.to, "snooze": self.until}
        if not wanted.get(self.action, True):
            raise ValueError("approve and reject need 'reason', assign needs 'to', snooze needs 'until'")
        return self

    def work(self) -> Act | Verdict:
        """What is done to each case."""
        match self.action:
            case "approve" | "reject":
                return Verdict(action=ReviewAction(self.action), reason=self.reason)
            case "assign":
                return Assign(to=self.to, reason=self.reason)
            case "claim":
                return Claim()
            case "release":
                return Release()
            case "snooze":
                if self.until is None:
                    raise InputError("snooze needs 'until'", pointer="/until")
                return Snooze(until=self.until, reason=self.reason)


@router.get("/v1/reviews", summary="List what waits for a person")
async def reviews(
    request: Request,
    state: ReviewState = ReviewState.OPEN,
    queue: Annotated[str, Query(max_length=64)] = "",
    assignee: Annotated[str, Query(max_length=80)] = "",
    status: CaseStatus | None = None,
    entity_id: Annotated[str, Query(max_length=200)] = "",
    reason: Annotated[str, Query(max_length=200, description="Text in the reason of a closed review.")] = "",
) -> Response:
    """The tenant's reviews in one state, dearest delay first: all for ops and admin, else those the key may answer.

    Snoozed cases are left out unless asked for by ``status``.
    """
    caller = caller_of(request)
    wanted = CaseQuery(queue=queue, assignee=assignee, status=status, entity_id=entity_id)
    found = await context_of(request).desk.reviews(caller.tenant.tenant, state=state, wanted=wanted, reason=reason)
    shown = [review for review in found if may_see(review, caller.roles)]
    return as_json({"reviews": shown})


@router.get("/v1/reviews/measures", summary="What reviewing costs and yields")
async def measures(request: Request, since: Instant | None = None, until: Instant | None = None) -> Response:
    """Time to decide, expiry, load per queue, overrides per agent and day, agreement; the last 30 days by default."""
    context, tenant = context_of(request), caller_of(request).tenant.tenant
    until_at: datetime = until or context.now()
    since_at = since or until_at - timedelta(days=MEASURED_DAYS)
    if not since_at < until_at:
        raise InputError("'since' must lie before 'until'", pointer="/since")
    return as_json(await context.desk.measures(tenant, since=since_at, until=until_at))


@router.post("/v1/reviews/bulk", summary="The same on many cases")
async def bulk(request: Request, body: BulkRequest) -> Response:
    """Approve, reject, assign, snooze, claim or release many; each is checked by itself and has its own result."""

    async def work() -> Json:
        context, caller = context_of(request), caller_of(request)
        check_known(request, body.to)
        found = await context.desk.bulk(caller.tenant.tenant, body.review_ids, body.work(), caller.acting())
        return {"results": found, "done": sum(bool(one["done"]) for one in found), "of": len(found)}

    return await once(request, body, work)


@router.get("/v1/reviews/{review_id}", summary="Show one case")
async def review(request: Request, review_id: OfReview) -> Response:
    """The question, its grounds, who holds it, what was said, and what happens next if nobody answers."""
    caller = caller_of(request)
    found = await context_of(request).desk.review(caller.tenant.tenant, review_id)
    if not may_see(found, caller.roles):
        raise Forbidden(f"this review is for {' or '.join(found['allowed_roles'])}")
    return as_json(found)


@router.post("/v1/reviews/{review_id}/claim", summary="Take a case in hand")
async def claim(request: Request, review_id: OfReview, if_match: IfMatch = "") -> Response:
    """Hold the case for as long as the lease lasts; again renews it. A case somebody holds: 409 with who and until when."""
    return await act_once(request, review_id, Claim(), if_match=if_match)


@router.post("/v1/reviews/{review_id}/release", summary="Put a case back")
async def release(request: Request, review_id: OfReview) -> Response:
    """Only who holds it, a manager or an admin."""
    return await act_once(request, review_id, Release())


@router.post("/v1/reviews/{review_id}/assign", summary="Give a case to somebody")
async def assign(request: Request, review_id: OfReview, body: AssignRequest) -> Response:
    """To a person or a role. A case somebody else holds can be taken from them by a manager or an admin only."""
    check_known(request, body.to)
    return await act_once(request, review_id, Assign(to=body.to, reason=body.reason), body)


@router.post("/v1/reviews/{review_id}/snooze", summary="Put a case out of sight")
async def snooze(request: Request, review_id: OfReview, body: SnoozeRequest) -> Response:
    """Until a time; it comes back by itself. Its deadline does not move, and an escalation brings it back at once."""
    return await act_once(request, review_id, Snooze(until=body.until, reason=body.reason), body)


@router.post("/v1/reviews/{review_id}/comment", summary="Say something on a case")
async def comment(request: Request, review_id: OfReview, body: CommentRequest) -> Response:
    """While the case waits for an answer, a comment by anybody but the asker is the answer."""
    return await act_once(request, review_id, Remark(text=body.text), body)


@router.post("/v1/reviews/{review_id}/ask", summary="Ask back")
async def ask(request: Request, review_id: OfReview, body: AskRequest) -> Response:
    """A question to the proposer or to customer service; the case waits, and can still be decided."""
    return await act_once(request, review_id, Ask(text=body.text, to=body.to), body)


@router.post("/v1/reviews/{review_id}/decision", summary="Answer a review")
async def decide(request: Request, review_id: OfReview, body: DecisionRequest, if_match: IfMatch = "") -> Response:
    """Answer once; the second answer gets 409 naming who was first. The decider is the key's person, or the named one.

    Where two approvals are needed, the first leaves the case open (``waits_for_second``) for another person.
    """

    async def work() -> Json:
        context, caller = context_of(request), caller_of(request)
        given = ReviewAnswer(
            action=body.action,
            decided_by=caller.actor,
            decided_at=context.now(),
            via="http",
            reason=body.reason,
            edits=body.edits,
            seen_digest=body.content_digest or if_match.strip('"'),
        )
        return await context.desk.decide(
            caller.tenant.tenant, ReviewId(review_id), given, caller.roles, limit_usd_minor=caller.limit_usd_minor
        )

    return await once(request, body, work)
