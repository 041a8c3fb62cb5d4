"""A stand-in for a model provider: OpenAI's chat completions over HTTP, scripted answers, faults, an honest bill.

``POST /v1/chat/completions`` behaves; ``POST /{scenario}/v1/chat/completions`` misbehaves as the scenario says, always.
``POST /_script`` queues what happens to the next calls, ``GET /_bill`` shows what they cost.
"""

import asyncio
import hmac
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from enum import StrEnum
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import Field
from starlette.requests import ClientDisconnect

from domain.values import Document
from tools.sandbox.model_answers import answer, obedient
from tools.sandbox.model_bill import PRICES, Bill, Usage

STAND_IN_MODELS = "small=standin-small,medium=standin-medium,large=standin-large"
"""For ``SIGNALBOX_LLM_MODEL``."""
REMEMBERED = 5_000
"""Requests kept to be looked at."""
HANG_S = 60.0


class Scenario(StrEnum):
    """How a call goes."""

    OK = "ok"
    RATE_LIMIT = "rate-limit"
    """429 with ``Retry-After``; not charged."""
    UNAUTHORISED = "unauthorised"
    """401; not charged."""
    SERVER_ERROR = "server-error"
    """500."""
    HANG = "hang"
    """No answer for a minute, and the full price."""
    CUT = "cut"
    """The body ends in the middle."""
    ENDLESS = "endless"
    """The body never ends: a space every 50 ms."""
    HTML = "html"
    """200 with a web page."""
    HUGE = "huge"
    """200 KB of answer."""
    TRUNCATED = "truncated"
    """JSON cut off, finish reason ``length``."""
    REFUSAL = "refusal"
    OBEY = "obey"
    """Does what the strangers' text in the prompt says, and asks for a tool nobody offered."""
    NO_USAGE = "no-usage"
    NEGATIVE_USAGE = "negative-usage"
    PROSE = "prose"
    """Chat around the JSON."""
    SAY = "say"
    """Exactly ``content``."""


class Turn(Document):
    """What happens to one call."""

    scenario: Scenario = Scenario.OK
    content: str | None = None
    """The answer's text, for ``say``; None makes the content null."""
    finish: str = "stop"
    delay_s: float = Field(default=0.0, ge=0, le=120)
    retry_after_s: float = Field(default=1.0, ge=0)
    charged: bool = True
    """Whether a 500 is charged, as some providers do."""


class ModelStandIn:
    """What the server knows: the queue, the bill and what it was asked."""

    def __init__(self) -> None:
        self.queue: deque[Turn] = deque()
        self.always: Turn | None = None
        """Every call goes like this while the queue is empty."""
        self.bill = Bill()
        self.seen: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self.hits = 0
        self.asks_for: tuple[str, ...] = ("refund",)
        """Tools an obeying model asks for, though nobody offers any."""

    def next_turn(self, scenario: str | None) -> Turn:
        """How the next call goes."""
        if scenario is not None:
            return Turn(scenario=Scenario(scenario))
        return self.queue.popleft() if self.queue else self.always or Turn()

    def compose(self, body: dict[str, Any], turn: Turn) -> str | None:
        """The answer's text."""
        spec = (body.get("response_format") or {}).get("json_schema") or {}
        schema = spec.get("schema") or {"type": "object", "properties": {}}
        conversation = "\n\n".join(str(message.get("content") or "") for message in body.get("messages", []))
        if turn.scenario is Scenario.SAY:
            return turn.content
        if turn.scenario is Scenario.REFUSAL:
            return None
        data = (
            obedient(conversation, schema)
            if turn.scenario is Scenario.OBEY
            else answer(str(spec.get("name", "")), conversation, schema)
        )
        text = orjson.dumps(data).decode()
        if turn.scenario is Scenario.TRUNCATED:
            return text[: max(1, len(text) // 2)]
        if turn.scenario is Scenario.PROSE:
            return f"Sure! Here is the JSON you asked for:\n```json\n{text}\n```\nAnything else?"
        return text + " " * 200_000 if turn.scenario is Scenario.HUGE else text


def create_model_app(stand_in: ModelStandIn, token: str) -> FastAPI:
    """The app, for holders of ``token`` as the API key."""
    app = FastAPI(title="Signalbox stand-in models", version="1", docs_url="/docs", redoc_url=None)

    def refused(request: Request) -> Response | None:
        given = request.headers.get("authorization", "").encode()
        if hmac.compare_digest(given, f"Bearer {token}".encode()):
            return None
        return _problem(401, "Incorrect API key provided.")

    async def complete(request: Request, scenario: str | None) -> Response:
        stand_in.hits += 1
        return refused(request) or await _complete(stand_in, request, stand_in.next_turn(scenario))

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        """Answer a conversation."""
        return await complete(request, None)

    @app.post("/{scenario}/v1/chat/completions")
    async def misbehave(request: Request, scenario: Scenario) -> Response:
        """Answer as the scenario says."""
        return await complete(request, scenario.value)

    @app.get("/v1/models")
    async def models(request: Request) -> Response:
        """The models there are."""
        listed = [{"id": name, "object": "model", "owned_by": "signalbox"} for name in PRICES]
        return refused(request) or _json({"object": "list", "data": listed})

    @app.post("/_script", status_code=204)
    async def script(request: Request, turns: list[Turn]) -> Response:
        """Queue what happens to the next calls."""
        stand_in.queue.extend(turns if refused(request) is None else ())
        return refused(request) or Response(status_code=204)

    @app.get("/_bill")
    async def bill(request: Request) -> Response:
        """What has been charged."""
        total = stand_in.bill
        shown = {"usd": str(total.usd), "calls": total.calls, "by_model": dict(total.by_model), "hits": stand_in.hits}
        return refused(request) or _json(shown)

    return app


async def _complete(stand_in: ModelStandIn, request: Request, turn: Turn) -> Response:
    try:
        body = orjson.loads(await request.body())
    except (orjson.JSONDecodeError, ClientDisconnect):
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        return _problem(400, "The body must be JSON with a list of messages.")
    stand_in.seen.append(body)
    model = str(body.get("model", ""))
    if turn.scenario is Scenario.RATE_LIMIT:
        return _problem(429, "Rate limit reached.", {"Retry-After": f"{turn.retry_after_s:g}"})
    if turn.scenario is Scenario.UNAUTHORISED:
        return _problem(401, "Incorrect API key provided.")
    content = stand_in.compose(body, turn)
    schema = body.get("response_format")
    usage = stand_in.bill.measure(model, body.get("messages", []), schema, content or "")
    if turn.scenario is not Scenario.SERVER_ERROR or turn.charged:
        stand_in.bill.charge(model, usage)
    await asyncio.sleep(turn.delay_s)
    if turn.scenario is Scenario.HANG:
        await _hang(request)
    if turn.scenario is Scenario.SERVER_ERROR:
        return _problem(500, "The server had an error.")
    if turn.scenario is Scenario.HTML:
        return Response("<html><body>Welcome to the proxy</body></html>", media_type="text/html")
    whole = orjson.dumps(_completion(stand_in, model, content, turn, usage))
    if turn.scenario in {Scenario.CUT, Scenario.ENDLESS}:
        return _broken(whole, endless=turn.scenario is Scenario.ENDLESS)
    return Response(whole, media_type="application/json", headers={"x-request-id": f"req-{stand_in.hits}"})


async def _hang(request: Request) -> None:
    """Say nothing for a minute, or until nobody listens."""
    with suppress(TimeoutError):
        async with asyncio.timeout(HANG_S):
            while not await request.is_disconnected():  # noqa: ASYNC110  # the server offers no event to wait for
                await asyncio.sleep(0.05)


def _completion(stand_in: ModelStandIn, model: str, content: str | None, turn: Turn, usage: Usage) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    finish = "length" if turn.scenario is Scenario.TRUNCATED else turn.finish
    if turn.scenario is Scenario.REFUSAL:
        message["refusal"] = "I cannot help with that."
    if turn.scenario is Scenario.OBEY:
        message["tool_calls"] = [
            {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": '{"amount_minor": 999999}'}}
            for n, name in enumerate(stand_in.asks_for, start=1)
        ]
    told: dict[str, Any] = {"usage": usage.as_told()}
    if turn.scenario is Scenario.NEGATIVE_USAGE:
        told["usage"] |= {"prompt_tokens": -usage.input, "completion_tokens": -1}
    elif turn.scenario is Scenario.NO_USAGE:
        told = {}
    return {
        "id": f"chatcmpl-{stand_in.hits}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": model,
        "choices": [{"index": 0, "finish_reason": finish, "message": message}],
        **told,
    }


def _broken(whole: bytes, *, endless: bool) -> StreamingResponse:
    """A body that is announced whole and is cut, or that goes on for ever."""

    async def parts() -> AsyncIterator[bytes]:
        yield whole[: len(whole) // 2]
        while endless:
            await asyncio.sleep(0.05)
            yield b" "
        raise ConnectionAbortedError("the scenario cuts the answer here")

    headers = {} if endless else {"Content-Length": str(len(whole))}
    return StreamingResponse(parts(), media_type="application/json", headers=headers)


def _problem(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    body = orjson.dumps({"error": {"message": message, "type": "error", "code": None}})
    return Response(body, status_code=status, media_type="application/json", headers=headers)


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
