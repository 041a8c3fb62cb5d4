"""Webhooks of carriers' aggregators and help desks: proved on the raw bytes, kept, and only then answered."""

from typing import Annotated

import orjson
from fastapi import Path
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext, context_of
from api.routing import new_router
from api.security import caller_of
from domain.errors import NotFound
from domain.ids import TenantId
from domain.ticket import LONGEST_ID
from graph.bootstrap.contacts import Contacts
from tools.helpdesk import read_ticket
from tools.senders import HELP_DESKS, TRACKERS, Sender, sender_named, verify
from tools.tracking.news import read_news

router = new_router("hooks")


class HookAnswer(BaseModel):
    """What the sender is told."""

    status: str
    """``accepted``, ``duplicate``, or ``ignored`` when it is about nothing we follow."""


_Provider = Annotated[str, Path(max_length=40, examples=["aftership"])]
_Desk = Annotated[str, Path(max_length=40, examples=["intercom"])]
_BODY = {
    "required": True,
    "description": "The sender's own document. The signature is checked on the bytes as sent (AfterShip: "
    "`aftership-hmac-sha256`; EasyPost: `X-Hmac-Signature`; Intercom: `X-Hub-Signature`; Gorgias: `X-Signalbox-Signature`).",
    "content": {"application/json": {"schema": {"type": "object"}}},
}


@router.post(
    "/v1/tracking/{provider}/webhooks",
    status_code=202,
    responses={202: {"model": HookAnswer}},
    openapi_extra={"requestBody": _BODY},
    summary="Receive a carrier's tracking webhook",
)
async def tracking(request: Request, provider: _Provider) -> Response:
    """Keep what a carrier says of a parcel: 202 once it is durable, also when it is a repeat. Needs no key."""
    context, sender = context_of(request), sender_named(provider, TRACKERS)
    contacts, raw = _contacts(context), await request.body()
    tenant = _proved(context, request, sender, raw)
    news = read_news(sender, raw, now=context.now())
    if news.tracking is None:
        return _answer("ignored")
    new = await contacts.parcels.take(tenant, sender, news.event_id, tracking=news.tracking, order=news.order)
    return _answer("accepted" if new else "duplicate")


@router.post(
    "/v1/support/webhooks/{provider}",
    status_code=202,
    responses={202: {"model": HookAnswer}},
    openapi_extra={"requestBody": _BODY},
    summary="Receive a help desk's ticket webhook",
)
async def ticket(request: Request, provider: _Desk) -> Response:
    """Keep who wrote when and run the reply clocks: 202 once it is durable, also when it is a repeat. Needs no key."""
    context, sender = context_of(request), sender_named(provider, HELP_DESKS)
    contacts, raw = _contacts(context), await request.body()
    tenant = _proved(context, request, sender, raw)
    news = read_ticket(sender, raw, now=context.now())
    if news is None:
        return _answer("ignored")
    return _answer("accepted" if await contacts.tickets.take(tenant, sender, news, now=context.now()) else "duplicate")


@router.get("/v1/support/tickets/{provider}/{ticket_id}", summary="See a ticket with its clocks")
async def find_ticket(
    request: Request, provider: _Desk, ticket_id: Annotated[str, Path(max_length=LONGEST_ID)]
) -> Response:
    """When whom wrote, what is owed until when, and where the ticket's support context is read."""
    context, tenant = context_of(request), caller_of(request).tenant.tenant
    sender, contacts = sender_named(provider, HELP_DESKS), _contacts(context)
    found = await contacts.ticket_book.find(tenant, sender, ticket_id)
    if found is None:
        raise NotFound(f"There is no ticket {ticket_id!r} of {sender}")
    clocks = await contacts.tickets.of_ticket(tenant, found)
    view = found.model_dump(mode="json") | {
        "clocks": [one.model_dump(mode="json", exclude={"tenant"}) for one in clocks],
    }
    return Response(orjson.dumps(view), media_type="application/json")


def _proved(context: ApiContext, request: Request, sender: Sender, raw: bytes) -> TenantId:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
    tenant = verify(sender, raw, headers, context.tenants.sender_secrets(sender))
    context.guard.take(tenant)
    return tenant


def _contacts(context: ApiContext) -> Contacts:
    if context.contacts is None:
        raise NotFound("Nothing takes the news of carriers and help desks here")
    return context.contacts


def _answer(status: str) -> Response:
    return Response(orjson.dumps({"status": status}), 202, media_type="application/json")
