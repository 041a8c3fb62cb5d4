"""Fixtures every test may use: a real server, a client on a clean database, the batcher and the keyspace."""

import os

os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"  # read when langgraph is imported, so it must come first
os.environ.pop("COLUMNS", None)  # a parallel run sets the width of its own terminal, which is not that of a pipe

from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import settings
from redis.asyncio import Redis

from graph.runtime.connection import Batcher, connect
from graph.runtime.keys import Keyspace
from tests.support.servers import KINDS, MISSING, Servers

# A busy machine is not a slow function; CI repeats the same examples so that a red run is a change, not a dice roll.
settings.register_profile("signalbox", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("signalbox")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    running = Servers(tmp_path_factory.mktemp("servers"))
    yield running
    running.close()


@pytest.fixture(scope="session")
def redis_server(servers: Servers) -> str:
    """URL of the server that comes with the installation."""
    url = servers.url("valkey-9")
    assert url is not None
    return url


@pytest.fixture(params=list(KINDS))
def any_redis_server(servers: Servers, request: pytest.FixtureRequest) -> str:
    """URL of each kind of server we promise to work on, in turn."""
    url = servers.url(request.param)
    if url is None:
        pytest.skip(MISSING[request.param])
    return url


@pytest.fixture
async def redis(redis_server: str) -> AsyncIterator[Redis]:
    """A client on a clean database."""
    client = connect(redis_server)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def batcher(redis: Redis) -> AsyncIterator[Batcher]:
    sender = Batcher(redis)
    yield sender
    await sender.aclose()


@pytest.fixture
def keyspace() -> Keyspace:
    return Keyspace()
