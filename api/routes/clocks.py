"""Promises with a deadline: reply times, return windows, refunds. Started, ended, listed with how they are kept."""

from typing import Annotated

import orjson
from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from api import idempotency
from api.context import context_of
from api.routing import new_router
from api.security import caller_of
from domain.promise_clock import StartClock
from domain.values import Document

router = new_router("clocks")
_Id = Annotated[str, Path(max_length=64, examples=["9b1f0c6e-2f5d-8a41-b0f3-3d1c7f0e9a55"])]


class EndClock(Document):
    """What ended a clock."""

    machine: bool = False
    """The answer was automatic: some marketplaces do not count those."""
    withdrawn: bool = False
    """Nothing is owed any more."""


@router.get("/v1/clocks", summary="List promises with a deadline and how they are kept")
async def clocks(
    request: Request,
    running: Annotated[bool, Query()] = True,
    entity: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Running ones, the nearest deadline first; with ``running=false`` all of them."""
    found = await context_of(request).desk.clocks(caller_of(request).tenant.tenant, running=running, entity_id=entity)
    return Response(orjson.dumps(found), media_type="application/json")


@router.post("/v1/clocks", summary="Start a clock")
async def start(request: Request, body: StartClock) -> Response:
    """The same thing owed has one clock, however often it is told."""
    context, tenant = context_of(request), caller_of(request).tenant.tenant

    async def run() -> idempotency.Reply:
        return idempotency.Reply(200, orjson.dumps(await context.desk.start_clock(tenant, body)))

    content = body.model_dump_json().encode()
    return await idempotency.answer(request, context.idempotency, tenant, content=content, run=run)


@router.post("/v1/clocks/{clock_id}/end", summary="End a clock")
async def end(request: Request, clock_id: _Id, body: EndClock) -> Response:
    """What was owed happened, or is not owed any more; ending twice changes nothing."""
    context, caller = context_of(request), caller_of(request)

    async def run() -> idempotency.Reply:
        ended = await context.desk.end_clock(
            caller.tenant.tenant, clock_id, actor=caller.actor, machine=body.machine, withdrawn=body.withdrawn
        )
        return idempotency.Reply(200, orjson.dumps(ended))

    content = body.model_dump_json().encode()
    return await idempotency.answer(request, context.idempotency, caller.tenant.tenant, content=content, run=run)
