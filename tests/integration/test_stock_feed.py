"""Stock feeds on a real server: event time decides, breakers open and close per warehouse, sales are not undone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from domain.effect import Effect, EffectKind, Receipt
from domain.errors import InsufficientStock
from domain.ids import EffectKey, Sku, WarehouseId
from domain.inventory import FeedState, StockLevel, StockSnapshot
from domain.shipment import Warehouse
from graph.bootstrap.system import FEED_LIMITS
from graph.runtime.connection import Batcher
from graph.runtime.keys import Keyspace
from graph.runtime.stock_feed import StockFeed, Taken
from graph.runtime.stock_watch import WatchedWarehouse
from tests.support.agent_world import HKG, SIN
from tests.support.outside import START, SettableClock, confirm, hold, line

SKU = Sku("SKU-1")
AT_HKG, AT_SIN = WarehouseId("HKG"), WarehouseId("SIN")
S = FeedState


def count_of(on_hand: int, as_of: datetime, *, site: str = "HKG", sequence: int = 0, held: int = 0) -> StockSnapshot:
    return StockSnapshot(
        warehouse=WarehouseId(site), sku=SKU, on_hand=on_hand, held=held, as_of=as_of, sequence=sequence
    )


@dataclass
class FeedClock:
    """``graph.runtime.clock.Clock`` that a test moves."""

    hands: SettableClock = field(default_factory=SettableClock)

    def now(self) -> datetime:
        return self.hands()

    def new_id(self) -> str:
        return "id"

    def advance(self, seconds: float) -> datetime:
        self.hands.advance(seconds=seconds)
        return self.hands()


@dataclass
class Shelves:
    """A warehouse system whose counts a test sets; it takes holds without question."""

    clock: FeedClock
    on_hand: int = 10
    behind_s: dict[str, float] = field(default_factory=dict)
    reads: int = 0

    @property
    def kinds(self) -> frozenset[EffectKind]:
        return frozenset({EffectKind.HOLD_STOCK, EffectKind.CONFIRM_HOLD})

    async def apply(self, effect: Effect) -> Receipt:
        return Receipt(key=effect.key, kind=effect.kind, reference="r", applied_at=self.clock.now())

    async def lookup(self, effect: Effect) -> Receipt | None:
        return None

    async def warehouses(self) -> Sequence[Warehouse]:
        return (HKG, SIN)

    async def stock(self, skus: Sequence[Sku]) -> Sequence[StockLevel]:
        self.reads += 1
        return [
            StockLevel(
                warehouse=site.warehouse,
                sku=sku,
                on_hand=self.on_hand,
                as_of=self.clock.now() - timedelta(seconds=self.behind_s.get(site.warehouse, 0)),
            )
            for site in (HKG, SIN)
            for sku in skus
            if sku == SKU
        ]


@pytest.fixture
def clock() -> FeedClock:
    return FeedClock()


@pytest.fixture
def feed(batcher: Batcher, keyspace: Keyspace) -> StockFeed:
    return StockFeed(batcher, keyspace, FEED_LIMITS)


async def state(feed: StockFeed, now: datetime, site: WarehouseId = AT_HKG) -> FeedState:
    await feed.refresh(at_once=True)
    return feed.states(now).get(site, FeedState.NORMAL)


async def test_event_time_orders_counts_not_arrival(feed: StockFeed, clock: FeedClock) -> None:
    """T04: an older count changes nothing, the same one sent again stays as old as it is, equal times go by sequence."""
    now = clock.now()
    assert await feed.take(count_of(10, now, sequence=1), now=now) is Taken.NEWER
    assert await feed.take(count_of(99, now - timedelta(seconds=1), sequence=7), now=now) is Taken.OLDER
    later = clock.advance(40)
    assert await feed.take(count_of(10, now, sequence=1), now=later) is Taken.REPEATED
    assert await feed.take(count_of(9, now, sequence=2), now=later) is Taken.NEWER
    assert await feed.take(count_of(8, now, sequence=1), now=later) is Taken.OLDER
    (held,) = await feed.levels([SKU], [AT_HKG, AT_SIN])
    assert (held.on_hand, held.as_of) == (9, now)
    assert await state(feed, later) is S.BUFFERED


async def test_a_feed_whose_clock_is_ahead_is_not_believed(feed: StockFeed, clock: FeedClock) -> None:
    """T04: a count more than 5 s in the future is not taken, and cannot block the right ones that follow."""
    now = clock.now()
    assert await feed.take(count_of(10, now), now=now) is Taken.NEWER
    assert await feed.take(count_of(50, now + timedelta(seconds=5)), now=now) is Taken.NEWER
    assert await feed.take(count_of(99, now + timedelta(hours=1)), now=now) is Taken.AHEAD
    later = clock.advance(6)
    assert await feed.take(count_of(7, later), now=later) is Taken.NEWER
    assert [level.on_hand for level in await feed.levels([SKU], [AT_HKG])] == [7]
    for _ in range(5):
        later = clock.advance(31)
        assert await feed.take(count_of(99, later + timedelta(hours=1)), now=later) is Taken.AHEAD
    assert await state(feed, later) is S.OPEN


@pytest.mark.parametrize(
    ("silent_s", "expected"), [(29.9, S.NORMAL), (30.1, S.BUFFERED), (119.9, S.BUFFERED), (120.1, S.OPEN)]
)
async def test_a_silent_feed_grows_old(
    feed: StockFeed, clock: FeedClock, silent_s: float, expected: FeedState
) -> None:  # fmt: skip
    """I4, F56: exact boundaries, per warehouse."""
    await feed.take(count_of(10, clock.now()), now=clock.now())
    later = clock.advance(silent_s)
    await feed.take(count_of(10, later, site="SIN"), now=later)
    assert await state(feed, later) is expected
    assert await state(feed, later, AT_SIN) is S.NORMAL


async def test_a_breaker_closes_after_three_fresh_samples_twice(feed: StockFeed, clock: FeedClock) -> None:
    """F56, T04: silence opens it though nobody looked; three fresh counts within 60 s half-open it, three more close it."""
    await feed.take(count_of(10, clock.now()), now=clock.now())
    clock.advance(300)
    seen = []
    for _ in range(6):
        now = clock.advance(10)
        await feed.take(count_of(10, now - timedelta(seconds=30)), now=now)
        seen.append(await state(feed, now))
    assert seen == [S.OPEN, S.OPEN, S.HALF_OPEN, S.HALF_OPEN, S.HALF_OPEN, S.NORMAL]


async def test_samples_must_be_fresh_consecutive_and_new(feed: StockFeed, clock: FeedClock) -> None:
    """T04: a count 31 s old starts the row anew, a repeat is no sample, and the row may not last longer than 60 s."""
    await feed.take(count_of(10, clock.now()), now=clock.now())
    clock.advance(300)

    async def sample(after_s: float, age_s: float = 1) -> FeedState:
        now = clock.advance(after_s)
        await feed.take(count_of(10, now - timedelta(seconds=age_s)), now=now)
        return await state(feed, now)

    assert [await sample(10), await sample(10), await sample(35, 31), await sample(1)] == [S.OPEN] * 4
    now = clock.advance(61)
    fresh = count_of(10, now)
    assert [await feed.take(fresh, now=now) for _ in range(4)] == [Taken.NEWER, *[Taken.REPEATED] * 3]
    assert await state(feed, now) is S.OPEN
    assert [await sample(59), await sample(10), await sample(10)] == [S.OPEN, S.OPEN, S.OPEN]
    assert await sample(10) is S.HALF_OPEN
    assert await sample(40, 31) is S.OPEN


async def test_a_count_older_than_a_sale_does_not_bring_it_back(feed: StockFeed, clock: FeedClock) -> None:
    """T04, I4: what we held after the count was made is taken off until a newer count says otherwise."""
    wms = WatchedWarehouse(Shelves(clock), feed, clock)
    await wms.warehouses()
    counted = clock.now()
    await feed.take(count_of(10, counted), now=counted)
    await feed.refresh(at_once=True)
    clock.advance(5)
    taken = hold([line(SKU, "HKG", 4)])
    await wms.apply(taken)
    await wms.apply(taken)
    await wms.apply(confirm(taken))

    async def free() -> int:
        return next(level.available for level in await wms.stock([SKU]) if level.warehouse == AT_HKG)

    assert await free() == 6
    now = clock.advance(5)
    for old in (counted, counted + timedelta(seconds=4)):
        await feed.take(count_of(10, old, sequence=9), now=now)
        assert await free() == 6
    await feed.take(count_of(10, now, held=4), now=now)
    assert await free() == 6
    await feed.take(count_of(6, clock.advance(1)), now=clock.now())
    assert await free() == 6


async def test_a_warehouse_that_pushes_is_judged_by_its_pushes(feed: StockFeed, clock: FeedClock) -> None:
    """F56: the others are asked; once nothing pushes any more, all are."""
    shelves = Shelves(clock, on_hand=3)
    wms = WatchedWarehouse(shelves, feed, clock)
    await wms.warehouses()
    await feed.take(count_of(10, clock.now()), now=clock.now())
    await feed.refresh(at_once=True)
    assert {level.warehouse: level.on_hand for level in await wms.stock([SKU])} == {"HKG": 10, "SIN": 3}
    await feed.take(count_of(20, clock.now(), site="SIN"), now=clock.now())
    await feed.refresh(at_once=True)
    reads = shelves.reads
    assert {level.warehouse: level.on_hand for level in await wms.stock([SKU])} == {"HKG": 10, "SIN": 20}
    assert shelves.reads == reads
    assert await wms.stock([Sku("GHOST")]) == []
    for site in (AT_HKG, AT_SIN):
        await feed.retire(site)
    assert {level.on_hand for level in await wms.stock([SKU])} == {3}


async def test_readings_move_the_breaker_where_nothing_is_pushed(feed: StockFeed, clock: FeedClock) -> None:
    """F56, T04: a reading 121 s old opens its warehouse; fresh readings close it; on time, nothing is stored."""
    shelves = Shelves(clock)
    wms = WatchedWarehouse(shelves, feed, clock)
    await wms.stock([SKU])
    assert feed.feeds == {}
    shelves.behind_s = {"HKG": 120.1}
    await wms.stock([SKU])
    assert (await state(feed, clock.now()), await state(feed, clock.now(), AT_SIN)) == (S.OPEN, S.NORMAL)
    assert feed.feeds[AT_HKG].probe == SKU
    shelves.behind_s = {}
    seen = []
    for _ in range(6):
        clock.advance(1)
        await wms.stock([SKU])
        seen.append(await state(feed, clock.now()))
    assert seen == [S.OPEN, S.OPEN, S.HALF_OPEN, S.HALF_OPEN, S.HALF_OPEN, S.NORMAL]
    shelves.behind_s = {"SIN": -60}
    await wms.stock([SKU])
    assert await state(feed, clock.now(), AT_SIN) is S.OPEN


async def test_many_processes_share_one_breaker(batcher: Batcher, keyspace: Keyspace, clock: FeedClock) -> None:
    """T04: what one process saw, all know; counts taken at once leave the newest."""
    feeds = [StockFeed(batcher, keyspace, FEED_LIMITS) for _ in range(4)]
    start = clock.now()
    now = clock.advance(20)
    order = [(i * 7) % 20 for i in range(20)]
    await asyncio.gather(
        *(feeds[i % 4].take(count_of(i, start + timedelta(seconds=i)), now=now) for i in order)
    )  # fmt: skip
    for one in feeds:
        assert [level.on_hand for level in await one.levels([SKU], [AT_HKG])] == [19]
    later = clock.advance(200)
    assert {await state(one, later) for one in feeds} == {S.OPEN}


async def test_everything_a_feed_keeps_expires(feed: StockFeed, clock: FeedClock, batcher: Batcher) -> None:
    """Every key of feeds and sales has a lifetime."""
    await feed.take(count_of(10, clock.now()), now=clock.now())
    await feed.sold(EffectKey("k"), (), at=clock.now())
    wms = WatchedWarehouse(Shelves(clock), feed, clock)
    await feed.refresh(at_once=True)
    await wms.apply(hold([line(SKU, "HKG", 1)]))
    keys = await batcher.execute("KEYS", "*")
    assert len(keys) == 3
    assert all([await batcher.execute("TTL", key) > 0 for key in keys])


async def test_a_refused_hold_is_no_sale(feed: StockFeed, clock: FeedClock) -> None:
    """T04: only what the warehouse has taken is taken off."""

    class Empty(Shelves):
        async def apply(self, effect: Effect) -> Receipt:
            raise InsufficientStock("nothing left", short={SKU: 1})

    await feed.take(count_of(10, START), now=clock.now())
    await feed.refresh(at_once=True)
    with pytest.raises(InsufficientStock):
        await WatchedWarehouse(Empty(clock), feed, clock).apply(hold([line(SKU, "HKG", 1)]))
    assert [level.held for level in await feed.levels([SKU], [AT_HKG])] == [0]
