"""LangGraph's public conformance suite for checkpointers, whole, on every server we promise to work on."""

from collections.abc import AsyncGenerator

from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability

from graph.runtime.checkpoint import RedisCheckpointer
from graph.runtime.connection import Batcher, connect
from graph.runtime.keys import Keyspace


async def test_every_capability_conforms(any_redis_server: str) -> None:
    """Base and extended capabilities, nothing skipped."""

    @checkpointer_test(name="RedisCheckpointer")
    async def fresh() -> AsyncGenerator[RedisCheckpointer, None]:
        client = connect(any_redis_server)
        await client.flushall()
        batcher = Batcher(client)
        yield RedisCheckpointer(batcher, Keyspace())
        await batcher.aclose()
        await client.aclose()

    report = await validate(fresh)
    failures = [failure for result in report.results.values() for failure in result.failures or ()]
    assert not failures
    assert {name for name, result in report.results.items() if result.passed} == {each.value for each in Capability}
