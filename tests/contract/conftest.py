"""Event buses on real brokers for the contract tests."""

from collections.abc import AsyncIterator, Callable, Iterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from domain.ports import EventBus
from graph.runtime.bus_kafka import KafkaBus
from graph.runtime.bus_marks import PublishMarks
from graph.runtime.bus_memory import MemoryBus
from graph.runtime.bus_rabbitmq import RabbitBus
from graph.runtime.bus_redis import RedisBus
from graph.runtime.connection import Batcher, connect
from graph.runtime.keys import Keyspace
from tests.support.brokers import KafkaCluster, RabbitServer
from tests.support.servers import KINDS, MISSING, Servers

EMBEDDED = "valkey-9"
"""The Redis server beside brokers that keep their marks there."""

AnyBus = MemoryBus | RedisBus | KafkaBus | RabbitBus


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaCluster]:
    cluster = KafkaCluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    try:
        server = RabbitServer(tmp_path_factory.mktemp("rabbitmq"))
    except FileNotFoundError as error:
        pytest.skip(str(error))
    yield server
    server.close()


@pytest.fixture(params=["memory", *KINDS, "sharded", "kafka", "rabbitmq"])
def kind(request: pytest.FixtureRequest, servers: Servers) -> str:
    """The broker under test, started; P20: Redis of each kind, without any module."""
    kind = str(request.param)
    if kind in {"kafka", "rabbitmq"}:
        request.getfixturevalue(kind)
    if servers.url(kind if kind in KINDS else EMBEDDED) is None:
        pytest.skip(MISSING[kind])
    return kind


@pytest.fixture
async def client(kind: str, servers: Servers) -> AsyncIterator[Redis]:
    """A Redis server with nothing in it: the one under test, else the embedded one."""
    made = connect(servers.url(kind if kind in KINDS else EMBEDDED) or "")
    await made.flushall()
    yield made
    await made.aclose()


@pytest.fixture
async def open_bus(kind: str, client: Redis, request: pytest.FixtureRequest) -> AsyncIterator[Callable[[], AnyBus]]:
    """Opens buses on topics nobody else uses; each is one more process as far as the broker can tell."""
    own = f"t{uuid4().hex[:12]}."
    batcher = Batcher(client)
    marks = PublishMarks(batcher, Keyspace())
    opened: list[AnyBus] = []

    def open_one() -> AnyBus:
        made: AnyBus
        match kind:
            case "memory":
                made = opened[0] if opened else MemoryBus()
            case "kafka":
                cluster: KafkaCluster = request.getfixturevalue("kafka")
                made = KafkaBus(cluster.bootstrap_servers, marks, prefix=own, session_timeout_ms=2000)
            case "rabbitmq":
                server: RabbitServer = request.getfixturevalue("rabbitmq")
                made = RabbitBus(server.url, marks, prefix=own)
            case _:
                made = RedisBus(client, batcher, Keyspace(shards=3 if kind == "sharded" else 1))
        opened.append(made)
        return made

    yield open_one
    for each in opened:
        port: EventBus = each
        await port.close()
    await batcher.aclose()


@pytest.fixture
def bus(open_bus: Callable[[], AnyBus]) -> AnyBus:
    """A bus on a real broker."""
    return open_bus()
