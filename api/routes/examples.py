"""What people's edits have taught: listed, shown, undone, restored."""

from typing import Annotated

import orjson
from fastapi import Path
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api import idempotency
from api.context import context_of
from api.routing import new_router
from api.security import caller_of
from domain.values import Document

router = new_router("examples")
_Id = Annotated[str, Path(max_length=64, examples=["9b1f0c6e-2f5d-8a41-b0f3-3d1c7f0e9a55"])]


class Change(Document):
    """Why an example is undone or restored."""

    reason: str = Field(min_length=1, max_length=2000, examples=["It was meant for one customer only"])
    """Kept in the audit."""


@router.get("/v1/examples", summary="List what people's edits have taught")
async def examples(request: Request) -> Response:
    """The tenant's examples, newest first, undone ones included."""
    found = await context_of(request).desk.examples(caller_of(request).tenant.tenant)
    return Response(orjson.dumps({"examples": found}), media_type="application/json")


@router.get("/v1/examples/{example_id}", summary="Show one example")
async def example(request: Request, example_id: _Id) -> Response:
    """Who taught what, when, and whether it still has influence."""
    found = await context_of(request).desk.example(caller_of(request).tenant.tenant, example_id)
    return Response(orjson.dumps(found), media_type="application/json")


@router.post("/v1/examples/{example_id}/undo", summary="Take an example's influence away")
async def undo(request: Request, example_id: _Id, body: Change) -> Response:
    """From the next proposal on it counts no more; undoing twice tells who was first."""
    return await _set(request, example_id, body, active=False)


@router.post("/v1/examples/{example_id}/restore", summary="Give an undone example its influence back")
async def restore(request: Request, example_id: _Id, body: Change) -> Response:
    """From the next proposal on it counts again."""
    return await _set(request, example_id, body, active=True)


async def _set(request: Request, example_id: str, body: Change, *, active: bool) -> Response:
    context, caller = context_of(request), caller_of(request)

    async def run() -> idempotency.Reply:
        changed = await context.desk.set_example(
            caller.tenant.tenant, example_id, active=active, actor=caller.actor, roles=caller.roles, reason=body.reason
        )
        return idempotency.Reply(200, orjson.dumps(changed))

    content = body.model_dump_json().encode()
    return await idempotency.answer(request, context.idempotency, caller.tenant.tenant, content=content, run=run)
