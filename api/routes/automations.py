"""What plain automations tell us, and the registry of everything that acts."""

import orjson
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.routing import new_router
from api.security import caller_of
from domain.automation import Report

router = new_router("automations")

_EXAMPLE = {
    "event_id": "0198a7c0-1111-7000-8000-000000000001",
    "event_type": "order.gift_note.added",
    "entity_type": "order",
    "entity_id": "storefront-web-1001",
    "agent_name": "automation:gift_notes",
    "timestamp": "2026-11-11T03:00:02Z",
    "result": {"decision": "note_added", "confidence": 1, "flags": []},
    "metadata": {"processing_time_ms": 12, "model_version": "gn-3"},
}


class Taken(BaseModel):
    """The report is durable and on the entity's record."""

    event_id: str
    """Its id on the record; the sender's own stands beside it."""
    duplicate: bool
    """The same report was taken before; nothing new was written."""
    registered: bool
    """Whether the automations file lists the sender. One that is not listed is taken, and flagged to operators."""


@router.post(
    "/v1/events",
    status_code=202,
    responses={202: {"model": Taken}},
    openapi_extra={"requestBody": {"content": {"application/json": {"example": _EXAMPLE}}}},
    summary="Report what an automation did",
)
async def report(request: Request, body: Report) -> Response:
    """Keep one event of a plain automation on its entity's record. It settles nothing and holds nothing up.

    The same ``event_id`` again changes nothing. Keep personal data out: the record outlives it by years.
    """
    tenant = caller_of(request).tenant
    event = body.event(tenant.tenant, currency=tenant.settlement_currency, locale=tenant.locale)
    taken = await context_of(request).desk.report(event)
    return Response(orjson.dumps(taken), 202, media_type="application/json")


@router.get("/v1/registry", summary="List everything that acts")
async def registry(request: Request) -> Response:
    """Every agent and automation: owner, trigger, reads, actions, tier, versions, mode, budget; who is not registered."""
    found = await context_of(request).desk.registry(caller_of(request).tenant.tenant)
    return Response(orjson.dumps(found), media_type="application/json")
