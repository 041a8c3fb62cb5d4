"""Demand measured on our own orders: rates by place, what is not measured, and a stale count judged by the real rate."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agents.inventory_reservation import InventoryReservation
from domain.decision import Verdict
from domain.ids import Sku, WarehouseId
from domain.order import Channel, OrderProgress
from domain.ports import DemandPort
from graph.runtime.connection import Batcher
from graph.runtime.demand_book import BUCKET, GAP, KNOWN_FOR, OLD, WARM_UP, DemandBook
from graph.runtime.journal import pairs
from graph.runtime.keys import Keyspace
from tests.support.agent_world import case, level, line, order, world
from tests.support.system import fast_settings, native_order, running

FAST, SLOW, NEW = Sku("FAST"), Sku("SLOW"), Sku("NEW")
HKG = WarehouseId("HKG")
START = datetime(2026, 11, 11, 0, tzinfo=UTC)


class Now:
    """A clock the test sets."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    def new_id(self) -> str:
        return "id"


async def sell(book: DemandBook, sku: Sku, units: int, at: datetime, *, site: WarehouseId = HKG) -> None:
    await book.record(f"{sku}-{site}-{at.isoformat()}", {(site, sku): units}, at=at)


async def watched(book: DemandBook, clock: Now, until: datetime) -> None:
    """Let a worker look every few minutes."""
    while clock.at < until:
        clock.at = min(until, clock.at + GAP)
        await book.refresh()


@pytest.fixture
def clock() -> Now:
    return Now()


@pytest.fixture
async def book(batcher: Batcher, keyspace: Keyspace, clock: Now) -> DemandBook:
    made = DemandBook(batcher, keyspace, clock)
    await made.refresh()
    return made


async def test_rates_follow_a_rush_and_remember_a_lull(book: DemandBook, clock: Now) -> None:
    """F18, domain 3: units an hour by place: the half hour's rate in a rush, the six hours' in a lull, then ever less."""
    await watched(book, clock, START + WARM_UP)
    for minute in range(30):
        await sell(book, FAST, 5, clock.at - timedelta(minutes=minute))
    await book.refresh()
    rush = book.demand([FAST])[HKG, FAST].per_hour
    assert rush == 300
    await watched(book, clock, clock.at + timedelta(hours=2))
    assert book.demand([FAST])[HKG, FAST].per_hour == 25
    await watched(book, clock, clock.at + timedelta(hours=10))
    assert 0 < book.demand([FAST])[HKG, FAST].per_hour < 1
    assert book.demand([FAST]).keys() == {(HKG, FAST)}


async def test_the_same_sale_delivered_twice_counts_once_and_every_process_sees_it(
    book: DemandBook, clock: Now, batcher: Batcher, keyspace: Keyspace
) -> None:
    """F18: recorded anywhere, at least once; read everywhere."""
    await watched(book, clock, START + WARM_UP)
    for _ in range(3):
        await sell(book, SLOW, 2, clock.at)
    other = DemandBook(batcher, keyspace, clock)
    await other.refresh()
    await book.refresh()
    assert other.demand([SLOW]) == book.demand([SLOW])
    assert book.demand([SLOW])[HKG, SLOW].per_hour == 4


async def test_what_was_not_watched_is_not_measured(book: DemandBook, clock: Now) -> None:
    """F18: the first hour, an hour after a gap, a week after the last sale, and old readings: caution, not a low rate."""
    await sell(book, SLOW, 1, clock.at)
    await watched(book, clock, START + WARM_UP - timedelta(seconds=1))
    assert book.demand([SLOW]) == {}
    await watched(book, clock, START + WARM_UP)
    assert book.demand([SLOW, NEW]).keys() == {(HKG, SLOW)}
    clock.at += OLD + timedelta(seconds=1)
    assert book.demand([SLOW]) == {}
    clock.at += GAP
    await book.refresh()
    assert book.demand([SLOW]) == {}
    await watched(book, clock, clock.at + WARM_UP)
    assert book.demand([SLOW]).keys() == {(HKG, SLOW)}
    clock.at = START + KNOWN_FOR + timedelta(seconds=1)
    await watched(book, clock, clock.at + WARM_UP + GAP)
    assert book.demand([SLOW]) == {}


async def asked(
    demand: DemandPort | None, sku: Sku, now: datetime, *, units: int, age_s: float, channel: Channel = Channel.SHOPEE
) -> Verdict:
    levels = [level("HKG", sku, on_hand=units, as_of=now - timedelta(seconds=age_s))]
    ports = world(levels=levels).ports
    agent = InventoryReservation(wms=ports.wms, network=ports.network, demand=demand)
    subject = order([line(sku)], channel=channel)
    return await agent.decide(case(subject, now=now))


async def test_a_stale_count_is_buffered_by_the_real_rate(book: DemandBook, clock: Now) -> None:
    """I4, F18: with the same stale count of six the fast SKU is refused and the slow one sold; unmeasured stays cautious."""
    await watched(book, clock, START + WARM_UP)
    for minute in range(30):
        await sell(book, FAST, 6, clock.at - timedelta(minutes=minute))
    await sell(book, SLOW, 1, clock.at - timedelta(minutes=10))
    await book.refresh()
    answers = {sku: await asked(book, sku, clock.at, units=6, age_s=100) for sku in (FAST, SLOW, NEW)}
    assert {sku: one.decision for sku, one in answers.items()} == {FAST: "park", SLOW: "reserve", NEW: "park"}
    assert "feed_stale" in answers[FAST].flags
    unmeasured = await asked(None, SLOW, clock.at, units=6, age_s=100)
    assert unmeasured.decision == "park"
    fresh = await asked(book, FAST, clock.at, units=6, age_s=1)
    assert fresh.decision == "reserve"


async def test_the_last_units_of_a_fast_sku_are_left_for_marketplaces(book: DemandBook, clock: Now) -> None:
    """F18: floors are for what is measured as fast; a slow SKU's last units are anybody's."""
    await watched(book, clock, START + WARM_UP)
    await sell(book, FAST, 100, clock.at)
    await sell(book, SLOW, 1, clock.at)
    await book.refresh()
    own = {sku: await asked(book, sku, clock.at, units=3, age_s=1, channel=Channel.SHOPIFY) for sku in (FAST, SLOW)}
    assert {sku: one.decision for sku, one in own.items()} == {FAST: "backorder", SLOW: "reserve"}
    assert (await asked(book, FAST, clock.at, units=6, age_s=1)).decision == "reserve"


async def test_a_released_order_is_a_measured_sale(tmp_path: Path) -> None:
    """F18: the units of a released order are noted where its plan took them from, once, and a worker reads them."""
    async with running(fast_settings(tmp_path)) as rig:
        await rig.stock("SB-00023", 50)
        record = await rig.run(native_order(), at=OrderProgress.FULFILLED)
        await rig.idle()
        book, keys, now = rig.box.measures.demand, rig.box.keys, record.order.updated_at if record.order else START
        assert book.demand([Sku("SB-00023")]) == {}
        redis = rig.box.store.batcher
        first = int(now.timestamp()) // int(BUCKET.total_seconds())
        sold = [pairs(await redis.execute("HGETALL", keys.demand(one))) for one in range(first, first + 3)]
        assert [one for one in sold if one] == [{"HKG|SB-00023": "1"}]
