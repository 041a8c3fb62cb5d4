"""The checkpointer under LangGraph: interrupts, pins, pruning, sizes, and what it keeps when processes die."""

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import UnknownInterruptError
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from redis.asyncio import Redis

from evals.bench.checkpointers import order_graph
from graph.runtime.checkpoint import RedisCheckpointer
from graph.runtime.connection import Batcher
from graph.runtime.keys import Keyspace
from tests.support.servers import assert_no_unowned_keys

_ORDER = {"order": {"note": "x" * 1000}, "decisions": {}}


class Asking(TypedDict, total=False):
    answers: Annotated[list[str], operator.add]


def _asking(saver: BaseCheckpointSaver[Any]) -> Any:
    async def prepare(state: Asking) -> Asking:
        return {"answers": ["prepared"]}

    async def ask(state: Asking) -> Asking:
        return {"answers": [interrupt({"question": "send it?"})]}

    builder = StateGraph(Asking)
    builder.add_node("prepare", prepare)
    builder.add_node("ask", ask)
    builder.add_edge(START, "prepare")
    builder.add_edge("prepare", "ask")
    builder.add_edge("ask", END)
    return builder.compile(checkpointer=saver)


def _thread(thread_id: str, **more: object) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, **more}}


@pytest.fixture
def saver(batcher: Batcher, keyspace: Keyspace) -> RedisCheckpointer:
    return RedisCheckpointer(batcher, keyspace)


async def _keys(redis: Redis) -> dict[str, int]:
    """Every key with the memory it takes."""
    return {key.decode(): await redis.memory_usage(key, samples=0) or 0 async for key in redis.scan_iter(count=1000)}


async def test_an_interrupt_is_visible_at_once_and_resumed_once(saver: RedisCheckpointer, redis: Redis) -> None:
    """R2.1 #2 and #6 of reliability.md: the question is in the state as soon as the run returns; strict resume by id."""
    app = _asking(saver)
    for number in range(20):
        config = _thread(f"asks-{number}", __pregel_strict_resume=True)
        await app.ainvoke({"answers": []}, config, durability="sync", version="v2")
        (question,) = (await app.aget_state(config)).interrupts
        assert question.value == {"question": "send it?"}
        with pytest.raises(UnknownInterruptError):
            await app.ainvoke(Command(resume={"0" * 32: "no"}), config, durability="sync", version="v2")
        done = await app.ainvoke(Command(resume={question.id: "yes"}), config, durability="sync", version="v2")
        assert done.value == {"answers": ["prepared", "yes"]}
        with pytest.raises(UnknownInterruptError):
            await app.ainvoke(Command(resume={question.id: "again"}), config, durability="sync", version="v2")
    assert [key async for key in redis.scan_iter("*:writes")] == []
    await assert_no_unowned_keys(redis)


async def test_history_is_the_history_the_memory_saver_keeps(saver: RedisCheckpointer) -> None:
    async def history(of: BaseCheckpointSaver[Any]) -> list[tuple[Any, ...]]:
        app, config = order_graph(of), _thread("h")
        await app.ainvoke(_ORDER, config, durability="sync", version="v2")
        await app.aupdate_state(config, {"verdict": "changed"})
        seen = [snapshot async for snapshot in app.aget_state_history(config)]
        ids: list[str] = [snapshot.config["configurable"]["checkpoint_id"] for snapshot in seen]
        parents: list[int | None] = [
            s.parent_config and ids.index(s.parent_config["configurable"]["checkpoint_id"]) for s in seen
        ]
        return [(s.values, sorted(s.next), s.metadata, parent) for s, parent in zip(seen, parents, strict=True)]

    ours, reference = await history(saver), await history(InMemorySaver())
    assert ours == reference
    assert len(ours) > 7


async def test_a_fork_of_an_old_checkpoint_keeps_both_branches(saver: RedisCheckpointer) -> None:
    app, config = order_graph(saver), _thread("forked")
    await app.ainvoke(_ORDER, config, durability="sync", version="v2")
    before = [s async for s in app.aget_state_history(config)]
    middle = next(s for s in before if s.next == ("routing",))
    await app.aupdate_state(middle.config, {"verdict": "other way"})
    await app.ainvoke(None, config, durability="sync", version="v2")
    assert (await app.aget_state(config)).values["verdict"] == "other way"
    after = {s.config["configurable"]["checkpoint_id"]: s.values async for s in app.aget_state_history(config)}
    assert all(after[s.config["configurable"]["checkpoint_id"]] == s.values for s in before)
    assert len(after) > len(before)


async def test_a_thread_is_small_before_and_after_pruning(saver: RedisCheckpointer, redis: Redis) -> None:
    """reliability/T08: at most 4 keys and 20 KB unpruned, one key and 10 KB pruned, state intact, nothing without TTL."""
    app, config = order_graph(saver), _thread("size")
    await app.ainvoke(_ORDER, config, durability="sync", version="v2")
    unpruned, values = await _keys(redis), (await app.aget_state(config)).values
    assert len(unpruned) <= 4
    assert sum(unpruned.values()) <= 20_000
    await saver.aprune(["size"])
    pruned = await _keys(redis)
    assert len(pruned) == 1
    assert sum(pruned.values()) <= 4_000
    assert (await app.aget_state(config)).values == values
    await assert_no_unowned_keys(redis)
    await saver.aprune(["size"], strategy="delete")
    assert await _keys(redis) == {}


async def test_pruning_keeps_as_many_as_asked(saver: RedisCheckpointer) -> None:
    app, config = order_graph(saver), _thread("keep")
    await app.ainvoke(_ORDER, config, durability="sync", version="v2")
    before = [s async for s in app.aget_state_history(config)]
    await saver.aprune(["keep"], keep_last=3)
    assert [s.values async for s in app.aget_state_history(config)] == [s.values for s in before[:3]]
    for strategy, keep_last in (("oldest", 1), ("keep_latest", 0)):
        with pytest.raises(ValueError, match="Cannot prune"):
            await saver.aprune(["keep"], strategy=strategy, keep_last=keep_last)


async def test_a_pinned_thread_outlives_every_ttl(redis: Redis, batcher: Batcher, keyspace: Keyspace) -> None:
    """F17: a thread with an open review never expires; the pin holds for later writes, through pruning, until unpinned."""
    saver = RedisCheckpointer(batcher, keyspace, ttl_s=100)
    app, config = _asking(saver), _thread("pinned")
    await app.ainvoke({"answers": []}, config, durability="sync", version="v2")
    assert all([0 < await redis.ttl(key) <= 100 for key in await _keys(redis)])
    assert any(key.endswith(":writes") for key in await _keys(redis))
    await saver.pin("pinned")
    assert {await redis.ttl(key) for key in await _keys(redis)} == {-1}
    await app.ainvoke(None, config, durability="sync", version="v2")
    await saver.aprune(["pinned"])
    assert {await redis.ttl(key) for key in await _keys(redis)} == {-1}
    await saver.unpin("pinned")
    assert all([0 < await redis.ttl(key) <= 100 for key in await _keys(redis)])
    await assert_no_unowned_keys(redis)
    assert (await app.aget_state(config)).interrupts


async def test_a_pin_before_the_first_write_holds_and_unpinning_nothing_leaves_nothing(
    saver: RedisCheckpointer, redis: Redis
) -> None:
    await saver.unpin("never")
    assert await _keys(redis) == {}
    await saver.pin("early")
    await order_graph(saver).ainvoke(_ORDER, _thread("early"), durability="sync", version="v2")
    assert {await redis.ttl(key) for key in await _keys(redis)} == {-1}
    await saver.adelete_thread("early")
    assert await _keys(redis) == {}


async def test_each_write_renews_the_ttl(redis: Redis, batcher: Batcher, keyspace: Keyspace) -> None:
    saver = RedisCheckpointer(batcher, keyspace, ttl_s=1000)
    app, config = order_graph(saver), _thread("ttl")
    await app.ainvoke(_ORDER, config, durability="sync", version="v2")
    (key,) = await _keys(redis)
    await redis.expire(key, 5)
    await app.aupdate_state(config, {"verdict": "later"})
    assert await redis.ttl(key) > 900


_TRICKY = [
    "a",
    "A",
    "a:b",
    "a:b:",
    ":",
    "",
    "{s1}",
    "}{",
    "*",
    "?",
    "[a]",
    "a\\",
    "a\0b",
    "a\nb",
    "đơn hàng",
    "訂單",
    "🧾",
    "cp:data",
]


async def test_ids_are_exact(saver: RedisCheckpointer, redis: Redis) -> None:
    """Thread ids and namespaces differ by every character; nothing is folded, split or matched as a pattern."""
    places = [(thread, namespace) for thread in _TRICKY for namespace in _TRICKY]
    for thread, namespace in places:
        config = _thread(thread, checkpoint_ns=namespace)
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"], checkpoint["channel_versions"] = {"v": [thread, namespace]}, {"v": 1}
        stored = await saver.aput(config, checkpoint, {"source": "input"}, {"v": 1})
        await saver.aput_writes(stored, [("w", [namespace, thread])], "task:\0:1")
    for thread, namespace in places:
        found = await saver.aget_tuple(_thread(thread, checkpoint_ns=namespace))
        assert found is not None
        assert found.checkpoint["channel_values"] == {"v": [thread, namespace]}
        assert found.pending_writes == [("task:\0:1", "w", [namespace, thread])]
        assert len([each async for each in saver.alist(_thread(thread, checkpoint_ns=namespace))]) == 1
    listed = [each async for each in saver.alist(None)]
    assert sorted(str(each.config) for each in listed) == sorted({str(each.config) for each in listed})
    assert {each.config["configurable"]["thread_id"] for each in listed} == set(_TRICKY)
    assert len(listed) == len(places)
    await saver.adelete_thread("*")
    left = {each.config["configurable"]["thread_id"] async for each in saver.alist(None)}
    assert left == set(_TRICKY) - {"*"}


async def _put(saver: RedisCheckpointer, thread: str, parent: Any = None) -> Any:
    config = parent or _thread(thread, checkpoint_ns="")
    return await saver.aput(config, empty_checkpoint(), {"source": "loop"}, {})


async def test_writes_and_checkpoints_may_arrive_in_any_order(saver: RedisCheckpointer, redis: Redis) -> None:
    checkpoint = empty_checkpoint()
    early = _thread("early", checkpoint_ns="", checkpoint_id=checkpoint["id"])
    await saver.aput_writes(early, [("a", 1)], "t1", "p1")
    stored = await saver.aput(_thread("early", checkpoint_ns=""), checkpoint, {"source": "loop"}, {})
    found = await saver.aget_tuple(stored)
    assert found is not None
    assert found.pending_writes == [("t1", "a", 1)]
    child = await _put(saver, "early", stored)
    assert await redis.exists("sb:{s0}:e:early:cp:writes") == 0
    await saver.aput_writes(stored, [("late", 2)], "t2")
    found = await saver.aget_tuple(child)
    assert found is not None
    assert found.pending_writes == []
    await _put(saver, "early", child)
    assert await redis.exists("sb:{s0}:e:early:cp:writes") == 0


async def test_writes_apply_in_task_order_first_regular_and_last_special_kept(saver: RedisCheckpointer) -> None:
    stored = await _put(saver, "order")
    await saver.aput_writes(stored, [("x", "b"), ("__interrupt__", "old")], "t2", "path2")
    await saver.aput_writes(stored, [("x", "a")], "t9", "path1")
    await saver.aput_writes(stored, [("x", "ignored"), ("__interrupt__", "new")], "t2", "path2")
    found = await saver.aget_tuple(stored)
    assert found is not None
    assert found.pending_writes == [("t9", "x", "a"), ("t2", "__interrupt__", "new"), ("t2", "x", "b")]


async def test_an_interrupted_thread_asked_again_and_again_does_not_grow(
    saver: RedisCheckpointer, redis: Redis
) -> None:
    app, config = _asking(saver), _thread("again")
    await app.ainvoke({"answers": []}, config, durability="sync", version="v2")
    await app.ainvoke(None, config, durability="sync", version="v2")
    size = sum((await _keys(redis)).values())
    for _ in range(20):
        await app.ainvoke(None, config, durability="sync", version="v2")
    assert sum((await _keys(redis)).values()) == size


async def test_delta_channels_survive_pruning(saver: RedisCheckpointer) -> None:
    """A channel stored as its changes needs its history; such a namespace is never cut short."""

    class Log(TypedDict, total=False):
        lines: Annotated[list[str], DeltaChannel(lambda old, new: old + [line for part in new for line in part])]

    def named(name: str) -> Any:
        async def node(_: Log) -> Log:
            return {"lines": [name]}

        return node

    builder = StateGraph(Log)
    names = [f"n{number}" for number in range(6)]
    for before, name in zip([START, *names], names, strict=False):
        builder.add_node(name, named(name))
        builder.add_edge(before, name)
    app: Any = builder.compile(checkpointer=saver)
    config = _thread("delta")
    await app.ainvoke({"lines": ["in"]}, config, durability="sync", version="v2")
    await saver.aprune(["delta"])
    assert (await app.aget_state(config)).values == {"lines": ["in", *names]}


async def test_large_values_and_many_threads_at_once(saver: RedisCheckpointer) -> None:
    app = order_graph(saver)

    async def one(number: int) -> None:
        given = {"order": {"n": number, "note": "đ" * 200_000}, "decisions": {}}
        result = await app.ainvoke(given, _thread(f"many-{number}"), durability="sync", version="v2")
        assert result.value["order"] == given["order"]
        assert (await app.aget_state(_thread(f"many-{number}"))).values == result.value

    await asyncio.gather(*(one(number) for number in range(32)))


async def test_every_shard_is_found(batcher: Batcher) -> None:
    saver = RedisCheckpointer(batcher, Keyspace(prefix="p[1]*", shards=4))
    for number in range(20):
        await _put(saver, f"t{number}")
    await _put(RedisCheckpointer(batcher, Keyspace(prefix="p1")), "stranger")
    found = {each.config["configurable"]["thread_id"] async for each in saver.alist(None)}
    assert found == {f"t{number}" for number in range(20)}
    await saver.acopy_thread("t0", "copy")
    assert await saver.aget_tuple(_thread("copy")) is not None


def test_the_synchronous_half_says_what_to_use(saver: RedisCheckpointer) -> None:
    for name in ("get_tuple", "put", "put_writes", "list", "delete_thread", "delete_for_runs", "copy_thread", "prune"):
        with pytest.raises(NotImplementedError, match="ainvoke"):
            getattr(saver, name)()
