"""How fast SKUs sell at each warehouse, measured on our own released orders; implements ``DemandPort`` from memory.

Sales are kept in buckets of five minutes; a rate is the highest of a short and a long window, so that a rush shows at
once and a lull does not hide yesterday. What was not watched long enough is not measured: caution decides there.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from domain.errors import StoreUnavailable
from domain.ids import Sku, WarehouseId
from domain.inventory import Demand, DemandTable
from graph.runtime.clock import Clock
from graph.runtime.connection import Batcher
from graph.runtime.journal import millis, pairs, text
from graph.runtime.keys import Keyspace
from graph.runtime.scripts import Script

log = structlog.get_logger(__name__)

BUCKET = timedelta(minutes=5)
WINDOWS = (timedelta(minutes=30), timedelta(hours=6))
WARM_UP = timedelta(hours=1)
"""Before sales have been watched this long without a gap, no SKU counts as measured."""
GAP = timedelta(minutes=10)
"""Nobody watched for longer: watching begins anew."""
KNOWN_FOR = timedelta(days=7)
"""A SKU is slow, and not unmeasured, for this long after its last sale."""
REFRESH_S = 15.0
OLD = timedelta(minutes=5)
"""Rates read longer ago than this are no rates."""
_LATE_BUCKETS = WINDOWS[0] // BUCKET + 1
"""So many of the newest buckets may still grow: who records may be behind."""
_KEPT_S = int((WINDOWS[-1] + 2 * BUCKET).total_seconds())
_KNOWN_S = int(KNOWN_FOR.total_seconds())
Place = tuple[WarehouseId, Sku]

_RECORD = Script(
    f"""
local bucket, sold, seen = unpack(KEYS)
local at = tonumber(ARGV[1])
if not redis.call('SET', seen, '1', 'NX', 'EX', {_KEPT_S}) then return 0 end
for i = 2, #ARGV, 2 do
  redis.call('HINCRBY', bucket, ARGV[i], ARGV[i + 1])
  redis.call('ZADD', sold, 'GT', at, ARGV[i])
end
redis.call('EXPIRE', bucket, {_KEPT_S})
redis.call('ZREMRANGEBYSCORE', sold, '-inf', at - {_KNOWN_S * 1000})
redis.call('EXPIRE', sold, {_KNOWN_S})
return 1
"""
)
_WATCHED = Script(
    f"""
local since, now = KEYS[1], tonumber(ARGV[1])
local last = tonumber(redis.call('HGET', since, 'last') or '0')
if now - last > {int(GAP.total_seconds() * 1000)} then redis.call('HSET', since, 'began', now) end
redis.call('HSET', since, 'last', math.max(now, last))
redis.call('EXPIRE', since, {_KNOWN_S})
return redis.call('HGET', since, 'began')
"""
)


class DemandBook:
    """Records sales for everybody, and reads them into this process."""

    def __init__(self, batcher: Batcher, keys: Keyspace, clock: Clock) -> None:
        """All are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys
        self._clock = clock
        self._buckets: dict[int, Counter[Place]] = {}
        self._sold: dict[Place, int] = {}
        self._rates: dict[Sku, dict[WarehouseId, Demand]] = {}
        self._read_at: datetime | None = None

    async def record(self, event_id: str, units: Mapping[Place, int], *, at: datetime) -> None:
        """Note what one order sold; the same event again changes nothing."""
        if not units:
            return
        flat = [part for place, count in sorted(units.items()) for part in (_field(place), str(count))]
        places = [self._keys.demand(_bucket(at)), self._keys.demand_sold(), self._keys.dedupe(f"demand\x00{event_id}")]
        await self._redis.script(_RECORD, places, [millis(at), *flat])

    def demand(self, skus: Sequence[Sku]) -> DemandTable:
        """What has been measured of the named SKUs; nothing when the last reading is old."""
        if self._read_at is None or self._clock.now() - self._read_at > OLD:
            return {}
        return {(site, sku): one for sku in skus for site, one in self._rates.get(sku, {}).items()}

    async def refresh(self) -> None:
        """Read what was sold since the last time and work the rates out anew.

        Raises:
            StoreUnavailable: the rates stand as they were read.
        """
        now = self._clock.now()
        began = int(text(await self._redis.script(_WATCHED, [self._keys.demand_watched()], [millis(now)])))
        newest = _bucket(now)
        wanted = range(_bucket(now - WINDOWS[-1]), newest + 1)
        missing = [one for one in wanted if one > newest - _LATE_BUCKETS or one not in self._buckets]
        rows = await asyncio.gather(*(self._redis.execute("HGETALL", self._keys.demand(one)) for one in missing))
        self._buckets |= {
            one: Counter({_place(field): int(count) for field, count in pairs(row).items()})
            for one, row in zip(missing, rows, strict=True)
        }
        self._buckets = {one: counted for one, counted in self._buckets.items() if one in wanted}
        await self._read_sold(now)
        warm = int(millis(now)) - began >= _ms(WARM_UP)
        self._rates = self._measured(now) if warm else {}
        self._read_at = now

    async def _read_sold(self, now: datetime) -> None:
        since = now - KNOWN_FOR if self._read_at is None else self._read_at - _LATE_BUCKETS * BUCKET
        flat = await self._redis.execute("ZRANGEBYSCORE", self._keys.demand_sold(), millis(since), "+inf", "WITHSCORES")
        rows = flat if flat and isinstance(flat[0], list | tuple) else zip(flat[::2], flat[1::2], strict=True)
        self._sold |= {_place(text(field)): int(float(score)) for field, score in rows}
        oldest = int(millis(now - KNOWN_FOR))
        self._sold = {place: at for place, at in self._sold.items() if at >= oldest}

    def _measured(self, now: datetime) -> dict[Sku, dict[WarehouseId, Demand]]:
        sums = [self._sum(now - window) for window in WINDOWS]
        found: dict[Sku, dict[WarehouseId, Demand]] = {}
        for place, at in self._sold.items():
            rates = [units[place] / (window / timedelta(hours=1)) for window, units in zip(WINDOWS, sums, strict=True)]
            # Sold before the long window: at most one unit in all the time since.
            silent_h = (int(millis(now)) - at) / _ms(timedelta(hours=1))
            rates.append(1 / max(silent_h, WINDOWS[-1] / timedelta(hours=1)))
            found.setdefault(place[1], {})[place[0]] = Demand(per_hour=max(rates))
        return found

    def _sum(self, since: datetime) -> Counter[Place]:
        """Units since an instant, the whole bucket it lies in included."""
        first, units = _bucket(since), Counter[Place]()
        for bucket, counted in self._buckets.items():
            if bucket >= first:
                units.update(counted)
        return units

    async def watch(self, stop: asyncio.Event) -> None:
        """Refresh until stopped; while the store is away the rates grow old and then count as unmeasured."""
        while not stop.is_set():
            try:
                await self.refresh()
            except StoreUnavailable as away:
                log.warning("demand.not_read", why=str(away))
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await stop.wait()


def _bucket(at: datetime) -> int:
    return int(millis(at)) // _ms(BUCKET)


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


def _field(place: Place) -> str:
    return "|".join(place)


def _place(field: str) -> Place:
    site, _, sku = field.partition("|")
    return WarehouseId(site), Sku(sku)
