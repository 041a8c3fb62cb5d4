"""F19, P20: one contract for every broker. Each test states one promise of ``domain.ports.EventBus``."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

import pytest

from domain.errors import NotFound, StoreUnavailable
from domain.ports import DeadLetter, Delivery, EventBus, Lag, Message
from graph.runtime.bus_messages import DELIVERY_CAP, Capability
from tests.contract.conftest import AnyBus

PATIENCE_S = 20.0
IDLE_MS = 20

T = TypeVar("T")


def message(number: int, key: str = "order-1") -> Message:
    return Message(key=key, headers={"n": str(number)}, body=f'{{"number":{number}}}')


async def publish(bus: EventBus, count: int, *, keys: int = 1, topic: str = "journal") -> list[Message]:
    sent = [message(number, f"order-{number % keys}") for number in range(count)]
    for each in sent:
        assert await bus.publish(topic, each)
    return sent


async def take(
    bus: EventBus, count: int, *, group: str = "audit", consumer: str = "a", topic: str = "journal", acked: bool = False
) -> list[Delivery]:
    """Read until ``count`` messages came; fails when they do not."""
    taken: list[Delivery] = []
    deadline = monotonic() + PATIENCE_S
    while len(taken) < count:
        assert monotonic() < deadline, f"{len(taken)} of {count} messages came"
        more = await bus.read(topic, group, consumer, count=min(64, count - len(taken)), block_ms=500)
        if acked:
            await bus.ack(topic, group, [delivery.delivery_id for delivery in more])
        taken += more
    return taken


async def claimed(bus: EventBus, count: int, *, consumer: str = "b", idle_ms: int = IDLE_MS) -> list[Delivery]:
    """Claim until ``count`` messages came."""
    got: list[Delivery] = []
    deadline = monotonic() + PATIENCE_S
    while len(got) < count:
        assert monotonic() < deadline, f"{len(got)} of {count} messages were claimed"
        got += await bus.claim("journal", "audit", consumer, idle_ms=idle_ms, count=count - len(got))
        await asyncio.sleep(IDLE_MS / 1000)
    return got


async def eventually(ask: Callable[[], Awaitable[T]], good: Callable[[T], bool]) -> T:
    """Ask until the answer is good; the last answer is returned for the caller to judge."""
    deadline = monotonic() + PATIENCE_S
    answer = await ask()
    while not good(answer) and monotonic() < deadline:
        await asyncio.sleep(0.02)
        answer = await ask()
    return answer


def bodies(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message.body for delivery in deliveries]


async def test_what_is_published_is_read_in_order_and_gone_once_acknowledged(bus: AnyBus) -> None:
    """F19: messages of one key come in the order they were published, whole, on attempt 1."""
    await bus.subscribe("journal", "audit")
    sent = await publish(bus, 30, keys=3)
    got = await take(bus, 30, acked=True)
    assert all(delivery.attempt == 1 for delivery in got)
    for key in {each.key for each in sent}:
        assert [d.message for d in got if d.message.key == key] == [m for m in sent if m.key == key]
    assert await bus.read("journal", "audit", "a", count=10) == []
    assert await bus.claim("journal", "audit", "b", idle_ms=0) == []


async def test_a_group_declared_later_sees_everything(bus: AnyBus) -> None:
    """F19: a group starts at the topic's beginning; declaring twice changes nothing."""
    sent = await publish(bus, 12)
    await bus.subscribe("journal", "late")
    await bus.subscribe("journal", "late")
    sent += await publish(bus, 3)
    got = await take(bus, 15, group="late")
    assert [delivery.message for delivery in got] == sent


async def test_every_group_sees_every_message(bus: AnyBus) -> None:
    """F19: groups do not take from each other."""
    for group in ("audit", "tier3"):
        await bus.subscribe("journal", group)
    sent = await publish(bus, 10, keys=4)
    for group in ("audit", "tier3"):
        got = await take(bus, 10, group=group, acked=True)
        assert sorted(bodies(got)) == sorted(each.body for each in sent)


async def test_topics_do_not_mix(bus: AnyBus) -> None:
    """F19: a group of one topic sees nothing of another, even under the same name."""
    for topic in ("intake", "journal"):
        await bus.subscribe(topic, "audit")
    await bus.publish("intake", message(1))
    await bus.publish("journal", message(2))
    assert bodies(await take(bus, 1, topic="intake")) == [message(1).body]
    assert bodies(await take(bus, 1, topic="journal")) == [message(2).body]
    assert await bus.read("intake", "audit", "a") == []


async def test_consumers_of_a_group_share_without_overlap(bus: AnyBus) -> None:
    """F19: each message goes to one consumer of the group, and none is left out."""
    await bus.subscribe("journal", "audit")
    await publish(bus, 60, keys=20)
    got: dict[str, list[Delivery]] = {"a": [], "b": []}

    async def work(consumer: str) -> None:
        deadline = monotonic() + PATIENCE_S
        while len(got["a"]) + len(got["b"]) < 60 and monotonic() < deadline:
            try:
                more = await bus.read("journal", "audit", consumer, count=2, block_ms=100)
            except StoreUnavailable:
                # The Kafka cluster of the tests completes a rebalance on the leader's request alone and refuses a member
                # that asks a moment later; like any worker, that one backs off and tries again.
                await asyncio.sleep(2)
                continue
            got[consumer] += more
            await bus.ack("journal", "audit", [delivery.delivery_id for delivery in more])

    await asyncio.gather(work("a"), work("b"))
    assert sorted(bodies(got["a"] + got["b"])) == sorted(message(n).body for n in range(60))
    if Capability.SHARES_EVENLY in bus.capabilities:
        assert got["a"], "consumer a got nothing"
        assert got["b"], "consumer b got nothing"


async def test_count_is_the_most_that_comes(bus: AnyBus) -> None:
    """F19: ``count`` bounds one read."""
    await bus.subscribe("journal", "audit")
    await publish(bus, 9, keys=9)
    got: list[Delivery] = []
    deadline = monotonic() + PATIENCE_S
    while len(got) < 9 and monotonic() < deadline:
        more = await bus.read("journal", "audit", "a", count=2, block_ms=200)
        assert len(more) <= 2
        got += more
    assert len(got) == 9


async def test_a_waiting_read_wakes_for_the_first_message(bus: AnyBus) -> None:
    """F19: ``block_ms`` waits for a message no longer than needed."""
    await bus.subscribe("journal", "audit")
    await bus.publish("journal", message(0))
    await take(bus, 1, acked=True)
    waiting = asyncio.create_task(bus.read("journal", "audit", "a", block_ms=15_000))
    await asyncio.sleep(0.05)
    began = monotonic()
    await bus.publish("journal", message(1))
    assert bodies(await waiting) == [message(1).body]
    assert monotonic() - began < 3


async def test_an_idle_read_ends_after_its_wait(bus: AnyBus) -> None:
    """F19: nothing to read is an empty list, at once or after ``block_ms``."""
    await bus.subscribe("journal", "audit")
    await bus.publish("journal", message(0))
    await take(bus, 1, acked=True)
    began = monotonic()
    assert await bus.read("journal", "audit", "a") == []
    assert await bus.read("journal", "audit", "a", block_ms=150) == []
    assert 0.14 < monotonic() - began < 3


async def test_an_undeclared_group_is_refused(bus: AnyBus) -> None:
    """F19: a misspelt group is an error, not an empty topic."""
    await bus.publish("journal", message(0))
    with pytest.raises(NotFound, match="nobody"):
        await bus.read("journal", "nobody", "a")
    with pytest.raises(NotFound, match="nobody"):
        await bus.claim("journal", "nobody", "a", idle_ms=0)
    with pytest.raises(NotFound, match="nobody"):
        await bus.lag("journal", "nobody")


async def test_unacknowledged_messages_are_claimed_once_idle_and_attempts_grow(bus: AnyBus) -> None:
    """reliability/B06: what a consumer leaves is taken over after its idle time, not before, and counted."""
    await bus.subscribe("journal", "audit")
    await publish(bus, 3)
    first = await take(bus, 3)
    assert await bus.claim("journal", "audit", "b", idle_ms=60_000) == []
    again = await claimed(bus, 3)
    assert bodies(again) == bodies(first)
    assert {delivery.attempt for delivery in again} == {2}
    assert await bus.claim("journal", "audit", "a", idle_ms=60_000) == []
    assert {delivery.attempt for delivery in await claimed(bus, 3, consumer="a")} == {3}


async def test_two_claimers_never_get_the_same_delivery(bus: AnyBus) -> None:
    """reliability/B06: claiming resets the idle time, so concurrent claimers share."""
    await bus.subscribe("journal", "audit")
    await publish(bus, 20, keys=5)
    await take(bus, 20)
    await asyncio.sleep(0.2)
    rounds = await asyncio.gather(
        *(bus.claim("journal", "audit", name, idle_ms=150, count=20) for name in ("b", "c", "d", "e"))
    )
    got = [body for found in rounds for body in bodies(found)]
    assert sorted(got) == sorted(message(n).body for n in range(20))


async def test_a_late_acknowledgement_by_the_slow_consumer_counts(bus: AnyBus) -> None:
    """reliability/B06: after a takeover either consumer may settle the message, once."""
    await bus.subscribe("journal", "audit")
    await publish(bus, 1)
    slow = await take(bus, 1)
    quick = await claimed(bus, 1)
    await bus.ack("journal", "audit", [quick[0].delivery_id])
    await bus.ack("journal", "audit", [slow[0].delivery_id])
    await bus.bury("journal", "audit", slow[0], "came too late")
    assert await bus.claim("journal", "audit", "a", idle_ms=0) == []
    assert await bus.dead_letters() == []


async def test_at_the_delivery_cap_a_message_becomes_a_dead_letter_with_its_reason(bus: AnyBus) -> None:
    """reliability/B04: five deliveries and no more, then the letter says what happened."""
    await bus.subscribe("journal", "audit")
    sent = await publish(bus, 1)
    await take(bus, 1)
    attempts = [(await claimed(bus, 1))[0].attempt for _ in range(DELIVERY_CAP - 1)]
    assert attempts == [2, 3, 4, 5]

    async def claim_again() -> list[DeadLetter]:
        assert await bus.claim("journal", "audit", "b", idle_ms=IDLE_MS) == []
        return await bus.dead_letters()

    letter = (await eventually(claim_again, bool))[0]
    assert (letter.topic, letter.group, letter.attempts) == ("journal", "audit", DELIVERY_CAP)
    assert letter.message == sent[0]
    assert "5 times" in letter.reason
    assert await bus.claim("journal", "audit", "b", idle_ms=0) == []


async def test_a_poison_message_stops_nobody(bus: AnyBus) -> None:
    """reliability/B04, F21: bad JSON, an unknown type, schema v99 and 5 MB flow like any other and are buried alone."""
    await bus.subscribe("intake", "controller")
    poison = ["{not json", '{"event_type":"zebra"}', '{"schema_version":99}', "\x00\ufffd" + "x" * 5_000_000, ""]
    for number, body in enumerate(poison):
        await bus.publish("intake", Message(key=f"bad-{number}", body=body))
        await bus.publish("intake", message(number, f"good-{number}"))
    buried = []
    for delivery in await take(bus, 10, topic="intake", group="controller"):
        if delivery.message.key.startswith("bad"):
            await bus.bury("intake", "controller", delivery, f"not an event: {delivery.message.key}")
            buried.append(delivery.message)
        else:
            await bus.ack("intake", "controller", [delivery.delivery_id])
    letters = await bus.dead_letters()
    assert {letter.message.body for letter in letters} == set(poison)
    assert {letter.reason for letter in letters} == {f"not an event: bad-{n}" for n in range(5)}
    lag = await eventually(lambda: bus.lag("intake", "controller"), lambda lag: lag.undelivered == 0)
    assert (lag.undelivered, lag.pending) == (0, 0)


async def test_a_dead_letter_is_replayed_once(bus: AnyBus) -> None:
    """reliability/B04: replay publishes the message as it was and drops the letter; a second replay finds nothing."""
    await bus.subscribe("journal", "audit")
    sent = await publish(bus, 2)
    for delivery in await take(bus, 2):
        await bus.bury("journal", "audit", delivery, "no such agent")
        await bus.bury("journal", "audit", delivery, "no such agent")
    letters = await bus.dead_letters()
    assert [letter.message for letter in letters] == sent
    assert len(await bus.dead_letters(count=1)) == 1
    assert await bus.replay(letters[0].letter_id)
    with pytest.raises(NotFound):
        await bus.replay(letters[0].letter_id)
    again = await take(bus, 1)
    assert (again[0].message, again[0].attempt) == (sent[0], 1)
    assert [letter.message for letter in await bus.dead_letters()] == sent[1:]


@pytest.mark.parametrize("letter_id", ["", "0:1-1", "nonsense", "9:1-1", "journal/audit/0:7"])
async def test_replaying_an_unknown_letter_is_refused(bus: AnyBus, letter_id: str) -> None:
    """reliability/B04: an id that is no letter is an error."""
    with pytest.raises(NotFound):
        await bus.replay(letter_id)


async def test_concurrent_replays_publish_once(bus: AnyBus) -> None:
    """reliability/B04: two operators press replay; one message comes."""
    await bus.subscribe("journal", "audit")
    await publish(bus, 1)
    await bus.bury("journal", "audit", (await take(bus, 1))[0], "why")
    letter_id = (await bus.dead_letters())[0].letter_id
    results = await asyncio.gather(*(bus.replay(letter_id) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(result, str) for result in results) == 1
    assert all(isinstance(result, str | NotFound) for result in results)
    await take(bus, 1, acked=True)
    assert await bus.read("journal", "audit", "a", block_ms=100) == []


async def test_one_of_fifty_publishers_of_a_dedupe_key_publishes(bus: AnyBus) -> None:
    """reliability/B01: the same delivery fifty times at once is one message; keys count per topic."""
    await bus.subscribe("journal", "audit")
    same = message(1)
    results = await asyncio.gather(*(bus.publish("journal", same, dedupe_key="shop-1/evt-9") for _ in range(50)))
    assert sum(result is not None for result in results) == 1
    assert await bus.publish("journal", same, dedupe_key="shop-1/evt-9") is None
    assert await bus.publish("journal", message(2), dedupe_key="shop-1/evt-10")
    assert await bus.publish("intake", same, dedupe_key="shop-1/evt-9")
    assert sorted(bodies(await take(bus, 2, acked=True))) == [message(1).body, message(2).body]
    assert await bus.read("journal", "audit", "a", block_ms=100) == []


async def test_lag_counts_what_waits_and_what_is_in_hand(bus: AnyBus) -> None:
    """reliability/W04: undelivered, pending and the age of the oldest are right at every step."""
    await bus.subscribe("journal", "audit")
    assert await bus.lag("journal", "audit") == Lag(undelivered=0, pending=0, oldest_ms=0)
    await publish(bus, 10, keys=4)
    await asyncio.sleep(0.05)

    async def lag() -> Lag:
        return await bus.lag("journal", "audit")

    waiting = await eventually(lag, lambda lag: lag.undelivered == 10)
    assert (waiting.undelivered, waiting.pending) == (10, 0)
    if Capability.KNOWS_AGE in bus.capabilities:
        assert 50 <= waiting.oldest_ms < 20_000
    got = await take(bus, 4)
    taken = await eventually(lag, lambda lag: lag.undelivered == 6)
    assert (taken.undelivered, taken.pending) == (6, 4)
    assert 50 <= taken.oldest_ms < 20_000
    await bus.ack("journal", "audit", [delivery.delivery_id for delivery in got])
    await take(bus, 6, acked=True)
    done = await eventually(lag, lambda lag: lag == Lag(undelivered=0, pending=0, oldest_ms=0))
    assert done == Lag(undelivered=0, pending=0, oldest_ms=0)


async def test_messages_acknowledged_out_of_order_leave_the_others_pending(bus: AnyBus) -> None:
    """F19: acknowledging the last of five says nothing about the first four."""
    await bus.subscribe("journal", "audit")
    await publish(bus, 5)
    got = await take(bus, 5)
    await bus.ack("journal", "audit", [got[4].delivery_id, got[2].delivery_id])
    again = await claimed(bus, 3)
    assert bodies(again) == [message(n).body for n in (0, 1, 3)]
    assert (await bus.lag("journal", "audit")).pending == 3


async def test_trim_never_drops_what_a_group_still_needs(bus: AnyBus) -> None:
    """reliability/B05: workers stopped, a backlog of three times any cap, one group behind: nothing unread goes."""
    for group in ("audit", "slow"):
        await bus.subscribe("journal", group)
    await publish(bus, 300, keys=7)
    done = await take(bus, 300, acked=True)
    assert await bus.trim("journal") == 0
    in_hand = await take(bus, 100, group="slow")
    await bus.ack("journal", "slow", [delivery.delivery_id for delivery in in_hand[1:]])
    await bus.trim("journal")
    rest = await take(bus, 200, group="slow", acked=True)
    assert sorted(bodies(in_hand + rest)) == sorted(bodies(done))
    again = await bus.claim("journal", "slow", "b", idle_ms=0)
    assert [delivery.message for delivery in again] == [in_hand[0].message]
    await bus.ack("journal", "slow", [again[0].delivery_id])
    await bus.trim("journal")
    assert await bus.trim("journal") == 0


async def test_trim_drops_what_every_group_has_acknowledged(bus: AnyBus) -> None:
    """reliability/B05: storage comes back, exactly; brokers with retention of their own drop nothing here."""
    await bus.subscribe("journal", "audit")
    await publish(bus, 20, keys=3)
    got = await take(bus, 20)
    await bus.ack("journal", "audit", [delivery.delivery_id for delivery in got])
    expected = 20 if Capability.TRIMS in bus.capabilities else 0
    assert await bus.trim("journal") == expected
    assert await bus.trim("nothing-here") == 0
    await bus.publish("journal", message(99))
    assert bodies(await take(bus, 1)) == [message(99).body]


@pytest.mark.parametrize("body", ["", "訂單已確認 📦 đơn hàng", "\u2028\x00\x1f", '"', "x" * 5_000_000])
async def test_bodies_and_headers_come_back_as_they_were(bus: AnyBus, body: str) -> None:
    """F19: a body is opaque text, up to 5 MB; keys and headers are any text."""
    await bus.subscribe("journal", "audit")
    sent = Message(key="đơn/1:ключ", headers={"kanaal": "lazada 台灣", "leer": "", "k": "v", "seq": "7"}, body=body)
    await bus.publish("journal", sent)
    assert (await take(bus, 1, acked=True))[0].message == sent


async def test_an_unknown_acknowledgement_changes_nothing(bus: AnyBus) -> None:
    """F19: an id nobody gave is refused or ignored, and acknowledges nothing else."""
    await bus.subscribe("journal", "audit")
    await publish(bus, 1)
    await take(bus, 1)
    for unknown in ("0:99999", "7", "garbage", ""):
        with contextlib.suppress(NotFound):
            await bus.ack("journal", "audit", [unknown])
    await bus.ack("journal", "audit", [])
    assert (await bus.lag("journal", "audit")).pending == 1


async def test_a_new_process_goes_on_where_the_last_one_stopped(bus: AnyBus, open_bus: Callable[[], AnyBus]) -> None:
    """reliability/W03: what was acknowledged stays so; what was in hand comes again, counted as delivered before."""
    await bus.subscribe("journal", "audit")
    await publish(bus, 6)
    got = await take(bus, 4)
    await bus.ack("journal", "audit", [delivery.delivery_id for delivery in got[:2]])
    await bus.close()
    heir = open_bus()
    await heir.subscribe("journal", "audit")
    attempts: dict[str, int] = {}
    deadline = monotonic() + PATIENCE_S
    while len(attempts) < 4 and monotonic() < deadline:
        again = await heir.claim("journal", "audit", "heir", idle_ms=100)
        again += await heir.read("journal", "audit", "heir", count=4, block_ms=200)
        for delivery in again:
            attempts.setdefault(delivery.message.headers["n"], delivery.attempt)
    assert attempts == {"2": 2, "3": 2, "4": 1, "5": 1}


async def test_concurrent_declarations_of_a_group_are_one(bus: AnyBus, open_bus: Callable[[], AnyBus]) -> None:
    """F19: several processes that start at once declare one group, and the past comes once."""
    sent = await publish(bus, 20)
    others = [open_bus() for _ in range(3)]
    await asyncio.gather(*(each.subscribe("journal", "audit") for each in (bus, *others)))
    assert bodies(await take(bus, 20, acked=True)) == [each.body for each in sent]
    assert await bus.read("journal", "audit", "a", block_ms=100) == []
