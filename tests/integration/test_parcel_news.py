"""What carriers tell by webhook reaches the order: its journal, and its state when everything has arrived."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from domain.effect import EffectKind
from domain.order import OrderProgress, OrderState
from domain.tracking import SubReason, TrackingStatus
from tests.support.hooks import HookWorld, aftership, easypost, hook_world
from tests.support.payloads import payload
from tests.support.system import TENANT, native_order, working
from tests.support.waiting import wait_until
from tools.senders import Sender

BOX = "T-42"


async def shipped(world: HookWorld) -> tuple[str, str]:
    """A released order and its parcel's number, once we know whose it is."""
    record = await world.rig.run(native_order(), at=OrderProgress.FULFILLED)
    labels = [
        one for one in await world.rig.box.store.ledger.records(record.thread) if one.kind is EffectKind.BOOK_LABEL
    ]
    assert labels[0].receipt is not None
    number = str(labels[0].receipt.detail["tracking"])

    async def booked() -> bool:
        return bool(await world.rig.box.contacts.parcel_book.of_order(TENANT, record.order_id))

    await wait_until(booked, "the parcel is known")
    return record.order_id, number


def at(minutes: int) -> str:
    return (datetime.now(UTC) - timedelta(hours=2) + timedelta(minutes=minutes)).isoformat()


async def told(world: HookWorld, order_id: str) -> list[str]:
    rows = await world.rig.history(order_id)
    return [row.event_type for row in rows if row.event_type.startswith("order.parcel.")]


async def test_a_delivery_told_by_the_carrier_moves_the_order(tmp_path: Path) -> None:
    """F39, issue 8.6: in transit, customs, delivered are on the order's timeline, once each, and the order is delivered."""
    async with hook_world(tmp_path) as world, working(world.rig):
        order_id, number = await shipped(world)
        moving = [("InTransit", at(0))]
        held = [*moving, ("Exception", at(10))]
        done = [*held, ("Delivered", at(20))]
        for n, scans in enumerate((moving, held, held, done)):
            more = {"subtag": "Exception_004"} if scans is held else {}
            assert (await world.post(Sender.AFTERSHIP, aftership(f"e{n}", number, scans, **more))).status_code == 202
        stale = await world.post(Sender.AFTERSHIP, aftership("late", number, moving))
        assert stale.json() == {"status": "accepted"}
        await world.rig.idle()
        assert await told(world, order_id) == [
            "order.parcel.in_transit", "order.parcel.exception", "order.parcel.delivered"
        ]  # fmt: skip
        record = await world.rig.record(order_id)
        assert record.order is not None
        assert (record.order.state, record.progress) == (OrderState.DELIVERED, OrderProgress.FULFILLED)
        (parcel,) = await world.rig.box.contacts.parcel_book.of_order(TENANT, order_id)
        assert parcel.status is TrackingStatus.DELIVERED


async def test_a_doubtful_delivery_is_told_and_moves_nothing(tmp_path: Path) -> None:
    """F39: scanned in transit two days after the delivery: on the timeline, and the order stays where it is."""
    async with hook_world(tmp_path) as world, working(world.rig):
        order_id, number = await shipped(world)
        log = [("delivered", "2026-11-18T03:00:00Z"), ("in_transit", "2026-11-20T03:00:00Z")]
        before = (await world.rig.record(order_id)).order
        assert (await world.post(Sender.EASYPOST, easypost("e1", number, log))).status_code == 202
        await world.rig.idle()
        assert await told(world, order_id) == ["order.parcel.delivered"]
        after = (await world.rig.record(order_id)).order
        assert before is not None
        assert after is not None
        assert after.state is before.state


async def test_news_that_come_before_we_know_the_parcel_are_told_when_we_do(tmp_path: Path) -> None:
    """F39: a scan can be faster than our own bookkeeping; nothing is lost."""
    async with hook_world(tmp_path) as world:
        record_id = await world.rig.submit(native_order())
        raw = aftership("e1", BOX, [("AvailableForPickup", at(0))])
        assert (await world.post(Sender.AFTERSHIP, raw)).json() == {"status": "accepted"}
        contacts = world.rig.box.contacts
        (early,) = await contacts.parcel_book.named(TENANT, [BOX])
        assert early.order_id == ""
        for parcel in await contacts.parcel_book.booked(TENANT, record_id, [BOX], at=datetime.now(UTC)):
            await contacts.parcels.tell(TENANT, parcel)
        async with working(world.rig):
            await world.rig.settled(record_id)
            assert "order.parcel.available_for_pickup" in await told(world, record_id)


async def test_a_foreign_or_unknown_order_in_the_document_is_never_believed(tmp_path: Path) -> None:
    """S04: what the document calls its order counts only when this tenant has it; a known owner is never replaced."""
    async with hook_world(tmp_path) as world:
        mine = await world.rig.submit(native_order())
        other = await world.rig.submit(native_order())
        await world.post(Sender.AFTERSHIP, aftership("e1", BOX, [("InTransit", at(0))], order_id="nobody-1"))
        book = world.rig.box.contacts.parcel_book
        assert (await book.named(TENANT, [BOX]))[0].order_id == ""
        await world.post(Sender.AFTERSHIP, aftership("e2", BOX, [("InTransit", at(1))], order_id=mine))
        await world.post(Sender.AFTERSHIP, aftership("e3", BOX, [("InTransit", at(2))], order_id=other))
        assert (await book.named(TENANT, [BOX]))[0].order_id == mine


async def test_the_recorded_parcel_is_taken_as_the_carrier_sent_it(tmp_path: Path) -> None:
    """F39, issue 8.6: fourteen real scans from Dongguan to Sapporo in a webhook: delivered at 01:10 UTC."""
    tracking = orjson.loads(payload("carriers/aftership/GetTrackingResult.json"))["data"]["tracking"]
    raw = orjson.dumps({"event": "tracking_update", "event_id": "real-1", "msg": tracking})
    async with hook_world(tmp_path) as world:
        assert (await world.post(Sender.AFTERSHIP, raw)).json() == {"status": "accepted"}
        (known,) = await world.rig.box.contacts.parcel_book.named(TENANT, ["111111111111"])
        assert (known.status, known.sub_reason) == (TrackingStatus.DELIVERED, SubReason.NONE)
        assert known.delivered_at == datetime(2018, 7, 25, 1, 10, tzinfo=UTC)
        assert known.doubts == ()


@pytest.mark.parametrize("description", ["batch.created", "", "payment.completed"])
async def test_other_events_of_the_aggregator_are_ignored(description: str, tmp_path: Path) -> None:
    """An authentic event about no parcel is answered, so that it is not repeated, and kept nowhere."""
    raw = orjson.dumps({"object": "Event", "id": "evt_1", "description": description, "result": {}})
    async with hook_world(tmp_path) as world:
        assert (await world.post(Sender.EASYPOST, raw)).json() == {"status": "ignored"}
