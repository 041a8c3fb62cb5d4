"""The outermost layer: nothing too big, malformed or misdirected gets in, nothing leaves without security headers.

One pure ASGI middleware, because it must count body bytes as they arrive and answer before the body is complete.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.metrics import ApiMetrics
from domain.errors import InputError, PayloadTooLarge
from graph.runtime import tracing
from tools.channels.strict_json import DEFAULT_LIMITS

BODY_LIMIT_BYTES = DEFAULT_LIMITS.max_bytes
DRAIN_BYTES = 64 * 1024 * 1024
DRAIN_S = 3.0
"""How long and how much of a refused body is read and thrown away."""
HEADERS_LIMIT = 100
HEADERS_LIMIT_BYTES = 32_768
_ONCE = frozenset({b"host", b"content-length", b"content-type", b"authorization", b"x-api-key", b"idempotency-key"})
_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})

_SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class MalformedRequest(InputError):
    """A request line or headers that cannot be trusted to mean one thing."""

    code = "input.request"
    status = 400


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a request may be."""

    body_bytes: int = BODY_LIMIT_BYTES
    hosts: Sequence[str] = ()
    """Host names served, without port; ``*.example.com`` covers its subdomains. Empty: any."""
    rate_per_s: float = 200.0
    """Sustained requests per second and tenant."""
    burst: int = 1000
    """Requests a tenant may send at once after a quiet time."""


class RateLimiter:
    """A token bucket per tenant, in this process."""

    def __init__(self, *, rate_per_s: float, burst: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        """``monotonic`` is the clock in seconds."""
        self._rate_per_s = rate_per_s
        self._burst = float(burst)
        self._monotonic = monotonic
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, tenant: str) -> None:
        """Take one token.

        Raises:
            TooManyRequests: the tenant's bucket is empty; says when the next token comes.
        """
        now = self._monotonic()
        tokens, at = self._buckets.get(tenant, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate_per_s)
        if tokens < 1:
            self._buckets[tenant] = (tokens, now)
            raise problems.TooManyRequests(
                f"More than {self._rate_per_s:g} requests per second; slow down and repeat this one",
                retry_after_s=(1 - tokens) / self._rate_per_s,
            )
        self._buckets[tenant] = (tokens - 1, now)


def _host_allowed(host: str, allowed: Sequence[str]) -> bool:
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    name = name.lower().rstrip(".")
    return any(name == each or (each.startswith("*.") and name.endswith(each[1:])) for each in allowed)


def _declared_length(scope: Scope, limits: Limits) -> int:
    """Check the headers and return the declared body length, 0 when none is declared."""
    headers = scope["headers"]
    if len(headers) > HEADERS_LIMIT or sum(len(n) + len(v) for n, v in headers) > HEADERS_LIMIT_BYTES:
        raise MalformedRequest(f"More than {HEADERS_LIMIT} headers or {HEADERS_LIMIT_BYTES} bytes of them; send fewer")
    once = [name for name, _ in headers if name in _ONCE]
    if len(once) != len(set(once)):
        raise MalformedRequest(f"A header of {sorted(n.decode() for n in set(once))} is repeated; send it once")
    found = dict(headers)
    if limits.hosts and not _host_allowed(found.get(b"host", b"").decode("latin-1"), limits.hosts):
        raise MalformedRequest("The Host header names a host that is not served here (SIGNALBOX_ALLOWED_HOSTS)")
    length = found.get(b"content-length", b"0")
    if not length.isdigit():
        raise MalformedRequest("Content-Length is not a number")
    return int(length[:20])


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than {limit} bytes; send a smaller document")


def _parent(scope: Scope) -> dict[str, str]:
    """The trace a caller asks us to go on with, if it names one; nobody else's header is looked at."""
    if not tracing.is_on():
        return {}
    given = (value for name, value in scope["headers"] if name == tracing.PARENT.encode())
    return {tracing.PARENT: next(given, b"").decode("latin-1")}


class _Exchange:
    """One request and its answer, as the middleware sees them pass."""

    def __init__(self, gate: "Gate", scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.started = False
        self._gate = gate
        self._receive = receive
        self._send = send
        self._received = 0
        self._oversized = False
        self._began = time.perf_counter()
        self.spanned: tracing.Spanned = tracing.Unrecorded()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self._gate.limits.body_bytes:
                raise _too_large(self._gate.limits.body_bytes)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self._oversized = message["status"] == PayloadTooLarge.status
            message["headers"] = self._completed(message.get("headers", ()))
            self._measure(message["status"])
        elif self._oversized and not message.get("more_body"):
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    def _completed(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        completed = list(headers)
        present = {name.lower() for name, _ in completed}
        completed.extend(pair for pair in _SECURITY_HEADERS if pair[0] not in present)
        if self._oversized:
            completed.append((b"connection", b"close"))
        return completed

    async def _drain(self) -> None:
        """Read what is left of a refused body, so that the sender gets to read the answer.

        A connection closed on unread bytes is reset, and the reset can overtake the answer.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while self._received < DRAIN_BYTES:
                    message = await self._receive()
                    self._received += len(message.get("body", b""))
                    if not message.get("more_body"):
                        return

    def _measure(self, status: int) -> None:
        scope, metrics = self.scope, self._gate.metrics
        route = getattr(scope.get("route"), "path", "other")
        seconds = time.perf_counter() - self._began
        method = (
            scope["method"] if scope["method"] in _METHODS else "other"
        )  # anything goes on the wire, not in a label
        self.spanned.name(f"{method} {route}")
        self.spanned.note(http__request__method=method, http__route=route, http__response__status_code=status)
        metrics.answered(method=method, route=route, status=status, seconds=seconds)
        if code := scope.get(problems.CODE_SCOPE_KEY):
            metrics.refused(route=route, code=code)


class Gate:
    """ASGI middleware: header sanity, body limit on the stream, security headers, and the last catch of all errors."""

    def __init__(self, app: ASGIApp, *, limits: Limits, metrics: ApiMetrics) -> None:
        self.limits = limits
        self.metrics = metrics
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with tracing.span(
            scope["method"] if scope["method"] in _METHODS else "other", parent=_parent(scope)
        ) as spanned:
            exchange = _Exchange(self, scope, receive, send)
            exchange.spanned = spanned
            await self._serve(exchange)

    async def _serve(self, exchange: _Exchange) -> None:
        scope, receive = exchange.scope, exchange.receive
        try:
            if _declared_length(scope, self.limits) > self.limits.body_bytes:
                raise _too_large(self.limits.body_bytes)
            await self._app(scope, receive, exchange.send)
        except Exception as error:
            if exchange.started:
                raise
            response = await problems.handle(Request(scope), error)
            await response(scope, receive, exchange.send)
