"""Past decisions again, dry runs, shadow reports, and the tables in force."""

from typing import Annotated

import orjson
from fastapi import Path
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.routing import new_router
from api.security import caller_of
from domain.values import Document
from domain.what_if import WhatIf

router = new_router("governance")

OfOrder = Annotated[str, Path(max_length=200, examples=["storefront-web-1001"])]
OfDecision = Annotated[str, Path(max_length=64, examples=["0192f0c1-0000-7000-8000-000000000000"])]
Changes = Annotated[dict[str, Annotated[str, Field(max_length=2000)]], Field(max_length=50)]


class WhatIfRequest(Document):
    """What should be otherwise."""

    set: Changes = {}
    """Path in the order's document to its new value."""
    thresholds: Changes = {}
    """``<table>.<path>`` to its new value."""
    versions: Changes = {}
    """Agent to the version that shall decide."""
    since: str = Field(default="", max_length=64)
    """Agent or decision id: what came before stands as recorded."""


async def _may_see(request: Request, order_id: str) -> None:
    caller = caller_of(request)
    await context_of(request).desk.blinding.require_seen(caller.tenant.tenant, order_id, caller.roles)


@router.post("/v1/orders/{order_id}/what-if", summary="Run an order dry")
async def what_if(request: Request, order_id: OfOrder, body: WhatIfRequest) -> Response:
    """Where the order would get to through the production path; nothing anywhere is changed."""
    wanted = WhatIf(order_id=order_id, **body.model_dump())
    await _may_see(request, order_id)
    found = await context_of(request).desk.governance.what_if(caller_of(request).tenant.tenant, wanted)
    return Response(orjson.dumps(found), media_type="application/json")


@router.get("/v1/orders/{order_id}/replay", summary="Make an order's decisions again")
async def replay_order(request: Request, order_id: OfOrder) -> Response:
    """Every decision from its record: the same, or what differs."""
    await _may_see(request, order_id)
    found = await context_of(request).desk.governance.replay_order(caller_of(request).tenant.tenant, order_id)
    return Response(orjson.dumps({"decisions": found}), media_type="application/json")


@router.get("/v1/decisions/{decision_id}/replay", summary="Make one decision again")
async def replay_decision(request: Request, decision_id: OfDecision) -> Response:
    """One decision from its record: the same, or what differs."""
    found = await context_of(request).desk.governance.replay_decision(caller_of(request).tenant.tenant, decision_id)
    await _may_see(request, found["order_id"])
    return Response(orjson.dumps({"decisions": [found]}), media_type="application/json")


@router.get("/v1/shadow-reports", summary="List shadow reports")
async def reports(request: Request) -> Response:
    """What was tested against what, and whether it may be released; newest first."""
    found = await context_of(request).desk.governance.reports(caller_of(request).tenant.tenant)
    return Response(orjson.dumps({"reports": found}), media_type="application/json")


@router.get("/v1/shadow-reports/{report_id}", summary="Show a shadow report")
async def report(request: Request, report_id: Annotated[str, Path(max_length=80)]) -> Response:
    """The whole report."""
    found = await context_of(request).desk.governance.report(caller_of(request).tenant.tenant, report_id)
    return Response(orjson.dumps(found), media_type="application/json")


@router.get("/v1/policies", summary="List the tables agents decide by")
async def policies(request: Request) -> Response:
    """What is in force, drafts, and every publication with who and why."""
    found = await context_of(request).desk.governance.policies(caller_of(request).tenant.tenant)
    return Response(orjson.dumps({"policies": found}), media_type="application/json")
