"""The order workflow from delivery to rest, on a whole system with one worker: every way an order can go."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from api.services import Submission
from domain.effect import EffectKind, EffectState
from domain.errors import AlreadyDecided, Conflict, NotFound, TooLate
from domain.order import OrderProgress
from domain.ports import Message
from domain.review import ReviewAction, ReviewState
from graph.runtime.intake import TOPIC as INTAKE
from graph.runtime.intake import Work
from graph.runtime.journal import OCCASIONS
from graph.runtime.keys import STATE_TTL_S
from graph.runtime.orders import thread_of
from tests.support.payloads import shopify_line, shopify_order
from tests.support.servers import assert_no_unowned_keys
from tests.support.system import (
    TENANT,
    Rig,
    assert_once,
    fast_settings,
    for_review,
    line,
    native_order,
    running,
    submission,
    to_capture,
)
from tools.channels.protocol import DeliveryKind
from tools.sandbox.faults import Fault, FaultMode

pytestmark = pytest.mark.asyncio(loop_scope="module")

At = OrderProgress
Kind = EffectKind
RELEASED = [
    Kind.HOLD_STOCK, Kind.CONFIRM_HOLD, Kind.CAPTURE_PAYMENT, Kind.BOOK_LABEL, Kind.CREATE_FULFILMENT,
    Kind.UPDATE_OMS, Kind.UPDATE_CHANNEL,
]  # fmt: skip
TAKEN_BACK = [
    Kind.CANCEL_CHANNEL, Kind.CANCEL_OMS, Kind.CANCEL_FULFILMENT, Kind.VOID_LABEL, Kind.REFUND_PAYMENT,
    Kind.RELEASE_HOLD,
]  # fmt: skip
FOLLOWED = {Kind.SEND_MESSAGE, Kind.POST_LOYALTY, Kind.REVERSE_LOYALTY, Kind.TAG_ORDER}
BLOCKING = {"fraud_detection", "compliance", "inventory_reservation", "order_routing", "tax", "shipping_method"}
FOLLOWING = {"customer_notification", "loyalty", "analytics_tagging"}
ORDINARY, ONE_LEFT, SHORT, EDITED, HELD_BACK, GONE = (
    "SB-00023", "SB-00006", "SB-00047", "SB-00051", "SB-00062", "SB-00080"
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with running(fast_settings(tmp_path_factory.mktemp("orders"))) as rig:
        yield rig
        await rig.idle()
        assert rig.box.sandbox is not None
        assert (await rig.box.sandbox.stock_totals()).balanced
        for review in await rig.box.store.reviews.listed(TENANT, limit=1000):
            await rig.decide(review.review_id, ReviewAction.REJECT)
            await rig.settled(review.entity_id, at={At.CANCELLED, At.DEAD_LETTER})
        await rig.idle()
        await assert_no_unowned_keys(rig.box.redis)


@pytest_asyncio.fixture(loop_scope="module")
async def rig(system: Rig) -> AsyncIterator[Rig]:
    """The system, faultless at the beginning and the end of each test."""
    assert system.box.sandbox is not None
    yield system
    await system.box.sandbox.faults.clear()


async def fault(rig: Rig, mode: FaultMode, call: str, **changes: Any) -> None:
    assert rig.box.sandbox is not None
    await rig.box.sandbox.faults.set(Fault(mode=mode, call=call, **changes))


async def undone(rig: Rig, order_id: str) -> list[EffectKind]:
    """What was done for an order to take something back, in that order."""
    return [effect.kind for effect in await rig.applied(order_id) if effect.kind in TAKEN_BACK]


# --- released ------------------------------------------------------------------------------------------------------


async def test_an_order_is_released_step_by_step_each_once(rig: Rig) -> None:
    """F23, P2: every agent's decision is on the order, every effect is applied once and in order, nothing is left over."""
    record = await rig.run(to_capture(), at=At.FULFILLED)
    await rig.has_applied(record.order_id, Kind.SEND_MESSAGE, Kind.POST_LOYALTY, Kind.TAG_ORDER)
    applied = await rig.applied(record.order_id)
    assert [e.kind for e in applied if e.kind not in FOLLOWED] == RELEASED
    assert_once(applied)
    view = await rig.desk.order(TENANT, record.order_id)
    assert {d["agent"] for d in view["decisions"]} == BLOCKING | FOLLOWING
    assert {e["state"] for e in view["effects"]} == {EffectState.DONE.value}
    assert await rig.keys_without_ttl(record.order_id) == []
    thread = thread_of(TENANT, record.order_id)
    assert await rig.box.redis.exists(f"{rig.box.keys.entity(thread).checkpoint}:data") == 0
    ttl = await rig.box.redis.ttl(rig.box.keys.entity(thread).state)
    assert STATE_TTL_S - 60 < ttl <= STATE_TTL_S


async def test_every_effect_has_its_decision_before_it_in_the_audit(rig: Rig) -> None:
    """P8, design 3.7: what was done rests on a journaled decision that came first."""
    record = await rig.run(to_capture(), at=At.FULFILLED)
    rows = await rig.history(record.order_id)
    at = {row.event_id: row.position for row in rows}
    effects = [row for row in rows if row.event_type == "order.effect.applied"]
    assert {row.event_type for row in rows} >= {"order.accepted", "order.progress.running", "order.progress.fulfilled"}
    assert len(effects) >= len(RELEASED)
    for row in effects:
        assert at[row.event.causation_id] < row.position


async def test_the_same_delivery_again_changes_nothing(rig: Rig) -> None:
    """F62, reliability/B01: the same request id twice is one order; a new request with old content is one order too."""
    payload = native_order()
    order_id = await rig.submit(payload, dedupe_id="twice")
    await rig.submit(payload, dedupe_id="twice")
    await rig.settled(order_id, at={At.FULFILLED})
    await rig.has_applied(order_id, Kind.SEND_MESSAGE, Kind.POST_LOYALTY, Kind.TAG_ORDER)
    before = await rig.applied(order_id)
    await rig.submit(payload)
    await rig.idle()
    assert await rig.applied(order_id) == before
    assert (await rig.record(order_id)).attempt_group == 1


async def test_a_message_for_each_change_of_state_and_none_on_replay(rig: Rig) -> None:
    """F16, F18: fulfilled and cancelled are told once each, in the buyer's language; points come and go once."""
    payload = native_order(locale="zh-Hant-HK")
    record = await rig.run(payload, at=At.FULFILLED)
    await rig.has_applied(record.order_id, Kind.SEND_MESSAGE, Kind.POST_LOYALTY, Kind.TAG_ORDER)
    assert rig.box.sandbox is not None
    customer = payload["customer"]["customer_id"]
    assert await rig.box.sandbox.crm.points(customer, tenant=TENANT) == 12
    await rig.cancel(record.order_id)
    await rig.settled(record.order_id, at={At.CANCELLED})
    await rig.has_applied(record.order_id, Kind.REVERSE_LOYALTY)
    await rig.idle()
    for row in await rig.history(record.order_id):
        if row.event_type.startswith("order.progress."):  # once more, as after a crash
            again = Message(key=record.thread, headers={"t": row.event_type}, body=row.payload)
            await rig.box.bus.publish(OCCASIONS, again)
    await rig.idle()
    outbox = await rig.box.sandbox.messages.outbox(record.order_id, tenant=TENANT)
    assert [sent.message.template.rpartition("/")[2] for sent in outbox] == ["fulfilled", "cancelled"]
    assert {sent.message.locale for sent in outbox} == {"zh-Hant"}
    kinds = await rig.kinds(record.order_id)
    assert (kinds[Kind.POST_LOYALTY], kinds[Kind.REVERSE_LOYALTY]) == (1, 1)
    assert await rig.box.sandbox.crm.points(customer, tenant=TENANT) == 0


# --- short of stock ------------------------------------------------------------------------------------------------


async def test_short_stock_is_parked_and_released_when_units_arrive(rig: Rig) -> None:
    """F12: all lines or none are held; a later try finds the units and goes through."""
    await rig.stock(SHORT, 1)
    record = await rig.run(native_order(lines=[line(SHORT, 2), line()]), at=At.BACKORDERED)
    assert not {Kind.CONFIRM_HOLD, Kind.BOOK_LABEL} & (await rig.kinds(record.order_id)).keys()
    assert await rig.available(SHORT) == 1
    await rig.stock(SHORT, 2)
    headers = {"work": Work.RETRY.value, "tenant": TENANT, "order_id": record.order_id}
    await rig.box.store.intake.push(record.thread, headers, at=datetime.now(UTC))
    again = await rig.settled(record.order_id, at={At.FULFILLED})
    assert again.attempt_group == 2
    assert await rig.available(SHORT) == 0
    await rig.has_applied(record.order_id, Kind.POST_LOYALTY)
    await rig.idle()
    assert (await rig.kinds(record.order_id))[Kind.SEND_MESSAGE] == 2


async def test_the_last_unit_is_sold_once(rig: Rig) -> None:
    """F12, reliability/T02: a hundred orders for one unit; one has it, ninety-nine wait, the shelf never goes negative."""
    await rig.stock(ONE_LEFT, 1)
    ids = await asyncio.gather(*(rig.submit(native_order(lines=[line(ONE_LEFT)])) for _ in range(100)))
    places = Counter([(await rig.settled(one)).progress for one in ids])
    assert places == {At.FULFILLED: 1, At.BACKORDERED: 99}
    assert await rig.available(ONE_LEFT) == 0
    for order_id in ids:
        kinds = await rig.kinds(order_id)
        assert kinds[Kind.HOLD_STOCK] - kinds[Kind.RELEASE_HOLD] == (await rig.progress(order_id) is At.FULFILLED)


# --- asked ---------------------------------------------------------------------------------------------------------


async def test_an_approved_order_is_released(rig: Rig) -> None:
    """F28, P3: nothing irreversible happens before the answer; afterwards everything does, once."""
    record = await rig.reviewed(for_review())
    assert set(await rig.kinds(record.order_id)) == {Kind.HOLD_STOCK}
    await rig.decide(record.review_id, ReviewAction.APPROVE)
    done = await rig.settled(record.order_id, at={At.FULFILLED})
    assert_once(await rig.applied(done.order_id))
    await rig.idle()  # the thread is let go after the progress is written
    assert await rig.keys_without_ttl(done.order_id) == []
    with pytest.raises(AlreadyDecided, match="user:mei"):
        await rig.decide(record.review_id, ReviewAction.REJECT, by="user:late")
    await rig.idle()
    assert await rig.progress(done.order_id) is At.FULFILLED


async def test_of_a_hundred_answers_at_once_one_is_carried_out(rig: Rig) -> None:
    """P3, reliability/U02: approvals and rejections in the same instant; one outcome, and everybody else hears whose."""
    record = await rig.reviewed(for_review())

    async def one(number: int) -> str:
        action = ReviewAction.APPROVE if number % 2 else ReviewAction.REJECT
        try:
            await rig.decide(record.review_id, action, by=f"user:{number}")
        except AlreadyDecided as late:
            return f"lost: {late}"
        return f"won {action.value}"

    said = await asyncio.gather(*(one(n) for n in range(100)))
    (won,) = [one for one in said if one.startswith("won")]
    winner = f"user:{said.index(won)}"
    (lost,) = {one for one in said if one != won}
    assert lost.startswith(f"lost: {winner} already answered")
    end = At.FULFILLED if won == "won approve" else At.CANCELLED
    await rig.settled(record.order_id, at={end})
    await rig.idle()
    kinds = await rig.kinds(record.order_id)
    assert (kinds[Kind.BOOK_LABEL], kinds[Kind.CANCEL_CHANNEL]) == ((1, 0) if end is At.FULFILLED else (0, 1))


async def test_a_foreign_or_unknown_review_cannot_be_answered(rig: Rig) -> None:
    """P3, reliability/S04: neither another tenant's nor one that never was."""
    record = await rig.reviewed(for_review())
    answer = (await rig.decide(record.review_id, ReviewAction.APPROVE))["answer"]
    assert answer["decided_by"] == "user:mei"
    for tenant, review in (("other", record.review_id), (TENANT, "rv0-0000000000000000"), (TENANT, "nonsense")):
        with pytest.raises(NotFound):
            await rig.box.store.reviews.find(tenant, review)
    await rig.settled(record.order_id, at={At.FULFILLED})


async def test_a_rejection_cancels_and_tells_once_even_if_the_channel_fails_twice(rig: Rig) -> None:
    """F27: the hold is released, channel and buyer are told once each."""
    before = await rig.available(ORDINARY)
    record = await rig.reviewed(for_review())
    await fault(rig, FaultMode.ERROR, Kind.CANCEL_CHANNEL, system="channels", times=2)
    await rig.decide(record.review_id, ReviewAction.REJECT)
    await rig.settled(record.order_id, at={At.CANCELLED})
    await rig.has_applied(record.order_id, Kind.SEND_MESSAGE)
    await rig.idle()
    assert await rig.available(ORDINARY) == before
    kinds = await rig.kinds(record.order_id)
    told = (kinds[Kind.CANCEL_CHANNEL], kinds[Kind.CANCEL_OMS], kinds[Kind.RELEASE_HOLD], kinds[Kind.SEND_MESSAGE])
    assert told == (1, 1, 1, 1)


async def test_an_edited_order_is_judged_again_as_edited(rig: Rig) -> None:
    """Edit is approval of what was shown with the changes; what was held for the old version does not stand in its way."""
    await rig.stock(EDITED, 1)
    record = await rig.reviewed(for_review(lines=[line(EDITED)]))
    await rig.decide(record.review_id, ReviewAction.EDIT, edits={"ship_to": {"line1": "9 Peak Road"}})
    done = await rig.settled(record.order_id, at={At.FULFILLED, At.BACKORDERED})
    assert (done.progress, done.attempt_group) == (At.FULFILLED, 2)
    assert done.order is not None
    assert done.order.ship_to.line1 == "9 Peak Road"
    assert await rig.available(EDITED) == 0
    kinds = await rig.kinds(done.order_id)
    assert (kinds[Kind.HOLD_STOCK], kinds[Kind.RELEASE_HOLD], kinds[Kind.BOOK_LABEL]) == (2, 1, 1)


async def test_an_answer_on_day_ten_still_completes(rig: Rig) -> None:
    """P21: everything that may expire has expired; what the open question needs has no lifetime."""
    record = await rig.reviewed(for_review())
    async for key in rig.box.redis.scan_iter(count=1000):
        if await rig.box.redis.pttl(key) >= 0:
            await rig.box.redis.delete(key)
    await rig.decide(record.review_id, ReviewAction.APPROVE)
    await rig.settled(record.order_id, at={At.FULFILLED})
    assert_once(await rig.applied(record.order_id))
    assert await rig.keys_without_ttl(record.order_id) == []


# --- changed -------------------------------------------------------------------------------------------------------


def later(payload: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A newer version of a native order."""
    return payload | {"updated_at": datetime.now(UTC).isoformat()} | changes


async def test_a_change_during_a_review_voids_the_question_and_asks_again(rig: Rig) -> None:
    """reliability/T01, B03: the old question cannot be answered any more, the new version is held and asked about."""
    before = await rig.available(ORDINARY)
    payload = for_review()
    record = await rig.reviewed(payload)
    await rig.submit(later(payload, lines=[line(quantity=3)]))
    again = await rig.waiting(record.order_id, besides=record.review_id)
    assert (again.version, again.attempt_group) == (2, 2)
    assert await rig.available(ORDINARY) == before - 3
    with pytest.raises(Conflict):
        await rig.decide(record.review_id, ReviewAction.APPROVE)
    review = await rig.box.store.reviews.find(TENANT, record.review_id)
    assert review.state is ReviewState.VOID
    await rig.decide(again.review_id, ReviewAction.APPROVE)
    await rig.settled(record.order_id, at={At.FULFILLED})
    assert await rig.available(ORDINARY) == before - 3


async def test_an_older_version_changes_nothing_and_is_remembered(rig: Rig) -> None:
    """reliability/B03: a retry that carries yesterday's payload does not put yesterday back."""
    payload = for_review()
    record = await rig.reviewed(payload)
    stale = payload | {"updated_at": "2026-01-01T00:00:00+00:00", "lines": [line(quantity=9)]}
    await rig.submit(stale)
    await rig.idle()
    assert await rig.record(record.order_id) == record
    assert Counter(row.event_type for row in await rig.history(record.order_id))["order.stale"] == 1


async def test_a_refresh_without_content_leaves_the_question_open(rig: Rig) -> None:
    """Only what a person approves or an agent judges asks again."""
    payload = for_review()
    record = await rig.reviewed(payload)
    await rig.submit(later(payload))
    await rig.idle()
    again = await rig.record(record.order_id)
    assert (again.review_id, again.version, again.attempt_group) == (record.review_id, 2, 1)
    await rig.decide(record.review_id, ReviewAction.APPROVE)
    await rig.settled(record.order_id, at={At.FULFILLED})


async def test_a_change_gives_a_parked_order_another_chance(rig: Rig) -> None:
    """F12: fewer units wanted, units there are."""
    await rig.stock(HELD_BACK, 1)
    payload = native_order(lines=[line(HELD_BACK, 2)])
    record = await rig.run(payload, at=At.BACKORDERED)
    await rig.submit(later(payload, lines=[line(HELD_BACK, 1)]))
    done = await rig.settled(record.order_id, at={At.FULFILLED})
    assert done.attempt_group == 2


async def test_a_change_after_the_release_is_too_late_and_kept(rig: Rig) -> None:
    """reliability/O04: noted in history as too late; nothing goes out twice."""
    payload = native_order()
    record = await rig.run(payload, at=At.FULFILLED)
    await rig.has_applied(record.order_id, Kind.SEND_MESSAGE, Kind.POST_LOYALTY, Kind.TAG_ORDER)
    before = await rig.applied(record.order_id)
    await rig.submit(later(payload, lines=[line(quantity=2)]))
    await rig.idle()
    assert await rig.applied(record.order_id) == before
    (row,) = [row for row in await rig.history(record.order_id) if row.event_type == "order.updated"]
    assert row.event.result["too_late"] is True


def shopify(payload: dict[str, Any]) -> Submission:
    """A Shopify delivery."""
    return Submission(
        tenant=TENANT,
        channel="shopify",
        shop="acme-hk.myshopify.com",
        topic="orders/updated",
        kind=DeliveryKind.ORDER,
        raw=orjson.dumps(payload),
        dedupe_id=f"{payload['id']}-{payload['updated_at']}",
        order_hint=str(payload["id"]),
        source="test",
        received_at=datetime.now(UTC),
    )


def shopify_trial(number: int, **changes: Any) -> dict[str, Any]:
    """A Shopify trial order of one book."""
    lines = [shopify_line(sku=ORDINARY, price="55.00")]
    return shopify_order(id=number, name=f"#{number}", test=True, line_items=lines, **changes)


async def test_an_order_shipped_elsewhere_during_a_review_is_closed(rig: Rig) -> None:
    """A merchant who ships by hand while we ask: the question falls, the hold is freed, nothing of ours goes out."""
    before = await rig.available(ORDINARY)
    taken = await rig.desk.submit(shopify(shopify_trial(9001)))
    record = await rig.waiting(taken.handle)
    shipped = shopify_trial(9001, fulfillment_status="fulfilled", updated_at="2026-06-02T10:00:00+08:00")
    await rig.desk.submit(shopify(shipped))
    await rig.settled(record.order_id, at={At.CLOSED_EXTERNALLY})
    assert await rig.available(ORDINARY) == before
    assert (await rig.kinds(record.order_id)).keys() == {Kind.HOLD_STOCK, Kind.RELEASE_HOLD}
    assert (await rig.box.store.reviews.find(TENANT, record.review_id)).state is ReviewState.VOID
    assert await rig.keys_without_ttl(record.order_id) == []


async def test_an_order_cancelled_at_its_channel_is_cancelled_here_without_telling_it(rig: Rig) -> None:
    """reliability/O04: in review and after the release; the channel knows already."""
    waiting = await rig.desk.submit(shopify(shopify_trial(9002)))
    await rig.waiting(waiting.handle)
    released = await rig.desk.submit(shopify(shopify_trial(9003) | {"test": False}))
    await rig.settled(released.handle, at={At.FULFILLED})
    for number, taken in ((9002, waiting), (9003, released)):
        gone = shopify_trial(number, cancelled_at="2026-06-02T10:00:00+08:00", updated_at="2026-06-02T10:00:00+08:00")
        await rig.desk.submit(shopify(gone))
        await rig.settled(taken.handle, at={At.CANCELLED})
        kinds = await rig.kinds(taken.handle)
        assert (kinds[Kind.CANCEL_CHANNEL], kinds[Kind.CANCEL_OMS]) == (0, 1)
        assert kinds[Kind.HOLD_STOCK] == kinds[Kind.RELEASE_HOLD]
        assert kinds[Kind.BOOK_LABEL] == kinds[Kind.VOID_LABEL]


async def test_an_order_first_seen_cancelled_is_only_noted(rig: Rig) -> None:
    """reliability/B02: the cancellation overtook the creation."""
    gone = shopify_trial(9004, cancelled_at="2026-06-02T10:00:00+08:00", updated_at="2026-06-02T10:00:00+08:00")
    taken = await rig.desk.submit(shopify(gone))
    await rig.settled(taken.handle, at={At.CANCELLED})
    await rig.desk.submit(shopify(shopify_trial(9004)))
    await rig.idle()
    assert await rig.progress(taken.handle) is At.CANCELLED
    assert set(await rig.kinds(taken.handle)) == {Kind.CANCEL_OMS, Kind.SEND_MESSAGE, Kind.TAG_ORDER}
    assert await rig.box.bus.dead_letters() == []


# --- cancelled by request ------------------------------------------------------------------------------------------


async def test_cancelled_before_anybody_read_it(tmp_path: Path) -> None:
    """reliability/O04: the request waits for the order's own work; nothing is held, the channel is told once."""
    payload = native_order()
    async with running(fast_settings(tmp_path)) as other:
        # both are on the topic before the worker reads either
        ids = [await other.submit(native_order()) for _ in range(20)] + [await other.submit(payload)]
        for order_id in ids:
            await other.cancel(order_id)
        for order_id in ids:
            await other.settled(order_id, at={At.CANCELLED})
            await other.has_applied(order_id, Kind.CANCEL_CHANNEL, Kind.CANCEL_OMS)
            assert_once(await other.applied(order_id))
            kinds = await other.kinds(order_id)
            assert kinds[Kind.HOLD_STOCK] == kinds[Kind.RELEASE_HOLD]
            assert kinds[Kind.BOOK_LABEL] == kinds[Kind.VOID_LABEL]
        assert other.box.sandbox is not None
        assert (await other.box.sandbox.stock_totals()).balanced


async def test_cancelled_in_review(rig: Rig) -> None:
    """reliability/O04: the question falls, the hold is freed, an answer comes too late to matter."""
    before = await rig.available(ORDINARY)
    record = await rig.reviewed(for_review())
    await rig.cancel(record.order_id)
    await rig.settled(record.order_id, at={At.CANCELLED})
    with pytest.raises(Conflict):
        await rig.decide(record.review_id, ReviewAction.APPROVE)
    await rig.idle()
    assert await rig.available(ORDINARY) == before
    assert await undone(rig, record.order_id) == [Kind.RELEASE_HOLD, Kind.CANCEL_CHANNEL, Kind.CANCEL_OMS]
    assert await rig.keys_without_ttl(record.order_id) == []


async def test_cancelled_while_parked(rig: Rig) -> None:
    """reliability/O04: nothing was held, so nothing is freed; the channel is told."""
    await rig.stock(GONE, 0)
    record = await rig.run(native_order(lines=[line(GONE)]), at=At.BACKORDERED)
    await rig.cancel(record.order_id)
    await rig.settled(record.order_id, at={At.CANCELLED})
    assert await undone(rig, record.order_id) == [Kind.CANCEL_CHANNEL, Kind.CANCEL_OMS]


async def test_cancelled_after_the_release_everything_is_taken_back_in_reverse(rig: Rig) -> None:
    """P1, reliability/O03, O04: label void, money back, units back, each once; asking again changes nothing."""
    before = await rig.available(ORDINARY)
    record = await rig.run(to_capture(), at=At.FULFILLED)
    await rig.cancel(record.order_id)
    await rig.settled(record.order_id, at={At.CANCELLED})
    assert await undone(rig, record.order_id) == TAKEN_BACK
    assert await rig.available(ORDINARY) == before
    assert (await rig.cancel(record.order_id))["state"] == At.CANCELLED
    await rig.idle()
    assert await undone(rig, record.order_id) == TAKEN_BACK


async def test_cancelled_after_the_carrier_has_it_is_too_late_and_says_so(rig: Rig) -> None:
    """reliability/O04: nothing is undone, the order says why, and the next request is answered as well."""
    record = await rig.run(to_capture(), at=At.FULFILLED)
    assert rig.box.sandbox is not None
    (label,) = [e for e in await rig.applied(record.order_id) if e.kind is Kind.BOOK_LABEL]
    carrier = rig.box.sandbox.carriers[str(label.receipt.detail["carrier"])]
    await carrier.mark_scanned(str(label.receipt.detail["tracking"]))
    for _ in range(2):
        await rig.cancel(record.order_id)
        await rig.idle()
        after = await rig.record(record.order_id)
        assert (after.progress, after.cancel) == (At.FULFILLED, "")
        assert "already has parcel" in after.detail
    assert await undone(rig, record.order_id) == []


async def test_an_order_closed_at_its_channel_cannot_be_cancelled_here(rig: Rig) -> None:
    """reliability/O04: a clear refusal at the door."""
    taken = await rig.desk.submit(shopify(shopify_trial(9005, fulfillment_status="fulfilled")))
    await rig.settled(taken.handle, at={At.CLOSED_EXTERNALLY})
    with pytest.raises(TooLate, match="closed at its channel"):
        await rig.cancel(taken.handle)
    with pytest.raises(NotFound):
        await rig.cancel("storefront-none")


# --- a step fails --------------------------------------------------------------------------------------------------

ALL_KINDS = {*RELEASED, *TAKEN_BACK, *FOLLOWED}


@pytest.mark.parametrize("mode", [FaultMode.NO_REPLY, FaultMode.WRONG_ID, FaultMode.ERROR])
async def test_an_answer_lost_on_every_kind_of_effect_does_nothing_twice(rig: Rig, mode: FaultMode) -> None:
    """reliability/O02, P2: done but not answered, answered about something else, or refused once: each applied once."""
    for kind in ALL_KINDS:
        await fault(rig, mode, kind, times=1)
    record = await rig.run(to_capture(), at=At.FULFILLED)
    await rig.has_applied(record.order_id, Kind.SEND_MESSAGE, Kind.POST_LOYALTY, Kind.TAG_ORDER)
    await rig.cancel(record.order_id)
    await rig.settled(record.order_id, at={At.CANCELLED})
    await rig.has_applied(record.order_id, Kind.REVERSE_LOYALTY)
    await rig.idle()
    applied = await rig.applied(record.order_id)
    assert_once(applied)
    kinds = Counter(effect.kind for effect in applied)
    twice = {Kind.SEND_MESSAGE, Kind.TAG_ORDER}
    assert {kind: kinds[kind] for kind in ALL_KINDS} == {kind: 2 if kind in twice else 1 for kind in ALL_KINDS}


@pytest.mark.parametrize("broken", RELEASED[1:])
async def test_a_step_that_keeps_failing_undoes_the_earlier_ones_in_reverse(rig: Rig, broken: EffectKind) -> None:
    """P1, reliability/O03: the units and the money are back, a person is asked; a later try goes through."""
    before = await rig.available(ORDINARY)
    await fault(rig, FaultMode.UNAVAILABLE, broken)
    record = await rig.reviewed(to_capture())
    assert record.detail.startswith("the release was undone")
    done = [kind for kind in RELEASED if kind.undone_by and kind in RELEASED[: RELEASED.index(broken)]]
    assert await undone(rig, record.order_id) == [kind.undone_by for kind in reversed(done)]
    assert await rig.available(ORDINARY) == before
    assert rig.box.sandbox is not None
    await rig.box.sandbox.faults.clear()
    await rig.decide(record.review_id, ReviewAction.APPROVE)
    await rig.settled(record.order_id, at={At.FULFILLED})
    assert_once(await rig.applied(record.order_id))
    assert await rig.available(ORDINARY) == before - 1


async def test_an_order_taken_back_twice_for_different_reasons_is_taken_back(rig: Rig) -> None:
    """P1: what a failed release undid is undone; the cancellation that follows finds it so and says its own reason."""
    await fault(rig, FaultMode.UNAVAILABLE, Kind.UPDATE_CHANNEL)
    record = await rig.reviewed(to_capture())
    await rig.cancel(record.order_id, reason="too slow")
    await rig.settled(record.order_id, at={At.CANCELLED})
    assert_once(await rig.applied(record.order_id))
    kinds = await rig.kinds(record.order_id)
    assert (kinds[Kind.REFUND_PAYMENT], kinds[Kind.RELEASE_HOLD], kinds[Kind.CANCEL_CHANNEL]) == (1, 1, 1)


async def test_a_deaf_tier_3_neither_delays_nor_changes_an_order(rig: Rig) -> None:
    """F6, F26: messages, points and tags are down; the order is released all the same, and all three catch up later."""
    for kind in FOLLOWED:
        await fault(rig, FaultMode.TIMEOUT, kind, seconds=0.3)
    started = asyncio.get_running_loop().time()
    record = await rig.run(native_order(), at=At.FULFILLED)
    assert asyncio.get_running_loop().time() - started < 5.0
    assert not (await rig.kinds(record.order_id)).keys() & FOLLOWED
    assert rig.box.sandbox is not None
    await rig.box.sandbox.faults.clear()
    await rig.has_applied(record.order_id, Kind.SEND_MESSAGE, Kind.POST_LOYALTY, Kind.TAG_ORDER)
    assert_once(await rig.applied(record.order_id))


async def test_what_nobody_can_read_goes_to_the_dead_letters_and_others_pass(rig: Rig) -> None:
    """reliability/B04: every poison message is kept with its reason; the good ones are served; a replay is possible."""
    poison = [b"{", b"[]", b'{"external_id": "P-1"}', b'{"external_id": "P-2", "lines": []}', b"\xc3\x28" * 3]
    good = [await rig.submit(native_order()) for _ in range(10)]
    for number, raw in enumerate(poison):
        text = raw.decode("utf-8", errors="replace").encode()
        await rig.desk.submit(submission(text, dedupe_id=f"poison-{number}", order_hint=f"P-{number}"))
    await rig.desk.dead_letter(TENANT, "shopee", b"\xff\xfe", "not UTF-8")
    good += [await rig.submit(native_order()) for _ in range(10)]
    for order_id in good:
        await rig.settled(order_id, at={At.FULFILLED})
    await rig.idle()
    letters = await rig.box.bus.dead_letters()
    assert [letter.reason for letter in letters if letter.topic != INTAKE] == []
    assert len(letters) == len(poison) + 1
    assert all(letter.reason for letter in letters)
    for number in range(len(poison)):
        assert await rig.progress(f"storefront-P-{number}") is At.DEAD_LETTER
    for letter in letters:
        await rig.box.bus.replay(letter.letter_id)
    await rig.idle()
    assert len(await rig.box.bus.dead_letters()) == len(letters)  # nothing was mended, so they are back
