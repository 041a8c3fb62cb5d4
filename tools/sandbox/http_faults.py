"""Scripted faults as real HTTP behaviour: statuses, silence, dropped connections, web pages, floods and drips."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import orjson
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tools.sandbox.faults import Fault, FaultMode, Faults

HUGE_BYTES = 10_000_000
_PAGE = b"<!doctype html><html><head><title>Welcome</title></head><body><h1>It works!</h1></body></html>"


class CutResponse(Response):
    """Promises a long body, sends one byte of it and stops: the server drops the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Break off in the middle of the answer."""
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})


async def before(fault: Fault) -> Response | None:
    """What strikes before anything is done: an answer to give instead, or None to go on."""
    match fault.mode:
        case FaultMode.DELAY:
            await asyncio.sleep(fault.seconds)
        case FaultMode.TIMEOUT:
            await asyncio.sleep(fault.seconds)
            return CutResponse()
        case FaultMode.RESET:
            return CutResponse()
        case FaultMode.ERROR:
            return problem(500, "error", "the stand-in was told to fail")
        case FaultMode.UNAVAILABLE | FaultMode.RATE_LIMITED:
            status = 503 if fault.mode is FaultMode.UNAVAILABLE else 429
            return problem(status, "transient", "the stand-in was told to be busy", retry_after_s=fault.retry_after_s)
        case _:
            pass
    return None


def after(fault: Fault, body: bytes) -> Response:
    """The answer to a call that was done, spoiled as scripted."""
    match fault.mode:
        case FaultMode.NO_REPLY:
            return CutResponse()
        case FaultMode.HTML:
            return Response(_PAGE, media_type="text/html")
        case FaultMode.EMPTY:
            return Response(b"{}", media_type="application/json")
        case FaultMode.WRONG_ID:
            return Response(lie(body), media_type="application/json")
        case FaultMode.HUGE:
            return StreamingResponse(_flood(), media_type="application/json")
        case FaultMode.DRIP:
            length = {"content-length": str(len(body))}
            return StreamingResponse(_drip(body, fault.seconds), media_type="application/json", headers=length)
        case _:
            return Response(body, media_type="application/json")


def lie(body: bytes) -> bytes:
    """A well-formed answer about something nobody asked for."""
    document = orjson.loads(body)
    if isinstance(document, dict):
        document |= {name: "somebody-else" for name in ("key", "about") if name in document}
        document |= {"request_id": "somebody-else", "response": {"order_list": []}} if "response" in document else {}
    return orjson.dumps(document)


def problem(status: int, code: str, message: str, *, retry_after_s: int | None = None) -> Response:
    """An error answer: a stable code and one sentence."""
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    body = orjson.dumps({"code": code, "message": message})
    return Response(body, status_code=status, media_type="application/json", headers=headers)


async def _flood() -> AsyncIterator[bytes]:
    chunk = b"x" * 65_536
    yield b'{"filler": "'
    for _ in range(HUGE_BYTES // len(chunk) + 1):
        yield chunk
    yield b'"}'


async def _drip(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    for position in range(min(len(body), max(1, int(seconds)))):
        yield body[position : position + 1]
        await asyncio.sleep(1)


class Answers:
    """Gives every answer of the server, spoiled when a fault is armed for the call."""

    def __init__(self, faults: Faults) -> None:
        """Faults come from the sandbox file."""
        self._faults = faults

    async def give(self, system: str, call: str, produce: Callable[[Fault | None], Awaitable[bytes]]) -> Response:
        """Meet the call's fault, produce the JSON body, spoil it as scripted."""
        fault = await self._faults.take(system, call)
        if fault is None:
            return Response(await produce(None), media_type="application/json")
        early = await before(fault)
        if early is not None:
            return early
        return after(fault, await produce(fault))
