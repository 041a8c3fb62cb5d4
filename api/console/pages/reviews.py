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
from domain.review import ReviewAction, ReviewState
from domain.review_case import SEES_ALL, CaseFile, CaseStatus, shown
from graph.runtime.cases import CaseQuery, Verdict

router = new_pages()

ReviewName = Annotated[str, Path(max_length=200)]
_MOST = 500
_STATES = {"decided": ReviewState.DECIDED, "void": ReviewState.VOID}


@router.get("/console/reviews")
async def queue(request: Request) -> Response:
    """Open cases, the dearest delay first, or what was decided."""
    visit, asked = visit_of(request), request.query_params
    text, state = asked.get("q", "").strip(), asked.get("state", "open")
    if state in _STATES:
        return await _history(visit, _STATES[state], text)
    rows = await open_rows(visit, snoozed=state == "snoozed")
    wanted, mine, urgent = asked.get("queue", ""), bool(asked.get("mine")), bool(asked.get("urgent"))
    kept = [
        row for row in rows
        if wanted in ("", row["queue"])
        and (not mine or visit.caller.actor in (row["holder"], row["assignee"]))
        and (not urgent or row["urgency"] in {"over", "urgent"})
        and cases.matches(row, text)
    ]  # fmt: skip
    return await visit.page(
        "reviews.html", rows=kept, total=len(rows), state=state, text=text, queue=wanted, mine=mine, urgent=urgent,
        queues=sorted({row["queue"] for row in rows}), failed=(),
    )  # fmt: skip


async def open_rows(visit: Visit, *, snoozed: bool = False) -> list[Json]:
    """The open cases this person may see."""
    desk, now = visit.console.box.reviews.cases, visit.console.now()
    query = CaseQuery(status=CaseStatus.SNOOZED) if snoozed else None
    files = await desk.listed(visit.tenant, query, limit=_MOST)
    return [cases.row(file, desk.policy, now) for file in files if file.visible_to(visit.caller.roles)]


async def _history(visit: Visit, state: ReviewState, text: str) -> Response:
    seen = await visit.console.box.audit.reviews(visit.tenant, state=state, limit=_MOST) if _sees_all(visit) else []
    rows = [cases.closed_row(record) for record in seen]
    kept = [row for row in rows if cases.matches(row, text)]
    return await visit.page("reviews_closed.html", rows=kept, total=len(rows), state=state.value, text=text)


def _sees_all(visit: Visit) -> bool:
    return bool(visit.caller.roles & SEES_ALL)


@router.get("/console/reviews/{review_id}")
async def case(request: Request, review_id: ReviewName) -> Response:
    """One question with everything needed to answer it."""
    visit = visit_of(request)
    try:
        file = await found(visit, review_id)
    except NotFound:
        return await _remembered(visit, review_id)
    return await case_page(visit, file)


async def found(visit: Visit, review_id: str) -> CaseFile:
    """The case.

    Raises:
        NotFound: there is none this person may see.
    """
    file = await visit.console.box.reviews.cases.find(visit.tenant, review_id)
    if not file.visible_to(visit.caller.roles):
        raise NotFound(f"There is no review {review_id!r}")
    return file


async def _remembered(visit: Visit, review_id: str) -> Response:
    """What the audit keeps of a review the desk has forgotten."""
    record = await visit.console.box.audit.review(visit.tenant, review_id)
    if record is None or not _sees_all(visit):
        raise NotFound(f"There is no review {review_id!r}")
    return await visit.page("review_closed.html", row=cases.closed_row(record), state=record.state.value)


async def case_page(visit: Visit, file: CaseFile, *, status: int = HTTPStatus.OK, **said: Any) -> Response:
    """The page of a case; ``said`` is what a refused form had in it and why it was refused."""
    review, box, now = file.review, visit.console.box, visit.console.now()
    record = await box.store.orders.find(visit.tenant, review.entity_id) if review.workflow == "order" else None
    order = record.order if record else None
    return await visit.page(
        "review.html",
        status=status,
        review=shown(review),
        row=cases.row(file, box.reviews.cases.policy, now),
        case=file.case,
        hidden=cases.hidden(review),
        view=await _view(visit, file),
        order=order,
        deliver_by=cases.deliver_by(order) if order else "",
        may_answer=bool(visit.caller.roles & {*review.allowed_roles, *review.second_roles}),
        people=[person.id for person in visit.caller.tenant.staff],
        **({"said": "", "first": None, "given": {}, "reason": ""} | said),
    )


async def _view(visit: Visit, file: CaseFile) -> Json | None:
    """The order with its decisions and effects, for reviews of orders that are still in the working state."""
    if file.review.workflow != "order":
        return None
    try:
        return await visit.console.desk.order(visit.tenant, file.review.entity_id)
    except NotFound:
        return None


@router.post("/console/reviews/{review_id}/decision")
async def decide(request: Request, review_id: ReviewName) -> Response:
    """Take the answer, once; whoever comes second is told who was first."""
    visit = visit_of(request)
    file, form, desk = await found(visit, review_id), visit.form, visit.console.box.reviews.cases
    by = visit.caller.acting(via="console")
    try:
        verdict = await _verdict(visit, file)
        decided = await desk.decide(visit.tenant, review_id, desk.answer(verdict, by), by)
    except AlreadyDecided as first:
        return await case_page(visit, await found(visit, review_id), status=first.status, first=first)
    except (Refused, InputError) as refused:
        return await case_page(
            visit, await found(visit, review_id), status=refused.status, said=str(refused),
            given=form.under("edit."), reason=form.one("reason"),
        )  # fmt: skip
    name = str(file.review.facts.get("number") or file.review.entity_id)
    if decided.review.state is ReviewState.OPEN:
        wanted = " or ".join(file.review.second_roles)
        return await visit.go(
            "/console/reviews", f"{name}: approved by you, a second person ({wanted}) must approve too"
        )
    return await visit.go("/console/reviews", f"{name}: {_DONE[verdict.action]}")


_DONE = {
    ReviewAction.APPROVE: "approved, it goes on",
    ReviewAction.EDIT: "edited and approved, it goes on with your changes",
    ReviewAction.REJECT: "rejected, it is being cancelled",
}


async def _verdict(visit: Visit, file: CaseFile) -> Verdict:
    form = visit.form
    if form.one("action") not in set(ReviewAction):
        raise InputError("Choose approve, edit or reject")
    if not form.one("reason"):
        raise InputError("Say why in a few words; the reason is kept in the audit")
    if not form.one("digest"):
        raise Conflict("The form does not say what you were shown; look at the case again")
    action = ReviewAction(form.one("action"))
    changes = await _edits(visit, file) if action is ReviewAction.EDIT else {}
    if action is ReviewAction.EDIT and not changes:
        raise InputError("Nothing in the form differs from the order; change a field, or approve it as it is")
    return Verdict(
        action=action, reason=form.one("reason")[:2000], edits=changes, seen_digest=form.one("digest"),
    )  # fmt: skip


async def _edits(visit: Visit, file: CaseFile) -> dict[str, Any]:
    record = await visit.console.box.store.orders.find(visit.tenant, file.review.entity_id)
    if record is None or record.order is None:
        raise Conflict("The order is not in working state any more, so nothing of it can be edited")
    return cases.edits(record.order, visit.form.under("edit."))
