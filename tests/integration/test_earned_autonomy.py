"""Earned autonomy over the whole order workflow: suggest, be answered, be promoted, act, and lose it again."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from api.serving import application
from domain.autonomy import Band, Level, note_of, roll
from domain.decision import Mode
from domain.effect import EffectKind
from domain.errors import Conflict
from domain.event import Event
from domain.ids import EventId, stable_id
from domain.order import OrderProgress
from domain.review import ReviewAction, ReviewState
from graph.order.replaying import Replays
from graph.runtime.autonomy_book import AutonomyBook
from graph.runtime.metrics import Metrics
from graph.runtime.orders import thread_of
from tests.support.api_desk import key_of, two_tenants
from tests.support.autonomy import AGENT, BIG, answered, approving, earning_settings, segment, stands, suggestion_order
from tests.support.staff import Trap, staffed, sure
from tests.support.system import TENANT, Rig, assert_once, native_order, opened, order_id_of, running, working
from tests.support.waiting import wait_until
from tools.sandbox.faults import Fault, FaultMode

CONFIDENT = staffed({AGENT: approving(0.97)})


def acting_order(share: int, **changes: object) -> dict[str, object]:
    """An order whose place on the ramp lies below ``share`` and that is not in the permanent sample."""
    while True:
        payload = native_order(**changes)
        ids = (TENANT, AGENT, order_id_of(payload))
        if roll("ramp", *ids) < share and roll("sample", *ids) >= 500:
            return payload


def kept_order(share: int) -> dict[str, object]:
    """An order whose place on the ramp lies above ``share``."""
    while True:
        payload = native_order()
        if roll("ramp", TENANT, AGENT, order_id_of(payload)) >= share:
            return payload


async def turned_out(rig: Rig, order_id: str, *, kind: str = "chargeback", wrong: bool = True) -> None:
    """Publish what came of a decision of the fraud agent."""
    now, thread = rig.box.clock.now(), thread_of(TENANT, order_id)
    event = Event(
        event_id=EventId(stable_id(thread, kind, now.isoformat())), event_type="order.outcome.recorded",
        entity_type="order", entity_id=order_id, agent_name="person:mei", timestamp=now,
        result={"agent": AGENT, "kind": kind, "wrong": wrong}, tenant=TENANT, sequence=0, correlation_id=order_id,
        currency="USD", locale="",
    )  # fmt: skip
    await rig.box.store.journal.publish(thread, [event], at=now)


async def level(rig: Rig, at: Level, **of: object) -> None:
    async def look() -> bool:
        earned = await rig.box.autonomy.book.fresh(TENANT, AGENT)
        standing = earned.standing(segment(**of))
        return (standing.level if standing else Level.SUGGESTION) is at

    await wait_until(look, f"the segment is at {at}")


async def test_an_agent_without_a_record_only_suggests_and_every_answer_counts_once(tmp_path: Path) -> None:
    """F30, F54: a person confirms; the answer is in the ledger once, however often its event is delivered."""
    async with running(earning_settings(tmp_path), staff=CONFIDENT) as rig:
        record = await rig.reviewed(native_order())
        decision = (await rig.box.store.journal.latest(record.thread))[AGENT]
        note = note_of(decision)
        assert decision.mode is Mode.SUGGESTION
        assert note is not None
        assert (note.acts, note.level, note.market, note.band) == (False, Level.SUGGESTION, "HK", Band.LOW)
        await rig.decide(record.review_id, ReviewAction.APPROVE)
        await rig.settled(record.order_id, at=[OrderProgress.FULFILLED])
        other = await rig.reviewed(native_order())
        await rig.decide(other.review_id, ReviewAction.REJECT)
        await rig.settled(other.order_id, at=[OrderProgress.CANCELLED])
        await rig.idle()
        listener = rig.box.autonomy.listener
        for row in await rig.history(record.order_id):
            if row.event_type == "order.review.decided":
                await listener._answered(Event.from_json(row.payload))  # delivered again
        cases = await rig.box.autonomy.ledger.cases(segment(), record.order.placed_at)  # type: ignore[union-attr]
        assert [case.agreed for case in cases] == [True, False]
        assert cases[0].confidence == 0.97


async def test_what_an_agent_may_do_is_no_part_of_what_it_said(tmp_path: Path) -> None:
    """P28: a decision that was only a suggestion is made again from its tape just the same."""
    async with opened(earning_settings(tmp_path)) as rig:
        async with working(rig):
            record = await rig.reviewed(native_order())
            await rig.history(record.order_id)
        await rig.box.governance.keeper.drain()
        found = await Replays(rig.box.governance.tapes).order(TENANT, record.order_id)
        assert AGENT in {one.agent for one in found}
        assert not [(one.agent, one.failure, one.differences) for one in found if not one.same]


async def test_the_five_hundredth_good_answer_promotes_and_the_ramp_is_followed(tmp_path: Path) -> None:
    """F30, domain/A1: at 499 it still only suggests; the 500th answer puts it on the first step, where one order in ten acts."""
    async with running(earning_settings(tmp_path), staff=CONFIDENT) as rig:
        await rig.box.autonomy.ledger.record(answered(499, wrong=14))
        assert await rig.box.autonomy.judge.consider(segment()) is None
        record = await rig.reviewed(acting_order(1000))
        await rig.decide(record.review_id, ReviewAction.APPROVE)
        await level(rig, Level.TENTH)
        acting = await rig.run(acting_order(1000), at=OrderProgress.FULFILLED)
        note = note_of((await rig.box.store.journal.latest(acting.thread))[AGENT])
        assert note is not None and note.acts  # noqa: PT018
        await rig.run(kept_order(1000), at=OrderProgress.IN_REVIEW)
        await rig.history(acting.order_id)
        events = [row.event_type for row in await rig.box.audit.entity(TENANT, "agent", AGENT)]
        assert events == ["agent.autonomy.promoted"]
        page = rig.box.store.metrics.page().decode()
        assert f'ops_autonomy_level{{action="approve",agent="{AGENT}",band="under_50",market="HK"' in page


async def test_fifteen_disagreements_keep_it_where_it_is_also_by_hand(tmp_path: Path) -> None:
    """domain/A1: with 15 of 500 it stays, and nobody can promote it against the record; demoting is always possible."""
    async with running(earning_settings(tmp_path), staff=CONFIDENT) as rig:
        area = rig.box.autonomy
        await area.ledger.record(answered(500, wrong=15))
        change = await area.judge.consider(segment())
        assert change is not None
        assert change.kind == "looked"
        with pytest.raises(Conflict, match="15 disagreements in 500 answers; 14 are allowed"):
            await area.judge.promote(segment(), "I like it", by="person:mei")
        demoted = await area.judge.demote(segment(), "a new start", by="person:mei")
        assert demoted is not None
        assert (demoted.standing.looks, demoted.standing.by) == (0, "person:mei")
        assert (await area.judge.record(segment())).cases == []


async def test_a_bad_market_stays_while_a_good_one_is_promoted(tmp_path: Path) -> None:
    """domain/A4: Viet Nam at 80 % behind an average of 97 %."""
    async with running(earning_settings(tmp_path), staff=CONFIDENT) as rig:
        area, bad = rig.box.autonomy, segment(market="VN")
        await area.ledger.record([*answered(2000, wrong=20), *answered(500, wrong=100, of=bad)])
        await area.watch.look()
        earned = await area.book.fresh(TENANT, AGENT)
        found = {one.segment.market: one.level for one in earned.standings.values()}
        assert found == {"HK": Level.TENTH, "VN": Level.SUGGESTION}


async def test_a_severe_error_ends_it_within_a_second_and_stops_what_is_under_way(tmp_path: Path) -> None:
    """domain/A5, F30: a chargeback of 610 dollars demotes; an order decided on that autonomy waits for a person instead."""
    trap = Trap()
    staff = staffed({AGENT: approving(0.97), "order_routing": trap, "compliance": sure(0.99)})
    async with running(earning_settings(tmp_path), staff=staff) as rig:
        dear = segment(band=Band.HIGH)
        await stands(rig, Level.FULL, of=dear)
        first = await rig.run(acting_order(10_000, **BIG), at=OrderProgress.FULFILLED)
        trap.set("order_routing")
        under_way = await rig.submit(acting_order(10_000, **BIG))
        await asyncio.wait_for(trap.sprung.wait(), 10)
        other_process = AutonomyBook(rig.box.store.batcher, rig.box.keys, Metrics())
        assert (await other_process.earned(TENANT, AGENT)).standings[dear.field].level is Level.FULL
        started = asyncio.get_running_loop().time()
        await turned_out(rig, first.order_id)

        async def noticed() -> bool:
            earned = await other_process.earned(TENANT, AGENT)
            return earned.standings[dear.field].level is Level.SUGGESTION

        await wait_until(noticed, "another process knows")
        assert asyncio.get_running_loop().time() - started < 1.0
        trap.go_on.set()
        waiting = await rig.waiting(under_way)
        review = await rig.box.store.reviews.find(TENANT, waiting.review_id)
        assert any("lost since: severe: chargeback" in reason for reason in review.reasons)
        await rig.decide(waiting.review_id, ReviewAction.APPROVE)
        await rig.settled(under_way, at=[OrderProgress.FULFILLED])
        again = await rig.submit(acting_order(10_000, **BIG))
        await rig.settled(again, at=[OrderProgress.IN_REVIEW])


async def test_a_chargeback_reported_over_http_demotes_within_a_second(tmp_path: Path) -> None:
    """domain/A5, S04: role ops; another role and another tenant change nothing."""
    async with running(earning_settings(tmp_path), staff=CONFIDENT) as rig:
        dear = segment(band=Band.HIGH)
        await stands(rig, Level.FULL, of=dear)
        order = (await rig.run(acting_order(10_000, **BIG), at=OrderProgress.FULFILLED)).order_id
        said = {"order_id": order, "agent": AGENT, "kind": "chargeback", "reason": "the bank took it back"}
        transport = httpx2.ASGITransport(app=application(rig.box, two_tenants(first=TENANT)))
        async with httpx2.AsyncClient(transport=transport, base_url="http://signalbox.example") as client:

            async def told(tenant: str, role: str, **changes: str) -> int:
                key = {"Authorization": f"Bearer {key_of(tenant, role)}"}
                return (await client.post("/v1/outcomes", json=said | changes, headers=key)).status_code

            assert await told(TENANT, "support") == 403
            assert await told("bolt", "ops") == 404
            assert await told(TENANT, "ops", kind="gossip") in {400, 422}
            await level(rig, Level.FULL, band=Band.HIGH)
            started = asyncio.get_running_loop().time()
            assert await told(TENANT, "ops") == 202
            await level(rig, Level.SUGGESTION, band=Band.HIGH)
            assert asyncio.get_running_loop().time() - started < 1.0


async def test_what_turns_out_well_or_cheap_demotes_nobody(tmp_path: Path) -> None:
    """A chargeback of 12 dollars corrects labels and is no severe error; neither is a confirmed good order."""
    async with running(earning_settings(tmp_path), staff=CONFIDENT) as rig:
        await stands(rig, Level.FULL)
        cheap = await rig.run(acting_order(10_000), at=OrderProgress.FULFILLED)
        await turned_out(rig, cheap.order_id)
        await turned_out(rig, cheap.order_id, kind="confirmed", wrong=False)
        await rig.idle()
        await level(rig, Level.FULL)


async def test_an_outcome_corrects_what_the_reviewer_said(tmp_path: Path) -> None:
    """F54: the reviewer agreed with the approval; the chargeback says that both were wrong."""
    async with running(earning_settings(tmp_path), staff=CONFIDENT) as rig:
        area = rig.box.autonomy
        await area.ledger.record(answered(3))
        await turned_out(rig, "seed-HK-1")
        await rig.idle()
        record = await area.judge.record(segment())
        assert [case.agreed for case in record.cases] == [True, False, True]
        assert not record.cases[1].severe


async def test_a_blind_review_shows_no_recommendation(tmp_path: Path) -> None:
    """One in ten questions that are mere suggestions hides what the machine thinks, in every view, until it is answered."""
    async with running(earning_settings(tmp_path), staff=CONFIDENT) as rig:
        record = await rig.reviewed(suggestion_order(rig, blind=True))
        shown = next(
            r for r in await rig.desk.reviews(TENANT, state=ReviewState.OPEN) if r["review_id"] == record.review_id
        )
        assert shown["blind"]
        assert not shown["recommendation"] and not shown["reasons"] and shown["confidence"] is None  # noqa: PT018
        assert not {"decisions", "suggestions", "grounds"} & shown["facts"].keys()
        assert "propose" not in record.detail
        decided = await rig.decide(record.review_id, ReviewAction.APPROVE)
        assert decided["reasons"]
        await rig.settled(record.order_id, at=[OrderProgress.FULFILLED])
        await rig.idle()
        cases = (await rig.box.autonomy.judge.record(segment())).cases
        assert [case.blind for case in cases] == [True]


async def test_autonomy_lost_in_the_middle_of_a_release_stops_it_before_goods_move(tmp_path: Path) -> None:
    """domain/A5: the demotion comes while the money is being taken; no label is booked until a person says so, and nothing twice."""
    async with running(earning_settings(tmp_path), staff=CONFIDENT) as rig:
        assert rig.box.sandbox is not None
        await stands(rig, Level.FULL)
        await rig.box.sandbox.faults.set(
            Fault(system="payment", call="capture_payment", mode=FaultMode.DELAY, seconds=1.5, times=1)
        )
        payment = {"method": "card", "state": "authorised"}
        order_id = await rig.submit(acting_order(10_000, payment=payment))
        await rig.has_applied(order_id, EffectKind.CONFIRM_HOLD)
        await rig.box.autonomy.judge.demote(segment(), "a bad feeling", by="person:mei")
        waiting = await rig.waiting(order_id)
        kinds = await rig.kinds(order_id)
        assert kinds[EffectKind.CAPTURE_PAYMENT] == 1
        assert not kinds[EffectKind.BOOK_LABEL] and not kinds[EffectKind.CREATE_FULFILMENT]  # noqa: PT018
        await rig.decide(waiting.review_id, ReviewAction.APPROVE)
        await rig.settled(order_id, at=[OrderProgress.FULFILLED])
        assert_once(await rig.applied(order_id))
        refused = await rig.submit(acting_order(10_000, payment=payment))
        await rig.settled(refused, at=[OrderProgress.IN_REVIEW])
