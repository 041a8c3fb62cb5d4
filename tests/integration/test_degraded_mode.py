"""Peak mode on a running system: decisions marked and judged again, a dead agent at peak, the switch in people's hands."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.decision import Decision, Mode, Outcome, Reason, Verdict
from domain.degraded import Asked, Override, PeakState, Sample
from domain.effect import EffectKind
from domain.errors import ConnectorUnavailable
from domain.order import OrderProgress
from domain.ports import Agent, AgentCase
from graph.bootstrap.system import Staff
from graph.runtime.degraded import EVERYBODY, DegradedSwitch
from graph.runtime.leases import Leadership
from tests.support.command_line import CommandLine
from tests.support.staff import staffed
from tests.support.system import TENANT, Rig, fast_settings, native_order, opened, running, working
from tests.support.waiting import wait_until

At = OrderProgress
EVERY_AGENT = {
    "fraud_detection", "compliance", "inventory_reservation", "order_routing", "tax", "shipping_method",
    "customer_notification", "loyalty", "analytics_tagging",
}  # fmt: skip
AT_ONCE = frozenset(EVERY_AGENT - {"customer_notification"})
"""Peak mode holds the notices of an order back for each other."""


def simple(case: AgentCase) -> bool:
    return case.hints.get("mode") == "degraded"


def rejection(word: str = "reject") -> Verdict:
    reason = Reason(code="KNOWN_BAD", text="the full policy sees more")
    return Verdict(decision=word, outcome=Outcome.REJECT, confidence=0.95, reasons=(reason,))


async def sees_more(real: Agent, case: AgentCase) -> Verdict:
    """Lets everything through in peak mode and nothing otherwise."""
    return await real.decide(case) if simple(case) else rejection()


async def dead_but_for_simple_rules(real: Agent, case: AgentCase) -> Verdict:
    """What its full policy reads is away."""
    if simple(case):
        return await real.decide(case)
    raise ConnectorUnavailable("the customer records do not answer")


@asynccontextmanager
async def led_by_the_test(home: Path, staff: Staff | None = None) -> AsyncIterator[Rig]:
    """A system with one worker that reports; samples and second looks happen when the test says so."""
    async with opened(fast_settings(home), staff=staff) as rig:
        leader = Leadership(rig.box.store.batcher, rig.box.keys, "degraded", "the test", lease_ms=600_000)
        assert await leader.lead()
        async with working(rig):
            yield rig


async def switch(rig: Rig, mode: Override, *, tenant: str = "") -> None:
    """Set the mode and let this process read it."""
    await rig.box.switch.override(mode, tenant=tenant, by="mei", reason="singles' day")


async def decisions(
    rig: Rig, order_id: str, agents: frozenset[str] = frozenset(EVERY_AGENT)
) -> dict[str, tuple[Mode, bool]]:
    """Mode and flag of each agent's decision."""
    record = await rig.record(order_id)

    async def all_decided() -> list[Decision] | None:
        taken = await rig.box.store.journal.decisions(record.thread)
        return taken if {d.agent for d in taken} == agents else None

    taken = await wait_until(all_decided, "tier 3 has decided as well")
    return {d.agent: (d.mode, "degraded" in d.flags) for d in taken}


def gauge(rig: Rig) -> float | None:
    return rig.box.store.metrics.registry.get_sample_value("signalbox_degraded")


async def test_decisions_are_marked_and_judged_again(tmp_path: Path) -> None:
    """F55: switched on, each decision is marked degraded; switched off, the order is judged again by the full rules."""
    async with running(fast_settings(tmp_path)) as rig:
        ordinary = await rig.run(native_order(), at=At.FULFILLED)
        assert set((await decisions(rig, ordinary.order_id)).values()) == {(Mode.NORMAL, False)}
        await switch(rig, Override.ON)
        assert gauge(rig) == 1
        orders = [(await rig.run(native_order(), at=At.FULFILLED)).order_id for _ in range(3)]
        for order_id in orders:
            assert await decisions(rig, order_id, AT_ONCE) == dict.fromkeys(AT_ONCE, (Mode.DEGRADED, True))
        waiting = await rig.box.rescoring.orders.waiting(limit=10)
        assert [(tenant, order_id) for tenant, order_id, _ in waiting] == [(TENANT, one) for one in orders]
        await switch(rig, Override.OFF)
        assert gauge(rig) == 0
        for order_id in orders:
            assert await decisions(rig, order_id) == dict.fromkeys(EVERY_AGENT, (Mode.DEGRADED, True))

        async def looked_at() -> bool:
            return await rig.box.rescoring.orders.count() == 0

        await wait_until(looked_at, "every order was judged again")
        found = {str(one["order_id"]): one for one in await rig.box.rescoring.orders.found(limit=10)}
        assert found.keys() == set(orders)
        assert not any(one["alarm"] for one in found.values())
        for order_id in orders:
            rows = [row for row in await rig.history(order_id) if row.event_type.startswith("order.resc")]
            assert [row.event_type for row in rows] == ["order.rescored"]
            (told,) = (row.event.result for row in rows)
            assert (told["old"]["decision"], told["new"]["decision"], told["worse"]) == ("approve", "approve", False)
        kinds = [row.event_type for row in await rig.box.audit.entity(EVERYBODY, "system", "degraded")]
        assert kinds == ["system.degraded.on", "system.degraded.off"]
        after = await rig.run(native_order(), at=At.FULFILLED)
        assert set((await decisions(rig, after.order_id)).values()) == {(Mode.NORMAL, False)}


async def test_a_worse_second_look_calls_a_person_while_the_parcel_is_here(tmp_path: Path) -> None:
    """F55: what the full policy would have stopped is told once, changes nothing by itself, and is listed."""
    async with led_by_the_test(tmp_path, staffed({"fraud_detection": sees_more})) as rig:
        await switch(rig, Override.ON)
        here, gone = [await rig.run(native_order(), at=At.FULFILLED) for _ in range(2)]
        assert rig.box.sandbox is not None
        (label,) = [e for e in await rig.applied(gone.order_id) if e.kind is EffectKind.BOOK_LABEL]
        carrier = rig.box.sandbox.carriers[str(label.receipt.detail["carrier"])]
        await carrier.mark_scanned(str(label.receipt.detail["tracking"]))
        cancelled = await rig.run(native_order(), at=At.FULFILLED)
        await rig.cancel(cancelled.order_id)
        await rig.settled(cancelled.order_id, at={At.CANCELLED})
        assert await rig.box.rescoring.look_again(limit=10) == 0, "peak mode lasts"
        assert await rig.box.rescoring.look_again(limit=10) == 0
        await switch(rig, Override.OFF)
        assert await rig.box.rescoring.look_again(limit=10) == 3
        assert await rig.box.rescoring.look_again(limit=10) == 0
        found = {str(one["order_id"]): one for one in await rig.box.rescoring.orders.found(limit=10)}
        assert {name: (one["worse"], one["alarm"]) for name, one in found.items()} == {
            here.order_id: (True, True), gone.order_id: (True, False), cancelled.order_id: (True, False)
        }  # fmt: skip
        (alarm,) = [r for r in await rig.history(here.order_id) if r.event_type == "order.rescore.alarm"]
        assert "look at it" in alarm.event.result["note"]
        assert alarm.event.result["new"]["reasons"] == ["KNOWN_BAD: the full policy sees more"]
        assert (await rig.record(here.order_id)).progress is At.FULFILLED


async def test_an_agent_that_cannot_look_again_holds_no_other_order_up(tmp_path: Path) -> None:
    """F55: the second look that fails is repeated later; the orders behind it have theirs."""
    stubborn: set[str] = set()

    async def script(real: Agent, case: AgentCase) -> Verdict:
        if case.order.order_id in stubborn and not simple(case):
            raise RuntimeError("a fault in the agent")
        return await real.decide(case)

    async with led_by_the_test(tmp_path, staffed({"fraud_detection": script})) as rig:
        await switch(rig, Override.ON)
        first, second = [(await rig.run(native_order(), at=At.FULFILLED)).order_id for _ in range(2)]
        await switch(rig, Override.AUTO)
        stubborn.add(first)
        assert [await rig.box.rescoring.look_again(limit=1) for _ in range(3)] == [0, 1, 0]
        stubborn.clear()
        assert await rig.box.rescoring.look_again(limit=1) == 1
        found = [one["order_id"] for one in await rig.box.rescoring.orders.found(limit=10)]
        assert sorted(map(str, found)) == sorted([first, second])


async def test_a_dead_fraud_agent_at_peak(tmp_path: Path) -> None:
    """reliability/T06: on within 60 s, simple rules tagged, off after 10 healthy minutes, affected orders listed."""
    async with led_by_the_test(tmp_path, staffed({"fraud_detection": dead_but_for_simple_rules})) as rig:
        for _ in range(12):
            await rig.run(native_order(), at=At.IN_REVIEW)
        seen = await reported(rig, "fraud_detection")
        assert (seen.asked, seen.silent) == (12, 12)
        start = rig.box.clock.now() + timedelta(hours=1)
        trouble = await lived(rig, start, {"fraud_detection": seen}, for_s=60)
        assert trouble.on
        assert "fraud_detection" in trouble.reason
        await rig.box.switch.standing()
        saved = await rig.run(native_order(), at=At.FULFILLED)
        assert (await decisions(rig, saved.order_id, AT_ONCE))["fraud_detection"] == (Mode.DEGRADED, True)
        healthy = {"fraud_detection": Asked(asked=50)}
        assert (await lived(rig, start + timedelta(seconds=65), healthy, for_s=590)).on
        assert not (await lived(rig, start + timedelta(seconds=660), healthy, for_s=40)).on
        assert [order_id for _, order_id, _ in await rig.box.rescoring.orders.waiting(limit=10)] == [saved.order_id]

        async def told() -> bool:
            rows = await rig.box.audit.entity(EVERYBODY, "system", "degraded")
            return [(row.event_type, row.event.agent_name) for row in rows] == [
                ("system.degraded.on", "signalbox"), ("system.degraded.off", "signalbox")
            ]  # fmt: skip

        await wait_until(told, "both switches are in the audit")


async def reported(rig: Rig, agent: str) -> Asked:
    """What the worker has reported of an agent by now, and what it has yet to report."""
    await rig.box.switch.beat()
    return (await rig.box.switch.taken())[agent]


async def lived(rig: Rig, start: datetime, agents: dict[str, Asked], *, for_s: int) -> PeakState:
    """Samples every five seconds on a simulated clock; the state after the last."""
    state = PeakState()
    for second in range(0, for_s + 1, 5):
        state = await rig.box.switch.judge(Sample(at=start + timedelta(seconds=second), agents=agents))
    return state


async def test_one_tenant_alone(tmp_path: Path) -> None:
    """F55: an override of one tenant goes before the one for everybody, and its audit keeps it."""
    async with opened(fast_settings(tmp_path)) as rig:
        await switch(rig, Override.ON, tenant="acme")
        assert await rig.box.switch.hints("acme") == {"mode": "degraded", "reviews_per_h": 60}
        assert await rig.box.switch.hints(TENANT) == {}
        await switch(rig, Override.ON)
        await switch(rig, Override.OFF, tenant="acme")
        assert await rig.box.switch.hints("acme") == {}
        assert (await rig.box.switch.hints(TENANT))["mode"] == "degraded"
        standing = await rig.box.switch.standing()
        assert standing.why("acme") == "set by mei: singles' day"


async def test_the_budget_is_shared_among_the_workers(tmp_path: Path) -> None:
    """F55: two workers each have half of what the reviewers get through."""
    async with running(fast_settings(tmp_path)) as rig, working(rig):
        other = DegradedSwitch(rig.box.store, owner="another process")
        await other.beat()
        await rig.box.switch.beat()
        await switch(rig, Override.ON)
        assert (await rig.box.switch.hints(TENANT))["reviews_per_h"] == 30


async def test_another_process_follows_within_moments(tmp_path: Path) -> None:
    """F55: every worker reads the mode again within about a second, and keeps what it knows in between."""
    async with opened(fast_settings(tmp_path)) as rig:
        other = DegradedSwitch(rig.box.store, owner="another process")
        assert await other.hints(TENANT) == {}
        await switch(rig, Override.ON)

        async def follows() -> bool:
            return "mode" in await other.hints(TENANT)

        await wait_until(follows, "the other process knows", within_s=3.0)


async def test_a_worker_samples_by_itself(tmp_path: Path) -> None:
    """F55: what agents took is reported, and one process feeds it to the signs; quiet days stay normal."""
    async with running(fast_settings(tmp_path)) as rig:
        await rig.run(native_order(), at=At.FULFILLED)
        memory = rig.box.keys.flag("degraded:memory")

        async def sampled() -> PeakState | None:
            kept = await rig.box.redis.get(memory)
            state = PeakState.from_json(kept) if kept else PeakState()
            return state if any("fraud_detection" in one.agents for one in state.recent) else None

        state = await wait_until(sampled, "the fraud agent's answer is in a sample", within_s=12.0)
        (asked,) = [s.agents["fraud_detection"] for s in state.recent if "fraud_detection" in s.agents]
        assert (asked.asked, asked.silent) == (1, 0)
        assert (await rig.box.switch.standing()).workers == 1
        assert not state.on


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """F55: shown, switched and handed back from the command line, in words and as JSON."""
    signalbox = CommandLine(tmp_path / "home", monkeypatch, capsys)
    before = signalbox.good("degraded", "show")
    assert (before["degraded"], before["override"], before["waiting"]) == (False, "auto", 0)
    switched: dict[str, Any] = signalbox.good("degraded", "on", "--as", "mei", "--reason", "11.11")
    assert (switched["degraded"], switched["override"], switched["by"]) == (True, "on", "mei")
    assert switched["reason"] == "set by mei: 11.11"
    words = signalbox("degraded", "show")
    assert words.out.startswith("peak mode is ON (mei)")
    assert not signalbox.good("degraded", "off")["degraded"]
    assert signalbox.good("degraded", "auto")["override"] == "auto"
    assert signalbox.good("degraded", "list") == {"waiting": [], "waiting_total": 0, "rescored": []}
    assert "nobody" in signalbox.refused("degraded", "on", "--tenant", "nobody")
