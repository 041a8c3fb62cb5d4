"""Orders that wait for stock in a running system: parked, sent on by themselves, closed at their limit."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.desk import Desk
from api.worker import Worker
from domain.effect import EffectKind
from domain.ids import Sku, WarehouseId
from domain.inventory import FeedState, StockSnapshot
from domain.order import OrderProgress
from domain.ports import Message
from graph.bootstrap.system import open_signalbox
from graph.runtime.clock import SystemClock
from graph.runtime.orders import thread_of
from graph.runtime.stock_feed import TOPIC as STOCK
from graph.runtime.stock_parked import Parked
from tests.support.system import SKU, TENANT, Rig, fast_settings, line, native_order, opened, running, working
from tests.support.waiting import wait_until
from tools.sandbox import Sandbox

BACKORDERED, FULFILLED, CANCELLED = OrderProgress.BACKORDERED, OrderProgress.FULFILLED, OrderProgress.CANCELLED


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """A system with one worker."""
    async with running(fast_settings(tmp_path)) as found:
        yield found


def world(rig: Rig) -> Sandbox:
    assert rig.box.sandbox is not None
    return rig.box.sandbox


async def parked(rig: Rig, order_id: str) -> Parked | None:
    found = await rig.box.parking.index.entries([thread_of(TENANT, order_id)])
    return found[0] if found else None


async def delayed(rig: Rig, seconds: float) -> None:
    """Every warehouse's feed is this far behind."""
    for site in world(rig).world.warehouses:
        await world(rig).wms.set_feed_delay(site.warehouse, seconds)


async def test_a_hundred_orders_for_one_unit(rig: Rig) -> None:
    """F12, T02, P13: one is served, 99 wait holding nothing; the unit that comes back serves exactly one more."""
    await rig.stock(SKU, 1)
    orders = await asyncio.gather(*(rig.submit(native_order()) for _ in range(100)))
    records = [await rig.settled(order, within_s=40) for order in orders]
    assert sorted(record.progress for record in records) == [BACKORDERED] * 99 + [FULFILLED]
    assert await rig.available(SKU) == 0
    assert (await world(rig).stock_totals()).balanced
    assert await rig.box.parking.index.size() == 99
    await world(rig).wms.receive(SKU, "HKG", 1)

    async def two_served() -> bool:
        return [(await rig.progress(order)) for order in orders].count(FULFILLED) == 2

    await wait_until(two_served, "the arrival serves one more", within_s=20, every_s=0.3)
    await rig.idle()
    assert [(await rig.progress(order)) for order in orders].count(BACKORDERED) == 98
    assert (await world(rig).stock_totals()).balanced


async def test_a_parked_order_goes_on_when_goods_arrive(rig: Rig) -> None:
    """P13: it waits holding nothing, is told once, and is released by itself when all of it is there."""
    await rig.stock(SKU, 0)
    record = await rig.run(native_order(lines=[line(quantity=3)]), at=BACKORDERED)
    assert SKU in record.detail
    entry = await parked(rig, record.order_id)
    assert entry is not None
    assert entry.for_goods
    assert timedelta(0) <= timedelta(days=7) - (entry.until - entry.since) < timedelta(minutes=1)
    assert await rig.keys_without_ttl(record.order_id) == []
    await world(rig).wms.receive(SKU, "SIN", 2)
    await rig.box.parking.on_breaker_closed(WarehouseId("SIN"))
    assert await rig.progress(record.order_id) is BACKORDERED
    await world(rig).wms.receive(SKU, "SIN", 1)
    await rig.settled(record.order_id, at={FULFILLED})

    async def gone() -> bool:
        await rig.box.parking.sweep(datetime.now(UTC) + timedelta(hours=2))
        return await parked(rig, record.order_id) is None

    await wait_until(gone, "it no longer waits")
    await rig.idle()
    done = await rig.kinds(record.order_id)
    assert done[EffectKind.CREATE_FULFILMENT] == 1
    assert done[EffectKind.SEND_MESSAGE] == 2, "once delayed, once on its way"


async def test_a_stale_feed_parks_and_resumes(rig: Rig) -> None:
    """F56, T04: at 121 s nothing is accepted, the order waits instead of being refused; fresh again, it goes by itself."""
    await rig.stock(SKU, 50)
    await delayed(rig, 121)
    record = await rig.run(native_order(), at=BACKORDERED)
    entry = await parked(rig, record.order_id)
    assert entry is not None
    assert not entry.for_goods
    decisions = await rig.box.store.journal.decisions(record.thread)
    stock = next(d for d in decisions if d.agent == "inventory_reservation")
    assert (stock.decision, stock.flags) == ("park", ("feed_stale",))
    assert rig.box.feed.states(datetime.now(UTC))[WarehouseId("HKG")] is FeedState.OPEN
    await delayed(rig, 0)
    begun = asyncio.get_running_loop().time()
    await rig.settled(record.order_id, at={FULFILLED})
    assert asyncio.get_running_loop().time() - begun < 5 + 3  # three seconds' grace for a busy machine

    async def calm() -> bool:
        return rig.box.feed.states(datetime.now(UTC)) == {}

    await wait_until(calm, "every breaker is closed again")
    await rig.idle()
    assert (await rig.kinds(record.order_id))[EffectKind.SEND_MESSAGE] == 1, "a late count is no delay to tell about"


async def test_one_stale_warehouse_stops_only_who_needs_it(rig: Rig) -> None:
    """F56: the other warehouses go on."""
    other = "SB-00001"
    await rig.stock(SKU, 50)
    await rig.stock(other, 50, warehouse="SIN")
    await world(rig).wms.set_feed_delay("HKG", 300)
    waits = await rig.submit(native_order())
    goes = await rig.submit(native_order(lines=[line(other)]))
    assert (await rig.settled(waits)).progress is BACKORDERED
    decision = (await rig.box.store.journal.latest((await rig.settled(goes)).thread))["inventory_reservation"]
    assert (decision.decision, decision.facts["warehouses"]) == ("reserve", ["SIN"])


async def test_a_count_31_s_old_is_buffered(rig: Rig) -> None:
    """F56, I4: behind by 31 s, a small count is not decided on and a large one only after a buffer."""
    await rig.stock(SKU, 4)
    await delayed(rig, 31)
    small = await rig.run(native_order(), at=BACKORDERED)
    await rig.stock(SKU, 500)
    large = await rig.run(native_order(), at=FULFILLED)
    decision = (await rig.box.store.journal.latest(large.thread))["inventory_reservation"]
    assert decision.flags == ("buffered",)
    await rig.settled(small.order_id, at={FULFILLED})


async def test_the_day_limit_closes_what_still_waits(rig: Rig) -> None:
    """P13: over its limit it is cancelled everywhere, once, with the reason."""
    await rig.stock(SKU, 0)
    record = await rig.run(native_order(), at=BACKORDERED)
    entry = await parked(rig, record.order_id)
    assert entry is not None
    now = datetime.now(UTC)
    await rig.box.parking.index.put(replace(entry, until=now - timedelta(seconds=1)), now=now)
    closed = await rig.settled(record.order_id, at={CANCELLED})
    assert "out of stock since" in closed.detail
    kinds = await rig.kinds(record.order_id)
    assert (kinds[EffectKind.CANCEL_CHANNEL], kinds[EffectKind.CANCEL_OMS]) == (1, 1)

    async def gone() -> bool:
        await rig.box.parking.sweep(datetime.now(UTC) + timedelta(hours=2))
        return await parked(rig, record.order_id) is None

    await wait_until(gone, "it no longer waits")


async def test_a_customer_cancels_while_waiting(rig: Rig) -> None:
    """P14: a waiting order can be cancelled; what arrives later is for others."""
    await rig.stock(SKU, 0)
    record = await rig.run(native_order(), at=BACKORDERED)
    await rig.cancel(record.order_id)
    await rig.settled(record.order_id, at={CANCELLED})
    await world(rig).wms.receive(SKU, "HKG", 1)

    async def gone() -> bool:
        await rig.box.parking.sweep(datetime.now(UTC) + timedelta(hours=2))
        return await parked(rig, record.order_id) is None

    await wait_until(gone, "it no longer waits")
    await rig.idle()
    assert await rig.progress(record.order_id) is CANCELLED
    assert await rig.available(SKU) == 1


async def test_who_waited_longest_goes_first_and_no_more_than_there_is(tmp_path: Path) -> None:
    """P13: two units for three who wait: the first two are sent on, whatever order the looks come in."""
    async with opened(fast_settings(tmp_path)) as rig:
        await rig.stock(SKU, 0)
        async with working(rig):
            orders = [(await rig.run(native_order(), at=BACKORDERED)).order_id for _ in range(3)]
            await rig.idle()
        await world(rig).wms.receive(SKU, "HKG", 2)
        await rig.box.parking.tick()
        sent = {order: entry.tries for order in orders if (entry := await parked(rig, order)) is not None}
        assert [sent[order] for order in orders] == [1, 1, 0]
        assert await rig.box.parking.tick() == 0
        async with working(rig):
            served = [(await rig.settled(order, at={FULFILLED})).progress for order in orders[:2]]
        assert served == [FULFILLED] * 2
        assert await rig.progress(orders[2]) is BACKORDERED


async def test_another_worker_takes_over_who_waits(tmp_path: Path) -> None:
    """P13: what waits is in the store: a worker that has seen nothing of it serves it."""
    async with opened(fast_settings(tmp_path)) as rig:
        await rig.stock(SKU, 0)
        async with working(rig):
            record = await rig.run(native_order(), at=BACKORDERED)
        await world(rig).wms.receive(SKU, "HKG", 1)
    async with running(fast_settings(tmp_path)) as rig:
        await rig.settled(record.order_id, at={FULFILLED})


async def test_pushed_counts_serve_who_waits(rig: Rig) -> None:
    """T04, F56: a feed on the bus is taken by event time; its goods serve who waits at once."""
    await rig.stock(SKU, 0)
    record = await rig.run(native_order(), at=BACKORDERED)
    await rig.stock(SKU, 5)
    now = datetime.now(UTC)
    for site in world(rig).world.warehouses:
        count = StockSnapshot(
            warehouse=site.warehouse, sku=Sku(SKU), on_hand=5 if site.warehouse == "HKG" else 0, as_of=now
        )
        await rig.box.bus.publish(STOCK, Message(key=site.warehouse, headers={}, body=count.to_json()))
    await rig.box.bus.publish(STOCK, Message(key="HKG", headers={}, body="not a count"))
    await rig.settled(record.order_id, at={FULFILLED})

    async def idle() -> bool:
        lag = await rig.box.bus.lag(STOCK, "stock_feed")
        return not lag.undelivered + lag.pending

    await wait_until(idle, "every count is taken, or kept as a dead letter")
    assert rig.box.feed.feeds[WarehouseId("HKG")].pushed


async def test_a_worker_may_stop_at_any_time(tmp_path: Path) -> None:
    """P13: stopping does not wait for who waits."""
    async with opened(fast_settings(tmp_path)) as rig:
        stop, worker = asyncio.Event(), Worker(rig.box)
        running_ = asyncio.get_running_loop().create_task(worker.run(stop))
        stop.set()
        await asyncio.wait_for(running_, 10)


class WrongClock(SystemClock):
    """The machine's clock, minutes off."""

    def __init__(self, minutes: float) -> None:
        self._off = timedelta(minutes=minutes)

    def now(self) -> datetime:
        return super().now() + self._off


@pytest.mark.parametrize("minutes", [10, -10])
async def test_a_workers_wrong_clock_makes_no_count_stale(tmp_path: Path, minutes: float) -> None:
    """K01: ages are measured by the store's time: ten minutes off, a fresh count is fresh and a stale one is stale."""
    async with open_signalbox(fast_settings(tmp_path), clock=WrongClock(minutes)) as box:
        rig = Rig(box=box, desk=Desk(box))
        await rig.stock(SKU, 2)
        async with working(rig):
            placed = (datetime.now(UTC) - timedelta(minutes=30)).isoformat()
            await rig.run(native_order(placed_at=placed), at=FULFILLED)
            await delayed(rig, 121)
            record = await rig.run(native_order(placed_at=placed), at=BACKORDERED)
            decision = (await rig.box.store.journal.latest(record.thread))["inventory_reservation"]
            assert decision.flags == ("feed_stale",)
            await delayed(rig, 0)
            await rig.settled(record.order_id, at={FULFILLED})


async def test_a_customer_amends_a_waiting_order(rig: Rig) -> None:
    """P14: with less in it, what is there suffices and it goes at once; its old wish is forgotten."""
    await rig.stock(SKU, 3)
    wanted = native_order(lines=[line(quantity=5)])
    record = await rig.run(wanted, at=BACKORDERED)
    smaller = wanted | {"lines": [line(quantity=3)], "updated_at": datetime.now(UTC).isoformat()}
    await rig.submit(smaller)
    await rig.settled(record.order_id, at={FULFILLED})
    assert await rig.available(SKU) == 0

    async def gone() -> bool:
        await rig.box.parking.sweep(datetime.now(UTC) + timedelta(hours=2))
        return not await rig.box.parking.index.skus()

    await wait_until(gone, "nobody waits for it any more")


async def test_goods_that_must_leave_together_are_not_tried_without_cause(rig: Rig) -> None:
    """P13: all units exist in two places and splitting is not worth it: tried again only when more lies somewhere."""
    await rig.stock(SKU, 1)
    await world(rig).wms.receive(SKU, "SIN", 1)
    record = await rig.run(native_order(lines=[line(quantity=2, cents=500)]), at=BACKORDERED)
    entry = await parked(rig, record.order_id)
    assert entry is not None
    assert entry.together
    parking = rig.box.parking
    later = datetime.now(UTC) + timedelta(hours=2)

    async def settled_again() -> int:
        await rig.idle()
        return (await rig.record(record.order_id)).attempt_group

    await parking.sweep(later)
    first = await settled_again()
    for hours in (4, 8, 16):
        assert await parking.sweep(datetime.now(UTC) + timedelta(hours=hours)) == 0
    assert await settled_again() == first
    await parking.tick()
    page = rig.box.store.metrics.page().decode()
    assert "signalbox_parked_orders 1.0" in page
    assert "signalbox_open_breakers 0.0" in page
    await world(rig).wms.receive(SKU, "SIN", 1)
    await rig.settled(record.order_id, at={FULFILLED})
