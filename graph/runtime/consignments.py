"""What each consignee was sent across the border: an exact sliding window per consignee, under hashes only."""

from datetime import datetime
from hashlib import sha256

import orjson

from domain.consignee import Consigned
from domain.money import Money
from graph.runtime.connection import Batcher
from graph.runtime.journal import millis, text
from graph.runtime.keys import Keyspace
from graph.runtime.scripts import Script

KEPT_S = 190 * 24 * 3600
"""A half year has 184 days at most."""

_PUT = Script(
    f"""
local times, parcels, of = unpack(KEYS)
local order, at, detail, consignee = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
for _, old in ipairs(redis.call('ZRANGEBYSCORE', times, '-inf', at - {KEPT_S * 1000})) do
  redis.call('ZREM', times, old); redis.call('HDEL', parcels, old)
end
redis.call('ZADD', times, 'NX', at, order)
redis.call('HSET', parcels, order, detail)
redis.call('SET', of, consignee, 'EX', {KEPT_S})
redis.call('EXPIRE', times, {KEPT_S}); redis.call('EXPIRE', parcels, {KEPT_S})
return 1
"""
)
_DROP = Script(
    """
local times, parcels, of = unpack(KEYS)
local order = ARGV[1]
redis.call('HDEL', parcels, order)
redis.call('DEL', of)
return redis.call('ZREM', times, order)
"""
)
_SENT = Script(
    """
local times, parcels = unpack(KEYS)
local besides, half_year, day, now = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local imports, today = 0, {}
local found = redis.call('ZRANGEBYSCORE', times, half_year, now, 'WITHSCORES')
for at = 1, #found, 2 do
  if found[at] ~= besides then
    local detail = cjson.decode(redis.call('HGET', parcels, found[at]))
    imports = imports + detail.parcels
    if tonumber(found[at + 1]) >= day then today[detail.currency] = (today[detail.currency] or 0) + detail.minor end
  end
end
local flat = {tostring(imports)}
for currency, minor in pairs(today) do
  flat[#flat + 1] = currency; flat[#flat + 1] = string.format('%.0f', minor)
end
return flat
"""
)


class Consignments:
    """The consignees' book of one installation; implements ``ConsigneePort``."""

    def __init__(self, batcher: Batcher, keys: Keyspace) -> None:
        """Both are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys

    async def put(
        self, tenant: str, order_id: str, *, consignee: str, parcels: int, value: Money, at: datetime
    ) -> None:
        """Count a released order; counting it again keeps its first time."""
        detail = orjson.dumps({"parcels": parcels, "minor": value.amount_minor, "currency": value.currency}).decode()
        await self._redis.script(_PUT, self._places(tenant, consignee, order_id), [
            _name(order_id), millis(at), detail, consignee
        ])  # fmt: skip

    async def drop(self, tenant: str, order_id: str) -> None:
        """The order was cancelled: it counts no more, whatever its address says by now."""
        consignee = await self._redis.execute("GET", self._keys.consigned_to(tenant, _name(order_id)))
        if consignee is not None:
            await self._redis.script(_DROP, self._places(tenant, text(consignee), order_id), [_name(order_id)])

    async def sent(
        self, *, tenant: str, consignee: str, order_id: str, half_year: datetime, day: datetime, now: datetime
    ) -> Consigned:
        """What the consignee was sent by ``now`` in other orders than this one."""
        keys = self._places(tenant, consignee, order_id)[:2]
        args = [_name(order_id), millis(half_year), millis(day), millis(now)]
        imports, *sums = [text(part) for part in await self._redis.script(_SENT, keys, args)]
        today = zip(sums[::2], sums[1::2], strict=True)
        return Consigned(
            imports=int(imports),
            today=tuple(Money(amount_minor=int(minor), currency=currency) for currency, minor in sorted(today)),
        )

    def _places(self, tenant: str, consignee: str, order_id: str) -> list[str]:
        book = self._keys.consignee(tenant, consignee)
        return [book.times, book.parcels, self._keys.consigned_to(tenant, _name(order_id))]


def _name(order_id: str) -> str:
    return sha256(order_id.encode()).hexdigest()[:24]
