"""What a thread is worth after the worker or the server died, and what comes back in another process."""

import asyncio
import base64
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.base import empty_checkpoint
from redis.asyncio import Redis

from domain.errors import StoreUnavailable
from domain.values import require_plain
from evals.bench.checkpointers import order_graph
from graph.runtime.checkpoint import RedisCheckpointer
from graph.runtime.connection import Batcher, connect
from graph.runtime.keys import Keyspace
from graph.runtime.server import EmbeddedServer
from tests.support import crash_runs


async def test_a_worker_killed_at_each_node_resumes_to_the_same_result(redis: Redis, redis_server: str) -> None:
    """F61, reliability/W01: killed inside every node in turn, another process finishes each thread; no node is skipped."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.crash_runs", redis_server, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    runs = [json.loads(line) for line in output.splitlines()]
    assert [run["node"] for run in runs] == list(crash_runs.NODES)
    expected = await crash_runs.run(redis_server, "undisturbed", {"seen": {}})
    for run in runs:
        assert run["killed"]
        assert run["seen"] == expected


async def _gone(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return
        await asyncio.sleep(0.02)
    pytest.fail("the server is still there")


async def test_a_graph_survives_the_loss_of_its_server(tmp_path: Path) -> None:
    """F61, reliability/R02: the server dies for good at one node; later nodes do not run, and resume repeats only that one."""
    ran: list[str] = []

    class Dying(RedisCheckpointer):
        async def aput_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
            ran.append(task_path)
            await super().aput_writes(config, writes, task_id, task_path)

    server = EmbeddedServer(tmp_path)
    await server.start()
    client = connect(server.url)
    batcher = Batcher(client)
    app = crash_runs.build(Dying(batcher, Keyspace()))
    config = {"configurable": {"thread_id": "t"}}
    await app.ainvoke({"seen": {}}, config, durability="sync", version="v2", interrupt_before=["routing"])
    await client.waitaof(1, 0, 10_000)  # everysec: what is written while a fsync runs may wait for it
    address = json.loads((tmp_path / "address.json").read_text())
    for pid in (address["keeper"], address["pid"]):
        os.kill(pid, signal.SIGKILL)
    await _gone(address["port"])
    with pytest.raises(StoreUnavailable, match="Redis cannot serve us now"):
        await app.ainvoke(None, config, durability="sync", version="v2")
    await server.close()
    before = list(ran)
    async with EmbeddedServer(tmp_path):
        done = await app.ainvoke(None, config, durability="sync", version="v2")
        await batcher.aclose()
        await client.aclose()
        assert set(done.value["seen"]) == set(crash_runs.NODES)
        assert len(ran) - len(before) == 3


async def test_a_server_that_stands_still_is_unavailable_in_time(tmp_path: Path) -> None:
    """reliability/R03: a frozen server is an error of ours after the limit, and served again when it thaws."""
    async with EmbeddedServer(tmp_path) as server:
        client = connect(server.url)
        batcher = Batcher(client, answer_timeout_s=0.3)
        saver = RedisCheckpointer(batcher, Keyspace())
        config: Any = {"configurable": {"thread_id": "t"}}
        await order_graph(saver).ainvoke({"order": {}, "decisions": {}}, config, durability="sync", version="v2")
        os.kill(server.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            results = await asyncio.gather(*(saver.aget_tuple(config) for _ in range(20)), return_exceptions=True)
            assert all(isinstance(result, StoreUnavailable) for result in results)
            assert time.monotonic() - started < 1.5
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert await saver.aget_tuple(config) is not None
        await batcher.aclose()
        await client.aclose()


_READER = """
import asyncio, base64, pickle, sys
from graph.runtime.checkpoint import RedisCheckpointer
from graph.runtime.connection import Batcher, connect
from graph.runtime.keys import Keyspace

async def main():
    client = connect(sys.argv[1])
    saver = RedisCheckpointer(Batcher(client), Keyspace())
    while line := await asyncio.to_thread(sys.stdin.readline):
        found = await saver.aget_tuple({"configurable": {"thread_id": line.strip()}})
        told = (found.checkpoint["channel_values"]["v"], found.pending_writes[0][2])
        print(base64.b64encode(pickle.dumps(told)).decode(), flush=True)

asyncio.run(main())
"""


@pytest.fixture
def reader(redis_server: str) -> Iterator["subprocess.Popen[str]"]:
    """Another process that reads threads by name."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", _READER, redis_server], stdin=pipe, stdout=pipe, text=True) as process:
        yield process


_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | _TEXT
_FINITE = st.floats(allow_nan=False, allow_infinity=False)


def _nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner), max_leaves=12)


def test_values_come_back_as_themselves_in_another_process(redis_server: str, reader: "subprocess.Popen[str]") -> None:
    """reliability/T07: plain state (and finite floats) round-trips with its types, as state and as writes."""
    client_url, counter = redis_server, iter(range(10**6))
    assert reader.stdin is not None
    assert reader.stdout is not None
    to_reader, from_reader = reader.stdin, reader.stdout

    with asyncio.Runner() as runner:
        client = connect(client_url)
        batcher = runner.run(_batcher(client))
        saver = RedisCheckpointer(batcher, Keyspace(), ttl_s=600)

        async def store(thread: str, value: Any) -> None:
            checkpoint = {**empty_checkpoint(), "channel_values": {"v": value}, "channel_versions": {"v": 1}}
            config: Any = {"configurable": {"thread_id": thread}}
            stored = await saver.aput(config, checkpoint, {}, {"v": 1})  # type: ignore[arg-type]
            await saver.aput_writes(stored, [("v", value)], "t")

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(_nested(_SCALARS | _FINITE))
        def check(value: Any) -> None:
            thread = f"roundtrip-{next(counter)}"
            runner.run(store(thread, value))
            to_reader.write(f"{thread}\n")
            to_reader.flush()
            told = pickle.loads(base64.b64decode(from_reader.readline()))  # noqa: S301 - our own child's words
            assert [repr(each) for each in told] == [repr(value)] * 2

        check()
        runner.run(batcher.aclose())
        runner.run(client.aclose())


async def _batcher(client: Redis) -> Batcher:
    return Batcher(client)


@given(_nested(_SCALARS))
def test_plain_values_pass_the_check(value: Any) -> None:
    require_plain(value)


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        (1, 2),
        {1: "a"},
        {"a": {2: 1}},
        {"a": [b"x"]},
        {"x"},
        2**63,
        -(2**63) - 1,
        "\ud800",
        {"\ud800": 1},
    ],
    ids=repr,
)
def test_values_no_store_returns_unchanged_are_refused(value: Any) -> None:
    """reliability/T07: forbidden types are rejected before they are stored, with the place they stand at."""
    with pytest.raises((TypeError, ValueError), match="state"):
        require_plain({"lines": [value]}, "state")


async def test_what_cannot_be_stored_is_refused_not_changed(batcher: Batcher, keyspace: Keyspace, redis: Redis) -> None:
    saver = RedisCheckpointer(batcher, keyspace)
    checkpoint = {**empty_checkpoint(), "channel_values": {"v": 2**70}, "channel_versions": {"v": 1}}
    with pytest.raises(TypeError, match="64-bit"):
        await saver.aput({"configurable": {"thread_id": "t"}}, checkpoint, {}, {"v": 1})  # type: ignore[arg-type]
    assert await redis.dbsize() == 0
