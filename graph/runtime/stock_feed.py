"""Stock feeds: the newest count of each place by the feed's own event time, and a breaker per warehouse.

Arrival time never makes a count fresh, and neither does a wrong clock of ours: ages are measured by the store's time.
What is known lives in the store and is shared by every process; reading it costs a process two commands a second.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

import orjson
import structlog

from domain.ids import EffectKey, Sku, WarehouseId
from domain.inventory import FeedState, HoldLine, StockLevel, StockSnapshot
from graph.runtime.clock import Clock
from graph.runtime.connection import Batcher
from graph.runtime.journal import millis, pairs, text
from graph.runtime.keys import Keyspace
from graph.runtime.stock_scripts import LEVELS, SAMPLE, SOLD, TAKE

log = structlog.get_logger(__name__)

TOPIC = "stock"
"""Where feeds push snapshots to, one JSON ``StockSnapshot`` a message."""
TOLERANCE = timedelta(seconds=1)
"""Clocks this close together are the same."""
STATES_FOR_S = 1.0
"""A process looks at the breakers again after this long."""
SALES_TTL_S = 3600
"""A sale is remembered for this long; a count older than that is not decided on anyway."""


@dataclass(frozen=True, kw_only=True)
class FeedLimits:
    """When a feed is on time, when its warehouse's breaker opens, and how it closes again."""

    normal: timedelta
    open: timedelta
    ahead: timedelta
    samples: int
    within: timedelta

    @property
    def args(self) -> list[str]:
        """As the scripts take them, milliseconds and a count."""
        spans = (self.normal, self.open, self.ahead, self.within)
        return [*(str(round(span / timedelta(milliseconds=1))) for span in spans), str(self.samples)]


class Taken(StrEnum):
    """What became of a pushed snapshot."""

    NEWER = "newer"
    """It is the count from now on."""
    REPEATED = "repeated"
    """The count held already, sent again: it stays as old as it is."""
    OLDER = "older"
    """Older than the count held: it changes nothing."""
    AHEAD = "ahead"
    """Its time lies in the future: the feed's clock is wrong, and the count is not taken."""


@dataclass(frozen=True, kw_only=True)
class Feed:
    """What is known of one warehouse's feed."""

    state: FeedState
    """As of the last sample."""
    newest: datetime
    """The newest event time seen."""
    pushed: bool
    """It pushes its counts; silence then makes it old by itself."""
    probe: Sku
    """A SKU the warehouse is known to stock, to ask for when its feed is to be tried."""

    def state_at(self, now: datetime, limits: FeedLimits) -> FeedState:
        """The state now: a feed that pushes grows old while it is silent."""
        if not self.pushed or self.state is FeedState.OPEN:
            return self.state
        silent = now - self.newest
        if silent > limits.open:
            return FeedState.OPEN
        if self.state is FeedState.HALF_OPEN:
            return FeedState.HALF_OPEN
        return FeedState.BUFFERED if silent > limits.normal else FeedState.NORMAL


class StockFeed:
    """Takes counts and samples, and says what each warehouse's feed allows (``domain.ports.FeedPort``)."""

    def __init__(self, batcher: Batcher, keys: Keyspace, limits: FeedLimits, *, clock: Clock | None = None) -> None:
        """Batcher and keys are shared with the rest of the runtime.

        ``clock`` is the one callers tell the time by, to be compared with the store's; without it theirs is trusted.
        """
        self._clock = clock
        self._ahead = timedelta()
        self._redis = batcher
        self._keys = keys
        self.limits = limits
        self._feeds: Mapping[WarehouseId, Feed] = MappingProxyType({})
        self._read_at = float("-inf")

    def states(self, now: datetime) -> Mapping[WarehouseId, FeedState]:
        """What was last read of the breakers; warehouses without an entry are normal."""
        there = now - self._ahead
        return {warehouse: feed.state_at(there, self.limits) for warehouse, feed in self._feeds.items()}

    def ours(self, level: StockLevel) -> StockLevel:
        """A level with its event time as our clock would have shown it, so that its age is right even if ours is not."""
        return level.model_copy(update={"as_of": level.as_of + self._ahead}) if self._ahead else level

    @property
    def feeds(self) -> Mapping[WarehouseId, Feed]:
        """What was last read of every feed."""
        return self._feeds

    async def refresh(self, *, at_once: bool = False) -> None:
        """Read the breakers again if the last reading is older than a second.

        Raises:
            StoreUnavailable: they could not be read; what was last read stands.
        """
        now_s = asyncio.get_running_loop().time()
        if at_once or now_s - self._read_at >= STATES_FOR_S:
            self._read_at = now_s
            raw = pairs(await self._redis.execute("HGETALL", self._keys.feeds()))
            self._feeds = {WarehouseId(name): _feed(value) for name, value in raw.items()}
            if self._clock is not None:
                seconds, micros = await self._redis.execute("TIME")
                there = datetime.fromtimestamp(int(seconds), tz=UTC) + timedelta(microseconds=int(micros))
                ahead = self._clock.now() - there
                self._ahead = ahead if abs(ahead) > TOLERANCE else timedelta()

    async def take(self, snapshot: StockSnapshot, *, now: datetime) -> Taken:
        """Take a pushed count: newest event time wins, whatever the order of arrival.

        Raises:
            StoreUnavailable: it was not taken; the feed should send it again.
        """
        keys = [self._keys.feeds(), self._keys.counts(snapshot.warehouse)]
        args = [
            snapshot.warehouse,
            snapshot.sku,
            millis(snapshot.as_of),
            str(snapshot.sequence),
            snapshot.to_json(),
            millis(now - self._ahead),
            *self.limits.args,
        ]
        taken, before, after = await self._redis.script(TAKE, keys, args)
        known = self._feeds.get(snapshot.warehouse)
        if known is None or not known.pushed:
            await self.refresh(at_once=True)
        await self._changed(snapshot.warehouse, text(before), text(after))
        return Taken(text(taken))

    async def sampled(self, levels: Iterable[StockLevel], *, now: datetime) -> None:
        """Note what a reading of the warehouse system says of its feeds; on time and known so, it costs nothing.

        Raises:
            StoreUnavailable: a breaker could not be written.
        """
        now -= self._ahead
        newest: dict[WarehouseId, StockLevel] = {}
        for level in levels:
            known = newest.get(level.warehouse)
            if known is None or level.as_of > known.as_of:
                newest[level.warehouse] = level
        for warehouse, level in newest.items():
            feed = self._feeds.get(warehouse)
            if feed is not None and feed.pushed:
                continue
            if feed is None and -self.limits.ahead <= now - level.as_of <= self.limits.open:
                continue
            args = [warehouse, level.sku, millis(level.as_of), millis(now), *self.limits.args]
            before, after = await self._redis.script(SAMPLE, [self._keys.feeds()], args)
            await self._changed(warehouse, text(before), text(after))

    async def levels(self, skus: Sequence[Sku], warehouses: Sequence[WarehouseId]) -> list[StockLevel]:
        """Pushed counts of the SKUs, less what was held there after the count was made, in one round trip.

        Raises:
            StoreUnavailable: they could not be read.
        """
        if not skus or not warehouses:
            return []
        keys = [self._keys.counts(warehouse) for warehouse in warehouses]
        keys += [self._keys.sales(warehouse, sku) for warehouse in warehouses for sku in skus]
        found = await self._redis.script(LEVELS, keys, [str(len(warehouses)), *skus])
        levels: list[StockLevel] = []
        for raw, sold in zip(found[::2], found[1::2], strict=True):
            level = self.ours(StockSnapshot.from_json(raw))
            levels.append(level.model_copy(update={"held": level.held + int(sold)}) if int(sold) else level)
        return levels

    async def sold(self, hold_key: EffectKey, lines: Iterable[HoldLine], *, at: datetime) -> None:
        """Remember a hold we took, so that a count made before it does not bring its units back.

        Raises:
            StoreUnavailable: it may not be remembered.
        """
        units: dict[tuple[WarehouseId, Sku], int] = {}
        for line in lines:
            units[line.warehouse, line.sku] = units.get((line.warehouse, line.sku), 0) + line.quantity
        for (warehouse, sku), count in units.items():
            args = [f"{count}|{hold_key}", millis(at), str(SALES_TTL_S)]
            await self._redis.script(SOLD, [self._keys.sales(warehouse, sku)], args)

    async def retire(self, warehouse: WarehouseId) -> None:
        """A warehouse no longer pushes its counts: it is asked from now on.

        Raises:
            StoreUnavailable: it may still be judged by its silence.
        """
        await self._redis.execute("HDEL", self._keys.feeds(), warehouse)
        await self._redis.execute("DEL", self._keys.counts(warehouse))
        await self.refresh(at_once=True)

    async def _changed(self, warehouse: WarehouseId, before: str, after: str) -> None:
        if before != after:
            log.warning("stock.feed_changed", warehouse=warehouse, before=before, after=after)
            await self.refresh(at_once=True)


def _feed(raw: str) -> Feed:
    kept = orjson.loads(raw)
    return Feed(
        state=FeedState(kept["state"]),
        newest=datetime.fromtimestamp(kept["newest"] / 1000, tz=UTC),
        pushed=kept["pushed"],
        probe=Sku(kept["probe"]),
    )
