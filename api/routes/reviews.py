"""The review desk: what waits for a person, and that person's answer, taken once."""

from typing import Annotated

import orjson
from fastapi import Path
from pydantic import Field, model_validator
from starlette.requests import Request
from starlette.responses import Response

from api import idempotency
from api.context import context_of
from api.routing import new_router
from api.security import caller_of
from api.services import Json
from domain.ids import ReviewId
from domain.review import ReviewAction, ReviewAnswer, ReviewState
from domain.review_case import SEES_ALL
from domain.values import Document, Plain

router = new_router("reviews")


class DecisionRequest(Document):
    """One person's answer to a review."""

    action: ReviewAction
    reason: str = Field(min_length=1, max_length=2000, examples=["Known customer, card verified by phone"])
    """Why; kept in the audit."""
    edits: dict[str, Plain] = Field(default={}, max_length=50)
    """Field name -> new value, of the review's ``editable`` fields; for ``edit`` only."""

    @model_validator(mode="after")
    def _edits_fit_action(self) -> "DecisionRequest":
        if (self.action is ReviewAction.EDIT) != bool(self.edits):
            raise ValueError("'edits' goes with the action 'edit', and only with it")
        return self


@router.get("/v1/reviews", summary="List what waits for a person")
async def reviews(request: Request, state: ReviewState = ReviewState.OPEN) -> Response:
    """The tenant's reviews in one state, nearest deadline first: all for ops and admin, else those the key may answer."""
    caller = caller_of(request)
    found = await context_of(request).desk.reviews(caller.tenant.tenant, state=state)
    shown = [review for review in found if _may_see(review, caller.roles)]
    return Response(orjson.dumps({"reviews": shown}), media_type="application/json")


def _may_see(review: Json, roles: frozenset[str]) -> bool:
    return bool(roles & SEES_ALL or roles.intersection(review["allowed_roles"]))


@router.post("/v1/reviews/{review_id}/decision", summary="Answer a review")
async def decide(
    request: Request, review_id: Annotated[str, Path(max_length=200, examples=["rev-1001"])], body: DecisionRequest
) -> Response:
    """Answer once; the second answer gets 409 naming who was first. The decider is the key's person, or the named one."""
    context, caller = context_of(request), caller_of(request)

    async def run() -> idempotency.Reply:
        given = ReviewAnswer(
            action=body.action,
            decided_by=caller.actor,
            decided_at=context.now(),
            via="http",
            reason=body.reason,
            edits=body.edits,
        )
        decided = await context.desk.decide(
            caller.tenant.tenant, ReviewId(review_id), given, caller.roles, limit_usd_minor=caller.limit_usd_minor
        )
        return idempotency.Reply(200, orjson.dumps(decided))

    content = body.model_dump_json().encode()
    return await idempotency.answer(request, context.idempotency, caller.tenant.tenant, content=content, run=run)
