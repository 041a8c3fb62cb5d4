"""Killed at every named point, and taken up by the next process: nothing lost, nothing done twice, nobody needed."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from domain.effect import EffectKind
from domain.order import OrderProgress
from domain.review import ReviewAction, ReviewState
from graph.runtime import crash
from graph.runtime.orders import thread_of
from tests.support.system import (
    TENANT,
    Rig,
    assert_once,
    fast_settings,
    for_review,
    line,
    native_order,
    opened,
    order_id_of,
    to_capture,
    working,
)
from tests.support.waiting import wait_until
from tests.support.worker_process import KILLED, Workers, worker_processes
from tools.sandbox.faults import Fault, FaultMode

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

SCARCE = "SB-00021"
ORDINARY = "SB-00023"
Kind = EffectKind
UNDOABLE = [Kind.HOLD_STOCK, Kind.CAPTURE_PAYMENT, Kind.BOOK_LABEL, Kind.CREATE_FULFILMENT, Kind.UPDATE_OMS]
"""What a release whose channel does not answer leaves to be taken back, in the order it was done."""
TELLER = "customer_notification"
AT_THE_DOOR = "intake.appended"
"""Met by the process that takes an order in."""
AT_THE_DESK = "review.decided"
"""Met by the process that takes an answer in."""


@dataclass
class Site:
    """A home on which workers come and go, and a system to look at it with."""

    rig: Rig
    workers: Workers
    asked: list[str] = field(default_factory=list)
    """Orders that wait for a person."""
    seen: list[str] = field(default_factory=list)
    """Every order there ever was."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    home = tmp_path_factory.mktemp("crashes")
    async with opened(fast_settings(home)) as rig, worker_processes() as workers:
        await rig.stock(SCARCE, 0)
        async with working(rig):
            asked = [(await rig.reviewed(for_review())).order_id for _ in range(2)]
        yield Site(rig=rig, workers=workers, asked=[*asked], seen=[*asked])


async def _rests(rig: Rig, order_id: str) -> OrderProgress | None:
    """Where the order rests, if it does: ended, or before an open question its thread waits for."""
    record = await rig.box.store.orders.find(TENANT, order_id)
    if record is None or record.progress in {OrderProgress.ACCEPTED, OrderProgress.RUNNING}:
        return None
    if record.progress is OrderProgress.IN_REVIEW:
        review = await rig.box.store.reviews.find(TENANT, record.review_id)
        return record.progress if review.state is ReviewState.OPEN and review.interrupt_id else None
    return record.progress


async def _all_rest(rig: Rig, order_ids: list[str]) -> list[OrderProgress]:
    async def look() -> list[OrderProgress] | None:
        found = [await _rests(rig, one) for one in order_ids]
        return [at for at in found if at] if all(found) else None

    return await wait_until(look, "every order rests", within_s=20.0, every_s=0.05)


async def _crash(site: Site, point: str, nth: int = 1) -> None:
    """Orders of every kind and two answers, and a worker that dies at the nth passing of a point; another takes over."""
    rig, (approved, rejected) = site.rig, site.asked
    payloads = [native_order(), to_capture(), native_order(lines=[line(SCARCE), line()]), for_review(), for_review()]
    ids = [order_id_of(payload) for payload in payloads]
    site.asked = ids[-2:]
    site.seen += ids
    reviews = {one: (await rig.record(one)).review_id for one in (approved, rejected)}
    crashing = await site.workers.start(
        rig.box.settings.home,
        crash_at=f"{point}:{nth}",
        submit=payloads if point == AT_THE_DOOR else [],
        decide=[reviews[approved]] if point == AT_THE_DESK else [],
    )
    if point != AT_THE_DOOR:
        for payload in payloads:
            await rig.submit(payload, dedupe_id=payload["external_id"])
    if point != AT_THE_DESK:
        await rig.decide(reviews[approved], ReviewAction.APPROVE)
    await rig.decide(reviews[rejected], ReviewAction.REJECT)
    assert await crashing.ended(within_s=8.0) == KILLED, crashing.log()
    if point == AT_THE_DOOR:
        for payload in payloads:  # told nothing, the sender repeats all of it
            await rig.submit(payload, dedupe_id=payload["external_id"])
    async with working(rig):
        rests = await _all_rest(rig, [*ids, approved, rejected])
        await rig.idle()
    at = OrderProgress
    assert rests == [
        at.FULFILLED, at.FULFILLED, at.BACKORDERED, at.IN_REVIEW, at.IN_REVIEW, at.FULFILLED, at.CANCELLED
    ]  # fmt: skip
    for order_id in (*ids, approved, rejected):
        assert_once(await rig.applied(order_id))
        if order_id not in site.asked:
            assert await rig.keys_without_ttl(order_id) == []


@pytest.mark.parametrize("point", crash.POINTS)
async def test_a_worker_killed_at_any_point_is_replaced_without_loss(site: Site, point: str) -> None:
    """F25, F61, P1, P2, reliability/W01: killed at the point, and the next process finishes everything by itself."""
    await _crash(site, point)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("point", crash.POINTS)
async def test_a_worker_killed_at_any_passing_of_any_point(site: Site, point: str) -> None:
    """reliability/W01 in full: twenty deaths at every point, at later and later passings of it."""
    rare = {"intake.appended", "review.decided", "review.resumed", "undo.applied", "review.requested", "run.started"}
    for nth in range(20):
        await _crash(site, point, 1 if point in rare else nth % 4 + 1)


async def _dies(site: Site, payload: dict[str, Any], crash_at: str) -> str:
    """Deliver an order to a worker that dies of it; gives the order's id."""
    crashing = await site.workers.start(site.rig.box.settings.home, crash_at=crash_at)
    order_id = await site.rig.submit(payload)
    assert await crashing.ended(within_s=8.0) == KILLED, crashing.log()
    site.seen.append(order_id)
    return order_id


@pytest.mark.parametrize("nth", [1, 3, 5])
async def test_a_death_inside_the_undo_is_undone_further(site: Site, nth: int) -> None:
    """P1: the channel keeps failing, the worker dies while it takes the release back, and the channel recovers meanwhile:
    the next process takes the rest back instead of shipping what is half undone."""
    rig = site.rig
    assert rig.box.sandbox is not None
    before = await rig.available(ORDINARY)
    await rig.box.sandbox.faults.set(Fault(mode=FaultMode.UNAVAILABLE, call=Kind.UPDATE_CHANNEL))
    order_id = await _dies(site, to_capture(), f"undo.applied:{nth}")
    await rig.box.sandbox.faults.clear()
    assert len(await _undone(rig, order_id)) == nth
    async with working(rig):
        asked = await rig.waiting(order_id)
        assert await _undone(rig, order_id) == [kind.undone_by for kind in reversed(UNDOABLE)]
        assert await rig.available(ORDINARY) == before
        await rig.decide(asked.review_id, ReviewAction.APPROVE)
        await rig.settled(order_id, at={OrderProgress.FULFILLED})
        await rig.idle()
    assert_once(await rig.applied(order_id))
    assert await rig.available(ORDINARY) == before - 1


@pytest.mark.parametrize(
    ("crash_at", "units"),
    [
        ("run.started", 3),
        ("decision.journaled:2", 3),
        ("effect.applied:1", 3),
        ("effect.applied:4", 3),
        ("effect.recorded:6", 3),
        ("effect.applied:7", 1),
        ("progress.written", 1),
    ],
)
async def test_a_change_that_comes_after_a_death_is_followed_unless_it_is_too_late(
    site: Site, crash_at: str, units: int
) -> None:
    """P4, reliability/T01, W01: what the dead worker had begun for the old version is taken back first; once the channel
    is being told, the order goes out as it was."""
    rig = site.rig
    before = await rig.available(ORDINARY)
    payload = to_capture()
    order_id = await _dies(site, payload, crash_at)
    newer = payload | {"updated_at": datetime.now(UTC).isoformat(), "lines": [line(quantity=3)]}
    await rig.submit(newer)
    async with working(rig):
        await rig.settled(order_id, at={OrderProgress.FULFILLED})
        await rig.idle()
    assert await rig.progress(order_id) is OrderProgress.FULFILLED
    applied = await rig.applied(order_id)
    assert_once(applied)
    assert await rig.available(ORDINARY) == before - units
    captured = [e.receipt.detail["amount"] for e in applied if e.kind is Kind.CAPTURE_PAYMENT]
    assert captured[-1] == {"amount_minor": 1210 * units, "currency": "USD"}


@pytest.mark.parametrize("crash_at", ["run.started", "effect.applied:1", "effect.applied:4", "effect.recorded:6"])
async def test_a_cancellation_that_comes_after_a_death_takes_everything_back(site: Site, crash_at: str) -> None:
    """reliability/O04, W01: whichever work comes first, the cancellation or the order's own."""
    rig = site.rig
    before = await rig.available(ORDINARY)
    order_id = await _dies(site, to_capture(), crash_at)
    await rig.cancel(order_id)
    async with working(rig):
        await rig.settled(order_id, at={OrderProgress.CANCELLED})
        await rig.idle()
    assert await rig.progress(order_id) is OrderProgress.CANCELLED
    assert_once(await rig.applied(order_id))
    kinds = await rig.kinds(order_id)
    assert (kinds[Kind.CANCEL_CHANNEL], kinds[Kind.CANCEL_OMS]) == (1, 1)
    assert all(kinds[kind] == kinds[kind.undone_by] for kind in UNDOABLE[:-1] if kind.undone_by is not None)
    assert await rig.available(ORDINARY) == before
    assert await rig.keys_without_ttl(order_id) == []


async def test_a_cancellation_too_late_for_a_parcel_that_left_after_a_death_lets_the_order_end(site: Site) -> None:
    """reliability/O04: the carrier scanned it between the death and the takeover; the order is finished, not stuck."""
    rig = site.rig
    assert rig.box.sandbox is not None
    order_id = await _dies(site, to_capture(), "effect.recorded:5")
    (label,) = [e.receipt.detail for e in await rig.applied(order_id) if e.kind is Kind.BOOK_LABEL]
    await rig.box.sandbox.carriers[str(label["carrier"])].mark_scanned(str(label["tracking"]))
    await rig.cancel(order_id)
    async with working(rig):
        await rig.settled(order_id, at={OrderProgress.FULFILLED})
        await rig.idle()
        rows = Counter(row.event_type for row in await rig.history(order_id))
    record = await rig.record(order_id)
    assert (record.progress, record.cancel) == (OrderProgress.FULFILLED, "")
    assert rows["order.cancel.refused"] >= 1
    assert await _undone(rig, order_id) == []


async def _undone(rig: Rig, order_id: str) -> list[EffectKind]:
    return [effect.kind for effect in await rig.applied(order_id) if effect.key.startswith("undo:")]


async def test_the_books_balance_after_all_those_deaths(site: Site) -> None:
    """P1, P2, P7, reliability section 6.2: stock adds up, the audit verifies, nothing is buried, no key is left behind."""
    rig = site.rig
    async with working(rig):
        await rig.idle()
        for order_id in site.seen:
            assert await rig.history(order_id)
    assert rig.box.sandbox is not None
    assert (await rig.box.sandbox.stock_totals()).balanced
    assert await rig.box.bus.dead_letters() == []
    report = await rig.box.audit.verify()
    assert report.intact, report.broken
    for order_id in site.seen:
        kinds = await rig.kinds(order_id)
        progress = await rig.progress(order_id)
        held = kinds[Kind.HOLD_STOCK] - kinds[Kind.RELEASE_HOLD]
        assert held == (progress in {OrderProgress.FULFILLED, OrderProgress.IN_REVIEW}), (order_id, progress, kinds)
        taken = await rig.box.store.journal.decisions(thread_of(TENANT, order_id))
        told = [(d.attempt_group, d.mode, [r.text for r in d.reasons]) for d in taken if d.agent == TELLER]
        assert kinds[EffectKind.SEND_MESSAGE] == (progress is not OrderProgress.IN_REVIEW), (order_id, progress, told)
