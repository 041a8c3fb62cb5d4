"""Support: the context of one contact, flags on it, contacts and their outcomes."""

from collections.abc import AsyncIterable
from typing import Annotated

import orjson
from fastapi import Depends, Path, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.routing import new_router
from api.security import Caller, caller_of
from api.support import SupportViews, reason_of, view
from domain.errors import InputError, NotFound, SignalboxError
from domain.support import SupportContext
from domain.support_identity import Subject
from domain.support_outcome import Contact
from domain.support_reason import Reason
from domain.values import Document
from graph.runtime.support_book import Flag

router = new_router("support")

Part = Annotated[str, Query(max_length=200)]
ReasonName = Annotated[str, Query(max_length=60, examples=["wismo/late"], description="Topic, or topic/detail")]
_NEVER = {"Cache-Control": "no-store"}
"""What names a person stays in no cache."""


def _subject(
    order: Part = "",
    customer: Part = "",
    tracking: Part = "",
    email: Part = "",
    phone: Part = "",
    name: Part = "",
    postcode: Part = "",
) -> Subject:
    subject = Subject(
        order=order, customer=customer, tracking=tracking, email=email, phone=phone, name=name, postcode=postcode
    )
    subject.require()
    return subject


def _reason(reason: ReasonName = "") -> Reason | None:
    return reason_of(reason)


def _desk(request: Request) -> SupportViews:
    desk = context_of(request).support
    if desk is None:
        raise NotFound("no support desk runs here")
    return desk


Asked = Annotated[Subject, Depends(_subject)]
Why = Annotated[Reason | None, Depends(_reason)]
Desk = Annotated[SupportViews, Depends(_desk)]


@router.get("/v1/support/context", summary="Everything about one contact", responses={200: {"model": SupportContext}})
async def context(request: Request, asked: Asked, desk: Desk, why: Why, compact: bool = False) -> Response:
    """Order, parcels, customer, decisions and what may be offered, read from all systems at once; gaps are named.

    409 asks for a further detail when several orders or customers fit. `compact` gives at most 8,000 characters.
    """
    caller = caller_of(request)
    found = await desk.context(caller.tenant.tenant, asked, reason=why, roles=caller.roles, actor=caller.actor)
    return Response(orjson.dumps(view(found, short=compact)), media_type="application/json", headers=_NEVER)


@router.get("/v1/support/context/stream", response_class=EventSourceResponse, summary="The context as it comes in")
async def stream(request: Request, asked: Asked, desk: Desk, why: Why) -> AsyncIterable[ServerSentEvent]:
    """`partial` after 300 ms when a source is slow, then `context`; `refused` with a sentence when there is none."""
    caller = caller_of(request)
    found = desk.following(caller.tenant.tenant, asked, reason=why, roles=caller.roles, actor=caller.actor)
    try:
        async for kind, one in found:
            yield ServerSentEvent(raw_data=one.to_json(), event=kind, id=one.context_id)
    except SignalboxError as refusal:
        yield ServerSentEvent(raw_data=orjson.dumps({"detail": str(refusal)}).decode(), event="refused")


class FlagRequest(Document):
    """What is wrong with one fact of a context."""

    field: str = Field(min_length=1, max_length=200, examples=["shipments.0.status"])
    problem: str = Field(examples=["wrong"], description="wrong, missing or stale")
    expected: str = Field(default="", max_length=500, description="What it should have said; no personal data")


@router.post("/v1/support/contexts/{context_id}/flags", status_code=201, summary="Flag a fact of a context")
async def flag(
    request: Request, context_id: Annotated[str, Path(max_length=60)], body: FlagRequest, desk: Desk
) -> Response:
    """Note that a fact was wrong, missing or stale; it becomes an evaluation case. The same flag again changes nothing."""
    caller = caller_of(request)
    noted = Flag(context_id=context_id, **body.model_dump())
    flag_id = await desk.flag(caller.tenant.tenant, noted, actor=caller.actor)
    return Response(orjson.dumps({"flag_id": flag_id}), status_code=201, media_type="application/json")


@router.post("/v1/support/contacts", status_code=201, summary="Note a contact and how it ended")
async def contact(request: Request, body: Contact, desk: Desk) -> Response:
    """One time a customer wrote about an order, with the context it was answered with. Sent again, the end counts."""
    caller: Caller = caller_of(request)
    if len(body.contact_id) > 200 or len(body.order_id) > 200:
        raise InputError("contact_id and order_id have 200 characters at most.")
    known = body.model_copy(update={"reason": _named(body.reason)})
    await desk.contact(caller.tenant.tenant, known)
    return Response(orjson.dumps({"contact_id": body.contact_id}), status_code=201, media_type="application/json")


@router.get("/v1/support/outcomes", summary="First-contact resolution with and without a context")
async def outcomes(request: Request, desk: Desk, days: Annotated[int, Query(ge=8, le=730)] = 90) -> Response:
    """Per reason: contacts, resolved at the first one, and the interval."""
    found = await desk.outcomes(caller_of(request).tenant.tenant, days=days)
    return Response(orjson.dumps({"outcomes": found}), media_type="application/json")


def _named(text: str) -> str:
    reason = reason_of(text)
    if reason is None:
        raise InputError("Say why the customer wrote: reason, as in wismo/late.", pointer="/reason")
    return reason.name
