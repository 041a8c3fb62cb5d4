"""The outbox against a real Redis server, with the in-memory bus as the broker outside."""

from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from domain.errors import StoreUnavailable
from domain.event import Event
from domain.ids import EventId, TenantId, ThreadId
from domain.ports import Message
from graph.runtime.bus_memory import MemoryBus
from graph.runtime.bus_redis import RedisBus
from graph.runtime.connection import Batcher
from graph.runtime.journal import Journal
from graph.runtime.keys import Keyspace
from graph.runtime.outbox import EVENTS, Outbox

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def event(number: int) -> Event:
    return Event(
        event_id=EventId(f"e-{number}"),
        event_type="order.accepted",
        entity_type="order",
        entity_id="shopify-1",
        agent_name="signalbox",
        timestamp=NOW,
        tenant=TenantId("default"),
        sequence=0,
        correlation_id="c",
        currency="HKD",
        locale="zh-Hant-HK",
    )


class Flaky(MemoryBus):
    """A broker that is away for one message."""

    def __init__(self, fails_at: int) -> None:
        super().__init__()
        self.left = fails_at

    async def publish(self, topic: str, message: Message, *, dedupe_key: str | None = None) -> str | None:
        self.left -= 1
        if self.left == 0:
            raise StoreUnavailable("the broker is away")
        return await super().publish(topic, message, dedupe_key=dedupe_key)


async def journaled(batcher: Batcher, keyspace: Keyspace, count: int) -> None:
    journal, thread = Journal(batcher, keyspace), ThreadId("a" * 40)
    for number in range(count):
        await journal.publish(thread, [event(number)], at=NOW)


async def seen(broker: MemoryBus) -> list[str]:
    await broker.subscribe(EVENTS, "outside")
    found = await broker.read(EVENTS, "outside", "me", count=100)
    return [Event.from_json(delivery.message.body).event_id for delivery in found]


async def test_every_journaled_event_is_published_in_order(redis: Redis, batcher: Batcher, keyspace: Keyspace) -> None:
    """F19: another broker gets the journal, in order per entity."""
    bus, broker = RedisBus(redis, batcher, keyspace), MemoryBus()
    outbox = Outbox(bus, broker, consumer="one")
    await outbox.subscribe()
    await journaled(batcher, keyspace, 20)
    assert await outbox.step(block_ms=0) == 20
    assert await seen(broker) == [f"e-{number}" for number in range(20)]


@pytest.mark.parametrize("fails_at", [1, 7, 20])
async def test_a_broker_that_was_away_gets_the_rest_later_and_nothing_twice(
    redis: Redis, batcher: Batcher, keyspace: Keyspace, fails_at: int
) -> None:
    bus, broker = RedisBus(redis, batcher, keyspace), Flaky(fails_at)
    outbox = Outbox(bus, broker, consumer="one", claim_idle_ms=0)
    await outbox.subscribe()
    await journaled(batcher, keyspace, 20)
    with pytest.raises(StoreUnavailable):
        await outbox.step(block_ms=0)
    while await outbox.step(block_ms=0):
        pass
    assert await seen(broker) == [f"e-{number}" for number in range(20)]
