"""What a customer may still change or cancel, on a running system: followed inside its window, refused with the rule after."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from domain.effect import EffectKind
from domain.ids import ReviewId
from domain.order import OrderProgress
from domain.review import ReviewAction
from graph.runtime.audit_chain import AuditRow
from tests.support.system import TENANT, Rig, fast_settings, for_review, line, native_order, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

At = OrderProgress
Kind = EffectKind
ORDINARY, SHORT, QUEUED = "SB-00023", "SB-00047", "SB-00062"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with running(fast_settings(tmp_path_factory.mktemp("amendments"))) as rig:
        yield rig
        await rig.idle()
        assert rig.box.sandbox is not None
        assert (await rig.box.sandbox.stock_totals()).balanced


def later(payload: dict[str, Any], **given: Any) -> dict[str, Any]:
    """The order again, a moment newer, with something different."""
    before = datetime.fromisoformat(payload.get("updated_at", payload["placed_at"]))
    return payload | {"updated_at": (before + timedelta(seconds=1)).isoformat()} | given


async def told(rig: Rig, order_id: str, kind: str) -> list[dict[str, Any]]:
    """What the audit has of one kind of event."""
    rows: list[AuditRow] = await rig.history(order_id)
    return [row.event.result for row in rows if row.event_type == kind]


async def test_a_new_address_in_review_is_where_the_parcel_goes(rig: Rig) -> None:
    """P14: inside the window the change is followed, and named in the order's history."""
    payload = for_review()
    record = await rig.reviewed(payload)
    moved = payload["ship_to"] | {"line1": "88 Nathan Road", "city": "Kowloon"}
    await rig.submit(later(payload, ship_to=moved))
    again = await rig.waiting(record.order_id, besides=record.review_id)
    await rig.decide(again.review_id, ReviewAction.APPROVE)
    await rig.settled(record.order_id, at={At.FULFILLED})
    assert again.order is not None
    assert again.order.ship_to.city == "Kowloon"
    assert (await rig.kinds(record.order_id))[Kind.BOOK_LABEL] == 1
    (updated,) = await told(rig, record.order_id, "order.updated")
    assert (updated["changes"], updated["too_late"]) == (["address"], False)
    assert await told(rig, record.order_id, "order.amendment.refused") == []


async def test_a_change_after_the_release_is_refused_by_its_rule(rig: Rig) -> None:
    """P14: each refused change names why; nothing goes out twice, and the same delivery again says nothing new."""
    payload = native_order()
    record = await rig.run(payload, at=At.FULFILLED)
    await rig.has_applied(record.order_id, Kind.SEND_MESSAGE, Kind.POST_LOYALTY, Kind.TAG_ORDER)
    before = await rig.applied(record.order_id)
    moved = payload["ship_to"] | {"line1": "88 Nathan Road", "phone": "+85290000000"}
    newer = later(payload, ship_to=moved, lines=[line(quantity=3)])
    for _ in range(2):
        await rig.submit(newer)
        await rig.idle()
    (refused,) = await told(rig, record.order_id, "order.amendment.refused")
    assert [(c["change"], c["code"]) for c in refused["changes"]] == [
        ("contact", "STATE_TOO_LATE"), ("address", "STATE_TOO_LATE"), ("more_units", "STATE_TOO_LATE")
    ]  # fmt: skip
    assert refused["changes"][1]["rule_id"] == "OWN-ADDRESS"
    assert "the parcel is being prepared" in refused["changes"][1]["text"]
    assert await rig.applied(record.order_id) == before


async def test_a_change_to_a_cancelled_order_is_refused(rig: Rig) -> None:
    """P14: what is over stays over, and says so."""
    payload = for_review()
    record = await rig.reviewed(payload)
    await rig.cancel(record.order_id)
    await rig.settled(record.order_id, at={At.CANCELLED})
    await rig.submit(later(payload, lines=[line(quantity=2)]))
    await rig.idle()
    (refused,) = await told(rig, record.order_id, "order.amendment.refused")
    assert [c["code"] for c in refused["changes"]] == ["ORDER_OVER"]
    assert (await rig.record(record.order_id)).progress is At.CANCELLED


async def test_a_refresh_after_the_release_refuses_nothing(rig: Rig) -> None:
    """P14: a newer version that asks for nothing is no refused amendment."""
    payload = native_order()
    record = await rig.run(payload, at=At.FULFILLED)
    await rig.submit(later(payload))
    await rig.idle()
    assert await told(rig, record.order_id, "order.amendment.refused") == []


async def test_fewer_units_of_a_backordered_order_are_followed(rig: Rig) -> None:
    """P14: a backordered order waits because of us; reduced to what there is, it goes out and is not called too late."""
    await rig.stock(SHORT, 1)
    payload = native_order(lines=[line(SHORT, 2)])
    record = await rig.run(payload, at=At.BACKORDERED)
    await rig.submit(later(payload, lines=[line(SHORT, 1)]))
    await rig.settled(record.order_id, at={At.FULFILLED})
    (updated,) = await told(rig, record.order_id, "order.updated")
    assert (updated["changes"], updated["too_late"]) == (["fewer_units"], False)


async def test_a_cancelled_backorder_leaves_its_place_and_its_goods_to_the_next(rig: Rig) -> None:
    """P14: cancelled by the customer while it waits; what arrives goes to who waits behind it."""
    await rig.stock(QUEUED, 0)
    first = await rig.run(native_order(lines=[line(QUEUED, 2)]), at=At.BACKORDERED)
    second = await rig.run(native_order(lines=[line(QUEUED, 2)]), at=At.BACKORDERED)
    await rig.cancel(first.order_id)
    await rig.settled(first.order_id, at={At.CANCELLED})
    await rig.stock(QUEUED, 2)
    await rig.settled(second.order_id, at={At.FULFILLED})
    assert (await rig.record(first.order_id)).progress is At.CANCELLED
    assert await rig.available(QUEUED) == 0
    assert Kind.HOLD_STOCK not in await rig.kinds(first.order_id)


async def test_a_cancelled_question_frees_its_units(rig: Rig) -> None:
    """P14: what was held for an order in review is free again once its customer cancels."""
    before = await rig.available(ORDINARY)
    record = await rig.reviewed(for_review(lines=[line(quantity=3)]))
    assert await rig.available(ORDINARY) == before - 3
    await rig.cancel(record.order_id)
    await rig.settled(record.order_id, at={At.CANCELLED})
    assert await rig.available(ORDINARY) == before


def old(payload: dict[str, Any], hours: float) -> dict[str, Any]:
    """The order as if it had been placed so many hours ago."""
    placed = datetime.now(UTC) - timedelta(hours=hours)
    return payload | {"placed_at": placed.isoformat(), "updated_at": placed.isoformat()}


def now_with(payload: dict[str, Any], **given: Any) -> dict[str, Any]:
    """The order as its customer changes it at this moment."""
    return payload | {"updated_at": datetime.now(UTC).isoformat()} | given


MOVED = {"name": "Chan", "line1": "88 Nathan Road", "city": "Kowloon", "country": "HK", "phone": "+85290000000"}


async def test_a_change_outside_its_window_is_a_persons_to_allow(rig: Rig) -> None:
    """P14: three hours after the order an address may not be changed by its customer alone; approved, it is followed."""
    payload = old(for_review(), hours=3)
    record = await rig.reviewed(payload)
    await rig.submit(now_with(payload, ship_to=MOVED))
    asked = await rig.waiting(record.order_id, besides=record.review_id)
    review = await rig.box.store.reviews.find(TENANT, ReviewId(asked.review_id))
    (late,) = [reason for reason in review.reasons if "outside its window" in reason]
    assert "address was possible until" in late
    assert f"signalbox:LATE_AMENDMENT_{asked.version}" in str(review.facts["grounds"])
    (updated,) = await told(rig, record.order_id, "order.updated")
    assert [(one["change"], one["code"], one["rule_id"]) for one in updated["outside_window"]] == [
        ("address", "WINDOW_CLOSED", "OWN-ADDRESS")
    ]
    await rig.decide(asked.review_id, ReviewAction.APPROVE)
    done = await rig.settled(record.order_id, at={At.FULFILLED})
    assert done.order is not None
    assert (done.order.ship_to.city, done.late) == ("Kowloon", "")


async def test_an_approval_covers_no_later_change(rig: Rig) -> None:
    """P14: two late changes in turn are two questions; the second names both as long as nobody answered."""
    payload = old(for_review(), hours=3)
    record = await rig.reviewed(payload)
    await rig.submit(now_with(payload, ship_to=MOVED))
    first = await rig.waiting(record.order_id, besides=record.review_id)
    await rig.submit(now_with(payload, ship_to=MOVED, lines=[line(quantity=4)]))
    second = await rig.waiting(record.order_id, besides=first.review_id)
    review = await rig.box.store.reviews.find(TENANT, ReviewId(second.review_id))
    (late,) = [reason for reason in review.reasons if "outside its window" in reason]
    assert "address" in late
    assert "more_units" in late
    assert second.review_id != first.review_id
    await rig.decide(second.review_id, ReviewAction.REJECT)
    await rig.settled(record.order_id, at={At.CANCELLED})


async def test_a_change_made_in_time_that_arrives_late_is_followed(rig: Rig) -> None:
    """P14: the channel's own time counts: the customer is not late because a delivery was."""
    payload = old(for_review(), hours=3)
    record = await rig.reviewed(payload)
    in_time = datetime.fromisoformat(payload["placed_at"]) + timedelta(minutes=90)
    await rig.submit(payload | {"updated_at": in_time.isoformat(), "ship_to": MOVED})
    again = await rig.waiting(record.order_id, besides=record.review_id)
    assert again.late == ""
    await rig.cancel(record.order_id)
    await rig.settled(record.order_id, at={At.CANCELLED})


async def test_a_persons_own_edit_has_no_window(rig: Rig) -> None:
    """P14: the desk may change the address long after the customer might, and answers for a late change with it."""
    payload = old(for_review(), hours=30)
    record = await rig.reviewed(payload)
    await rig.submit(now_with(payload, lines=[line(quantity=2)]))
    asked = await rig.waiting(record.order_id, besides=record.review_id)
    assert asked.late
    edits = {"ship_to": {"line1": "1 Pier Road"}, "lines": {"1": {"quantity_open": 1}}}
    await rig.decide(asked.review_id, ReviewAction.EDIT, edits=edits)
    done = await rig.settled(record.order_id, at={At.FULFILLED})
    assert done.order is not None
    assert (done.order.ship_to.line1, done.order.lines[0].quantity_open, done.late) == ("1 Pier Road", 1, "")


async def test_fewer_units_of_a_backordered_order_have_no_window(rig: Rig) -> None:
    """P14: it waits because of us, so its customer may reduce it after days; more units are a question."""
    await rig.stock(SHORT, 1)
    payload = old(native_order(lines=[line(SHORT, 2)]), hours=40)
    record = await rig.run(payload, at=At.BACKORDERED)
    await rig.submit(now_with(payload, lines=[line(SHORT, 3)]))
    asked = await rig.waiting(record.order_id)
    assert "more_units" in asked.late
    await rig.cancel(record.order_id)
    await rig.settled(record.order_id, at={At.CANCELLED})
    again = old(native_order(lines=[line(SHORT, 2)]), hours=40)
    second = await rig.run(again, at=At.BACKORDERED)
    await rig.submit(now_with(again, lines=[line(SHORT, 1)]))
    await rig.settled(second.order_id, at={At.FULFILLED})
