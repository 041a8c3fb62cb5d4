"""Which dedupe keys were published, kept in Redis for brokers that cannot take a key and a message in one step.

Promise: of many publishers of one key one publishes, and a publisher that dies half-way is succeeded by the next: a
message may come twice after a crash in that instant, but is never lost.
"""

import asyncio
from uuid import uuid4

from domain.errors import StoreUnavailable
from graph.runtime.bus_messages import DEDUPE_TTL_S
from graph.runtime.connection import Batcher
from graph.runtime.keys import Keyspace
from graph.runtime.scripts import Script

HOLD_MS = 30_000
"""A publisher silent for so long has died: above every broker time-out."""
WAIT_MS = 5_000
"""Longest wait for another publisher of the same key."""
_POLL_MS = 20
_DONE = b"done"

_FORGET = Script(
    """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
)


class PublishMarks:
    """Takes, confirms and gives back the right to publish under a dedupe key."""

    def __init__(self, batcher: Batcher, keys: Keyspace, *, ttl_s: int = DEDUPE_TTL_S, hold_ms: int = HOLD_MS) -> None:
        self._batcher = batcher
        self._keys = keys
        self._ttl_ms = ttl_s * 1000
        self._hold_ms = hold_ms

    async def begin(self, name: str) -> str | None:
        """A token when the caller is to publish now, None when the key was published.

        Raises:
            StoreUnavailable: another publisher has begun and not finished; try again.
        """
        key = self._keys.dedupe(name)
        token = uuid4().hex
        for _ in range(WAIT_MS // _POLL_MS):
            if await self._batcher.execute("SET", key, token, "NX", "PX", self._hold_ms):
                return token
            if await self._batcher.execute("GET", key) == _DONE:
                return None
            await asyncio.sleep(_POLL_MS / 1000)
        raise StoreUnavailable("another publisher of the same dedupe key has not finished; publish again later")

    async def done(self, name: str) -> None:
        """The message is durable: later publishers of the key are told so."""
        await self._batcher.execute("SET", self._keys.dedupe(name), _DONE, "PX", self._ttl_ms)

    async def forget(self, name: str, token: str) -> None:
        """Nothing was published: the next may try at once."""
        await self._batcher.script(_FORGET, [self._keys.dedupe(name)], [token])
