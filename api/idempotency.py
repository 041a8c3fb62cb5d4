"""Idempotency-Key: a repeated request gets the first one's answer, never a second execution.

As Stripe documents its keys: same key and request give the stored status and body, a different request under the key is
refused, a concurrent one is told to wait, and an answer is kept only once execution began. Failures of ours (5xx) are not
kept, so that the repeat runs again. Records outlive the shared state they produced.
"""

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response

from api import problems
from api.security import PERSON_HEADER
from domain.errors import InputError, Refused, StoreUnavailable
from graph.runtime.connection import Batcher
from graph.runtime.keys import STATE_TTL_S, Keyspace
from graph.runtime.scripts import Script

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
MAX_KEY_CHARS = 255
LEASE_S = 60
"""A request that died holds its key no longer than this."""
RETENTION_S = STATE_TTL_S + 3600

_log = structlog.get_logger("api")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it is stored and repeated."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    media_type: str = "application/json"
    replayed: bool = False

    def response(self) -> Response:
        """The answer as an HTTP response."""
        headers = dict(self.headers) | ({REPLAYED: "true"} if self.replayed else {})
        return Response(self.body, self.status, headers=headers, media_type=self.media_type)


@dataclass(frozen=True, slots=True)
class Keyed:
    """A request and the key it came under."""

    tenant: str
    key: str
    digest: str
    """Of what makes it the same request."""
    instance: str
    """Its path, for the problem when it is refused."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to execute the request under a key."""

    tenant: str
    key: str
    token: str


class IdempotencyStore(Protocol):
    """Remembers which key belongs to which request, and its answer."""

    async def begin(self, tenant: str, key: str, digest: str) -> Claim | Reply:
        """Claim the key for ``LEASE_S``, or return the answer it already has.

        Raises:
            RequestInProgress: another request holds the key.
            KeyReused: the key belongs to a different request.
            StoreUnavailable: nothing is known; nothing may be executed.
        """

    async def finish(self, claim: Claim, reply: Reply) -> None:
        """Keep the answer for ``RETENTION_S``; a claim that lapsed and was taken over keeps nothing.

        Raises:
            StoreUnavailable: the answer was not kept.
        """

    async def release(self, claim: Claim) -> None:
        """Forget the key, because nothing was executed to the end.

        Raises:
            StoreUnavailable: the key stays taken until its lease ends.
        """


def request_digest(*parts: bytes) -> str:
    """Digest of what makes two requests the same: method, path, named person and body."""
    return hashlib.sha256(b"\x00".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def key_of(request: Request) -> str | None:
    """The request's Idempotency-Key, None when it has none.

    Raises:
        InputError: it is empty, too long or not printable ASCII.
    """
    key = request.headers.get(HEADER)
    if key is not None and not (0 < len(key) <= MAX_KEY_CHARS and key.isascii() and key.isprintable()):
        raise InputError(f"{HEADER} must be 1 to {MAX_KEY_CHARS} printable ASCII characters")
    return key


async def answer(
    request: Request, store: IdempotencyStore, tenant: str, *, content: bytes, run: Callable[[], Awaitable[Reply]]
) -> Response:
    """Execute ``run``, at most once when the request has a key; ``content`` is what the body means.

    Raises:
        InputError, RequestInProgress, KeyReused: the key is malformed, in use, or another request's.
    """
    key = key_of(request)
    if key is None:
        reply = await run()
    else:
        person = request.headers.get(PERSON_HEADER, "")
        digest = request_digest(request.method.encode(), request.url.path.encode(), person.encode(), content)
        reply = await once(store, Keyed(tenant, key, digest, request.url.path), run)
    return reply.response()


async def once(store: IdempotencyStore, keyed: Keyed, run: Callable[[], Awaitable[Reply]]) -> Reply:
    """Execute ``run`` at most once per key and give everyone its answer, refusals included.

    Raises:
        RequestInProgress, KeyReused: see ``IdempotencyStore.begin``.
    """
    claim = await store.begin(keyed.tenant, keyed.key, keyed.digest)
    if isinstance(claim, Reply):
        return claim
    try:
        reply = await run()
    except (InputError, Refused) as refusal:
        problem = problems.of_error(refusal, keyed.instance)
        reply = Reply(problem.status, problem.body, problem.headers, problems.MEDIA_TYPE)
    except BaseException:
        await _quietly(store.release(claim))
        raise
    await _quietly(store.finish(claim, reply))
    return reply


async def _quietly(step: Awaitable[None]) -> None:
    """The order is accepted (or failed) whatever becomes of the record; a lost record ends with its lease."""
    try:
        await step
    except StoreUnavailable as error:
        _log.warning("api.idempotency.unsaved", error=str(error))


_BEGIN = Script(
    """
local record = unpack(KEYS)
local digest, token, lease_ms, ttl_s = unpack(ARGV)
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local f = redis.call('HMGET', record, 'digest', 'reply', 'body', 'until')
if f[1] and f[1] ~= digest then return {'mismatch'} end
if f[2] then return {'done', f[2], f[3]} end
if f[4] and tonumber(f[4]) > now then return {'busy', tonumber(f[4]) - now} end
redis.call('HSET', record, 'digest', digest, 'token', token, 'until', now + lease_ms)
redis.call('EXPIRE', record, ttl_s)
return {'yours'}
"""
)
"""A crashed holder leaves its digest behind: after the lease the same request may run again, a different one still not."""

_FINISH = Script(
    """
local record = unpack(KEYS)
local token, reply, body, ttl_s = unpack(ARGV)
if redis.call('HGET', record, 'token') ~= token then return 0 end
redis.call('HDEL', record, 'token', 'until')
redis.call('HSET', record, 'reply', reply, 'body', body)
return redis.call('EXPIRE', record, ttl_s)
"""
)

_RELEASE = Script(
    """
local record = unpack(KEYS)
local token = unpack(ARGV)
if redis.call('HGET', record, 'token') ~= token then return 0 end
return redis.call('DEL', record)
"""
)


class RedisIdempotencyStore:
    """The store on core Redis commands: one hash per key."""

    def __init__(self, batcher: Batcher, keys: Keyspace, *, lease_s: float = LEASE_S) -> None:
        """Shares the batcher; ``lease_s`` is how long a request may run before its key is free again."""
        self._redis = batcher
        self._keys = keys
        self._lease_ms = int(lease_s * 1000)

    async def begin(self, tenant: str, key: str, digest: str) -> Claim | Reply:
        """See ``IdempotencyStore.begin``."""
        token = secrets.token_hex(8)
        record = [self._keys.idempotency(tenant, key)]
        match await self._redis.script(_BEGIN, record, [digest, token, self._lease_ms, RETENTION_S]):
            case [b"yours"]:
                return Claim(tenant, key, token)
            case [b"done", reply, body]:
                kept = orjson.loads(reply)
                headers = tuple((name, value) for name, value in kept["headers"])
                return Reply(kept["status"], body, headers, kept["media_type"], replayed=True)
            case [b"busy", wait_ms]:
                raise problems.RequestInProgress(
                    "The first request with this Idempotency-Key is still running; repeat it a little later",
                    retry_after_s=min(int(wait_ms) / 1000, 2.0),
                )
            case _:
                raise problems.KeyReused(
                    "This Idempotency-Key was used for a different request; use a new key for a new request"
                )

    async def finish(self, claim: Claim, reply: Reply) -> None:
        """See ``IdempotencyStore.finish``."""
        kept = orjson.dumps({"status": reply.status, "headers": reply.headers, "media_type": reply.media_type})
        record = [self._keys.idempotency(claim.tenant, claim.key)]
        await self._redis.script(_FINISH, record, [claim.token, kept, reply.body, RETENTION_S])

    async def release(self, claim: Claim) -> None:
        """See ``IdempotencyStore.release``."""
        await self._redis.script(_RELEASE, [self._keys.idempotency(claim.tenant, claim.key)], [claim.token])
