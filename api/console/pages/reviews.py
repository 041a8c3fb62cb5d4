"""The review desk: the queue, the case side by side, and one person's answer."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from api.console import cases
from api.console.routing import new_pages
from api.console.visits import Visit, visit_of
from api.services import Json
from domain.errors import AlreadyDecided, Conflict, InputError, NotFound, Refused
from domain.ids import ReviewId
from domain.review import ReviewAction, ReviewAnswer, ReviewState
from domain.review_case import SEES_ALL, shown

router = new_pages()

Review = Annotated[str, Path(max_length=200)]


@router.get("/console/reviews")
async def queue(request: Request) -> Response:
    """Open reviews, nearest deadline first, or what was decided."""
    visit, asked = visit_of(request), request.query_params
    state = ReviewState(asked["state"]) if asked.get("state") in set(ReviewState) else ReviewState.OPEN
    found = await visit.console.desk.reviews(visit.tenant, state=state)
    rows = [cases.row(review, visit.console.now()) for review in found if _may_see(visit, review)]
    stages = sorted({row["stage"] for row in rows if row["stage"]})
    text, stage, urgent = asked.get("q", "").strip(), asked.get("stage", ""), bool(asked.get("urgent"))
    kept = [row for row in rows if cases.matches(row, text=text, stage=stage, urgent=urgent)]
    return await visit.page(
        "reviews.html", rows=kept, total=len(rows), state=state.value, text=text, stage=stage, stages=stages,
        urgent=urgent,
    )  # fmt: skip


def _may_see(visit: Visit, review: Json) -> bool:
    return bool(visit.caller.roles & SEES_ALL or visit.caller.roles.intersection(review["allowed_roles"]))


@router.get("/console/reviews/{review_id}")
async def case(request: Request, review_id: Review) -> Response:
    """One question with everything needed to answer it."""
    visit = visit_of(request)
    return await _case(visit, await _found(visit, review_id))


async def _found(visit: Visit, review_id: str) -> Json:
    """The review, from the desk or, once that has forgotten it, from the audit.

    Raises:
        NotFound: there is none this person may see.
    """
    try:
        review = shown(await visit.console.box.store.reviews.find(visit.tenant, review_id))
    except NotFound:
        kept = await visit.console.desk.reviews(visit.tenant, state=ReviewState.DECIDED)
        review = next((one for one in kept if one["review_id"] == review_id), {})
    if not review or not _may_see(visit, review):
        raise NotFound(f"There is no review {review_id!r}")
    return review


async def _case(visit: Visit, review: Json, *, status: int = HTTPStatus.OK, **said: Any) -> Response:
    order = await _order_of(visit, review)
    record = await visit.console.box.store.orders.find(visit.tenant, review["entity_id"])
    return await visit.page(
        "review.html",
        status=status,
        review=cases.without_opinion(review),
        row=cases.row(review, visit.console.now()),
        hidden=cases.hidden(review),
        view=order,
        order=record.order if record else None,
        deliver_by=cases.deliver_by(record.order) if record and record.order else "",
        mine=bool(visit.caller.roles.intersection(review["allowed_roles"])),
        **({"said": "", "first": None, "given": {}, "reason": ""} | said),
    )


async def _order_of(visit: Visit, review: Json) -> Json | None:
    try:
        return await visit.console.desk.order(visit.tenant, review["entity_id"])
    except NotFound:
        return None


@router.post("/console/reviews/{review_id}/decision")
async def decide(request: Request, review_id: Review) -> Response:
    """Take the answer, once; whoever comes second is told who was first."""
    visit = visit_of(request)
    review, form = await _found(visit, review_id), visit.form
    try:
        answer = await _answer(visit, review)
        caller = visit.caller
        await visit.console.desk.decide(
            visit.tenant, ReviewId(review_id), answer, caller.roles, limit_usd_minor=caller.limit_usd_minor
        )
    except AlreadyDecided as first:
        return await _case(visit, await _found(visit, review_id), status=first.status, first=first)
    except (Refused, InputError) as refused:
        return await _case(
            visit, await _found(visit, review_id), status=refused.status, said=str(refused),
            given=form.under("edit."), reason=form.one("reason"),
        )  # fmt: skip
    return await visit.go("/console/reviews", f"{review['entity_id']}: {_DONE[answer.action]}")


_DONE = {
    ReviewAction.APPROVE: "approved, the order goes on",
    ReviewAction.EDIT: "edited and approved, the order goes on with your changes",
    ReviewAction.REJECT: "rejected, the order is being cancelled",
}


async def _answer(visit: Visit, review: Json) -> ReviewAnswer:
    form = visit.form
    if form.one("action") not in set(ReviewAction):
        raise InputError("Choose approve, edit or reject")
    if not form.one("reason"):
        raise InputError("Say why in a few words; the reason is kept in the audit")
    if form.one("digest") != review["content_digest"]:
        raise Conflict("What you were shown is not what stands now; look at the case again and decide on that")
    action = ReviewAction(form.one("action"))
    changes = await _edits(visit, review) if action is ReviewAction.EDIT else {}
    if action is ReviewAction.EDIT and not changes:
        raise InputError("Nothing in the form differs from the order; change a field, or approve it as it is")
    return ReviewAnswer(
        action=action,
        decided_by=visit.caller.actor,
        decided_at=visit.console.now(),
        via="console",
        reason=form.one("reason")[:2000],
        edits=changes,
        seen_digest=form.one("digest"),
    )


async def _edits(visit: Visit, review: Json) -> dict[str, Any]:
    record = await visit.console.box.store.orders.find(visit.tenant, review["entity_id"])
    if record is None or record.order is None:
        raise Conflict("The order is not in working state any more, so nothing of it can be edited")
    return cases.edits(record.order, visit.form.under("edit."))
