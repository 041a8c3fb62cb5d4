"""The batcher and the naming of Redis failures, against a real server."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from domain.errors import ConfigError, StoreUnavailable
from graph.runtime.connection import Batcher, connect, store_errors
from graph.runtime.scripts import Script

_ADD = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")


async def test_each_caller_gets_its_own_reply(batcher: Batcher) -> None:
    """Replies of commands sent together go to the callers they belong to."""
    replies = await asyncio.gather(*(batcher.execute("ECHO", f"word {n}") for n in range(1000)))
    assert replies == [f"word {n}".encode() for n in range(1000)]


async def test_an_error_stays_with_its_caller(batcher: Batcher) -> None:
    await batcher.execute("SET", "text", "x")
    replies = await asyncio.gather(
        batcher.execute("SET", "a", 1),
        batcher.execute("INCR", "text"),
        batcher.execute("GET", "a"),
        return_exceptions=True,
    )
    assert replies[0] == b"OK"
    assert isinstance(replies[1], ResponseError)
    assert replies[2] == b"1"


async def test_what_cannot_be_sent_fails_its_caller_only(batcher: Batcher) -> None:
    sent, refused = await asyncio.gather(
        batcher.execute("SET", "a", 1),
        batcher.execute("SET", "b", None),  # type: ignore[arg-type]
        return_exceptions=True,
    )
    assert sent == b"OK"
    assert isinstance(refused, TypeError)


async def test_sequential_calls_keep_their_order_among_others(batcher: Batcher) -> None:
    async def count(name: str) -> list[int]:
        return [await batcher.execute("INCR", name) for _ in range(50)]

    assert await asyncio.gather(*(count(f"n{n}") for n in range(20))) == [list(range(1, 51))] * 20


async def test_a_cancelled_caller_disturbs_nobody(batcher: Batcher) -> None:
    tasks = [asyncio.create_task(batcher.execute("ECHO", n)) for n in range(100)]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    replies = await asyncio.gather(*tasks, return_exceptions=True)
    for n, reply in enumerate(replies):
        assert isinstance(reply, asyncio.CancelledError) if n % 3 == 0 else reply == str(n).encode()
    assert await batcher.execute("ECHO", "still in step") == b"still in step"


async def test_a_script_is_loaded_where_it_is_unknown(batcher: Batcher, redis: Redis) -> None:
    assert await batcher.script(_ADD, ["total"], [2]) == 2
    await redis.script_flush()
    assert await asyncio.gather(*(batcher.script(_ADD, ["total"], [1]) for _ in range(10))) == list(range(3, 13))


def test_misused_scripts_fail_before_they_are_sent() -> None:
    with pytest.raises(ValueError, match=r"uses ARGV\[3\] but never ARGV\[2\]"):
        Script("return ARGV[1] .. ARGV[3]")
    with pytest.raises(TypeError, match="takes 1 keys and 1 arguments, not 1 and 2"):
        _ADD.check(1, 2)
    walking = Script("local a, b = unpack(KEYS) for i = 2, #ARGV do redis.call('SET', a, ARGV[i]) end return b")
    walking.check(2, 9)
    with pytest.raises(TypeError, match="takes 2 keys and at least 0 arguments"):
        walking.check(1, 9)


async def test_a_backlog_longer_than_a_batch_and_a_killed_connection_are_survived(
    batcher: Batcher, redis: Redis
) -> None:
    """reliability/R04: commands that queue up while the server stands still are answered in order."""
    await batcher.execute("PING")
    await redis.client_pause(timeout=60_000, all=False)
    calls = [asyncio.create_task(batcher.execute("INCR", "n")) for _ in range(600)]
    await asyncio.sleep(0.05)
    await redis.client_unpause()
    assert sorted(await asyncio.gather(*calls)) == list(range(1, 601))
    await redis.client_kill_filter(_type="normal", skipme=False)
    assert await batcher.execute("GET", "n") == b"600"


async def test_nobody_listening_is_store_unavailable() -> None:
    client = connect("redis://127.0.0.1:1/0")
    sender = Batcher(client)
    try:
        started = time.monotonic()
        for failure in await asyncio.gather(*(sender.execute("PING") for _ in range(50)), return_exceptions=True):
            assert isinstance(failure, StoreUnavailable)
        assert time.monotonic() - started < 3
        with pytest.raises(StoreUnavailable, match="Redis cannot serve us now"), store_errors():
            await client.get("x")
    finally:
        await sender.aclose()
        await client.aclose()


async def test_refusals_for_now_are_store_unavailable(redis: Redis, batcher: Batcher) -> None:
    """reliability/R07, R06: a full memory or a missing replica refuses writes; reads go on."""
    await redis.set("kept", "1")
    await redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreUnavailable, match="memory"):
            await batcher.execute("SET", "a", "x")
        with pytest.raises(StoreUnavailable):
            await batcher.script(_ADD, ["n"], [1])
        assert await batcher.execute("GET", "kept") == b"1"
    finally:
        await redis.config_set("maxmemory", "0")
    await redis.config_set("min-replicas-to-write", "1")
    try:
        with pytest.raises(StoreUnavailable, match="replicas"):
            await batcher.execute("SET", "a", "x")
    finally:
        await redis.config_set("min-replicas-to-write", "0")


async def test_wrong_credentials_are_a_setting_to_correct(redis_server: str) -> None:
    client = connect(redis_server.replace("redis://:", "redis://:not-"))
    sender = Batcher(client)
    try:
        with pytest.raises(ConfigError, match="SIGNALBOX_REDIS_URL"):
            await sender.execute("PING")
    finally:
        await sender.aclose()
        await client.aclose()


def test_a_url_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a Redis URL"):
        connect("amqp://localhost")


async def test_together_costs_less_than_alone(batcher: Batcher, redis: Redis) -> None:
    """32 tasks at once spend less processor time per command through the batcher than through the client."""

    async def cost(send: Callable[..., Awaitable[object]]) -> float:
        async def worker() -> None:
            for n in range(40):
                await send("HSET", "h", "f", n)

        started = time.process_time()
        await asyncio.gather(*(worker() for _ in range(32)))
        return time.process_time() - started

    await cost(batcher.execute), await cost(redis.execute_command)
    together = min([await cost(batcher.execute) for _ in range(3)])
    alone = min([await cost(redis.execute_command) for _ in range(3)])
    assert together < alone / 2
