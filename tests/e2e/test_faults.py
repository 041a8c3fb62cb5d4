"""Redis killed, frozen and slow; workers doubled, stopped and sent home; orders hot and repeated: nothing lost or doubled."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from domain.effect import EffectKind, EffectState
from domain.errors import AuditBehind, StoreUnavailable
from domain.order import OrderProgress
from domain.review import ReviewAction
from graph.runtime.intake import TOPIC as INTAKE
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.leases import Leadership
from graph.runtime.orders import thread_of
from tests.support.faultproxy import fault_proxy
from tests.support.redis_process import RedisProcess, redis_process
from tests.support.staff import Trap, staffed
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
    running,
    to_capture,
    working,
)
from tests.support.waiting import wait_until
from tests.support.worker_process import Workers, worker_processes
from tools.sandbox.faults import Fault, FaultMode

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

At = OrderProgress
Kind = EffectKind
SCARCE = "SB-00021"
BLOCKING = ("fraud_detection", "compliance", "inventory_reservation", "order_routing", "tax", "shipping_method")
MEANWHILE = (
    Kind.HOLD_STOCK,
    Kind.BOOK_LABEL,
    Kind.UPDATE_CHANNEL,
    Kind.RELEASE_HOLD,
    Kind.CANCEL_CHANNEL,
    Kind.SEND_MESSAGE,
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisProcess]:
    async with redis_process(tmp_path_factory.mktemp("redis")) as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers() -> AsyncIterator[Workers]:
    async with worker_processes() as processes:
        yield processes


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trap() -> Trap:
    return Trap()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(server: RedisProcess, trap: Trap, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """A system on the server, with a worker that stays through every outage."""
    settings = fast_settings(tmp_path_factory.mktemp("home"), redis_url=SecretStr(server.url))
    async with running(settings, staff=staffed(dict.fromkeys(BLOCKING, trap))) as system:
        await system.stock(SCARCE, 0)
        yield system
        await system.idle()
        assert system.box.sandbox is not None
        assert (await system.box.sandbox.stock_totals()).balanced
        assert await system.box.bus.dead_letters() == []
        assert (await system.box.audit.verify()).intact


async def _outage(rig: Rig, server: RedisProcess) -> None:
    """Kill Redis, let what was under way run into its absence, and bring it back."""
    assert rig.box.sandbox is not None
    await server.kill()
    seen = -1

    async def quiet() -> bool:
        """Whether what was under way at the kill has ended."""
        nonlocal seen
        before, seen = seen, len(await rig.box.sandbox.applied())  # type: ignore[union-attr]
        return before == seen

    await wait_until(quiet, "what was under way has ended", every_s=0.15)
    await server.start()


async def _four_kinds(rig: Rig) -> tuple[list[str], str]:
    """An order of every kind on its way, and one that is being rejected."""
    asked = await rig.reviewed(for_review())
    payloads = [native_order(), to_capture(), native_order(lines=[line(SCARCE), line()])]
    ids = [await rig.submit(payload) for payload in payloads]
    await rig.decide(asked.review_id, ReviewAction.REJECT)
    return ids, asked.order_id


async def _all_end(rig: Rig, ids: list[str], rejected: str) -> None:
    ends = [
        (await rig.settled(one, at={At.FULFILLED, At.BACKORDERED, At.CANCELLED}, within_s=30.0)).progress
        for one in (*ids, rejected)
    ]
    assert ends == [At.FULFILLED, At.FULFILLED, At.BACKORDERED, At.CANCELLED]
    await rig.idle()
    for order_id in (*ids, rejected):
        applied = await rig.applied(order_id)
        assert_once(applied)
        # Nothing was done outside that had not been begun in the store first, not even while it was away.
        written = {
            record.key: record.state for record in await rig.box.store.ledger.records(thread_of(TENANT, order_id))
        }
        assert written == dict.fromkeys((effect.key for effect in applied), EffectState.DONE)
        assert await rig.keys_without_ttl(order_id) == []


@pytest.mark.parametrize("agent", BLOCKING)
async def test_redis_dies_while_an_agent_thinks(rig: Rig, server: RedisProcess, trap: Trap, agent: str) -> None:
    """F61, reliability/R02: killed at every node that decides; the thread goes on there, each effect once."""
    trap.set(agent)
    ids, rejected = await _four_kinds(rig)
    await trap.sprung.wait()
    outage = asyncio.get_running_loop().create_task(_outage(rig, server))
    await wait_until(_is_down(server), "Redis is down")
    trap.go_on.set()
    await outage
    await _all_end(rig, ids, rejected)


@pytest.mark.parametrize("kind", MEANWHILE)
async def test_redis_dies_while_an_effect_is_under_way(rig: Rig, server: RedisProcess, kind: EffectKind) -> None:
    """F61, P2, reliability/R02: the answer of the other system meets nobody who could write it down; it is looked up."""
    assert rig.box.sandbox is not None
    faults = rig.box.sandbox.faults
    await faults.set(Fault(mode=FaultMode.DELAY, call=kind, seconds=0.5, times=1))
    ids, rejected = await _four_kinds(rig)

    async def reached() -> bool:
        return not await faults.active()

    await wait_until(reached, f"{kind} is under way")
    await _outage(rig, server)
    await _all_end(rig, ids, rejected)


def _is_down(server: RedisProcess) -> Any:
    async def look() -> bool:
        assert server.process is not None
        return server.process.returncode is not None

    return look


async def test_nothing_is_accepted_while_redis_is_away_and_nothing_accepted_is_lost(
    rig: Rig, server: RedisProcess
) -> None:
    """P1, reliability/R01: killed in the middle of deliveries; each is either refused or carried to its end."""
    accepted: list[str] = []
    refused: list[dict[str, Any]] = []

    async def deliver(payload: dict[str, Any]) -> None:
        try:
            accepted.append(await rig.submit(payload, dedupe_id=payload["external_id"]))
        except StoreUnavailable:
            refused.append(payload)

    async def in_pairs() -> None:
        for _ in range(60):
            await asyncio.gather(deliver(native_order()), deliver(native_order()))

    delivering = asyncio.get_running_loop().create_task(in_pairs())

    async def some() -> bool:
        return len(accepted) > 20

    await wait_until(some, "some are accepted", every_s=0.001)
    await server.kill()
    await delivering
    assert refused
    before = len(accepted)
    with pytest.raises(StoreUnavailable):
        await rig.submit(native_order())
    health = await rig.desk.health()
    assert not health.ready
    assert not health.checks["redis"].ok
    await server.start()
    for payload in refused:  # the senders repeat
        accepted.append(await rig.submit(payload, dedupe_id=payload["external_id"]))
    assert len(accepted) == 120 > before
    for order_id in accepted:
        await rig.settled(order_id, at={At.FULFILLED}, within_s=30.0)
        assert_once(await rig.applied(order_id))


async def test_redis_freezes_under_load(rig: Rig, server: RedisProcess) -> None:
    """reliability/R03, shortened: silent for longer than a lease and a claim; a delay, no loss, nothing twice."""
    ids = [await rig.submit(to_capture()) for _ in range(20)]
    server.freeze()
    thaw = asyncio.get_running_loop().call_later(1.2, server.thaw)
    ids += [await rig.submit(to_capture()) for _ in range(5)]
    assert thaw.when() <= asyncio.get_running_loop().time()
    for order_id in ids:
        await rig.settled(order_id, at={At.FULFILLED}, within_s=30.0)
        assert_once(await rig.applied(order_id))


async def test_redis_is_slow_and_drops_connections(server: RedisProcess, tmp_path: Path) -> None:
    """reliability/R04: every answer late by 30 ms or so, connections reset again and again: slower only."""
    async with fault_proxy("127.0.0.1", server.port) as proxy:
        settings = fast_settings(tmp_path, redis_url=SecretStr(server.url.replace(str(server.port), str(proxy.port))))
        async with running(settings) as rig:
            proxy.be(delay_s=0.03, jitter_s=0.02)
            ids = [await rig.submit(to_capture()) for _ in range(10)]
            asked = await rig.submit(for_review())
            for _ in range(5):
                assert proxy.reset()
                await wait_until(_reachable(rig), "it connects again")
            for order_id in ids:
                await rig.settled(order_id, at={At.FULFILLED}, within_s=40.0)
                assert_once(await rig.applied(order_id))
            await rig.waiting(asked)
            await rig.cancel(asked)
            await rig.settled(asked, at={At.CANCELLED}, within_s=20.0)


def _reachable(rig: Rig) -> Any:
    async def look() -> bool:
        try:
            return bool(await rig.box.store.batcher.execute("PING"))
        except StoreUnavailable:
            return False

    return look


# --- workers -------------------------------------------------------------------------------------------------------


async def test_five_copies_of_everything_over_three_workers(tmp_path: Path) -> None:
    """reliability/B01: shuffled duplicates, delivered at once to several workers: one order each, effects once."""
    home = tmp_path / "home"
    async with (
        opened(fast_settings(home)) as one,
        opened(fast_settings(home)) as two,
        opened(fast_settings(home)) as three,
        working(one),
        working(two),
        working(three),
    ):
        payloads = [native_order() for _ in range(30)]
        copies = [(payload, rig) for payload in payloads for rig in (one, two, three, one, two)]
        taken = await asyncio.gather(*(rig.submit(p, dedupe_id=p["external_id"]) for p, rig in copies))
        # and once more with delivery ids of their own, which only the content tells apart
        await asyncio.gather(*(rig.submit(p) for p, rig in copies))
        assert Counter(taken) == {order_id_of(p): 5 for p in payloads}
        for payload in payloads:
            await one.settled(order_id_of(payload), at={At.FULFILLED}, within_s=30.0)
        await one.idle()
        for payload in payloads:
            order_id = order_id_of(payload)
            assert_once(await one.applied(order_id))
            kinds = Counter(row.event_type for row in await one.history(order_id))
            assert (kinds["order.accepted"], kinds["order.duplicate"]) == (1, 4)
            assert (kinds["order.progress.running"], kinds["order.progress.fulfilled"]) == (1, 1)


async def test_a_worker_that_comes_back_after_its_order_was_taken_over_is_refused(
    workers: Workers, tmp_path: Path
) -> None:
    """reliability/B06, P4: stopped inside an agent for longer than its lease; its late write meets the fence."""
    home = tmp_path / "home"
    async with opened(fast_settings(home)) as rig:
        assert rig.box.sandbox is not None
        faults = rig.box.sandbox.faults
        await faults.set(Fault(system="wms", mode=FaultMode.DELAY, call="stock", seconds=1.0, times=1))
        sleeper = await workers.start(home)
        order_id = await rig.submit(to_capture())

        async def inside() -> bool:
            return not await faults.active()

        await wait_until(inside, "the worker is inside the agent")
        sleeper.signal(signal.SIGSTOP)
        async with working(rig):
            await rig.settled(order_id, at={At.FULFILLED}, within_s=20.0)
            await rig.idle()
            before = await rig.applied(order_id)
            sleeper.signal(signal.SIGCONT)

            async def refused() -> bool:
                return "held by a newer worker" in sleeper.log()

            await wait_until(refused, "the late write is refused")
            await rig.idle()
            assert await rig.applied(order_id) == before
            assert_once(before)
            assert await rig.progress(order_id) is At.FULFILLED
        assert await sleeper.stop() == 0


async def test_a_slow_worker_keeps_its_order(tmp_path: Path) -> None:
    """reliability/B06: many claim times inside an agent, alive all along: nobody takes its order, nobody buries it."""
    settings = fast_settings(tmp_path, claim_idle_ms=200)
    async with running(settings) as rig, opened(settings) as other:
        assert rig.box.sandbox is not None
        await rig.box.sandbox.faults.set(Fault(system="wms", mode=FaultMode.DELAY, call="stock", seconds=1.6, times=1))
        order_id = await rig.submit(to_capture())
        async with working(other) as idle:
            record = await rig.settled(order_id, at={At.FULFILLED})
            await rig.idle()
        assert idle.handled == 0
        assert record.attempt_group == 1
        assert await rig.box.bus.dead_letters() == []
        assert_once(await rig.applied(order_id))


async def test_orders_wait_on_their_topic_while_the_audit_is_behind(tmp_path: Path) -> None:
    """P8, design 3.7: effects stop, intake parks, no delivery is used up; all goes on when the audit has caught up."""
    settings = fast_settings(tmp_path, audit_max_lag_s=0.3)
    async with opened(settings) as rig:
        usurper = Leadership(rig.box.store.batcher, rig.box.keys, "relay", "usurper", lease_ms=60_000)
        assert await usurper.lead()  # it leads and writes nothing: the audit falls behind
        async with working(rig):
            first = await rig.submit(native_order())

            async def behind() -> bool:
                return (await rig.box.bus.lag(JOURNAL, rig.box.relay_group)).oldest_ms > 800

            await wait_until(behind, "the audit is behind")
            before = len(await rig.applied(first))
            ids = [await rig.submit(native_order()) for _ in range(5)]
            with pytest.raises(AuditBehind):
                await rig.box.effects.ready()

            async def parked() -> bool:
                return (await rig.box.bus.lag(INTAKE, "controller")).oldest_ms > settings.claim_idle_ms * 3

            await wait_until(parked, "work has waited for long")
            assert len(await rig.applied(first)) == before
            assert not any([await rig.applied(one) for one in ids])
            assert await rig.box.bus.dead_letters() == []
            await usurper.resign()
            for order_id in [first, *ids]:
                await rig.settled(order_id, at={At.FULFILLED}, within_s=20.0)
                assert_once(await rig.applied(order_id))


async def test_sigterm_under_load_finishes_what_is_in_hand(workers: Workers, tmp_path: Path) -> None:
    """P5, reliability/W02: exit code 0, nothing finished is delivered again, the rest goes on elsewhere."""
    home = tmp_path / "home"
    async with opened(fast_settings(home)) as rig:
        worker = await workers.start(home, settings={"worker_concurrency": 4})
        ids = [await rig.submit(native_order()) for _ in range(60)]

        async def under_way() -> bool:
            return any([await rig.progress(one) is At.FULFILLED for one in ids[:10]])

        await wait_until(under_way, "some are finished")
        loop = asyncio.get_running_loop()
        start = loop.time()
        assert await worker.stop() == 0
        assert loop.time() - start < 20.0
        lag = await rig.box.bus.lag(INTAKE, "controller")
        assert (lag.pending, lag.undelivered > 0) == (0, True)
        done = {one for one in ids if await rig.progress(one) is At.FULFILLED}
        assert len(done) == len(ids) - lag.undelivered
        async with working(rig):
            for order_id in ids:
                await rig.settled(order_id, at={At.FULFILLED})
                assert_once(await rig.applied(order_id))


async def test_sigterm_with_a_deaf_system_in_hand_does_not_take_for_ever(workers: Workers, tmp_path: Path) -> None:
    """reliability/W02: tier 3 waits for a system that says nothing; the worker goes all the same, its work comes back."""
    home = tmp_path / "home"
    async with opened(fast_settings(home)) as rig:
        assert rig.box.sandbox is not None
        await rig.box.sandbox.faults.set(Fault(mode=FaultMode.TIMEOUT, call=Kind.SEND_MESSAGE, seconds=60.0))
        worker = await workers.start(home)
        ids = [await rig.submit(native_order()) for _ in range(3)]
        for order_id in ids:
            await rig.settled(order_id, at={At.FULFILLED})
        await rig.has_applied(ids[0], Kind.TAG_ORDER)
        assert await worker.stop() == 0
        await rig.box.sandbox.faults.clear()
        async with working(rig):
            for order_id in ids:
                await rig.has_applied(order_id, Kind.SEND_MESSAGE)


# --- hot -----------------------------------------------------------------------------------------------------------


def _updates(payload: dict[str, Any], marks: list[int]) -> list[dict[str, Any]]:
    """Versions of one order: the mark is the number of seconds after noon, and the quantity."""
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    return [
        payload | {"updated_at": (noon + timedelta(seconds=mark)).isoformat(), "lines": [line(quantity=mark + 1)]}
        for mark in marks
    ]


@pytest.mark.parametrize("waits", [True, False])
async def test_a_hot_order_keeps_every_update_and_ends_at_the_newest(
    workers: Workers, tmp_path: Path, waits: bool
) -> None:
    """P4, reliability/T01: two processes deliver 25 versions each of one order, out of order, while both work on it."""
    home = tmp_path / "home"
    payload = for_review() if waits else native_order(lines=[line(quantity=9_999)])
    async with opened(fast_settings(home)) as rig:
        order_id = await rig.submit(_updates(payload, [0])[0])
        marks = [(7 * n) % 50 + 1 for n in range(50)]
        both = [await workers.start(home, submit=_updates(payload, half)) for half in (marks[0::2], marks[1::2])]

        async def all_noted() -> bool:
            record = await rig.record(order_id)
            lag = await rig.box.bus.lag(INTAKE, "controller")
            return (
                record.order is not None and lag.undelivered + lag.pending == 0 and record.order.lines[0].quantity == 51
            )

        await wait_until(all_noted, "every update is worked in", within_s=30.0, every_s=0.05)
        record = await rig.record(order_id)
        assert record.order is not None
        assert record.order.updated_at == datetime(2026, 6, 1, 12, 0, 50, tzinfo=UTC)
        for worker in both:
            assert await worker.stop() == 0
        async with working(rig):
            rows = await rig.history(order_id)
            first = next(row.event for row in rows if row.event_type == "order.progress.running")
            noted = [row.event for row in rows if row.event_type in {"order.updated", "order.stale"}]
            seen = {str(e.result["source_time"]) for e in noted}
            assert len(noted) == 50
            assert len(seen) == 50
            assert first.result["version"] == 1
            applied = [e.result for e in noted if e.event_type == "order.updated"]
            assert len({r["version"] for r in applied}) == len(applied) == record.version - 1
            assert await rig.box.bus.dead_letters() == []
            if waits:
                asked = await rig.waiting(order_id)
                await rig.decide(asked.review_id, ReviewAction.APPROVE)
                await rig.settled(order_id, at={At.FULFILLED})
                (label,) = [e for e in await rig.applied(order_id) if e.kind is Kind.CREATE_FULFILMENT]
                assert label.entity_id == order_id
            else:
                await rig.settled(order_id, at={At.FULFILLED, At.BACKORDERED})
            await rig.idle()
            assert_once(await rig.applied(order_id))
