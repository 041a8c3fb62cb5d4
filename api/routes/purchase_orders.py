"""Purchase orders: what was drafted, sent and confirmed, and procurement's answer to what is asked about one."""

from base64 import b64decode
from typing import Annotated

import orjson
from fastapi import Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.routes.review_replies import once
from api.routes.reviews import DecisionRequest, IfMatch
from api.routing import new_router
from api.security import caller_of
from api.services import Json
from domain.errors import MalformedPayload
from domain.review import ReviewAnswer
from domain.values import Document

router = new_router("purchase orders")

OfOrder = Annotated[str, Path(max_length=60, examples=["PO-2026-000001"])]
OneSku = Annotated[str, Field(min_length=1, max_length=100)]


class AlertRequest(Document):
    """SKUs that will run out, as a stock system sees it."""

    alert_id: str = Field(min_length=1, max_length=100, examples=["low-stock-4711"])
    """The same alert sent again leads to the same purchase order."""
    skus: list[OneSku] = Field(min_length=1, max_length=100, examples=[["SB-00013"]])


class MailRequest(Document):
    """A supplier's mail, as the mail server got it."""

    message_base64: str = Field(min_length=4, max_length=1_400_000, pattern=r"^[A-Za-z0-9+/]+={0,2}$")
    """The whole message with its headers (RFC 5322), in base64."""


@router.post("/v1/purchase-orders/answers", summary="Take a supplier's mail")
async def answers(request: Request, body: MailRequest) -> Response:
    """Read as data, matched to its order, and confirmed within the limits or put before a person; once by its Message-ID."""
    try:
        raw = b64decode(body.message_base64, validate=True)
    except ValueError:
        raise MalformedPayload("message_base64 is not base64; send the whole message encoded so") from None
    taken = await context_of(request).desk.purchasing.answered(caller_of(request).tenant.tenant, raw)
    return Response(orjson.dumps(taken), media_type="application/json")


@router.get("/v1/purchase-orders", summary="List purchase orders")
async def listed(
    request: Request,
    state: Annotated[list[str] | None, Query(max_length=10)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Response:
    """Last changed first, with median cycle times by supplier: machine work apart from waiting."""
    found = await context_of(request).desk.purchasing.listed(caller_of(request).tenant.tenant, state or (), limit=limit)
    return Response(orjson.dumps(found), media_type="application/json")


@router.get("/v1/purchase-orders/{number}", summary="Show a purchase order")
async def shown(request: Request, number: OfOrder) -> Response:
    """The order, its letter, the chain behind it, and the open question with everything a decision needs."""
    found = await context_of(request).desk.purchasing.shown(caller_of(request).tenant.tenant, number)
    return Response(orjson.dumps(found), media_type="application/json")


@router.post("/v1/purchase-orders", summary="Report SKUs that will run out")
async def alert(request: Request, body: AlertRequest) -> Response:
    """Starts what is needed: one chain a supplier; what is covered or cannot be ordered is told with its reason."""

    async def work() -> Json:
        caller = caller_of(request)
        return await context_of(request).desk.purchasing.start(
            caller.tenant.tenant, body.skus, key=body.alert_id, by=caller.actor, alert=True
        )

    return await once(request, body, work)


@router.post("/v1/purchase-orders/{number}/decision", summary="Answer what is asked about a purchase order")
async def decide(request: Request, number: OfOrder, body: DecisionRequest, if_match: IfMatch = "") -> Response:
    """Approve, edit (``quantities``, ``deliver_until``, ``notes``, ``vendor_id``) or reject, once.

    An edit is verified anew and asked about again. When the supplier's terms have moved since, the answer is refused.
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
        return await context.desk.purchasing.decide(
            caller.tenant.tenant, number, given, caller.roles, limit_usd_minor=caller.limit_usd_minor
        )

    return await once(request, body, work)
