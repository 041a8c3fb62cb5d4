"""What the Redis bus promises beyond the contract: crashes, vanished streams, foreign entries, refused writes."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from domain.errors import NotFound, StoreUnavailable
from domain.ports import Delivery, Message
from graph.runtime.bus_messages import stream_fields
from graph.runtime.bus_redis import RedisBus
from graph.runtime.connection import Batcher, connect
from graph.runtime.keys import Keyspace
from tests.support.servers import assert_no_unowned_keys

REPOSITORY = Path(__file__).parents[2]
KEYS = Keyspace()
STREAM = KEYS.stream("journal")

READER = """
import asyncio, sys
from graph.runtime.bus_redis import RedisBus
from graph.runtime.connection import Batcher, connect
from graph.runtime.keys import Keyspace

async def main(url, count):
    client = connect(url)
    bus = RedisBus(client, Batcher(client), Keyspace())
    await bus.subscribe("journal", "audit")
    taken = []
    while len(taken) < count:
        taken += await bus.read("journal", "audit", "doomed", count=count - len(taken), block_ms=1000)
    await bus.ack("journal", "audit", [delivery.delivery_id for delivery in taken[: count // 2]])
    print("holding", flush=True)
    await asyncio.sleep(60)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.fixture
async def client(any_redis_server: str) -> AsyncIterator[Redis]:
    made = connect(any_redis_server)
    await made.flushall()
    yield made
    await made.aclose()


@pytest.fixture
async def bus(client: Redis) -> AsyncIterator[RedisBus]:
    batcher = Batcher(client)
    made = RedisBus(client, batcher, KEYS)
    await made.subscribe("journal", "audit")
    yield made
    await batcher.aclose()


def message(number: int) -> Message:
    return Message(key=f"order-{number}", body=f'{{"number":{number}}}')


async def publish(bus: RedisBus, count: int) -> list[str]:
    return [str(await bus.publish("journal", message(number))) for number in range(count)]


async def read_all(bus: RedisBus, group: str = "audit") -> list[Delivery]:
    taken: list[Delivery] = []
    while more := await bus.read("journal", group, "a", count=64):
        taken += more
    return taken


def numbers(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message.body for delivery in deliveries]


async def test_what_a_killed_consumer_held_comes_to_the_next(bus: RedisBus, any_redis_server: str) -> None:
    """reliability/B06, W03: kill -9 of a real consumer process loses nothing and repeats nothing it had acknowledged."""
    await publish(bus, 20)
    arguments = [sys.executable, "-c", READER, any_redis_server, "12"]
    process = await asyncio.create_subprocess_exec(*arguments, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"holding\n"
    process.kill()
    await process.wait()
    heirs = await bus.claim("journal", "audit", "heir", idle_ms=0, count=20)
    assert numbers(heirs) == [message(n).body for n in range(6, 12)]
    assert {delivery.attempt for delivery in heirs} == {2}
    assert numbers(await read_all(bus)) == [message(n).body for n in range(12, 20)]


async def test_the_delivery_count_is_the_servers_not_the_process(bus: RedisBus, client: Redis) -> None:
    """reliability/B04: five processes that each die on the same message are enough: the sixth never gets it."""
    await publish(bus, 1)
    attempts = [(await bus.read("journal", "audit", "worker-0"))[0].attempt]
    for number in range(1, 6):
        batcher = Batcher(client)
        another = RedisBus(client, batcher, KEYS)
        attempts += [d.attempt for d in await another.claim("journal", "audit", f"worker-{number}", idle_ms=0)]
        await batcher.aclose()
    assert attempts == [1, 2, 3, 4, 5]
    assert [letter.attempts for letter in await bus.dead_letters()] == [5]


async def test_a_deleted_stream_is_declared_again_loudly(bus: RedisBus, client: Redis) -> None:
    """reliability/R05: what is published after the stream was deleted is read from its first entry, and it is logged."""
    await publish(bus, 3)
    await client.delete(STREAM)
    await publish(bus, 2)
    with capture_logs() as logs:
        assert numbers(await read_all(bus)) == [message(0).body, message(1).body]
    assert [entry["event"] for entry in logs] == ["bus.group_recreated"]
    assert logs[0]["log_level"] == "warning"


@pytest.mark.parametrize("harm", ["flush", "delete", "destroy"])
async def test_a_waiting_read_survives_what_happens_to_its_stream(bus: RedisBus, client: Redis, harm: str) -> None:
    """reliability/R05: a consumer that waits while the stream vanishes gets the next message without a restart."""
    waiting = asyncio.create_task(bus.read("journal", "audit", "a", block_ms=9000))
    await _blocked(client)
    match harm:
        case "flush":
            await client.flushall()
        case "delete":
            await client.delete(STREAM)
        case "destroy":
            await client.xgroup_destroy(STREAM, "audit")
        case _:
            raise AssertionError(harm)
    await publish(bus, 1)
    assert numbers(await waiting) == [message(0).body]


async def test_claim_and_lag_survive_a_deleted_stream(bus: RedisBus, client: Redis) -> None:
    """reliability/R05: the other calls declare the group again too; for a group nobody declared they refuse."""
    await client.flushall()
    assert await bus.claim("journal", "audit", "a", idle_ms=0) == []
    await client.flushall()
    assert (await bus.lag("journal", "audit")).undelivered == 0
    assert await bus.trim("journal") == 0
    await client.flushall()
    with pytest.raises(NotFound):
        await bus.claim("journal", "typo", "a", idle_ms=0)


async def test_an_entry_deleted_while_pending_is_accounted_for(bus: RedisBus, client: Redis) -> None:
    """reliability section 1: entries trimmed under a consumer are never forgotten silently."""
    ids = await publish(bus, 4)
    await bus.read("journal", "audit", "a", count=4)
    await client.xdel(STREAM, ids[1].partition(":")[2])
    await client.xtrim(STREAM, maxlen=2, approximate=False)
    with capture_logs() as logs:
        claimed = await bus.claim("journal", "audit", "b", idle_ms=0)
    assert numbers(claimed) == [message(2).body, message(3).body]
    letters = await bus.dead_letters()
    assert [letter.attempts for letter in letters] == [1, 1]
    assert all("deleted from the stream" in letter.reason for letter in letters)
    assert [entry["event"] for entry in logs] == ["bus.dead_lettered"] * 2
    assert (await bus.lag("journal", "audit")).pending == 2


async def test_entries_of_other_scripts_are_read_with_their_extra_fields(bus: RedisBus, client: Redis) -> None:
    """F21: a script that appends the documented layout is a publisher like any other."""
    script = (
        "return redis.call('XADD', KEYS[1], '*', 'k', 'o-1', 'b', '{}', 'ts', '17', 't', 'order.accepted', 'seq', 3)"
    )
    await client.eval(script, 1, STREAM)
    await client.xadd(STREAM, {**stream_fields(message(1), 17), "h": '{"work":"order"}', "seq": "4"})  # type: ignore[dict-item]
    got = await read_all(bus)
    assert got[0].message == Message(key="o-1", headers={"t": "order.accepted", "seq": "3"}, body="{}")
    assert got[1].message.headers == {"work": "order", "seq": "4"}
    await bus.bury("journal", "audit", got[0], "unknown type")
    assert await bus.replay((await bus.dead_letters())[0].letter_id)
    assert (await read_all(bus))[0].message == got[0].message


@pytest.mark.parametrize(
    "fields",
    [
        {b"data": b"foreign"},
        {b"k": b"x"},
        {b"k": b"x", b"b": b"\xff\xfe"},
        {b"k": b"x", b"b": b"{}", b"h": b"[1]"},
        {b"k": b"x", b"b": b"{}", b"h": b"{not json"},
        {b"k": b"x", b"b": b"{}", b"h": b'{"n":1}'},
        {b"\xff": b"x", b"k": b"x", b"b": b"{}"},
    ],
)
async def test_an_entry_that_is_no_message_is_buried_and_stops_nobody(
    bus: RedisBus, client: Redis, fields: dict[bytes, bytes]
) -> None:
    """reliability/B04: garbage in the stream becomes a dead letter with its reason; its neighbours flow."""
    await publish(bus, 1)
    await client.xadd(STREAM, fields)  # type: ignore[arg-type]
    await publish(bus, 1)
    assert len(await read_all(bus)) == 2
    letters = await bus.dead_letters()
    assert len(letters) == 1
    assert letters[0].reason.startswith("stream entry")
    assert (await bus.lag("journal", "audit")).pending == 2
    await bus.replay(letters[0].letter_id)
    assert await read_all(bus) == []
    assert len(await bus.dead_letters()) == 1


async def test_lag_is_right_after_deletions_and_trims_by_others(bus: RedisBus, client: Redis) -> None:
    """reliability/W04: the server's own lag is unknown after deletions, and wrong after a trim; ours is neither."""
    ids = [each.partition(":")[2] for each in await publish(bus, 1200)]
    await bus.read("journal", "audit", "a", count=10)
    await client.xdel(STREAM, ids[500], ids[501])
    assert (await bus.lag("journal", "audit")).undelivered == 1188
    await client.xtrim(STREAM, minid=ids[1000], approximate=False)
    lag = await bus.lag("journal", "audit")
    assert (lag.undelivered, lag.pending) == (200, 10)
    await client.xtrim(STREAM, maxlen=0, approximate=False)
    assert (await bus.lag("journal", "audit")).undelivered == 0


async def test_trim_keeps_exactly_what_the_slowest_group_needs(bus: RedisBus, client: Redis) -> None:
    """reliability/B05: MINID of the slowest group, first pending or first unread, to the entry."""
    await bus.subscribe("journal", "slow")
    await publish(bus, 30)
    await bus.ack("journal", "audit", [delivery.delivery_id for delivery in await read_all(bus)])
    slow = await bus.read("journal", "slow", "s", count=10)
    await bus.ack("journal", "slow", [delivery.delivery_id for delivery in slow if delivery != slow[4]])
    assert await bus.trim("journal") == 4
    assert await client.xlen(STREAM) == 26
    await bus.ack("journal", "slow", [slow[4].delivery_id])
    assert await bus.trim("journal") == 6
    await bus.ack("journal", "slow", [delivery.delivery_id for delivery in await read_all(bus, "slow")])
    assert await bus.trim("journal") == 20
    assert await client.xlen(STREAM) == 0


async def test_without_a_group_nothing_is_trimmed(client: Redis) -> None:
    """reliability/B05: messages published before any group is declared wait for it."""
    batcher = Batcher(client)
    bus = RedisBus(client, batcher, KEYS)
    await publish(bus, 5)
    assert await bus.trim("journal") == 0
    await bus.subscribe("journal", "first")
    assert len(await read_all(bus, "first")) == 5
    await batcher.aclose()


async def test_a_full_server_refuses_and_loses_nothing(bus: RedisBus, client: Redis) -> None:
    """reliability/R07: at the memory limit burying and publishing are refused whole; the message stays pending."""
    await publish(bus, 1)
    held = (await bus.read("journal", "audit", "a"))[0]
    await client.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(StoreUnavailable):
            await bus.bury("journal", "audit", held, "no room")
        with pytest.raises(StoreUnavailable):
            await bus.publish("journal", message(2), dedupe_key="d")
        with pytest.raises(StoreUnavailable):
            await bus.publish("journal", message(2))
    finally:
        await client.config_set("maxmemory", "0")
    assert await bus.dead_letters() == []
    assert (await bus.lag("journal", "audit")).pending == 1
    assert await bus.publish("journal", message(2), dedupe_key="d")
    await bus.bury("journal", "audit", held, "room again")
    assert len(await bus.dead_letters()) == 1


async def test_a_server_that_is_gone_is_an_error_of_ours() -> None:
    """reliability/R01: every call says StoreUnavailable, none hangs or pretends."""
    client = connect("redis://127.0.0.1:1/0")
    batcher = Batcher(client)
    bus = RedisBus(client, batcher, KEYS)
    delivery = Delivery(delivery_id="0:1-1", message=message(1), attempt=1)
    calls = [
        bus.publish("journal", message(1)),
        bus.publish("journal", message(1), dedupe_key="d"),
        bus.subscribe("journal", "audit"),
        bus.read("journal", "audit", "a", block_ms=100),
        bus.claim("journal", "audit", "a", idle_ms=0),
        bus.ack("journal", "audit", ["0:1-1"]),
        bus.bury("journal", "audit", delivery, "why"),
        bus.dead_letters(),
        bus.replay("0:1-1"),
        bus.lag("journal", "audit"),
        bus.trim("journal"),
    ]
    began = monotonic()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * len(calls)
    assert monotonic() - began < 5
    await batcher.aclose()
    await client.aclose()


async def test_waiting_reads_hold_up_nobody(bus: RedisBus, client: Redis) -> None:
    """F19: consumers that wait have connections of their own; publishing and reading elsewhere stay quick."""
    for group in ("a", "b", "c", "d", "e"):
        await bus.subscribe("journal", group)
    waiting = [
        asyncio.create_task(bus.read("journal", group, "w", block_ms=8000)) for group in ("a", "b", "c", "d", "e")
    ]
    await _blocked(client, 5)
    began = monotonic()
    await publish(bus, 1)
    got = await asyncio.gather(*waiting)
    assert [numbers(each) for each in got] == [[message(0).body]] * 5
    assert monotonic() - began < 1


async def test_every_key_has_an_owner_or_a_life(bus: RedisBus, client: Redis) -> None:
    """reliability/T08: the bus leaves streams, dead letters and marks that expire; nothing else."""
    await bus.publish("journal", message(1), dedupe_key="d")
    await bus.bury("journal", "audit", (await read_all(bus))[0], "why")
    await assert_no_unowned_keys(client, KEYS)
    assert 0 < await client.ttl(KEYS.dedupe("journal\x00d")) <= 7 * 24 * 3600


async def _blocked(client: Redis, count: int = 1) -> None:
    """Wait until ``count`` clients block on the server."""
    deadline = monotonic() + 10
    blocked = 0
    while blocked < count:
        assert monotonic() < deadline, f"{blocked} clients are blocked"
        blocked = (await client.info("clients"))["blocked_clients"]
        await asyncio.sleep(0.01)


async def test_a_consumer_that_leaves_is_forgotten_unless_it_owes_something(
    redis: Redis, batcher: Batcher, keyspace: Keyspace
) -> None:
    """Workers come and go under new names; what one of them left unacknowledged is still claimed."""
    bus = RedisBus(redis, batcher, keyspace)
    await bus.subscribe("intake", "workers")
    await bus.publish("intake", Message(key="k", body="{}"))
    owing = await bus.read("intake", "workers", "owes", count=1)
    await bus.read("intake", "workers", "owes-nothing", count=1)
    for consumer in ("owes", "owes-nothing", "never-seen"):
        await bus.leave("intake", "workers", consumer)
    await bus.leave("no-such-topic", "workers", "owes")
    known = {row["name"] for row in await redis.xinfo_consumers(keyspace.stream("intake"), "workers")}
    assert known == {b"owes"}
    claimed = await bus.claim("intake", "workers", "heir", idle_ms=0)
    assert [d.message.body for d in claimed] == [d.message.body for d in owing]
