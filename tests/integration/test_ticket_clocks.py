"""Tickets of help desks run the reply clocks of their channel, in whatever order their webhooks come."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest

from domain.promise_clock import ClockState, PromiseClock
from domain.ticket import Side, TicketMessage, waits
from tests.support.fake_clock import FakeClock
from tests.support.hooks import HookWorld, gorgias, hook_world, intercom
from tests.support.system import TENANT, native_order
from tools.senders import Sender

SHOPEE = "shopee_chat_reply"


def of_kind(clocks: list[PromiseClock], kind: str = SHOPEE) -> list[PromiseClock]:
    return [one for one in clocks if one.kind == kind]


async def say(world: HookWorld, event: str, who: str, at: datetime, **more: str) -> None:
    raw = intercom(event, "c-1", author=who, at=at, channel="Shopee TW", **more)
    assert (await world.post(Sender.INTERCOM, raw)).status_code == 202


async def test_an_unanswered_shopee_ticket_alerts_at_nine_hours_and_is_breached_at_twelve(tmp_path: Path) -> None:
    """F52, E8: a message through the help desk starts Shopee's clock; a bot's answer does not end it, a person's does."""
    clock = FakeClock()
    async with hook_world(tmp_path, clock=clock) as world:
        await say(world, "e1", "user", clock.now())
        await say(world, "e2", "bot", clock.now() + timedelta(seconds=5))
        await say(world, "e3", "admin", clock.now(), kind="note", topic="conversation.admin.noted")
        (owed,) = of_kind(await world.clocks())
        assert (owed.state, owed.due_at - owed.started_at) == (ClockState.RUNNING, timedelta(hours=12))
        clock.pass_by(timedelta(hours=9, seconds=1))
        await world.rig.box.clocks.tick()
        (owed,) = of_kind(await world.clocks())
        assert owed.state is ClockState.WARNED
        clock.pass_by(timedelta(hours=3))
        await world.rig.box.clocks.tick()
        assert of_kind(await world.clocks())[0].state is ClockState.BREACHED
        await say(world, "e4", "admin", clock.now())
        (owed,) = of_kind(await world.clocks())
        assert (owed.state, owed.ended_by) == (ClockState.MET_LATE, "intercom:agent")
        page = world.rig.box.store.metrics.page().decode()
        for step in ("warned", "breached", "met_late"):
            assert f'signalbox_clock_steps_total{{kind="{SHOPEE}",step="{step}"}} 1.0' in page
        assert f'signalbox_clock_answer_seconds_count{{kind="{SHOPEE}"}} 1.0' in page
        assert "c-1" not in page


async def test_the_order_webhooks_come_in_changes_nothing(tmp_path: Path) -> None:
    """F52: two messages, an answer, a message: in every third of 24 orders the first wait is met after two hours and one runs."""
    clock = FakeClock()
    began = clock.now() - timedelta(hours=5)
    told = [("user", 0), ("user", 1), ("admin", 2), ("user", 3)]
    async with hook_world(tmp_path, clock=clock) as world:
        for n, order in enumerate([*permutations(range(4))][::3]):
            for index in order:
                who, hour = told[index]
                raw = intercom(
                    f"{n}-{index}", f"c-{n}", author=who, at=began + timedelta(hours=hour), message=f"m{index}",
                    channel="shopee",
                )  # fmt: skip
                assert (await world.post(Sender.INTERCOM, raw)).json() == {"status": "accepted"}
            mine = [one for one in of_kind(await world.clocks()) if one.subject.startswith(f"intercom:c-{n}:")]
            live = {one.subject.rpartition(":")[2]: one for one in mine if one.state is not ClockState.STOPPED}
            assert {one.state for one in live.values()} == {ClockState.MET, ClockState.RUNNING}, order
            assert [name for name, one in live.items() if one.state.runs] == ["m3"], order
            assert live["m0"].ended_at == began.replace(microsecond=0) + timedelta(hours=2)


async def test_a_ticket_without_a_marketplace_has_our_own_promise_and_closing_it_stops_the_clock(
    tmp_path: Path,
) -> None:
    """F52: e-mail runs the shop's own clock, where an automatic answer counts; a closed ticket owes nothing."""
    clock = FakeClock()
    async with hook_world(tmp_path, clock=clock) as world:
        await world.post(Sender.GORGIAS, gorgias("e1", "5", from_agent=False, at=clock.now()))
        (owed,) = await world.clocks()
        assert (owed.kind, owed.state, owed.entity_type) == ("support_reply", ClockState.RUNNING, "ticket")
        clock.pass_by(timedelta(minutes=1))
        await world.post(Sender.GORGIAS, gorgias("e2", "5", from_agent=True, at=clock.now(), rule_id=3))
        (owed,) = await world.clocks()
        assert (owed.state, owed.ended_by) == (ClockState.MET, "gorgias:machine")
        clock.pass_by(timedelta(minutes=1))
        await world.post(Sender.GORGIAS, gorgias("e3", "5", from_agent=False, at=clock.now()))
        closed = b'{"id":"e4","type":"ticket-closed","ticket":{"id":5,"status":"closed"}}'
        clock.pass_by(timedelta(minutes=1))
        assert (await world.post(Sender.GORGIAS, closed)).json() == {"status": "accepted"}
        assert sorted(one.state for one in await world.clocks()) == [ClockState.MET, ClockState.STOPPED]
        note = gorgias("e5", "5", from_agent=True, at=clock.now(), public=False)
        assert (await world.post(Sender.GORGIAS, note)).status_code == 202
        assert len(await world.clocks()) == 2


async def test_a_ticket_is_seen_by_its_tenant_without_words_or_names(tmp_path: Path) -> None:
    """S04, S05: the view has times and ids only; the rival's key and other roles find nothing."""
    clock = FakeClock()
    async with hook_world(tmp_path, clock=clock) as world:
        order_id = await world.rig.submit(native_order(external_id="WEB-7"))
        raw = gorgias("e1", "9", from_agent=False, at=clock.now(), order=order_id)
        await world.post(Sender.GORGIAS, raw)
        path = "/v1/support/tickets/gorgias/9"
        async with world.client("support") as client:
            answer = await client.get(path)
        seen = answer.json()
        assert (seen["entity_type"], seen["entity_id"], seen["order_ref"]) == ("order", order_id, order_id)
        assert [one["kind"] for one in seen["clocks"]] == ["support_reply"]
        assert "where is it" not in answer.text
        async with world.client("support", tenant="bolt") as client:
            assert (await client.get(path)).status_code == 404
        async with world.client("storefront") as client:
            assert (await client.get(path)).status_code == 403
        assert (await world.rig.box.contacts.ticket_book.find(TENANT, "gorgias", "10")) is None


async def test_a_clock_of_the_sender_that_runs_ahead_gives_no_more_time(tmp_path: Path) -> None:
    """F52: a message dated tomorrow is taken as written now."""
    clock = FakeClock()
    async with hook_world(tmp_path, clock=clock) as world:
        await say(world, "e1", "user", clock.now() + timedelta(days=1))
        (owed,) = of_kind(await world.clocks())
        assert owed.started_at <= clock.now()


@pytest.mark.parametrize(("counts", "answered"), [(True, "b"), (False, "d")])
def test_a_wait_runs_from_the_first_unanswered_message_to_the_answer_that_counts(counts: bool, answered: str) -> None:
    """F52: several messages are one wait; a machine's answer ends it only where machines count."""
    at = datetime(2026, 11, 22, tzinfo=UTC)
    said = [("a", Side.CUSTOMER, False), ("b", Side.AGENT, True), ("c", Side.CUSTOMER, False), ("d", Side.AGENT, False)]
    messages = [
        TicketMessage(message_id=name, side=side, machine=machine, at=at + timedelta(hours=n))
        for n, (name, side, machine) in enumerate(said)
    ]
    found = waits([*reversed(messages), *messages], machines_count=counts)
    ends = {"b": at + timedelta(hours=1), "d": at + timedelta(hours=3)}
    assert found[0].answered_at == ends[answered]
    assert [one.message_id for one in found] == (["a", "c"] if counts else ["a"])
