"""What the pick waves keep in Redis: who is released and not picked, which waves were looked at, prices of scarce units."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from domain.ids import ThreadId, WarehouseId
from domain.pick_wave import UnitPrices
from graph.runtime.connection import Batcher
from graph.runtime.journal import millis, pairs, text
from graph.runtime.keys import STATE_TTL_S, Keyspace


class WaveIndex:
    """The index of released orders, and the waves' own notes; implements ``UnitPricePort``."""

    def __init__(self, batcher: Batcher, keys: Keyspace) -> None:
        """Both are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys
        self._looked, self._asked = keys.flag("waves:looked"), keys.flag("waves:asked")

    async def put(self, thread: ThreadId, *, at: datetime) -> None:
        """Enter a released order; entering it again keeps the first time."""
        key = self._released(thread)
        await self._redis.execute("ZADD", key, "NX", millis(at), thread)
        await self._redis.execute("EXPIRE", key, STATE_TTL_S)

    async def drop(self, thread: ThreadId) -> None:
        """The order is picked, or cancelled."""
        await self._redis.execute("ZREM", self._released(thread), thread)

    async def released(self, *, now: datetime) -> list[tuple[ThreadId, datetime]]:
        """Every released order that may still be waiting for its wave, oldest first; state older than its life is gone."""
        oldest = millis(now - timedelta(seconds=STATE_TTL_S))
        found: list[tuple[int, ThreadId]] = []
        for shard in range(self._keys.shards):
            key = self._keys.released(shard)
            await self._redis.execute("ZREMRANGEBYSCORE", key, "-inf", oldest)
            flat = await self._redis.execute("ZRANGE", key, 0, -1, "WITHSCORES")
            rows = flat if flat and isinstance(flat[0], list | tuple) else zip(flat[::2], flat[1::2], strict=True)
            found += [(int(float(score)), ThreadId(text(member))) for member, score in rows]
        return [(thread, datetime.fromtimestamp(at / 1000, UTC)) for at, thread in sorted(found)]

    async def looked(self) -> dict[str, str]:
        """The wave each warehouse was last looked at for."""
        return pairs(await self._redis.execute("HGETALL", self._looked))

    async def note(self, warehouse: WarehouseId, wave: datetime) -> None:
        """The look before this wave is over."""
        await self._redis.execute("HSET", self._looked, warehouse, wave.isoformat())

    async def ask(self, tenants: Sequence[str]) -> None:
        """A person wants a look now; whoever leads takes it."""
        await self._redis.execute("SADD", self._asked, *tenants)

    async def asked(self) -> set[str]:
        """The tenants a person wants a look for."""
        return {text(tenant) for tenant in await self._redis.execute("SMEMBERS", self._asked)}

    async def answered(self, tenants: set[str]) -> None:
        """The looks were taken."""
        if tenants:
            await self._redis.execute("SREM", self._asked, *sorted(tenants))

    async def price(self, tenant: str, prices: UnitPrices) -> None:
        """Keep what scarce units are worth until their time is over."""
        left_s = max(1, int((prices.until - prices.found_at).total_seconds()))
        await self._redis.execute("SET", self._keys.unit_prices(tenant), prices.to_json(), "EX", left_s)

    async def prices(self, *, tenant: str, now: datetime) -> UnitPrices | None:
        """The prices in force; None when there are none, or their time is over."""
        kept = await self._redis.execute("GET", self._keys.unit_prices(tenant))
        prices = None if kept is None else UnitPrices.from_json(kept)
        return prices if prices is not None and prices.found_at <= now < prices.until else None

    def _released(self, thread: ThreadId) -> str:
        return self._keys.released(self._keys.shard_of(thread))
