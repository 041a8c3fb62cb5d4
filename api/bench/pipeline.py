"""The whole order pipeline: throughput of one worker process, and how fast an order is accepted under steady load.

Everything is on: embedded server with its append-only file, checkpoints at every step, journal, ledger, audit, tier 3,
stand-in back ends in process. Arrivals are open-loop: latency counts from the intended time of a request.
"""

import asyncio
import importlib.metadata
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import orjson
import uvloop

from api.desk import Desk
from api.services import Submission
from api.tenant_file import open_tenants, operator_keys
from api.tenants import Role
from api.worker import Worker
from domain.catalogue import DangerousGoods
from domain.ids import TenantId
from domain.order import OrderProgress
from graph.bootstrap.settings import Settings, read_settings
from graph.bootstrap.system import Signalbox, open_signalbox
from tools.channels import DeliveryKind
from tools.sandbox import World, build_world

TENANT = TenantId("default")
MARKETS = ("HK", "SG", "TW", "MY", "AU")
_START_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """What one worker process did."""

    orders: int
    wall_s: float
    cpu_s: float
    fulfilled: int

    def lines(self) -> list[str]:
        """As printed."""
        return [
            f"{self.orders} orders in {self.wall_s:.1f} s: {self.orders / self.wall_s:.1f} orders/s in one worker process",
            f"CPU of the process {self.cpu_s / self.orders * 1000:.1f} ms per order; {self.fulfilled} fulfilled",
        ]


def documents(world: World, count: int, seed: int) -> Iterator[dict[str, object]]:
    """Native orders of one to three plentiful products for markets the world ships to."""
    rng = random.Random(seed)  # noqa: S311  # a seeded benchmark, not a secret
    stocked: dict[str, int] = {}
    for row in world.opening:
        stocked[row.sku] = stocked.get(row.sku, 0) + row.on_hand
    plain = [
        product.sku
        for product in world.products.values()
        if stocked.get(product.sku, 0) > 300
        and product.dangerous is DangerousGoods.NONE
        and not product.restricted_in
        and not product.high_resale
    ]
    for number in range(count):
        skus = rng.sample(plain, rng.choice((1, 1, 2, 3)))
        price = {"amount_minor": 2000, "currency": "USD"}
        yield {
            "external_id": f"bench-{seed}-{number}",
            "placed_at": datetime.now(UTC).isoformat(),
            "currency": "USD",
            "lines": [{"sku": sku, "quantity": 1, "unit_price": price} for sku in skus],
            "ship_to": {"name": "A", "line1": f"{number} Road", "city": "X", "country": rng.choice(MARKETS)},
            "payment": {"method": "card", "state": "authorised"},
            "customer": {"customer_id": f"c{number}", "email": f"c{number}@example.com"},
        }


async def throughput(home: Path, *, orders: int, seed: int) -> Throughput:
    """Queue ``orders`` first, then let one worker in this process work them off, tier 3 and audit included."""
    async with open_signalbox(read_settings(home=home)) as box:
        desk, worker, stop = Desk(box), Worker(box), asyncio.Event()
        await worker.subscribe()
        for document in documents(build_world(box.settings.sandbox_seed), orders, seed):
            await desk.submit(_submission(document))
        started, spent = time.perf_counter(), time.process_time()
        working = asyncio.create_task(worker.run(stop))
        await _worked_off(box, worker, orders)
        wall_s, cpu_s = time.perf_counter() - started, time.process_time() - spent
        stop.set()
        await working
        records = await box.store.orders.recent(TENANT, limit=orders)
        fulfilled = sum(record.progress is OrderProgress.FULFILLED for record in records)
        return Throughput(orders=orders, wall_s=wall_s, cpu_s=cpu_s, fulfilled=fulfilled)


def _submission(document: dict[str, object]) -> Submission:
    external_id = str(document["external_id"])
    return Submission(
        tenant=TENANT,
        channel="storefront",
        shop="bench",
        topic="orders",
        kind=DeliveryKind.ORDER,
        raw=orjson.dumps(document),
        dedupe_id=external_id,
        order_hint=external_id,
        source="api",
        received_at=datetime.now(UTC),
    )


async def _worked_off(box: Signalbox, worker: Worker, orders: int) -> None:
    async with asyncio.timeout(300):
        while worker.handled < orders:  # noqa: ASYNC110  # the worker counts; there is nothing to wait on
            await asyncio.sleep(0.02)
        for topic, group in [(f.topic, f.group) for f in box.followers] + [("journal", box.relay_group)]:
            while (lag := await box.bus.lag(topic, group)).undelivered + lag.pending:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.02)


async def accept_latency(url: str, key: str, *, rate: float, seconds: float, seed: int) -> list[float]:
    """Post orders at a fixed rate and give the milliseconds from each intended time to its 202.

    Raises:
        RuntimeError: an order was not accepted.
    """
    prepared = list(documents(build_world(1), int(rate * seconds), seed))
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        loop = asyncio.get_running_loop()
        begin = loop.time() + 0.5

        async def post(number: int, document: dict[str, object]) -> float:
            intended = begin + number / rate
            await asyncio.sleep(max(0.0, intended - loop.time()))
            answer = await client.post("/v1/orders", json=document)
            if answer.status_code != 202:
                raise RuntimeError(f"order {number} was answered {answer.status_code}: {answer.text[:200]}")
            return (loop.time() - intended) * 1000

        return await asyncio.gather(*(post(number, document) for number, document in enumerate(prepared)))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def _served(settings: Settings, *, rate: float, seconds: float, seed: int) -> list[str]:
    """Latency of a server with a worker at full work beside it, each a process of its own."""
    open_tenants(None, settings.home)
    key = operator_keys(settings.home)[Role.STOREFRONT]
    signalbox = [sys.executable, "-m", "api.cli", "--home", str(settings.home)]
    url = f"http://127.0.0.1:{settings.port}"
    with _running([*signalbox, "serve", "--no-worker", "--port", str(settings.port)], [*signalbox, "worker"]):
        _wait_until_up(url)
        taken = uvloop.run(accept_latency(url, key, rate=rate, seconds=seconds, seed=seed))
    shown = ", ".join(f"p{int(share * 100)} {percentile(taken, share):.1f}" for share in (0.5, 0.95, 0.99))
    return [
        f"accepted at {rate:.0f} orders/s for {seconds:.0f} s with a worker process beside it, ms: {shown}, max {max(taken):.1f}"
    ]


@contextmanager
def _running(*commands: Sequence[str]) -> Iterator[None]:
    """Run the commands, which are ours and take nothing from outside, until the block ends."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            started.append(subprocess.Popen(command, **quiet))  # type: ignore[call-overload]  # noqa: S603
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(timeout=30)


def _wait_until_up(url: str) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        try:
            if httpx2.get(f"{url}/readyz", timeout=2).status_code == 200:
                return
        except httpx2.TransportError:
            pass
    raise RuntimeError(f"the server at {url} did not come up within {_START_S:.0f} s")


def run(*, orders: int, rate: float, seconds: float, seed: int, port: int) -> list[str]:
    """The benchmark as lines to print."""
    with tempfile.TemporaryDirectory(prefix="signalbox-bench-") as folder:
        measured = uvloop.run(throughput(Path(folder) / "throughput", orders=orders, seed=seed))
        served = _served(read_settings(home=Path(folder) / "served", port=port), rate=rate, seconds=seconds, seed=seed)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("langgraph", "redis", "pydantic"))
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores shared with the Redis server, Python {platform.python_version()}"
    )
    return [*measured.lines(), *served, f"{machine}; {versions}; seed {seed}"]
