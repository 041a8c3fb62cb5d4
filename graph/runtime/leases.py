"""One writer per entity: a lease with a fencing token, renewed while the work goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from domain.errors import LeaseBusy, StoreUnavailable
from domain.ids import ThreadId
from graph.runtime.connection import Batcher
from graph.runtime.keys import Keyspace
from graph.runtime.scripts import Script

LEASE_MS = 30_000
_FENCE_TTL_S = 14 * 24 * 3600
_POLL_S = 0.05

_ACQUIRE = Script(
    f"""
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  local token = redis.call('INCR', KEYS[2])
  redis.call('EXPIRE', KEYS[2], {_FENCE_TTL_S})
  return token
end
return 0
"""
)
_RENEW = Script(
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
)
_RELEASE = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0")
_LEAD = Script(
    """
local leader = redis.call('GET', KEYS[1])
if not leader or leader == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
return 0
"""
)


class Leases:
    """Hands out leases. Within one process, waiters for an entity queue up in order without asking Redis."""

    def __init__(self, batcher: Batcher, keys: Keyspace, *, owner: str, lease_ms: int = LEASE_MS) -> None:
        """``owner`` names this process (unique); ``lease_ms`` is how long a silent owner keeps an entity."""
        self._redis = batcher
        self._keys = keys
        self._owner = owner
        self._lease_ms = lease_ms
        self._queues: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, int] = {}
        self._renewals: dict[str, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def hold(self, thread: ThreadId, *, wait_s: float = 10.0) -> AsyncIterator[int]:
        """Hold the entity and give the fencing token.

        Raises:
            LeaseBusy: another process kept it for all of ``wait_s``.
        """
        queue = self._queues.setdefault(thread, asyncio.Lock())
        self._waiting[thread] = self._waiting.get(thread, 0) + 1
        try:
            async with queue:
                token = await self._acquire(thread, wait_s)
                renewal = asyncio.get_running_loop().call_later(self._lease_ms / 3000, self._renew_soon, thread)
                try:
                    yield token
                finally:
                    self._stop_renewing(thread, renewal)
                    # An unreleased lease ends by itself.
                    with suppress(StoreUnavailable):
                        await asyncio.shield(self._release(thread))
        finally:
            self._waiting[thread] -= 1
            if not self._waiting[thread]:
                del self._waiting[thread], self._queues[thread]

    async def _acquire(self, thread: ThreadId, wait_s: float) -> int:
        keys = self._keys.entity(thread)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while True:
            token = await self._redis.script(_ACQUIRE, [keys.lease, keys.fence], [self._owner, str(self._lease_ms)])
            if int(token):
                return int(token)
            if loop.time() >= deadline:
                raise LeaseBusy(f"entity {thread} is being worked on elsewhere; it stays queued", retry_after_s=1.0)
            await asyncio.sleep(_POLL_S)

    def _renew_soon(self, thread: ThreadId) -> None:
        self._renewals[thread] = asyncio.get_running_loop().create_task(self._keep_renewing(thread))

    async def _keep_renewing(self, thread: ThreadId) -> None:
        lease = self._keys.entity(thread).lease
        held = True
        while held:
            # A store that does not answer now may answer before the lease ends; the fence guards the rest.
            with suppress(StoreUnavailable):
                held = bool(await self._redis.script(_RENEW, [lease], [self._owner, str(self._lease_ms)]))
            await asyncio.sleep(self._lease_ms / 3000)

    def _stop_renewing(self, thread: ThreadId, renewal: asyncio.TimerHandle) -> None:
        renewal.cancel()
        task = self._renewals.pop(thread, None)
        if task is not None:
            task.cancel()

    async def _release(self, thread: ThreadId) -> None:
        await self._redis.script(_RELEASE, [self._keys.entity(thread).lease], [self._owner])


class Leadership:
    """One process of all that share the store does a job (the audit relay); another takes over when it is gone."""

    def __init__(self, batcher: Batcher, keys: Keyspace, job: str, owner: str, *, lease_ms: int = LEASE_MS) -> None:
        """``job`` names what is led."""
        self._redis = batcher
        self._key = keys.flag(f"{job}:leader")
        self._owner = owner
        self._lease_ms = lease_ms
        self._leads_until = 0.0

    async def lead(self) -> bool:
        """Whether this process leads now; asks the store at most every third of a lease."""
        now = asyncio.get_running_loop().time()
        if now < self._leads_until:
            return True
        won = await self._redis.script(_LEAD, [self._key], [self._owner, str(self._lease_ms)])
        self._leads_until = now + self._lease_ms / 3000 if int(won) else 0.0
        return bool(int(won))

    async def resign(self) -> None:
        """Let another process lead at once."""
        self._leads_until = 0.0
        await self._redis.script(_RELEASE, [self._key], [self._owner])
