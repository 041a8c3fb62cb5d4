"""Live signals for open pages: which kind of thing happened to which entity; the page then fetches its own rows again.

No data of an event is sent, so what a person sees stays what the page itself would show them.
"""

import asyncio
import time
from collections.abc import AsyncIterator

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.console.routing import new_pages
from api.console.visits import Visit, visit_of
from api.live_events import LiveEvents, latest_place

router = new_pages()
_RETRY_MS = 3000
_BEAT_S = 15.0
"""A quiet stream says so this often, and ends within this time after its session has."""


@router.get("/console/stream")
async def stream(request: Request) -> Response:
    """Signals from now on."""
    return StreamingResponse(_signals(visit_of(request)), media_type="text/event-stream")


async def _signals(visit: Visit) -> AsyncIterator[bytes]:
    box = visit.console.box
    start = await latest_place(box)
    queue: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1000)

    async def follow() -> None:
        async for _, event in LiveEvents(box).after(visit.tenant, start):
            told = orjson.loads(event)
            signal = {"type": told["event_type"], "entity": told["entity_id"]}
            await queue.put(b"data: " + orjson.dumps(signal) + b"\n\n")

    following = asyncio.get_running_loop().create_task(follow())
    try:
        yield f"retry: {_RETRY_MS}\n: hello\n\n".encode()
        beat_at = time.monotonic() + _BEAT_S
        while not following.done():
            try:
                async with asyncio.timeout(max(beat_at - time.monotonic(), 0)):
                    yield await queue.get()
            except TimeoutError:
                beat_at = time.monotonic() + _BEAT_S
                if await _over(visit):
                    return
                yield b": quiet\n\n"
    finally:
        following.cancel()


async def _over(visit: Visit) -> bool:
    name = visit.request.cookies.get("signalbox_session", "")
    return await visit.console.sessions.find(name) is None
