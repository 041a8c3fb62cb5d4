"""Our checkpointer beside the published ones: orders a second, keys and bytes a thread, in one run on one server.

``python -m evals.bench.checkpointers``: a seven-node order graph whose nodes do nothing but decide, every checkpoint
synchronous, so what differs is the checkpointer. Rounds alternate between the savers; the median round counts.
"""

import argparse
import asyncio
import os
import platform
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from redis.asyncio import Redis

from graph.runtime.checkpoint import RedisCheckpointer
from graph.runtime.connection import Batcher, connect
from graph.runtime.keys import STATE_TTL_S, Keyspace
from graph.runtime.server import EmbeddedServer

OURS = "ours"
CONCURRENCIES = (1, 32)
TARGET = 1.5
"""Ours must do this many times the orders of the best other, at every concurrency."""

_PAYLOAD = {"lines": [{"sku": f"SKU-{n}", "title": "x" * 60, "quantity": n, "amount_minor": 1999} for n in range(8)]}


def _merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return {**old, **new}


class OrderState(TypedDict, total=False):
    """State of the measured graph: an order of about 1 KB and one decision per node."""

    order: dict[str, Any]
    decisions: Annotated[dict[str, Any], _merge]
    verdict: str


def order_graph(saver: BaseCheckpointSaver[Any]) -> Any:
    """Three agents side by side, a gate that joins them, routing, effects, completion."""

    def decide(name: str) -> Any:
        async def node(_: OrderState) -> OrderState:
            return {
                "decisions": {name: {"outcome": "proceed", "confidence": "0.93", "reasons": ["A", "B"], "usd_micro": 0}}
            }

        return node

    builder = StateGraph(OrderState)
    for name in ("fraud", "compliance", "inventory", "routing", "effects", "completion"):
        builder.add_node(name, decide(name))
    builder.add_node("gate", decide("gate"), defer=True)
    for name in ("fraud", "compliance", "inventory"):
        builder.add_edge(START, name)
        builder.add_edge(name, "gate")
    for before, after in (("gate", "routing"), ("routing", "effects"), ("effects", "completion"), ("completion", END)):
        builder.add_edge(before, after)
    return builder.compile(checkpointer=saver)


Opened = AbstractAsyncContextManager[BaseCheckpointSaver[Any]]


@asynccontextmanager
async def _ours(url: str, _: Path) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    client = connect(url, concurrency=max(CONCURRENCIES))
    batcher = Batcher(client)
    yield RedisCheckpointer(batcher, Keyspace())
    await batcher.aclose()
    await client.aclose()


@asynccontextmanager
async def _plain_redis(url: str, _: Path) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    client = connect(url, concurrency=max(CONCURRENCIES))
    yield import_module("langgraph_checkpoint_plainredis").AsyncRedisSaver(client, ttl=STATE_TTL_S)
    await client.aclose()


def _valkey(url: str, _: Path) -> Opened:
    saver = import_module("langgraph_checkpoint_aws.checkpoint.valkey").AsyncValkeySaver
    opened: Opened = saver.from_conn_string(
        url.replace("redis://", "valkey://"), ttl_seconds=STATE_TTL_S, pool_size=8 * max(CONCURRENCIES)
    )
    return opened


def _sqlite(_: str, folder: Path) -> Opened:
    opened: Opened = import_module("langgraph.checkpoint.sqlite.aio").AsyncSqliteSaver.from_conn_string(
        str(folder / "checkpoints.sqlite3")
    )
    return opened


@asynccontextmanager
async def _memory(_: str, __: Path) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    yield InMemorySaver()


@dataclass(frozen=True)
class Candidate:
    """A checkpointer that may take part."""

    name: str
    package: str
    open: Callable[[str, Path], Opened]
    durable: bool = True
    on_redis: bool = True


CANDIDATES = (
    Candidate(OURS, "langgraph-checkpoint", _ours),
    Candidate("plainredis", "langgraph-checkpoint-plainredis", _plain_redis),
    Candidate("valkey", "langgraph-checkpoint-aws", _valkey),
    Candidate("sqlite", "langgraph-checkpoint-sqlite", _sqlite, on_redis=False),
    Candidate("memory", "langgraph-checkpoint", _memory, durable=False, on_redis=False),
)


@dataclass
class Measured:
    """What one checkpointer did."""

    candidate: Candidate
    graph: Any
    orders_per_s: dict[int, list[float]] = field(default_factory=dict)
    cpu_ms: dict[int, list[float]] = field(default_factory=dict)
    keys: int = 0
    stored_bytes: int = 0

    def rate(self, concurrency: int) -> float:
        """Orders a second in the median round."""
        return statistics.median(self.orders_per_s[concurrency])


def installed(package: str) -> str | None:
    """The version of a distribution, if it is there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


async def _round(measured: Measured, *, orders: int, concurrency: int, name: str) -> None:
    async def worker(number: int) -> None:
        for n in range(number, orders, concurrency):
            config = {"configurable": {"thread_id": f"{name}-{concurrency}-{n}"}}
            await measured.graph.ainvoke({"order": _PAYLOAD, "decisions": {}}, config, durability="sync", version="v2")

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker(number) for number in range(concurrency)))
    measured.orders_per_s.setdefault(concurrency, []).append(orders / (time.perf_counter() - wall))
    measured.cpu_ms.setdefault(concurrency, []).append((time.process_time() - cpu) / orders * 1000)


async def _size(measured: Measured, redis: Redis) -> None:
    """Keys and memory of one finished, unpruned thread, by the server's own count."""
    await redis.flushall()
    await _round(measured, orders=1, concurrency=1, name="size")
    measured.orders_per_s.clear()
    measured.cpu_ms.clear()
    keys = [key async for key in redis.scan_iter(count=1000)]
    measured.keys = len(keys)
    measured.stored_bytes = sum([await redis.memory_usage(key, samples=0) or 0 for key in keys])


async def measure(url: str, folder: Path, *, orders: int, rounds: int) -> list[Measured]:
    """Measure every installed candidate, round by round in turn."""
    async with AsyncExitStack() as stack:
        redis = connect(url)
        stack.push_async_callback(redis.aclose)
        taking_part = []
        for candidate in CANDIDATES:
            if installed(candidate.package):
                saver = await stack.enter_async_context(candidate.open(url, folder))
                taking_part.append(Measured(candidate, order_graph(saver)))
        for measured in taking_part:
            if measured.candidate.on_redis:
                await _size(measured, redis)
        for concurrency in CONCURRENCIES:
            for number in range(rounds):
                for measured in taking_part:
                    await redis.flushall()
                    name = f"{measured.candidate.name}-{number}"
                    await _round(measured, orders=orders, concurrency=concurrency, name=name)
        return taking_part


def report(results: Sequence[Measured]) -> bool:
    """Print what was measured; returns whether ours reached the target beside every other durable one."""
    print(
        f"{'':12}" + "".join(f"{f'{c} at once':>12}{'CPU ms':>9}" for c in CONCURRENCIES) + f"{'keys':>7}{'bytes':>8}"
    )
    for result in results:
        rates = "".join(f"{result.rate(c):>10.0f}/s{statistics.median(result.cpu_ms[c]):>9.2f}" for c in CONCURRENCIES)
        size = f"{result.keys:>7}{result.stored_bytes:>8}" if result.candidate.on_redis else ""
        print(f"{result.candidate.name:12}{rates}{size}{'' if result.candidate.durable else '   (stores nothing)'}")
    for candidate in CANDIDATES:
        if not installed(candidate.package):
            print(f"{candidate.name:12}not installed (make bench installs it)")
    ours = next(result for result in results if result.candidate.name == OURS)
    others = [result for result in results if result.candidate.durable and result is not ours]
    reached = True
    for concurrency in CONCURRENCIES if others else ():
        best = max(others, key=lambda result: result.rate(concurrency))
        ratio = ours.rate(concurrency) / best.rate(concurrency)
        reached = reached and ratio >= TARGET
        print(
            f"{concurrency:>2} at once: ours does {ratio:.2f} times the orders of {best.candidate.name} (target {TARGET})"
        )
    return reached


def _machine() -> str:
    packages = ("langgraph", "langgraph-checkpoint", "redis", *(c.package for c in CANDIDATES[1:4]))
    named = dict.fromkeys(f"{package} {installed(package)}" for package in packages if installed(package))
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} cores {platform.machine()}, {', '.join(named)}; "
        "server with AOF everysec on the same machine"
    )


async def _main(orders: int, rounds: int) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedServer(Path(folder) / "redis") as server:
            results = await measure(server.url, Path(folder), orders=orders, rounds=rounds)
    print(_machine())
    print(f"{rounds} rounds of {orders} orders, seven nodes, durability sync")
    return report(results)


def main() -> None:
    """Run from the command line; exit code 1 when the target is missed."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--orders", type=int, default=200)
    arguments.add_argument("--rounds", type=int, default=5)
    chosen = arguments.parse_args()
    raise SystemExit(0 if asyncio.run(_main(chosen.orders, chosen.rounds)) else 1)


if __name__ == "__main__":
    main()
