"""Agents inside the workflow: their time, their fallbacks, their confidence, and what they see of each other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from domain.decision import Mode, Outcome, Verdict
from domain.effect import EffectKind
from domain.order import OrderProgress
from domain.ports import Agent, AgentCase
from domain.review import ReviewAction
from graph.bootstrap.settings import ORDER_TOPOLOGY
from tests.support.staff import Script, Trap, dead, slow, staffed, sure
from tests.support.system import (
    SKU,
    TENANT,
    Rig,
    assert_once,
    fast_settings,
    for_review,
    native_order,
    opened,
    running,
    to_capture,
    working,
)
from tests.support.waiting import wait_until
from tools.sandbox.faults import Fault, FaultMode

At = OrderProgress
TIER_1 = ("fraud_detection", "compliance", "inventory_reservation")


def topology(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The shipped topology file with a change to its order workflow, under ``path``."""
    document = yaml.safe_load(ORDER_TOPOLOGY.read_text(encoding="utf-8"))
    change(document["agent_topology"]["order_workflow"])
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def timeouts(milliseconds: int) -> Callable[[dict[str, Any]], None]:
    """Every blocking agent gets this long."""

    def change(workflow: dict[str, Any]) -> None:
        for node in (*workflow["tier_1"], *workflow["tier_2"]):
            node["timeout_ms"], node["hard_kill_ms"] = milliseconds, milliseconds + 1000

    return change


async def decisions(rig: Rig, order_id: str) -> dict[str, dict[str, Any]]:
    """The last decision of each agent, as the order shows it."""
    view = await rig.desk.order(TENANT, order_id)
    return {d["agent"]: d for d in view["decisions"]}


async def started_at(rig: Rig, order_id: str) -> datetime:
    """When the run began, by the journal."""
    rows = await rig.history(order_id)
    return next(row.at_utc for row in rows if row.event_type == "order.progress.running")


class Clocked:
    """An agent that never answers in time, and notes when it was cut off."""

    def __init__(self, *, stubborn: bool = False) -> None:
        self.cut_after_s: list[float] = []
        self.stubborn = stubborn
        self.answered = asyncio.Event()

    async def __call__(self, real: Agent, case: AgentCase) -> Verdict:
        if case.order.note != f"slow {real.name}":
            return await real.decide(case)
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            self.cut_after_s.append(loop.time() - start)
            if not self.stubborn:
                raise
        await asyncio.sleep(0.3)
        self.answered.set()
        return await real.decide(case)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


async def test_each_tier_1_agent_is_cut_off_in_time_and_its_fallback_decides(home: Path, tmp_path: Path) -> None:
    """F8, F9, P6: cut within a tenth of its limit; the declared fallback answers, or the order waits for a person."""
    late = Clocked()
    file = topology(tmp_path / "order.yaml", timeouts(2000))
    async with running(fast_settings(home, topology_file=file), staff=staffed(dict.fromkeys(TIER_1, late))) as rig:
        ids = {name: await rig.submit(native_order(note=f"slow {name}")) for name in TIER_1}
        places = {name: (await rig.settled(one)).progress for name, one in ids.items()}
        assert places == {
            "fraud_detection": At.IN_REVIEW, "compliance": At.IN_REVIEW, "inventory_reservation": At.BACKORDERED
        }  # fmt: skip
        assert len(late.cut_after_s) == len(TIER_1)
        assert all(1.99 <= after <= 2.2 for after in late.cut_after_s), late.cut_after_s
        for name, order_id in ids.items():
            decided = (await decisions(rig, order_id))[name]
            assert decided["mode"] == Mode.FALLBACK
            took = datetime.fromisoformat(decided["decided_at"]) - await started_at(rig, order_id)
            assert took.total_seconds() <= 2.5  # P6: the limit and half a second
            others = [d for agent, d in (await decisions(rig, order_id)).items() if agent in TIER_1 and agent != name]
            assert {d["mode"] for d in others} == {Mode.NORMAL}


async def test_an_answer_that_comes_after_the_cut_counts_for_nothing(home: Path, tmp_path: Path) -> None:
    """F8: even an agent that will not be cut off and answers late changes neither the order nor its record."""
    late = Clocked(stubborn=True)
    file = topology(tmp_path / "order.yaml", timeouts(300))
    async with running(fast_settings(home, topology_file=file), staff=staffed({"compliance": late})) as rig:
        order_id = await rig.submit(native_order(note="slow compliance"))
        record = await rig.settled(order_id)
        assert record.progress is At.IN_REVIEW
        assert not late.answered.is_set()
        await late.answered.wait()
        await rig.idle()
        view = await rig.desk.order(TENANT, order_id)
        assert [d["mode"] for d in view["decisions"] if d["agent"] == "compliance"] == [Mode.FALLBACK]


async def test_an_agent_that_is_gone_has_its_fallback_too(home: Path) -> None:
    """F9: every blocking agent dead: a person is asked; none of the others is held up."""
    async with running(fast_settings(home), staff=staffed(dict.fromkeys(TIER_1, dead))) as rig:
        record = await rig.settled(await rig.submit(native_order()))
        assert record.progress is At.IN_REVIEW
        found = await decisions(rig, record.order_id)
        assert {found[name]["mode"] for name in TIER_1} == {Mode.FALLBACK}
        assert {found[name]["outcome"] for name in TIER_1} == {Outcome.REVIEW, Outcome.LIMIT}


async def test_tier_1_takes_as_long_as_its_slowest_agent(home: Path) -> None:
    """F6, F26: three agents of 0.6 s take nothing like 1.8 s, and nothing of tier 2 starts before the last of them."""
    async with running(fast_settings(home), staff=staffed(dict.fromkeys(TIER_1, slow(0.6)))) as rig:
        record = await rig.run(native_order(), at=At.FULFILLED)
        found = await decisions(rig, record.order_id)
        begun = await started_at(rig, record.order_id)
        ends = [datetime.fromisoformat(found[name]["decided_at"]) for name in TIER_1]
        assert 0.6 <= (max(ends) - begun).total_seconds() < 1.2
        rows = [row.agent for row in await rig.history(record.order_id) if row.decision]
        assert set(rows[:3]) == set(TIER_1)
        assert rows[3] == "order_routing"


@pytest.mark.parametrize(("confidence", "place"), [(0.69, At.IN_REVIEW), (0.70, At.FULFILLED), (None, At.IN_REVIEW)])
async def test_the_line_between_acting_and_asking(home: Path, confidence: float | None, place: OrderProgress) -> None:
    """F28: the whole way: 0.69 waits for a person, 0.70 does not, a missing score waits."""
    async with running(fast_settings(home), staff=staffed({"order_routing": sure(confidence)})) as rig:
        record = await rig.settled(await rig.submit(native_order()))
        assert record.progress is place, record.detail
        if place is At.IN_REVIEW:
            waiting = await rig.waiting(record.order_id)
            await rig.decide(waiting.review_id, ReviewAction.APPROVE)
            await rig.settled(record.order_id, at={At.FULFILLED})


async def test_later_agents_read_earlier_verdicts_without_their_agents(home: Path) -> None:
    """F24, F25: the order is taken up by a process whose fraud agent is dead; routing still sees what it had said."""
    async with running(fast_settings(home)) as rig:
        record = await rig.reviewed(for_review())
    seen: list[str] = []

    async def routing(real: Agent, case: AgentCase) -> Verdict:
        seen.append(case.decisions["fraud_detection"].decision)
        return await real.decide(case)

    scripts: dict[str, Script] = {"fraud_detection": dead, "order_routing": routing}
    async with running(fast_settings(home), staff=staffed(scripts)) as rig:
        await rig.decide(record.review_id, ReviewAction.APPROVE)
        await rig.settled(record.order_id, at={At.FULFILLED})
    assert seen == ["approve"]


async def test_a_hanging_tier_3_agent_holds_up_neither_orders_nor_the_others(home: Path, tmp_path: Path) -> None:
    """F6, F26: loyalty never answers; orders are released, buyers are told, and its turn comes again until it is buried."""

    def quick(workflow: dict[str, Any]) -> None:
        for node in workflow["tier_3"]:
            node["timeout_ms"] = 300

    file = topology(tmp_path / "order.yaml", quick)
    async with running(fast_settings(home, topology_file=file), staff=staffed({"loyalty": slow(60)})) as rig:
        ids = [(await rig.run(native_order(), at=At.FULFILLED)).order_id for _ in range(3)]
        for order_id in ids:
            await rig.has_applied(order_id, EffectKind.SEND_MESSAGE, EffectKind.TAG_ORDER)
        await rig.idle(within_s=15.0)
        letters = await rig.box.bus.dead_letters()
        assert len(letters) == len(ids)
        assert all("loyalty gave no answer" in letter.reason for letter in letters)
        for order_id in ids:
            kinds = await rig.kinds(order_id)
            assert (kinds[EffectKind.SEND_MESSAGE], kinds[EffectKind.POST_LOYALTY]) == (1, 0)


async def test_a_tier_3_agent_on_probation_is_recorded_and_does_nothing(home: Path, tmp_path: Path) -> None:
    """Design: suggestion mode is safe by construction, in tier 3 as well."""

    def probation(workflow: dict[str, Any]) -> None:
        for node in workflow["tier_3"]:
            node["mode"] = "suggestion"

    file = topology(tmp_path / "order.yaml", probation)
    async with running(fast_settings(home, topology_file=file)) as rig:
        record = await rig.run(native_order(), at=At.FULFILLED)
        await rig.idle()
        found = await decisions(rig, record.order_id)
        assert found["customer_notification"]["mode"] == Mode.SUGGESTION
        assert EffectKind.SEND_MESSAGE not in await rig.kinds(record.order_id)


async def test_a_cancellation_at_any_moment_of_a_run_has_one_outcome(home: Path) -> None:
    """reliability/O04: while each agent thinks and while each effect of the release is under way: everything is taken
    back, each once, and the channel and the OMS are told once."""
    trap = Trap()
    blocking = (*TIER_1, "order_routing", "tax", "shipping_method")
    under_way = [
        EffectKind.HOLD_STOCK, EffectKind.CONFIRM_HOLD, EffectKind.CAPTURE_PAYMENT, EffectKind.BOOK_LABEL,
        EffectKind.CREATE_FULFILMENT, EffectKind.UPDATE_OMS, EffectKind.UPDATE_CHANNEL,
    ]  # fmt: skip
    async with running(fast_settings(home), staff=staffed(dict.fromkeys(blocking, trap))) as rig:
        assert rig.box.sandbox is not None
        faults = rig.box.sandbox.faults
        before = await rig.available(SKU)

        async def cancelled(order_id: str) -> None:
            record = await rig.settled(order_id, at={At.CANCELLED})
            await rig.idle()
            assert await rig.progress(order_id) is At.CANCELLED, record
            assert_once(await rig.applied(order_id))
            kinds = await rig.kinds(order_id)
            assert (kinds[EffectKind.CANCEL_CHANNEL], kinds[EffectKind.CANCEL_OMS]) == (1, 1)
            assert kinds[EffectKind.CAPTURE_PAYMENT] == kinds[EffectKind.REFUND_PAYMENT]
            assert kinds[EffectKind.BOOK_LABEL] == kinds[EffectKind.VOID_LABEL]
            assert await rig.available(SKU) == before

        for agent in blocking:
            trap.set(agent)
            order_id = await rig.submit(to_capture())
            await trap.sprung.wait()
            await rig.cancel(order_id)
            trap.go_on.set()
            await cancelled(order_id)
        for kind in under_way:
            await faults.set(Fault(mode=FaultMode.DELAY, call=kind, seconds=0.3, times=1))
            order_id = await rig.submit(to_capture())

            async def reached() -> bool:
                return not await faults.active()

            await wait_until(reached, f"{kind} is under way")
            await rig.cancel(order_id)
            await cancelled(order_id)
        assert (await rig.box.sandbox.stock_totals()).balanced


async def test_a_workflow_that_is_switched_off_keeps_its_events(home: Path, tmp_path: Path) -> None:
    """F3: order events are stored and start no graph; switched on again, they are worked off."""
    off = topology(tmp_path / "off.yaml", lambda workflow: workflow.update(enabled=False))
    payloads = [native_order() for _ in range(5)]
    async with running(fast_settings(home, topology_file=off)) as rig:
        ids = [await rig.submit(payload) for payload in payloads]
        told = [one for one in [row async for row in _accepted(rig, ids)] if one]
        assert len(told) == len(ids)
        assert {await rig.progress(one) for one in ids} == {At.ACCEPTED}
        assert (await rig.box.bus.lag("intake", "controller")).undelivered == len(ids)
        assert not any([await rig.applied(one) for one in ids])
    async with running(fast_settings(home)) as rig:
        for order_id in ids:
            await rig.settled(order_id, at={At.FULFILLED})


async def _accepted(rig: Rig, ids: list[str]) -> AsyncIterator[bool]:
    for order_id in ids:
        yield [row.event_type for row in await rig.history(order_id)] == ["order.accepted"]


async def test_a_thread_finishes_under_the_topology_it_was_started_with(home: Path, tmp_path: Path) -> None:
    """P17, F61, reliability/W05: the file changed while a person thought; the order ends under the old one, a new one
    starts under the new one."""
    async with running(fast_settings(home)) as rig:
        asked = [await rig.reviewed(for_review()) for _ in range(3)]
    old = asked[0].graph_version
    new = topology(tmp_path / "new.yaml", timeouts(4000))
    async with running(fast_settings(home, topology_file=new)) as rig:
        fresh = await rig.run(native_order(), at=At.FULFILLED)
        assert fresh.graph_version != old
        for record in asked:
            await rig.decide(record.review_id, ReviewAction.APPROVE)
            done = await rig.settled(record.order_id, at={At.FULFILLED})
            assert done.graph_version == old
            routed = (await decisions(rig, record.order_id))["order_routing"]
            assert routed["versions"]["topology"] == old


async def test_a_thread_of_an_unknown_topology_is_parked_and_finished_by_one_that_carries_it(
    home: Path, tmp_path: Path
) -> None:
    """P12, P17: it waits among the dead letters with the version in the reason, shows so itself, and a replay ends it."""
    async with running(fast_settings(home)) as rig:
        record = await rig.reviewed(for_review())
    archive = home / "topologies"
    (kept,) = archive.glob("*.yaml")
    aside = kept.rename(tmp_path / kept.name)
    new = topology(tmp_path / "new.yaml", timeouts(4000))
    async with running(fast_settings(home, topology_file=new)) as rig:
        await rig.decide(record.review_id, ReviewAction.APPROVE)
        parked = await rig.settled(record.order_id, at={At.DEAD_LETTER})
        assert record.graph_version in parked.detail
        (letter,) = await rig.box.bus.dead_letters()
        assert record.graph_version in letter.reason
        await rig.box.bus.replay(letter.letter_id)
        await wait_until(rig.box.bus.dead_letters, "it is parked again")
    aside.rename(kept)
    async with opened(fast_settings(home, topology_file=new)) as rig:
        (letter,) = await rig.box.bus.dead_letters()
        await rig.box.bus.replay(letter.letter_id)
        async with working(rig):
            await rig.settled(record.order_id, at={At.FULFILLED})
            assert await rig.box.bus.dead_letters() == []
