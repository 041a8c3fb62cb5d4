"""The tenant's events as they happen, as server-sent events that resume where a client stopped."""

from collections.abc import AsyncIterable
from typing import Annotated

import orjson
from fastapi import Header
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.requests import Request

from api.context import context_of
from api.routing import new_router
from api.security import caller_of

router = new_router("stream")
RETRY_MS = 2000


@router.get("/v1/stream", response_class=EventSourceResponse, summary="Follow the events")
async def stream(
    request: Request,
    last_event_id: Annotated[str | None, Header(max_length=100, pattern=r"^[\x21-\x7e]*$")] = None,
) -> AsyncIterable[ServerSentEvent]:
    """Events of the tenant, live. A client that reconnects with `Last-Event-ID` gets what it missed first."""
    tenant = caller_of(request).tenant.tenant
    async for event_id, event in context_of(request).desk.events(tenant, last_event_id or None):
        kind = orjson.loads(event)["event_type"]
        yield ServerSentEvent(raw_data=event, event=kind, id=event_id, retry=RETRY_MS)
