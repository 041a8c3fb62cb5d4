"""What language models cost the tenant."""

from typing import Annotated, Literal

import orjson
from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.routing import new_router
from api.security import caller_of

router = new_router("costs")

Day = Annotated[str | None, Query(pattern=r"^\d{4}-\d{2}-\d{2}$", examples=["2026-11-11"])]


@router.get("/v1/costs", summary="What model calls cost")
async def costs(
    request: Request,
    by: Annotated[Literal["agent", "order", "day", "model", "prompt"], Query()] = "agent",
    agent: Annotated[str | None, Query(max_length=80)] = None,
    entity_id: Annotated[str | None, Query(max_length=200)] = None,
    since: Day = None,
    until: Day = None,
) -> Response:
    """Calls, tokens and US dollars, grouped, and the day's budgets; days are those of the tenant's own calendar."""
    given = {"agent": agent, "entity_id": entity_id, "since": since, "until": until}
    found = await context_of(request).desk.costs(caller_of(request).tenant.tenant, by, given)
    return Response(orjson.dumps(found), media_type="application/json")
