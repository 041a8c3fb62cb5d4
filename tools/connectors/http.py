# ruff: noqa: A005 - the module is only ever imported as tools.connectors.http
"""The one HTTP client behind every connector, and what each kind of answer means.

It connects within a second, gives up at a total deadline however slowly bytes come, reads at most 1 MB, follows no
redirect and sends its token to the configured host only. Reads repeat what is transient, effects never: their attempts
are counted by the caller.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, NoReturn, TypeVar

import httpx2
import orjson
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, stop_before_delay
from tenacity.wait import wait_random_exponential

from domain.errors import (
    Ambiguous,
    ConnectorRejected,
    ConnectorUnavailable,
    InsufficientStock,
    NotFound,
    TooLate,
    Transient,
)
from tools.connectors.address import checked_base_url

CONNECT_TIMEOUT_S = 1.0
MAX_BODY_BYTES = 1_000_000
MAX_READ_ATTEMPTS = 3
MAX_BACKOFF_S = 10.0
FIRST_BACKOFF_S = 0.05

Params = Mapping[str, str | Sequence[str]]
T = TypeVar("T")

_NOT_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
    httpx2.ProxyError,
)


class Misdirected(ConnectorUnavailable):
    """The address or token is wrong: nothing was done, and repeating will not help before an operator mends it."""


@dataclass(frozen=True)
class Answer:
    """A complete answer, whatever its status."""

    status: int
    body: bytes
    retry_after_s: float | None

    def document(self) -> Any:
        """The JSON body.

        Raises:
            ValueError: it is not JSON.
        """
        return orjson.loads(self.body)


class HttpClient:
    """One outside host. Close it with ``close``."""

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout_s: float = 2.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """A client for ``base_url``; ``timeout_s`` bounds each call in total, repetitions included.

        Without a token (an empty one) no authorisation is sent: the address itself is the secret.

        Raises:
            ConfigError: the address may not be used.
        """
        self.base_url = checked_base_url(base_url)
        self.timeout_s = timeout_s
        self._clock = clock
        self._client = httpx2.AsyncClient(
            headers={
                **({"Authorization": f"Bearer {token}"} if token else {}),
                "Accept-Encoding": "identity",
                "Accept": "application/json",
            },
            timeout=httpx2.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s)),
            limits=httpx2.Limits(max_connections=100, max_keepalive_connections=50, keepalive_expiry=4.0),
            follow_redirects=False,
            verify=_trust(),
            trust_env=False,
        )

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()

    async def read(self, path: str, params: Params, parse: Callable[[Answer], T], *, body: bytes | None = None) -> T:
        """GET, understood by ``parse``, which raises ValueError for an answer that is not what was asked.

        With ``body`` the question is posted instead: what names a person belongs into no address.

        Transient failures are repeated with jitter, at most three attempts inside the total deadline; a wait the other
        side asks for is honoured, or the call gives up when it does not fit.

        Raises:
            ConnectorUnavailable: no usable answer in time.
            ConnectorRejected, NotFound: refused for good.
        """
        deadline = asyncio.get_running_loop().time() + self.timeout_s
        retrying = AsyncRetrying(
            stop=stop_after_attempt(MAX_READ_ATTEMPTS) | stop_before_delay(self.timeout_s),
            wait=_backoff,
            retry=retry_if_exception(lambda error: isinstance(error, Transient) and not isinstance(error, Misdirected)),
            reraise=True,
        )
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = self._client.build_request(
            "GET" if body is None else "POST", self.base_url + path, params=dict(params), content=body, headers=headers
        )
        return await retrying(self._read_once, request, parse, deadline)

    async def _read_once(self, request: httpx2.Request, parse: Callable[[Answer], T], deadline: float) -> T:
        answer = await self._exchange(request, deadline, ConnectorUnavailable)
        try:
            return parse(answer)
        except ValueError as error:
            raise ConnectorUnavailable(
                f"{request.method} {request.url.path} was answered with something unusable ({error}); try again"
            ) from None

    async def send(self, path: str, body: bytes, *, key: str) -> Answer:
        """POST an effect under its key, once.

        Raises:
            ConnectorUnavailable: nothing was sent.
            Ambiguous: sent, and no complete answer came.
        """
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        request = self._client.build_request("POST", self.base_url + path, content=body, headers=headers)
        return await self._exchange(request, asyncio.get_running_loop().time() + self.timeout_s, Ambiguous)

    async def _exchange(self, request: httpx2.Request, deadline: float, silence: type[Transient]) -> Answer:
        what = f"{request.method} {request.url.path}"
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._client.send(request, stream=True)
                try:
                    body = await _bounded_body(response)
                finally:
                    await response.aclose()
        except _NOT_SENT as error:
            raise ConnectorUnavailable(f"{what} could not be sent ({type(error).__name__}); try again") from error
        except TimeoutError:
            raise silence(f"{what} was not answered within {self.timeout_s:g} s; find out before repeating") from None
        except (httpx2.TransportError, httpx2.StreamError, ValueError) as error:
            raise silence(
                f"{what} got no complete answer ({type(error).__name__}); find out before repeating"
            ) from error
        return Answer(response.status_code, body, self._retry_after_s(response))

    def _retry_after_s(self, response: httpx2.Response) -> float | None:
        """Seconds or an HTTP date (RFC 9110), never negative."""
        value = response.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return float(min(int(value[:9]), 86_400))
        try:
            return max(0.0, (parsedate_to_datetime(value) - self._clock()).total_seconds())
        except (ValueError, TypeError):
            return None


@cache
def _trust() -> ssl.SSLContext:
    """The machine's certificate authorities, read once."""
    return ssl.create_default_context()


async def _bounded_body(response: httpx2.Response) -> bytes:
    """The body as sent.

    Raises:
        ValueError: it is compressed although we asked for it plain, or longer than accepted.
    """
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ValueError("a compressed body")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise ValueError(f"a body over {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _backoff(state: RetryCallState) -> float:
    jittered = wait_random_exponential(multiplier=FIRST_BACKOFF_S, max=MAX_BACKOFF_S)(state)
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after_s if isinstance(error, Transient) else None
    return jittered if asked is None else asked + jittered


def refuse(answer: Answer, *, what: str, silence: type[Transient]) -> NoReturn:
    """Turn an answer that is not a success into the error its catcher acts upon.

    ``silence`` is raised for server errors: Ambiguous for effects, ConnectorUnavailable for reads.

    Raises:
        InsufficientStock, TooLate, NotFound, ConnectorRejected, ConnectorUnavailable, Ambiguous: see the mapping.
    """
    code, message, short = _problem(answer)
    said = f"{what} was answered {answer.status} {code}: {message}"
    match answer.status:
        case 408 | 425 | 429 | 503:
            raise ConnectorUnavailable(said, retry_after_s=answer.retry_after_s)
        case 404 if code == NotFound.code:
            raise NotFound(message)
        case 401 | 403 | 404 | 405 | 407:
            raise Misdirected(f"{said}; check the connector's address and token")
        case status if 300 <= status < 400:
            raise Misdirected(f"{said}; redirects are not followed, set the final address")
        case status if status >= 500 or status < 300:
            raise silence(f"{said}; find out before repeating")
        case _:
            raise _refusal(code, message if code else said, short)


def _refusal(code: str, message: str, short: dict[str, int]) -> InsufficientStock | TooLate | ConnectorRejected:
    if code == InsufficientStock.code:
        return InsufficientStock(message, short=short)
    return TooLate(message) if code == TooLate.code else ConnectorRejected(message)


def _problem(answer: Answer) -> tuple[str, str, dict[str, int]]:
    """Code, message and missing units of an error answer; empty when it does not say."""
    try:
        document = answer.document()
    except ValueError:
        return "", "no readable reason", {}
    if not isinstance(document, dict):
        return "", "no readable reason", {}
    stated = document.get("short")
    short = {str(k): v for k, v in stated.items() if type(v) is int} if isinstance(stated, dict) else {}
    return str(document.get("code", ""))[:100], str(document.get("message", "no reason given"))[:500], short
