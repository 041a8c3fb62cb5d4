"""The relay from the journal into the audit: nothing lost, nothing twice, bad events set aside, outages survived."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import StoreUnavailable
from domain.event import Event
from domain.ids import thread_id
from domain.ports import EventBus, Message
from graph.runtime.audit import AuditStore
from graph.runtime.bus_memory import MemoryBus
from graph.runtime.bus_redis import RedisBus
from graph.runtime.connection import Batcher
from graph.runtime.database import open_database
from graph.runtime.keys import Keyspace
from graph.runtime.relay import GROUP, TOPIC, AuditRelay, RelayPace
from graph.runtime.why import explain
from tests.support.audited import an_event, database

QUICK = RelayPace(block_ms=20, backoff_s=0.01, backoff_max_s=0.05, trim_every_s=0.05, follow_s=0.01)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with database("sqlite", tmp_path) as opened:
        yield opened


@pytest.fixture
def store(engine: AsyncEngine) -> AuditStore:
    return AuditStore(engine)


@pytest.fixture
async def bus() -> MemoryBus:
    kept = MemoryBus()
    await kept.subscribe(TOPIC, GROUP)
    return kept


async def journal(bus: EventBus, *events: Event) -> None:
    """Publish as the journal does: the body says sequence 0, the header the number the journal gave."""
    for one in events:
        body = one.model_copy(update={"sequence": 0}).to_json()
        key = thread_id(one.tenant, one.entity_type, one.entity_id)
        await bus.publish(TOPIC, Message(key=key, headers={"seq": str(one.sequence)}, body=body))


async def until(condition: Callable[[], Awaitable[bool]], *, deadline_s: float = 10) -> None:
    async with asyncio.timeout(deadline_s):
        while not await condition():  # noqa: ASYNC110 - asks the relay and the bus, which signal nothing
            await asyncio.sleep(0.01)


async def run_until(relays: list[AuditRelay], condition: Callable[[], Awaitable[bool]]) -> None:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for relay in relays:
            group.create_task(relay.run(stop))
        try:
            await until(condition)
        finally:
            stop.set()


async def test_every_journaled_event_arrives_in_order_and_is_confirmed(bus: MemoryBus, store: AuditStore) -> None:
    relay = AuditRelay(bus, store, consumer="a", pace=QUICK)
    await journal(bus, *(an_event(f"shopify-{n % 7}", n // 7 + 1) for n in range(1200)))
    assert (await relay.status()).behind == 1200
    assert await relay.drain() == 1200
    status = await relay.status()
    assert (status.behind, status.oldest_ms, status.appended, status.buried, status.last_error) == (0, 0, 1200, 0, None)
    rows = await store.entity("acme", "order", "shopify-3")
    assert [row.sequence for row in rows] == [row.position for row in rows] == list(range(1, len(rows) + 1))
    assert (await store.verify()).intact


def bad_bodies() -> dict[str, tuple[str, dict[str, str]]]:
    good: dict[str, Any] = orjson.loads(an_event("shopify-bad").to_json())

    def but(**changes: Any) -> str:
        return orjson.dumps(good | changes).decode()

    return {
        "no JSON": ("{not json", {"seq": "1"}),
        "nothing": ("", {"seq": "1"}),
        "another document": ('{"order": 1}', {"seq": "1"}),
        "a future schema": (but(schema_version=99), {"seq": "1"}),
        "an unknown field": (but(surprise=1), {"seq": "1"}),
        "a nameless type": (but(event_type="Fraud!"), {"seq": "1"}),
        "no zone": (but(timestamp="2026-11-11T08:00:00"), {"seq": "1"}),
        "a number that is none": (but(), {"seq": "-1"}),
        "an endless number": (but(), {"seq": "9" * 30}),
        "a name no database takes": (but(entity_id="a\x00b"), {"seq": "1"}),
        "no tenant": (but(tenant=""), {"seq": "1"}),
        "five megabytes": ("x" * 5_000_000, {"seq": "1"}),
        "depth": ("[" * 100_000, {"seq": "1"}),
    }


async def test_bad_events_go_to_the_dead_letters_with_a_reason_and_the_rest_flow(
    bus: MemoryBus, store: AuditStore
) -> None:
    """F21, reliability/B04: what is no event of the one schema holds nobody up and says why, without its content."""
    bad = bad_bodies()
    for number, (body, headers) in enumerate(bad.values(), start=1):
        await journal(bus, an_event("shopify-good", number))
        await bus.publish(TOPIC, Message(key="k", headers=headers, body=body))
    relay = AuditRelay(bus, store, consumer="a", pace=QUICK)
    assert await relay.drain() == 2 * len(bad)
    good = await store.entity("acme", "order", "shopify-good")
    assert [row.sequence for row in good] == list(range(1, len(bad) + 1))
    letters = await bus.dead_letters()
    assert len(letters) == len(bad)
    assert await store.entity("acme", "order", "shopify-bad") == []
    assert all(letter.group == GROUP and "event" in letter.reason for letter in letters)
    assert all(len(letter.reason) < 300 for letter in letters)
    assert (await relay.status()).behind == 0
    assert (await store.verify()).intact


async def test_a_deep_result_is_no_bad_event(bus: MemoryBus, store: AuditStore) -> None:
    deep = an_event().to_json().replace('"result":{', '"result":{"a":' + "[" * 180 + "]" * 180 + ",")
    await bus.publish(TOPIC, Message(key="k", headers={"seq": "1"}, body=deep))
    await AuditRelay(bus, store, consumer="a", pace=QUICK).drain()
    [row] = await store.entity("acme", "order", "shopify-1001")
    assert explain([row]).entries[0].decision == "approve"


async def test_reasons_of_dead_letters_name_the_field_and_not_its_content(bus: MemoryBus, store: AuditStore) -> None:
    """F21"""
    told = {**orjson.loads(an_event().to_json()), "timestamp": "Mei Ling, 12 Nathan Road"}
    await bus.publish(TOPIC, Message(key="k", headers={"seq": "1"}, body=orjson.dumps(told).decode()))
    await AuditRelay(bus, store, consumer="a", pace=QUICK).drain()
    [letter] = await bus.dead_letters()
    assert "timestamp" in letter.reason
    assert "Mei" not in letter.reason


async def test_a_full_disk_loses_nothing_and_is_reported(
    bus: MemoryBus, store: AuditStore, engine: AsyncEngine
) -> None:
    """reliability/A01: nothing is acknowledged while the store refuses; when there is room everything arrives."""
    pages = 60

    @sqlalchemy_event.listens_for(engine.sync_engine, "begin")
    def _limit(connection: Any) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    relay = AuditRelay(bus, store, consumer="a", pace=QUICK)
    await journal(bus, *(an_event(f"shopify-{n % 20}", n // 20 + 1) for n in range(400)))

    async def stuck() -> bool:
        return (await relay.status()).last_error is not None

    await run_until([relay], stuck)
    status = await relay.status()
    assert "full" in (status.last_error or "")
    assert status.behind == 400 - (await store.verify()).rows > 0
    pages = 100_000

    async def caught_up() -> bool:
        told = await relay.status()
        return told.behind == 0 and told.last_error is None

    await run_until([relay], caught_up)
    report = await store.verify()
    assert (report.rows, report.intact) == (400, True)
    assert await bus.dead_letters() == []


async def test_a_crash_loop_while_the_store_is_away_buries_nothing(
    bus: MemoryBus, store: AuditStore, tmp_path: Path
) -> None:
    """reliability/A01: relays that start and die against a read-only store do not use up the events' deliveries."""
    await journal(bus, *(an_event(sequence=n) for n in range(1, 31)))
    await bus.read(TOPIC, GROUP, "died-holding-these", count=10)
    read_only = open_database(f"sqlite+aiosqlite:///file:{tmp_path / 'audit.sqlite3'}?mode=ro&uri=true")
    for attempt in range(12):
        with pytest.raises(StoreUnavailable, match="readonly"):
            await AuditRelay(bus, AuditStore(read_only), consumer=f"c{attempt}", pace=QUICK).drain()
    await read_only.dispose()
    assert await AuditRelay(bus, store, consumer="a", pace=QUICK).drain() == 30
    assert await bus.dead_letters() == []
    assert [row.sequence for row in await store.entity("acme", "order", "shopify-1001")] == list(range(1, 31))


async def test_two_relays_by_mistake_write_everything_once(bus: MemoryBus, engine: AsyncEngine) -> None:
    pace = RelayPace(batch=7, block_ms=5, claim_idle_ms=10, trim_every_s=0.01)
    relays = [AuditRelay(bus, AuditStore(engine), consumer=name, pace=pace) for name in ("a", "b")]
    await journal(bus, *(an_event(f"shopify-{n % 5}", n // 5 + 1) for n in range(300)))

    async def done() -> bool:
        return (await relays[0].status()).behind == 0

    await run_until(relays, done)
    report = await AuditStore(engine).verify()
    assert (report.rows, report.intact) == (300, True), report.broken
    assert sum([(await relay.status()).appended for relay in relays]) == 300
    assert await bus.dead_letters() == []


async def test_a_relay_that_died_before_confirming_is_followed_without_a_second_row(
    bus: MemoryBus, store: AuditStore
) -> None:
    """Written, not acknowledged: the next relay takes over at once, and first, what the dead one held."""
    events = [an_event(sequence=n) for n in range(1, 21)]
    await journal(bus, *events)
    await bus.read(TOPIC, GROUP, "dead", count=10)
    await store.append(events[:5])
    assert await AuditRelay(bus, store, consumer="next", pace=QUICK).drain() == 20
    rows = await store.entity("acme", "order", "shopify-1001")
    assert [row.sequence for row in rows] == list(range(1, 21))


async def test_only_the_leader_works_and_a_new_leader_takes_over(bus: MemoryBus, engine: AsyncEngine) -> None:
    leader = "a"

    def lead(name: str) -> Callable[[], Awaitable[bool]]:
        async def leads() -> bool:
            return leader == name

        return leads

    relays = {
        name: AuditRelay(bus, AuditStore(engine), consumer=name, lead=lead(name), pace=QUICK) for name in ("a", "b")
    }

    async def confirmed() -> bool:
        return (await relays["a"].status()).behind == 0

    await journal(bus, *(an_event(sequence=n) for n in range(1, 11)))
    await run_until(list(relays.values()), confirmed)
    assert [(await relays[name].status()).appended for name in "ab"] == [10, 0]
    await journal(bus, *(an_event(sequence=n) for n in range(11, 16)))
    await bus.read(TOPIC, GROUP, "a", count=3)
    leader = "b"
    await run_until(list(relays.values()), confirmed)
    assert [(await relays[name].status()).appended for name in "ab"] == [10, 5]
    assert [(await relays[name].status()).leading for name in "ab"] == [False, True]


async def test_a_stop_is_heeded_and_what_was_not_confirmed_stays(bus: MemoryBus, store: AuditStore) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(AuditRelay(bus, store, consumer="a", pace=QUICK).run(stop))
    await journal(bus, an_event())
    stop.set()
    await asyncio.wait_for(running, 5)
    lag = await bus.lag(TOPIC, GROUP)
    assert lag.undelivered + lag.pending + (await store.verify()).rows == 1


async def test_confirmed_events_are_trimmed_from_the_journal_and_others_are_not(
    bus: MemoryBus, store: AuditStore
) -> None:
    """Design rule 7: the journal keeps everything the audit has not confirmed."""
    await bus.subscribe(TOPIC, "tier_3")
    await journal(bus, *(an_event(sequence=n) for n in range(1, 6)))
    await AuditRelay(bus, store, consumer="a", pace=QUICK).drain()
    assert len(await bus.read(TOPIC, "tier_3", "t", count=10)) == 5


async def test_a_replayed_dead_letter_takes_its_place_in_the_story(bus: MemoryBus, store: AuditStore) -> None:
    """F21: an event that was set aside and replayed later is told where it happened."""
    await journal(bus, an_event(sequence=1))
    [held] = await bus.read(TOPIC, GROUP, "a", count=1)
    await bus.bury(TOPIC, GROUP, held, "not an event: for a test")
    relay = AuditRelay(bus, store, consumer="a", pace=QUICK)
    await journal(bus, an_event(sequence=2), an_event(sequence=3))
    await relay.drain()
    [letter] = await bus.dead_letters()
    await bus.replay(letter.letter_id)
    await relay.drain()
    rows = await store.entity("acme", "order", "shopify-1001")
    assert [row.sequence for row in rows] == [2, 3, 1]
    assert [entry.sequence for entry in explain(rows).entries] == [1, 2, 3]
    assert (await store.verify()).intact


@pytest.mark.parametrize("shards", [1, 3])
async def test_the_audit_answers_when_the_working_state_is_gone(
    redis: Redis, batcher: Batcher, store: AuditStore, shards: int
) -> None:
    """F46: every key of the order expired or lost, and the answer is the same."""
    bus = RedisBus(redis, batcher, Keyspace(shards=shards))
    await bus.subscribe(TOPIC, GROUP)
    await journal(bus, *(an_event(f"shopify-{n % 9}", n // 9 + 1) for n in range(180)))
    relay = AuditRelay(bus, store, consumer="a", pace=QUICK)
    assert await relay.drain() == 180
    before = explain(await store.entity("acme", "order", "shopify-4"))
    await redis.flushall()
    after = explain(await store.entity("acme", "order", "shopify-4"))
    assert after == before
    assert len(after.entries) == 20
    two_years_on = after.entries[0].at + timedelta(days=731)
    assert all(entry.at < two_years_on for entry in after.entries)
    assert (await store.verify()).intact
