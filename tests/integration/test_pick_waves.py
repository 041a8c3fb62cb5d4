"""The last look before the pick wave, end to end: better plans are carried out, nothing is lost, promises are kept."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agents.wave_calendar import last_wave, next_wave
from api.reconcile.check import reconcile
from domain.degraded import Override
from domain.effect import EffectKind
from domain.order import OrderProgress
from domain.shipment import RoutePlan
from graph.order.release import plan_in_force
from tests.support.system import (
    SKU,
    TENANT,
    Rig,
    assert_once,
    fast_settings,
    native_order,
    opened,
    working,
)
from tests.support.waiting import wait_until
from tests.support.worker_process import KILLED, worker_processes
from tools.sandbox.faults import Fault, FaultMode

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
FAR = "SYD"
NEAR = "HKG"
AT = OrderProgress


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with opened(fast_settings(tmp_path_factory.mktemp("waves"))) as rig:
        yield rig


async def released_far(rig: Rig, **changes: Any) -> tuple[str, RoutePlan]:
    """An order released from far away because nothing lay nearer; then goods arrive nearer by."""
    await rig.stock(SKU, 50, warehouse=FAR)
    record = await rig.run(native_order(**changes), at=AT.FULFILLED)
    await rig.stock(SKU, 50, warehouse=NEAR)
    plan = await plan_of(rig, record.order_id)
    assert [parcel.warehouse for parcel in plan.parcels] == [FAR]
    await noted(rig, record.order_id)
    return record.order_id, plan


async def noted(rig: Rig, *order_ids: str) -> None:
    async def look() -> bool:
        threads = {thread for thread, _ in await rig.box.waves.index.released(now=datetime.now(UTC))}
        return threads >= {(await rig.record(one)).thread for one in order_ids}

    await wait_until(look, "the release is noted")


async def plan_of(rig: Rig, order_id: str) -> RoutePlan:
    record = await rig.record(order_id)
    plan = plan_in_force(await rig.box.store.journal.latest(record.thread))
    assert plan is not None
    return plan


async def labels(rig: Rig, order_id: str) -> list[str]:
    """Tracking numbers of the order's live labels."""
    assert rig.box.sandbox is not None
    rows = await rig.box.sandbox.store.read(
        lambda connection: connection.execute(
            "SELECT tracking FROM labels WHERE order_id = ? AND state = 'booked' ORDER BY tracking", (order_id,)
        ).fetchall()
    )
    return [str(row[0]) for row in rows]


async def picks(rig: Rig, order_id: str) -> list[tuple[str, str]]:
    """Warehouse and tracking number of what is being picked for the order."""
    assert rig.box.sandbox is not None
    return await rig.box.sandbox.store.read(
        lambda connection: connection.execute(
            "SELECT warehouse, tracking FROM fulfilments WHERE order_id = ? AND state = 'picking' ORDER BY tracking",
            (order_id,),
        ).fetchall()
    )


async def look_now(rig: Rig) -> int:
    await rig.box.waves.index.ask([TENANT])
    return await rig.box.waves.tick()


async def consistent(rig: Rig, order_id: str) -> None:
    """One live label per parcel, picked where the plan in force says, and told to order management and channel."""
    sandbox = rig.box.sandbox
    assert sandbox is not None
    plan, live = await plan_of(rig, order_id), await labels(rig, order_id)
    picked = await picks(rig, order_id)
    assert sorted(tracking for _, tracking in picked) == live
    assert sorted(warehouse for warehouse, _ in picked) == sorted(parcel.warehouse for parcel in plan.parcels)
    assert len(live) == len(plan.parcels)
    assert sorted((await sandbox.oms.record(order_id, tenant=TENANT)).tracking) == live
    assert sorted((await sandbox.channels.record(order_id, tenant=TENANT)).tracking) == live
    assert_once(await rig.applied(order_id))
    assert (await sandbox.stock_totals()).balanced


async def test_a_better_plan_is_carried_out_before_the_wave(rig: Rig) -> None:
    """domain/R8: goods arrived nearer by after the release; the parcel leaves from there, cheaper, with one label."""
    async with working(rig):
        order_id, before = await released_far(rig)
        assert await look_now(rig) == 1
        after = await plan_of(rig, order_id)
        assert [parcel.warehouse for parcel in after.parcels] == [NEAR]
        assert after.cost.amount_minor < before.cost.amount_minor
        await consistent(rig, order_id)
        assert await look_now(rig) == 0
        rows = await rig.history(order_id)
        kinds = [row.event_type for row in rows]
        assert kinds.count("order.wave.changed") == 1
        assert kinds.count("order.routing.completed") == 2
        await rig.cancel(order_id)
        await rig.settled(order_id, at=[AT.CANCELLED])
    assert await labels(rig, order_id) == []
    assert await picks(rig, order_id) == []
    assert_once(await rig.applied(order_id))


async def test_two_orders_exchange_their_places(rig: Rig) -> None:
    """domain/R8: one move makes room for the other: they are made one after the other, and cost less together."""
    async with working(rig):
        await rig.stock(SKU, 1, warehouse=NEAR)
        sandbox = rig.box.sandbox
        assert sandbox is not None
        address = {"name": "Lin", "line1": "1 Rd", "city": "Singapore", "country": "SG", "postcode": "018956"}
        first = await rig.run(native_order(ship_to=address), at=AT.FULFILLED)
        await sandbox.wms.receive(SKU, "SIN", 1)
        second = await rig.run(native_order(), at=AT.FULFILLED)
        await noted(rig, first.order_id, second.order_id)
        plans = [await plan_of(rig, one.order_id) for one in (first, second)]
        assert [plan.parcels[0].warehouse for plan in plans] == [NEAR, "SIN"]
        await sandbox.wms.receive(SKU, "SIN", 1)
        assert await look_now(rig) == 2
        swapped = [await plan_of(rig, one.order_id) for one in (first, second)]
        assert [plan.parcels[0].warehouse for plan in swapped] == ["SIN", NEAR]
        assert sum(p.cost.amount_minor for p in swapped) < sum(p.cost.amount_minor for p in plans)
        for one in (first, second):
            await consistent(rig, one.order_id)


async def test_goods_gone_before_they_were_moved_leave_the_old_plan(rig: Rig) -> None:
    """domain/R8: the nearer site has nothing left when the goods are to be moved: the new label is void, nothing else changed."""
    async with working(rig):
        order_id, before = await released_far(rig)
        had = await labels(rig, order_id)
        assert rig.box.sandbox is not None
        await rig.box.sandbox.faults.set(
            Fault(system="wms", call="recall_fulfilments", mode=FaultMode.DELAY, seconds=1.0, times=1)
        )
        looking = asyncio.get_running_loop().create_task(look_now(rig))
        await wait_until(lambda: two_labels(rig, order_id), "the new label is booked")
        await rig.box.sandbox.wms.count_stock(NEAR, SKU, 0)
        await looking
        await kept(rig, order_id, before, had)
        await rig.stock(SKU, 50, warehouse=NEAR)
        assert await look_now(rig) == 1
        await consistent(rig, order_id)


async def test_a_parcel_the_new_site_will_not_pick_goes_back(rig: Rig) -> None:
    """domain/R8: refused after the goods were moved: they move back, and the old parcel is picked with its old label."""
    async with working(rig):
        order_id, before = await released_far(rig)
        had = await labels(rig, order_id)
        sandbox = rig.box.sandbox
        assert sandbox is not None
        await sandbox.faults.set(
            Fault(system="wms", call="create_fulfilment", mode=FaultMode.DELAY, seconds=1.0, times=1)
        )
        looking = asyncio.get_running_loop().create_task(look_now(rig))
        await rig.has_applied(order_id, EffectKind.RECALL_FULFILMENTS)

        def lose(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE holds SET units = '[]' WHERE order_id = ?", (order_id,))
            connection.execute("UPDATE stock SET held = held - 1 WHERE sku = ? AND warehouse = ?", (SKU, NEAR))

        await sandbox.store.write(lose)
        await looking
        await kept(rig, order_id, before, had)


async def hold_is(rig: Rig, order_id: str, state: str) -> None:
    """The warehouse system's own record of the order's hold, changed behind everybody's back."""
    assert rig.box.sandbox is not None
    await rig.box.sandbox.store.write(
        lambda connection: connection.execute("UPDATE holds SET state = ? WHERE order_id = ?", (state, order_id))
    )


async def stranded(rig: Rig) -> str:
    """An order whose goods were moved, that nobody picks, and whose goods cannot go back."""
    order_id, _ = await released_far(rig)
    sandbox = rig.box.sandbox
    assert sandbox is not None
    await sandbox.faults.set(Fault(system="wms", call="create_fulfilment", mode=FaultMode.DELAY, seconds=1.0))
    await rig.box.waves.index.ask([TENANT])
    looking = asyncio.get_running_loop().create_task(rig.box.waves.tick(stopping := asyncio.Event()))
    await rig.has_applied(order_id, EffectKind.RECALL_FULFILMENTS)
    await hold_is(rig, order_id, "released")
    record = await rig.settled(order_id, at=[AT.DEAD_LETTER])
    stopping.set()
    await looking
    await sandbox.faults.clear()
    assert "would not pick" in record.detail
    assert "would not take the goods back" in record.detail
    await rig.idle()
    return order_id


async def letters(rig: Rig, order_id: str) -> list[str]:
    found = [one for one in await rig.box.bus.dead_letters() if one.message.headers.get("order_id") == order_id]
    assert all("cancel the order" in one.reason for one in found)
    return [one.letter_id for one in found]


async def test_refused_on_both_sides_it_is_a_dead_letter_until_it_is_mended(rig: Rig) -> None:
    """domain/R8: picking refused after the move, and the way back too: one state, told once; a replay tries both anew."""
    async with working(rig):
        order_id = await stranded(rig)
        [letter] = await letters(rig, order_id)
        await rig.history(order_id)
        report = await reconcile(rig.box, tenant=TENANT)
        assert (report.dead_letter, report.in_flight) == (1, 0)
        assert [one.text for one in report.mismatches if one.check in {"orders", "order_book"}] == []
        await rig.box.bus.replay(letter)
        await rig.idle()
        assert (await rig.progress(order_id)) is AT.DEAD_LETTER
        [letter] = await letters(rig, order_id)
        await hold_is(rig, order_id, "confirmed")
        await rig.box.bus.replay(letter)
        await rig.settled(order_id, at=[AT.FULFILLED])
        await rig.idle()
        assert await letters(rig, order_id) == []
        assert [parcel.warehouse for parcel in (await plan_of(rig, order_id)).parcels] == [NEAR]
        await consistent(rig, order_id)
        kinds = [row.event_type for row in await rig.history(order_id)]
        assert (kinds.count("order.dead_lettered"), kinds.count("order.wave.changed")) == (2, 1)
        assert (await rig.kinds(order_id))[EffectKind.SEND_MESSAGE] == 1


async def test_a_stranded_order_can_be_cancelled(rig: Rig) -> None:
    """domain/R8: instead of mending it a person cancels: labels, picks and goods are given back, and the money."""
    async with working(rig):
        order_id = await stranded(rig)
        await hold_is(rig, order_id, "confirmed")
        await rig.cancel(order_id)
        await rig.settled(order_id, at=[AT.CANCELLED])
        [letter] = await letters(rig, order_id)
        await rig.box.bus.replay(letter)
        await rig.idle()
        assert (await rig.progress(order_id)) is AT.CANCELLED
    assert await labels(rig, order_id) == []
    assert await picks(rig, order_id) == []
    assert rig.box.sandbox is not None
    assert (await rig.box.sandbox.stock_totals()).balanced
    assert_once(await rig.applied(order_id))


async def two_labels(rig: Rig, order_id: str) -> bool:
    return len(await labels(rig, order_id)) == 2


async def kept(rig: Rig, order_id: str, before: RoutePlan, had: list[str]) -> None:
    """The order stands as it did."""
    rows = await rig.history(order_id)
    assert [row.event_type for row in rows].count("order.wave.kept") == 1
    assert await labels(rig, order_id) == had
    assert (await plan_of(rig, order_id)).parcels == before.parcels
    await consistent(rig, order_id)


async def test_an_order_the_carrier_has_keeps_its_plan(rig: Rig) -> None:
    """domain/R8: a parcel handed over meanwhile is not moved, and its label stays."""
    sandbox = rig.box.sandbox
    assert sandbox is not None
    async with working(rig):
        order_id, before = await released_far(rig)
        [tracking] = await labels(rig, order_id)
        await sandbox.carriers[before.parcels[0].carrier].mark_scanned(tracking)
        await look_now(rig)
        assert await labels(rig, order_id) == []
        assert (await plan_of(rig, order_id)).parcels == before.parcels
        kinds = {row.event_type for row in await rig.history(order_id)}
        assert "order.wave.kept" in kinds


async def test_nothing_is_looked_at_in_peak_mode_or_after_the_wave(rig: Rig) -> None:
    """domain 10.1: no batch re-optimisation on peak days; what is being picked is left alone."""
    async with working(rig):
        order_id, _ = await released_far(rig)
        await rig.box.switch.override(Override.ON, by="mei", reason="peak")
        assert await look_now(rig) == 0
        await rig.box.switch.override(Override.AUTO, by="mei", reason="over")
    sites = await rig.box.systems.wms.warehouses()
    later = datetime.now(UTC) + timedelta(days=7)
    assert all((wave := last_wave(site, later)) is not None and wave > datetime.now(UTC) for site in sites)
    assert await rig.box.waves.waiting(later, sites) == {}
    assert order_id not in [thread for thread, _ in await rig.box.waves.index.released(now=later)]
    assert all((wave := next_wave(site, later)) is not None and wave > later for site in sites)


@pytest.mark.parametrize(
    ("point", "nth"), [("effect.begun", 1), ("effect.applied", 2), ("effect.recorded", 3), ("undo.applied", 1)]
)
async def test_a_crash_in_the_middle_leaves_one_live_label(tmp_path: Path, point: str, nth: int) -> None:
    """domain/R8: killed inside a change, the next process finishes it: one live label per parcel."""
    async with opened(fast_settings(tmp_path / "home")) as rig, worker_processes() as workers:
        async with working(rig):
            order_id, _ = await released_far(rig)
        await rig.box.waves.index.ask([TENANT])
        crashing = await workers.start(rig.box.settings.home, crash_at=f"{point}:{nth}")
        assert await crashing.ended(within_s=20.0) == KILLED, crashing.log()
        async with working(rig):

            async def done() -> bool:
                return not (await rig.record(order_id)).wave

            await wait_until(done, "the change is over", within_s=20.0)
            await rig.idle()
        assert [parcel.warehouse for parcel in (await plan_of(rig, order_id)).parcels] == [NEAR]
        await consistent(rig, order_id)
        assert (await rig.kinds(order_id))[EffectKind.RECALL_FULFILMENTS] == 1
