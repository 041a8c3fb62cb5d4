"""What really came over the wire: every reply is read whole within limits and checked before a library sees it.

A reply that is too long, no JSON or of another shape becomes a transport error with one of our sentences. What was said of
usage is kept apart, so that it survives whatever happens to the answer.
"""

from collections.abc import AsyncIterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpx2
import orjson

from domain.cost import Tokens

LONGEST_REPLY = 128 * 1024
"""Bytes; the longest answer we ask for is a tenth of it."""
_ABSURD_TOKENS = 10_000_000


class WireFault(httpx2.TransportError):
    """The reply is none: too long, no JSON, or another shape than a chat completion."""


@dataclass
class Wire:
    """What one call saw."""

    sent: bool = False
    """Whether the provider has the whole request, as far as we know."""
    status: int = 0
    retry_after: str = ""
    request_id: str = ""
    content: str | None = None
    refusal: str = ""
    finish: str = ""
    model: str = ""
    usage: object = None
    tools: bool = False
    """Whether it asks for a tool; none is ever offered, so none is ever run."""
    answered: bool = False
    """Whether the reply was a chat completion."""
    fault: str = ""


current: ContextVar[Wire] = ContextVar("wire")


class CheckedTransport(httpx2.AsyncBaseTransport):
    """Reads replies whole, within limits, and writes down what they say in the task's ``Wire``."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        """``inner`` does the sending."""
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request.

        Raises:
            WireFault: the reply cannot be a chat completion.
        """
        wire = current.get()
        response = await self._inner.handle_async_request(request)
        wire.sent = True
        wire.status = response.status_code
        wire.retry_after = response.headers.get("retry-after", "")
        wire.request_id = response.headers.get("x-request-id", "")[:128]
        try:
            body = await _whole(response)
            if response.status_code == httpx2.codes.OK:
                body = _completion(body, wire)
        except WireFault as fault:
            wire.fault = str(fault)
            raise
        finally:
            await response.aclose()
        headers = [(name, value) for name, value in response.headers.items() if name not in _FRAMING]
        return httpx2.Response(response.status_code, headers=headers, content=body, request=request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


_FRAMING = frozenset({"content-length", "transfer-encoding", "content-encoding"})


async def _whole(response: httpx2.Response) -> bytes:
    read = bytearray()
    parts: AsyncIterator[bytes] = response.aiter_bytes()
    async for part in parts:
        read += part
        if len(read) > LONGEST_REPLY:
            raise WireFault(f"the reply is longer than {LONGEST_REPLY} bytes")
    return bytes(read)


def _completion(body: bytes, wire: Wire) -> bytes:
    """Note what a chat completion says and give it back with nothing a library could stumble over."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise WireFault("the reply is not JSON") from None
    if not isinstance(document, dict):
        raise WireFault("the reply is not a chat completion")
    wire.usage = document.get("usage")
    message, choice = _message(document)
    wire.content = message["content"]
    wire.refusal = str(message.get("refusal") or "")
    wire.tools = bool(message.get("tool_calls") or message.get("function_call"))
    wire.finish = str(choice.get("finish_reason") or "")
    wire.model = str(document.get("model") or "")[:128]
    wire.request_id = wire.request_id or str(document.get("id") or "")[:128]
    wire.answered = True
    safe = {"role": "assistant", "content": _harmless(wire.content), "refusal": wire.refusal or None}
    return orjson.dumps(
        {
            "id": wire.request_id or "none",
            "object": "chat.completion",
            "created": 0,
            "model": wire.model,
            "choices": [{"index": 0, "finish_reason": "stop", "message": safe}],
            **({"usage": wire.usage} if tokens_of(wire.usage) else {}),
        }
    )


def _harmless(content: str | None) -> str:
    """What the library may parse: it tries to mend broken JSON sign by sign, which a long broken answer makes slow."""
    try:
        orjson.loads(content or "")
    except orjson.JSONDecodeError:
        return "{}"
    return content or "{}"


def tokens_of(usage: object) -> Tokens | None:
    """The usage a provider tells, or None when it is missing or cannot be true."""
    if not isinstance(usage, dict):
        return None
    asked = _count(usage.get("prompt_tokens"))
    answered = _count(usage.get("completion_tokens"))
    cached = _detail(usage.get("prompt_tokens_details"), "cached_tokens")
    reasoning = _detail(usage.get("completion_tokens_details"), "reasoning_tokens")
    if asked is None or answered is None or cached is None or reasoning is None:
        return None
    if asked == 0 or cached > asked or reasoning > answered:
        return None
    return Tokens(input=asked, cached=cached, output=answered, reasoning=reasoning)


def _detail(details: object, name: str) -> int | None:
    """A detail of the usage; one that is not told is 0."""
    told = details.get(name) if isinstance(details, dict) else None
    return 0 if told is None else _count(told)


def _count(told: object) -> int | None:
    return told if type(told) is int and 0 <= told <= _ABSURD_TOKENS else None


def _message(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    choices = document.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise WireFault("the reply is not a chat completion")
    content = message.setdefault("content", None)
    if content is not None and not isinstance(content, str):
        raise WireFault("the reply's content is not text")
    return message, choice
