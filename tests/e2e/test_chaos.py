"""Long failure runs (``make chaos``): workers killed all the time, all of them gone, Redis frozen, an hour's peak in minutes."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from domain.effect import EffectKind
from domain.errors import StoreUnavailable
from domain.order import OrderProgress
from graph.runtime.intake import TOPIC as INTAKE
from tests.support.redis_process import redis_process
from tests.support.system import (
    Rig,
    assert_once,
    fast_settings,
    for_review,
    line,
    native_order,
    opened,
    to_capture,
    working,
)
from tests.support.waiting import wait_until
from tests.support.worker_process import KILLED, WorkerProcess, worker_processes

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]

At = OrderProgress
SCARCE = "SB-00021"
SEED = 20261122


async def arrivals(rig: Rig, *, per_second: float, seconds: float) -> AsyncIterator[str]:
    """Orders of every kind at fixed times, whatever becomes of them; those the door refuses are sent again."""
    loop, kinds = asyncio.get_running_loop(), cycle([native_order, to_capture, for_review, native_order, _short])
    start = loop.time()
    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, start + number / per_second - loop.time()))
        payload = next(kinds)()
        while True:
            try:
                yield await rig.submit(payload, dedupe_id=payload["external_id"])
                break
            except StoreUnavailable:
                await asyncio.sleep(0.2)


def _short() -> dict[str, Any]:
    return native_order(lines=[line(SCARCE), line()])


async def _reconciles(rig: Rig, ids: list[str], *, within_s: float) -> None:
    """Every accepted order rests, every effect is applied once, stock adds up, nothing is among the dead letters."""
    for order_id in ids:
        record = await rig.settled(order_id, within_s=within_s)
        assert record.progress in {At.FULFILLED, At.IN_REVIEW, At.BACKORDERED}, record
        applied = await rig.applied(order_id)
        assert_once(applied)
        labels = [e for e in applied if e.kind is EffectKind.CREATE_FULFILMENT]
        assert len(labels) == (record.progress is At.FULFILLED)
    await rig.idle(within_s=within_s)
    assert await rig.box.bus.dead_letters() == []
    assert rig.box.sandbox is not None
    assert (await rig.box.sandbox.stock_totals()).balanced
    assert (await rig.box.audit.verify()).intact


async def test_a_quarter_of_the_workers_dies_every_few_seconds(tmp_path: Path) -> None:
    """F25, reliability/W03: four workers, one killed and replaced every five seconds for two minutes, five orders a second."""
    order = random.Random(SEED)  # noqa: S311
    home = tmp_path / "home"
    async with opened(fast_settings(home)) as rig, worker_processes() as workers:
        await rig.stock(SCARCE, 0)
        crew: list[WorkerProcess] = [await workers.start(home) for _ in range(4)]

        async def killing() -> None:
            while True:
                await asyncio.sleep(5.0)
                victim = order.randrange(len(crew))
                crew[victim].signal(signal.SIGKILL)
                assert await crew[victim].ended() == KILLED
                crew[victim] = await workers.start(home)

        task = asyncio.get_running_loop().create_task(killing())
        ids = [order_id async for order_id in arrivals(rig, per_second=5, seconds=120)]
        task.cancel()
        await _reconciles(rig, ids, within_s=60.0)
        for worker in crew:
            assert await worker.stop() == 0


async def test_all_workers_are_gone_for_a_minute(tmp_path: Path) -> None:
    """F20, reliability/W04: what is accepted meanwhile waits, oldest first, and is drained after the restart."""
    home = tmp_path / "home"
    async with opened(fast_settings(home)) as rig, worker_processes() as workers:
        first = await workers.start(home)
        ids = [order_id async for order_id in arrivals(rig, per_second=5, seconds=5)]
        first.signal(signal.SIGKILL)
        assert await first.ended() == KILLED
        await rig.stock(SCARCE, 0)
        ids += [order_id async for order_id in arrivals(rig, per_second=5, seconds=60)]
        lag = await rig.box.bus.lag(INTAKE, "controller")
        assert lag.undelivered + lag.pending >= 300
        assert lag.oldest_ms >= 55_000
        async with working(rig):
            await _reconciles(rig, ids, within_s=180.0)


async def test_redis_is_frozen_for_twenty_seconds_under_load(tmp_path: Path) -> None:
    """reliability/R03: five orders a second; refused while it says nothing, and drained within a minute afterwards."""
    async with redis_process(tmp_path) as server:
        settings = fast_settings(tmp_path / "home", redis_url=SecretStr(server.url))
        async with opened(settings) as rig, working(rig):
            await rig.stock(SCARCE, 0)
            asyncio.get_running_loop().call_later(5.0, server.freeze)
            asyncio.get_running_loop().call_later(25.0, server.thaw)
            ids = [order_id async for order_id in arrivals(rig, per_second=5, seconds=40)]
            await _reconciles(rig, ids, within_s=60.0)


async def test_a_peak_hour_in_ten_minutes_with_two_deaths(tmp_path: Path) -> None:
    """F20: fifteen thousand orders at 25 a second, a worker killed twice; none lost, none shipped twice, the lag drains."""
    home = tmp_path / "home"
    settings = fast_settings(home, claim_idle_ms=5_000, lease_ms=3_000)
    async with opened(settings) as rig, worker_processes() as workers:
        assert rig.box.sandbox is not None
        sku = "SB-00090"
        await rig.stock(sku, 1_000_000)
        pace = {"claim_idle_ms": 5_000, "lease_ms": 3_000}
        crew = [await workers.start(home, settings=pace) for _ in range(2)]

        async def two_deaths() -> None:
            for victim in (0, 1):
                await asyncio.sleep(180.0)
                crew[victim].signal(signal.SIGKILL)
                assert await crew[victim].ended() == KILLED
                crew[victim] = await workers.start(home, settings=pace)

        deaths = asyncio.get_running_loop().create_task(two_deaths())
        loop = asyncio.get_running_loop()
        ids: list[str] = []
        start = loop.time()
        for number in range(15_000):
            await asyncio.sleep(max(0.0, start + number / 25 - loop.time()))
            ids.append(await rig.submit(native_order(lines=[line(sku)])))
        await deaths

        async def drained() -> bool:
            lag = await rig.box.bus.lag(INTAKE, "controller")
            return not lag.undelivered + lag.pending

        await wait_until(drained, "the lag is drained", within_s=300.0, every_s=1.0)
        await _reconciles(rig, ids, within_s=60.0)
