"""Killed at every named point, and taken up by the next process: nothing lost, nothing done twice, nobody needed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

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

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

SCARCE = "SB-00021"
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
        held = kinds[EffectKind.HOLD_STOCK] - kinds[EffectKind.RELEASE_HOLD]
        assert held == (progress in {OrderProgress.FULFILLED, OrderProgress.IN_REVIEW}), (order_id, progress, kinds)
        taken = await rig.box.store.journal.decisions(thread_of(TENANT, order_id))
        told = [(d.attempt_group, d.mode, [r.text for r in d.reasons]) for d in taken if d.agent == TELLER]
        assert kinds[EffectKind.SEND_MESSAGE] == (progress is not OrderProgress.IN_REVIEW), (order_id, progress, told)
