"""What a bus says when its broker is missing, unreachable or gone for a moment."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from domain.errors import ConfigError, StoreUnavailable
from domain.ports import Delivery, Message
from graph.runtime.bus_kafka import KafkaBus
from graph.runtime.bus_marks import PublishMarks
from graph.runtime.bus_rabbitmq import RabbitBus
from graph.runtime.connection import Batcher
from graph.runtime.keys import Keyspace
from tests.support.brokers import RabbitServer

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def marks(batcher: Batcher) -> PublishMarks:
    return PublishMarks(batcher, Keyspace())


@pytest.mark.parametrize(("library", "extra"), [("aiokafka", "kafka"), ("aio_pika", "rabbitmq")])
def test_a_missing_client_library_says_what_to_install(
    marks: PublishMarks, monkeypatch: pytest.MonkeyPatch, library: str, extra: str
) -> None:
    """F19: choosing a broker whose extra is not installed names the command that mends it."""
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=rf"pip install 'signalbox\[{extra}\]'"):
        KafkaBus(NOWHERE, marks) if extra == "kafka" else RabbitBus(f"amqp://{NOWHERE}/", marks)


@pytest.mark.parametrize("broker", ["kafka", "rabbitmq"])
async def test_an_unreachable_broker_is_an_error_of_ours(marks: PublishMarks, broker: str) -> None:
    """F19: nothing is accepted, nothing hangs, and the dedupe key is free for the next try."""
    bus = KafkaBus(NOWHERE, marks) if broker == "kafka" else RabbitBus(f"amqp://{NOWHERE}/", marks)
    sent = Message(key="o-1", body="{}")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await bus.publish("intake", sent, dedupe_key="d-1")
    with pytest.raises(StoreUnavailable):
        await bus.subscribe("intake", "controller")
    with pytest.raises(StoreUnavailable):
        await bus.dead_letters()
    await bus.close()


class Relay:
    """A TCP relay whose connections can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: list[asyncio.StreamWriter] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers += [writer, far_writer]
        await asyncio.gather(self._pipe(reader, far_writer), self._pipe(far_reader, writer))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    def cut(self) -> None:
        while self._writers:
            self._writers.pop().transport.abort()


@asynccontextmanager
async def relayed(url: str) -> AsyncIterator[tuple[Relay, str]]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    relay = Relay(parts.hostname, parts.port)
    server = await asyncio.start_server(relay.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield relay, parts._replace(netloc=f"guest:guest@127.0.0.1:{port}").geturl()
    relay.cut()
    server.close()
    await server.wait_closed()


async def test_a_lost_connection_gives_messages_back_and_heals(rabbitmq: RabbitServer, marks: PublishMarks) -> None:
    """reliability/R02: after a cut the bus connects again by itself; what was in hand comes again, nothing is lost."""
    async with relayed(rabbitmq.url) as (relay, url):
        bus = RabbitBus(url, marks, prefix=f"t{uuid4().hex[:12]}.")
        await bus.subscribe("journal", "audit")
        for number in range(4):
            await bus.publish("journal", Message(key="o-1", body=str(number)))
        held = await bus.read("journal", "audit", "a", count=2, block_ms=5000)
        relay.cut()
        got: list[Delivery] = []
        deadline = monotonic() + 15
        while len(got) < 4 and monotonic() < deadline:
            with suppress(StoreUnavailable):
                await bus.ack("journal", "audit", [held[0].delivery_id])
                got += await bus.read("journal", "audit", "a", block_ms=500)
        assert {each.message.body: each.attempt for each in got} == {"0": 2, "1": 2, "2": 1, "3": 1}
        assert await bus.publish("journal", Message(key="o-1", body="4"))
        await bus.close()
