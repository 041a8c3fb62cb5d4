"""Notices on peak days: merged per order, told once and in time, cancellations at once, nothing lost at a crash."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from domain.degraded import Override
from domain.effect import EffectKind
from domain.order import OrderProgress
from graph.runtime.leases import Leadership
from graph.runtime.notices import Notices
from tests.support.fake_clock import FakeClock
from tests.support.system import Rig, fast_settings, line, native_order, opened, working
from tests.support.waiting import wait_until
from tests.support.worker_process import KILLED, worker_processes

AT = OrderProgress
SKU = "SB-00047"


@asynccontextmanager
async def peak(home: Path, clock: FakeClock | None = None) -> AsyncIterator[Rig]:
    """A system in peak mode; its notices are told when the test says so."""
    async with opened(fast_settings(home), clock=clock) as rig:
        leader = Leadership(rig.box.store.batcher, rig.box.keys, "notices", "the test", lease_ms=600_000)
        assert await leader.lead()
        await rig.box.switch.override(Override.ON, by="mei", reason="eleven eleven")
        yield rig


async def told(rig: Rig, order_id: str) -> list[str]:
    """Subjects and templates of the messages really sent, oldest first."""
    assert rig.box.sandbox is not None
    rows = await rig.box.sandbox.store.read(
        lambda connection: connection.execute(
            "SELECT effect_key FROM applied_effects WHERE entity_id = ? AND kind = ? ORDER BY rowid",
            (order_id, EffectKind.SEND_MESSAGE.value),
        ).fetchall()
    )
    return [str(row[0]).split("/")[3] for row in rows]


async def tell(rig: Rig) -> int:
    postponed = rig.box.tier_3.postponed
    assert postponed is not None
    return await postponed.tick()


async def test_a_delay_and_a_release_are_one_message(tmp_path: Path) -> None:
    """domain 10.1: backordered, then released within the delay: one message, of the last state, within fifteen minutes."""
    clock = FakeClock()
    async with peak(tmp_path, clock) as rig, working(rig):
        await rig.stock(SKU, 0)
        record = await rig.run(native_order(lines=[line(SKU)]), at=AT.BACKORDERED)
        await rig.idle()
        clock.pass_by(timedelta(minutes=5))
        await rig.stock(SKU, 5)
        await rig.settled(record.order_id, at=[AT.FULFILLED])
        await rig.idle()
        assert await tell(rig) == 0
        assert await told(rig, record.order_id) == []
        clock.pass_by(timedelta(minutes=9, seconds=30))
        assert await tell(rig) == 1
        assert await tell(rig) == 0
        assert await told(rig, record.order_id) == ["fulfilledfulfilled"]
        decisions = await rig.box.store.journal.latest(record.thread)
        merged = [one for one in decisions["customer_notification"].reasons if one.code == "MERGED"]
        assert [one.value for one in merged] == ["2"]
        assert (await rig.kinds(record.order_id))[EffectKind.POST_LOYALTY] == 1


async def test_a_cancellation_is_told_at_once_and_alone(tmp_path: Path) -> None:
    """domain 10.1: a cancel notice is never held back; what waited for the order is overtaken by it."""
    async with peak(tmp_path) as rig, working(rig):
        record = await rig.run(native_order(), at=AT.FULFILLED)
        await rig.idle()
        assert await told(rig, record.order_id) == []
        await rig.cancel(record.order_id)
        await rig.settled(record.order_id, at=[AT.CANCELLED])
        await rig.idle()
        assert await told(rig, record.order_id) == ["cancelledcancelled"]
        await rig.box.switch.override(Override.AUTO, by="mei", reason="over")
        assert await tell(rig) == 1
        assert await told(rig, record.order_id) == ["cancelledcancelled"]


async def test_the_end_of_peak_mode_lets_everything_out(tmp_path: Path) -> None:
    """domain 10.1: nothing waits for its delay any longer once the mode is over, and nothing is told twice."""
    async with peak(tmp_path) as rig, working(rig):
        records = [await rig.run(native_order(), at=AT.FULFILLED) for _ in range(3)]
        await rig.idle()
        await rig.box.switch.override(Override.AUTO, by="mei", reason="over")
        await rig.box.switch.standing()
        assert await tell(rig) == 3
        later = await rig.run(native_order(), at=AT.FULFILLED)
        await rig.idle()
        for one in (*records, later):
            assert await told(rig, one.order_id) == ["fulfilledfulfilled"]
        assert await tell(rig) == 0


async def test_a_happening_again_is_not_taken_for_known(tmp_path: Path) -> None:
    """domain 10.1: backordered twice before anybody was told: the customer does not know it yet, and is told once."""
    async with peak(tmp_path) as rig, working(rig):
        await rig.stock(SKU, 0)
        payload = native_order(lines=[line(SKU, 2)])
        record = await rig.run(payload, at=AT.BACKORDERED)
        newer = (await rig.record(record.order_id)).order
        assert newer is not None
        later = newer.updated_at + timedelta(seconds=1)
        await rig.submit(payload | {"updated_at": later.isoformat(), "lines": [line(SKU, 1)]})

        async def again() -> bool:
            now = await rig.record(record.order_id)
            return now.attempt_group == 2 and now.progress is AT.BACKORDERED

        await wait_until(again, "it is backordered again")
        await rig.idle()
        await rig.box.switch.override(Override.AUTO, by="mei", reason="over")
        await rig.box.switch.standing()
        await tell(rig)
        assert await told(rig, record.order_id) == ["backorderedbackordered"]


async def test_merging_is_the_same_in_any_order_and_any_number(tmp_path: Path) -> None:
    """domain 10.1: delivered twice or out of turn, the newest happening is told and the first delay counts."""
    async with peak(tmp_path) as rig:
        async with working(rig):
            record = await rig.run(native_order(), at=AT.FULFILLED)
            await rig.idle()
        notices = Notices(rig.box.store.batcher, rig.box.keys)
        (held,) = await notices.waiting()
        older = held.event.model_copy(
            update={"event_id": "e-older", "timestamp": held.event.timestamp - timedelta(minutes=1)}
        )
        for event in (older, held.event, older):
            await notices.hold(record.thread, event, due=held.due + timedelta(hours=1))
        (merged,) = await notices.waiting()
        assert merged.merged == ("e-older", held.event.event_id)
        assert (merged.event.event_id, merged.due) == (held.event.event_id, held.due)
        await notices.done(held)
        assert await notices.waiting() == [merged]
        await notices.done(merged)
        assert await notices.waiting() == []


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("effect.begun", marks=pytest.mark.chaos),
        pytest.param("effect.applied", marks=pytest.mark.chaos),
        "effect.recorded",
    ],
)
async def test_a_crash_while_telling_tells_once(tmp_path: Path, point: str) -> None:
    """domain 10.1: killed between holding back, deciding, sending and forgetting: the next process tells once."""
    async with opened(fast_settings(tmp_path / "home")) as rig, worker_processes() as workers:
        await rig.box.switch.override(Override.ON, by="mei", reason="eleven eleven")
        leader = Leadership(rig.box.store.batcher, rig.box.keys, "notices", "the test", lease_ms=2_000)
        assert await leader.lead()
        async with working(rig):
            record = await rig.run(native_order(), at=AT.FULFILLED)
            await rig.idle()
            await rig.history(record.order_id)
        assert await told(rig, record.order_id) == []
        await rig.box.switch.override(Override.AUTO, by="mei", reason="over")
        await leader.resign()
        crashing = await workers.start(rig.box.settings.home, crash_at=f"{point}:1")
        assert await crashing.ended(within_s=20.0) == KILLED, crashing.log()
        async with working(rig):

            async def done() -> bool:
                return not await Notices(rig.box.store.batcher, rig.box.keys).waiting()

            await wait_until(done, "the notice was told", within_s=20.0)
        assert await told(rig, record.order_id) == ["fulfilledfulfilled"]
