"""The index of orders that wait for stock: by SKU, by when they are looked at next, with since when and until when.

An entry is written before its order rests and removed once it no longer waits, so that no waiting order is missed; an
entry whose order moved on meanwhile is found and removed at its next look.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from domain.ids import OrderId, Sku, TenantId, ThreadId
from graph.runtime.connection import Batcher
from graph.runtime.journal import millis, text
from graph.runtime.keys import Keyspace, ParkedKeys
from graph.runtime.scripts import Script

FIRST_LOOK_S = 5
"""After a retry that came to nothing, the next look without an arrival comes this much later; each one four times."""
LONGEST_LOOK_S = 3600
"""No order waits longer than this between two looks; a look also keeps its working state from expiring."""
_TTL_S = 90 * 24 * 3600

_DROP = """
local function drop(entries, due, by_sku, skus, thread)
  local raw = redis.call('HGET', entries, thread)
  if not raw then return nil end
  local old = cjson.decode(raw)
  for sku, _ in pairs(old.needs) do
    if redis.call('ZREM', by_sku, sku .. '\\0' .. thread) == 1 and redis.call('HINCRBY', skus, sku, -1) <= 0 then
      redis.call('HDEL', skus, sku)
    end
  end
  redis.call('HDEL', entries, thread)
  redis.call('ZREM', due, thread)
  return old
end
"""

_PUT = Script(
    _DROP
    + f"""
local entries, due, by_sku, skus = unpack(KEYS)
local thread, now, body = unpack(ARGV)
local old, new = drop(entries, due, by_sku, skus, thread), cjson.decode(body)
-- The run that entered it first may be cut off and enter it again: that is not another wait.
local waited = old and old.why == 'goods'
local told = waited and old.run < new.run
local wait = 0
if old then
  new.since, new.tries, new['until'] = old.since, old.tries, math.min(old['until'], new['until'])
  if waited then new.why, new.run = 'goods', old.run end
  if new.tries > 0 then wait = math.min({FIRST_LOOK_S} * 4 ^ math.min(new.tries - 1, 8), {LONGEST_LOOK_S}) * 1000 end
end
redis.call('HSET', entries, thread, cjson.encode(new))
redis.call('ZADD', due, math.min(tonumber(now) + wait, new['until']), thread)
for sku, _ in pairs(new.needs) do
  redis.call('ZADD', by_sku, 0, sku .. '\\0' .. thread)
  redis.call('HINCRBY', skus, sku, 1)
end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, {_TTL_S}) end
return told and 1 or 0
"""
)

_LOOKED = Script(
    f"""
local entries, due = KEYS[1], KEYS[2]
local thread, now, retried = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local raw = redis.call('HGET', entries, thread)
if not raw then return 0 end
local entry = cjson.decode(raw)
if retried == '1' then entry.tries = entry.tries + 1 end
local wait = math.min({FIRST_LOOK_S} * 4 ^ math.min(math.max(entry.tries - 1, 0), 8), {LONGEST_LOOK_S}) * 1000
redis.call('HSET', entries, thread, cjson.encode(entry))
local at = now + wait
if entry['until'] > now then at = math.min(at, entry['until']) end
redis.call('ZADD', due, at, thread)
return 1
"""
)

_REMOVE = Script(_DROP + "return drop(KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1]) and 1 or 0")


@dataclass(frozen=True, kw_only=True)
class Parked:
    """One order that waits for stock."""

    thread: ThreadId
    tenant: TenantId
    order_id: OrderId
    needs: Mapping[Sku, int]
    """Units per SKU."""
    since: datetime
    until: datetime
    """Its day limit."""
    for_goods: bool
    """It waits for goods, not only for a feed to be on time again."""
    run: int
    """The attempt group that entered it."""
    together: bool = False
    """All units exist, but not where they could leave together: only another division over the sites helps."""
    tries: int = 0


class ParkedIndex:
    """Keeps the orders that wait."""

    def __init__(self, batcher: Batcher, keys: Keyspace) -> None:
        """Both are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys

    async def put(self, parked: Parked, *, now: datetime) -> bool:
        """Enter an order. Entered before, it keeps its first time and its earliest limit.

        Returns whether it already waited for goods before this run.

        Raises:
            StoreUnavailable: it may not be entered.
        """
        body = {
            "tenant": parked.tenant,
            "order_id": parked.order_id,
            "needs": dict(parked.needs),
            "since": int(millis(parked.since)),
            "until": int(millis(parked.until)),
            "why": "goods" if parked.for_goods else "feed",
            "run": parked.run,
            "together": parked.together,
            "tries": parked.tries,
        }
        keys = self._of(self._keys.shard_of(parked.thread))
        return bool(await self._redis.script(_PUT, _all(keys), [parked.thread, millis(now), orjson.dumps(body)]))

    async def looked(self, thread: ThreadId, *, now: datetime, retried: bool) -> None:
        """Note a look at an order; the next one comes later the more retries came to nothing."""
        keys = self._of(self._keys.shard_of(thread))
        await self._redis.script(_LOOKED, [keys.entries, keys.due], [thread, millis(now), str(int(retried))])

    async def remove(self, thread: ThreadId) -> bool:
        """Take an order out; returns whether it was in."""
        keys = self._of(self._keys.shard_of(thread))
        return bool(await self._redis.script(_REMOVE, _all(keys), [thread]))

    async def skus(self) -> set[Sku]:
        """Every SKU an order waits for."""
        found: set[Sku] = set()
        for shard in range(self._keys.shards):
            found |= {Sku(text(sku)) for sku in await self._redis.execute("HKEYS", self._of(shard).skus)}
        return found

    async def waiting_for(self, sku: Sku, *, limit: int = 10_000) -> list[ThreadId]:
        """Orders that wait for a SKU."""
        threads = []
        for shard in range(self._keys.shards):
            keys = self._of(shard)
            found = await self._redis.execute(
                "ZRANGEBYLEX", keys.by_sku, f"[{sku}\0", f"({sku}\1", "LIMIT", 0, limit
            )  # fmt: skip
            threads += [ThreadId(text(member).rpartition("\0")[2]) for member in found]
        return threads

    async def due(self, now: datetime, *, limit: int = 200) -> list[ThreadId]:
        """Orders whose next look has come."""
        threads = []
        for shard in range(self._keys.shards):
            found = await self._redis.execute(
                "ZRANGEBYSCORE", self._of(shard).due, "-inf", millis(now), "LIMIT", 0, limit
            )
            threads += [ThreadId(text(thread)) for thread in found]
        return threads

    async def entries(self, threads: Iterable[ThreadId]) -> list[Parked]:
        """The entries of the threads that have one, longest waiting first."""
        by_shard: dict[int, list[ThreadId]] = {}
        for thread in threads:
            by_shard.setdefault(self._keys.shard_of(thread), []).append(thread)
        found: list[Parked] = []
        for shard, those in by_shard.items():
            raw = await self._redis.execute("HMGET", self._of(shard).entries, *those)
            found += [_parked(thread, body) for thread, body in zip(those, raw, strict=True) if body is not None]
        return sorted(found, key=lambda parked: (parked.since, parked.thread))

    async def size(self) -> int:
        """How many orders wait."""
        return sum([int(await self._redis.execute("HLEN", self._of(s).entries)) for s in range(self._keys.shards)])

    def _of(self, shard: int) -> ParkedKeys:
        return self._keys.parked(shard)


def _all(keys: ParkedKeys) -> Sequence[str]:
    return [keys.entries, keys.due, keys.by_sku, keys.skus]


def _parked(thread: ThreadId, body: bytes | str) -> Parked:
    kept = orjson.loads(body)
    return Parked(
        thread=thread,
        tenant=TenantId(kept["tenant"]),
        order_id=OrderId(kept["order_id"]),
        needs={Sku(sku): int(units) for sku, units in kept["needs"].items()},
        since=_instant(kept["since"]),
        until=_instant(kept["until"]),
        for_goods=kept["why"] == "goods",
        run=int(kept["run"]),
        together=bool(kept.get("together")),
        tries=int(kept["tries"]),
    )


def _instant(ms: float) -> datetime:
    return datetime.fromtimestamp(0, tz=UTC) + timedelta(milliseconds=ms)
