"""The registry of agents, and what each did to one entity."""

from typing import Annotated

import orjson
from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.routing import new_router
from api.security import caller_of
from domain.outcome import TurnedOut

router = new_router("agents")


@router.get("/v1/agents", summary="List the agents")
async def agents(request: Request) -> Response:
    """Every agent with its version, tier, mode, triggers, reads and writes."""
    listed = await context_of(request).desk.agents()
    return Response(orjson.dumps({"agents": listed}), media_type="application/json")


@router.get("/v1/agents/autonomy", summary="Show what agents have earned")
async def autonomy(
    request: Request, agent: Annotated[str | None, Query(max_length=48, pattern=r"^[a-z][a-z0-9_]*$")] = None
) -> Response:
    """How often people agree with each agent, with its interval, blind and visible; per segment what it still needs."""
    found = await context_of(request).desk.autonomy(caller_of(request).tenant.tenant, agent)
    return Response(orjson.dumps(found), media_type="application/json")


@router.post("/v1/outcomes", status_code=202, summary="Report what came of a decision")
async def outcome(request: Request, body: TurnedOut) -> Response:
    """A chargeback, return or cancellation, or that it was right; a severe one takes the agent's autonomy at once."""
    caller = caller_of(request)
    taken = await context_of(request).desk.outcome(caller.tenant.tenant, body, by=caller.actor)
    return Response(orjson.dumps(taken), 202, media_type="application/json")


@router.get("/v1/audit/{entity}", summary="Explain what happened to an entity")
async def audit(
    request: Request, entity: Annotated[str, Path(max_length=200, examples=["storefront-web-1001"])]
) -> Response:
    """Which agent or person acted on it, when, why, with which versions and inputs, and who overrode whom."""
    explained = await context_of(request).desk.audit(caller_of(request).tenant.tenant, entity)
    return Response(orjson.dumps(explained), media_type="application/json")
