"""Orders decided in peak mode: remembered until they were looked at again, and what that look found.

Owner: the rescoring, which removes what it has looked at and trims what it found after a week.
"""

from datetime import datetime, timedelta

import orjson

from domain.values import Plain
from graph.runtime.connection import Batcher
from graph.runtime.journal import millis, text
from graph.runtime.keys import Keyspace
from graph.runtime.scripts import Script

KEPT_S = 7 * 24 * 3600

_SETTLE = Script(
    f"""
local waiting, found = unpack(KEYS)
local member, now, result = ARGV[1], tonumber(ARGV[2]), ARGV[3]
redis.call('ZREM', waiting, member)
if result ~= '' then
  redis.call('ZADD', found, now, result)
  redis.call('ZREMRANGEBYSCORE', found, '-inf', now - {KEPT_S * 1000})
  redis.call('EXPIRE', found, {KEPT_S})
end
return 1
"""
)


class DegradedOrders:
    """The orders of all tenants that were decided by simplified rules."""

    def __init__(self, batcher: Batcher, keys: Keyspace) -> None:
        """Both are shared with the rest of the runtime."""
        self._redis = batcher
        self._waiting = keys.flag("degraded:orders")
        self._found = keys.flag("degraded:rescored")

    async def remember(self, tenant: str, order_id: str, *, at: datetime) -> None:
        """Note an order before its decision is journaled; one noted before keeps its place."""
        await self._redis.execute("ZADD", self._waiting, "NX", millis(at), _member(tenant, order_id))
        await self._redis.execute("EXPIRE", self._waiting, KEPT_S)

    async def waiting(self, *, limit: int, after: int = 0) -> list[tuple[str, str, datetime]]:
        """Tenant, order and time of those not looked at yet, oldest first; ``after`` so many."""
        last = after + limit - 1
        raw = await self._redis.execute("ZRANGE", self._waiting, after, last, "WITHSCORES")
        found = []
        for member, score in zip(raw[::2], raw[1::2], strict=True):
            tenant, order_id = orjson.loads(member)
            found.append((tenant, order_id, _time(score)))
        return found

    async def count(self) -> int:
        """How many have not been looked at yet."""
        return int(await self._redis.execute("ZCARD", self._waiting))

    async def settle(self, tenant: str, order_id: str, result: dict[str, Plain] | None, *, at: datetime) -> None:
        """The order was looked at; ``result`` is kept for a week, None where there was nothing to look at."""
        kept = "" if result is None else orjson.dumps(result, option=orjson.OPT_SORT_KEYS)
        await self._redis.script(_SETTLE, [self._waiting, self._found], [_member(tenant, order_id), millis(at), kept])

    async def found(self, *, limit: int) -> list[dict[str, Plain]]:
        """What the looks of the last week found, newest first."""
        raw = await self._redis.execute("ZREVRANGE", self._found, 0, limit - 1)
        return [orjson.loads(one) for one in raw]


def _member(tenant: str, order_id: str) -> str:
    return orjson.dumps([tenant, order_id]).decode()


def _time(score: bytes | str) -> datetime:
    return datetime.fromisoformat("1970-01-01T00:00:00+00:00") + timedelta(milliseconds=int(float(text(score))))
