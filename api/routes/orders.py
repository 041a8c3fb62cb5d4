"""Orders of our own storefronts: submit one, follow it, ask for its cancellation."""

import hashlib
from typing import Annotated, Literal

import orjson
from fastapi import Path
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from api import idempotency
from api.context import context_of
from api.routing import new_router
from api.security import caller_of
from api.services import Json, Submission
from api.tenants import Role
from domain.order import Channel
from domain.values import Document
from tools.channels import DeliveryKind, OrderIn
from tools.channels.storefront import canonical

router = new_router("orders")

OrderRef = Annotated[
    str,
    Path(
        max_length=200,
        description="An order id, or the handle a submission was answered with",
        examples=["storefront-web-1001"],
    ),
]

_SHOPFRONT_SEES = frozenset(
    {
        "order_id",
        "external_id",
        "channel",
        "state",
        "progress",
        "total",
        "lines",
        "placed_at",
        "accepted_at",
        "changed_at",
    }
)
"""A storefront passes answers on to customers: no reasons, scores, reviews or effects."""

_EXAMPLE = {
    "external_id": "web-1001",
    "placed_at": "2026-11-11T03:00:00Z",
    "currency": "HKD",
    "lines": [{"sku": "MUG-01", "quantity": 2, "unit_price": {"amount_minor": 12900, "currency": "HKD"}}],
    "ship_to": {"name": "Chan Tai Man", "line1": "1 Nathan Road", "city": "Kowloon", "country": "HK"},
    "payment": {"method": "card", "state": "paid"},
}


class OrderAccepted(BaseModel):
    """The order is durable and on its way; follow it at ``Location``."""

    order_id: str
    handle: str
    """What `GET /v1/orders/{order_id}` takes as well."""
    duplicate: bool
    """The same document was accepted before; nothing new was started."""


class CancelRequest(Document):
    """Why the order should be cancelled."""

    reason: str = Field(min_length=1, max_length=500, examples=["Customer changed their mind"])


@router.post(
    "/v1/orders",
    status_code=202,
    responses={202: {"model": OrderAccepted, "headers": {"Location": {"schema": {"type": "string"}}}}},
    openapi_extra={"requestBody": {"content": {"application/json": {"example": _EXAMPLE}}}},
    summary="Submit an order",
)
async def submit(request: Request, body: OrderIn, channel: Literal["storefront", "b2b"] = "storefront") -> Response:
    """Accept one order: 202 once it is durable. The same document again, under any key or none, is still one order."""
    context, tenant = context_of(request), caller_of(request).tenant.tenant
    order = canonical(body, Channel(channel), tenant=tenant, shop=channel, payload_ref="")
    raw, content = await request.body(), body.model_dump_json().encode()

    async def run() -> idempotency.Reply:
        accepted = await context.desk.submit(
            Submission(
                tenant=tenant,
                channel=channel,
                shop=channel,
                topic="orders",
                kind=DeliveryKind.ORDER,
                raw=raw,
                dedupe_id=f"{channel}:{body.external_id}:{hashlib.sha256(content).hexdigest()}",
                order_hint=body.external_id,
                source="api",
                source_time=body.updated_at or body.placed_at,
                received_at=context.now(),
                currency=order.currency,
                locale=order.locale,
            )
        )
        answer = {"order_id": order.order_id, "handle": accepted.handle, "duplicate": accepted.duplicate}
        return idempotency.Reply(202, orjson.dumps(answer), (("Location", f"/v1/orders/{order.order_id}"),))

    key_covers = channel.encode() + b"\n" + content
    return await idempotency.answer(request, context.idempotency, tenant, content=key_covers, run=run)


@router.get("/v1/orders/{order_id}", summary="Follow an order")
async def show(request: Request, order_id: OrderRef) -> Response:
    """Where the order stands. Keys with only the role storefront see its state; others also the agents' decisions."""
    caller = caller_of(request)
    found = await context_of(request).desk.order(caller.tenant.tenant, order_id)
    return Response(orjson.dumps(_view(found, caller.roles)), media_type="application/json")


def _view(order: Json, roles: frozenset[str]) -> Json:
    if roles != {Role.STOREFRONT}:
        return order
    return {name: value for name, value in order.items() if name in _SHOPFRONT_SEES}


@router.post("/v1/orders/{order_id}/cancel", status_code=202, summary="Ask for an order's cancellation")
async def cancel(request: Request, order_id: OrderRef, body: CancelRequest) -> Response:
    """Cancel and undo what was done, in reverse; asking again changes nothing; 409 once the parcel has left."""
    context, caller = context_of(request), caller_of(request)

    async def run() -> idempotency.Reply:
        tenant = caller.tenant.tenant
        asked = await context.desk.cancel(tenant, order_id, actor=caller.actor, reason=body.reason)
        return idempotency.Reply(202, orjson.dumps(_view(asked, caller.roles)))

    content = body.model_dump_json().encode()
    return await idempotency.answer(request, context.idempotency, caller.tenant.tenant, content=content, run=run)
