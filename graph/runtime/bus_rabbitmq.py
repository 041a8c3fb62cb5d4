"""The event bus on RabbitMQ 3.10+: an exchange and a stream per topic, a quorum queue per group.

What RabbitMQ gives and what not, plainly. Delivery is at least once. The stream keeps a topic's past, and a new group's
queue is filled from it before it is bound: what is published while that happens may come to the new group twice. A dead
process's messages go back to the queue and reach the others through ``read``, as redelivered; ``claim`` redelivers what
consumers of *this* process left. ``bury`` and ``replay`` send first and settle second: a crash between the two repeats a
message, never loses one. Order per key holds for first deliveries. The broker remembers no dedupe keys: ``PublishMarks``
in Redis do. Streams are dropped by retention (``max-age``, ``max-length-bytes``) that the operator sets by policy.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, ClassVar
from uuid import uuid4

import structlog

from domain.errors import NotFound
from domain.ports import DeadLetter, Delivery, Lag, Message
from graph.runtime.bus_marks import PublishMarks
from graph.runtime.bus_messages import DELIVERY_CAP, Capability, epoch_ms, utc_now
from graph.runtime.bus_rabbitmq_client import RabbitClient, headers_of, message_of, published_ms, routing_key_of
from graph.runtime.bus_rabbitmq_letters import RabbitLetters

log = structlog.get_logger()

POLL_S = 0.02
"""Between two looks at an empty queue."""


@dataclass
class _Held:
    record: Any
    message: Message
    delivered_at: datetime
    attempts: int


@dataclass
class _Group:
    queue: str
    held: dict[str, _Held] = field(default_factory=dict)
    epoch: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class RabbitBus:
    """An ``EventBus`` on RabbitMQ. Names on the broker start with ``prefix``."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.SHARES_EVENLY})

    def __init__(
        self,
        url: str,
        marks: PublishMarks,
        *,
        prefix: str = "signalbox.",
        delivery_cap: int = DELIVERY_CAP,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """``url`` is an AMQP URL. Raises ConfigError when aio-pika is not installed."""
        self._client = RabbitClient(url)
        self._marks = marks
        self._prefix = prefix
        self._cap = delivery_cap
        self._now = now
        self._letters = RabbitLetters(self._client, f"{prefix}dead")
        self._groups: dict[tuple[str, str], _Group] = {}
        self._declared: dict[str, int] = {}

    async def publish(self, topic: str, message: Message, *, dedupe_key: str | None = None) -> str | None:
        """Append and return the message id once confirmed, or None when ``dedupe_key`` was published before.

        Raises:
            StoreUnavailable: it is not known whether the message was appended.
        """
        if dedupe_key is None:
            return await self._send(topic, message)
        name = f"{topic}\x00{dedupe_key}"
        token = await self._marks.begin(name)
        if token is None:
            return None
        try:
            published = await self._send(topic, message)
        except BaseException:
            await self._marks.forget(name, token)
            raise
        await self._marks.done(name)
        return published

    async def subscribe(self, topic: str, group: str) -> None:
        """Declare a group; its queue starts with all the topic's stream has kept."""
        queue = f"{self._prefix}{topic}.{group}"
        with self._client.errors():
            await self._open_topic(topic)
            turn = await self._client.take_turn(f"{queue}.lock")
            try:
                # The mark says that the queue is filled and bound; without it, whoever filled it has died half-way.
                if not await self._client.exists(f"{queue}.ready"):
                    await self._fill(topic, queue)
                    await self._client.work_queue(f"{queue}.ready")
            finally:
                await turn.close()
        self._groups.setdefault((topic, group), _Group(queue))

    async def read(
        self, topic: str, group: str, consumer: str, *, count: int = 10, block_ms: int = 0
    ) -> list[Delivery]:
        """Take up to ``count`` undelivered messages, waiting up to ``block_ms`` for the first one.

        Raises:
            NotFound: the group was never declared here.
            StoreUnavailable: the broker did not answer.
        """
        known = self._group(topic, group)
        deadline = monotonic() + block_ms / 1000
        with self._client.errors():
            while True:
                async with known.lock:
                    taken = await self._take(topic, group, count)
                if taken or monotonic() >= deadline:
                    return taken
                await asyncio.sleep(POLL_S)

    async def claim(self, topic: str, group: str, consumer: str, *, idle_ms: int, count: int = 10) -> list[Delivery]:
        """Deliver again what consumers of this process left unacknowledged for ``idle_ms``, oldest first.

        Raises:
            NotFound: the group was never declared here.
            StoreUnavailable: the broker did not answer.
        """
        known = self._group(topic, group)
        claimed: list[Delivery] = []
        async with known.lock:
            with self._client.errors():
                await self._current(known)
                now = self._now()
                idle = timedelta(milliseconds=idle_ms)
                waiting = [(i, held) for i, held in known.held.items() if now - held.delivered_at >= idle]
                for delivery_id, held in waiting[:count]:
                    if held.attempts >= self._cap:
                        reason = f"delivered {held.attempts} times without being acknowledged"
                        await self._move(topic, group, delivery_id, reason)
                        continue
                    held.attempts += 1
                    held.delivered_at = now
                    claimed.append(Delivery(delivery_id=delivery_id, message=held.message, attempt=held.attempts))
        return claimed

    async def ack(self, topic: str, group: str, delivery_ids: Sequence[str]) -> None:
        """Confirm that the messages are handled; an id settled before, or given back by a lost connection, is left alone.

        Raises:
            NotFound: the group was never declared here.
            StoreUnavailable: the broker did not answer; the messages come again.
        """
        known = self._group(topic, group)
        async with known.lock:
            with self._client.errors():
                await self._current(known)
                for delivery_id in delivery_ids:
                    if held := known.held.pop(delivery_id, None):
                        await held.record.ack()

    async def bury(self, topic: str, group: str, delivery: Delivery, reason: str) -> None:
        """Move a delivery to the dead letters and acknowledge it; one that somebody has settled since is left alone."""
        known = self._group(topic, group)
        async with known.lock:
            with self._client.errors():
                await self._current(known)
                if delivery.delivery_id in known.held:
                    await self._move(topic, group, delivery.delivery_id, reason)

    async def dead_letters(self, *, count: int = 100) -> list[DeadLetter]:
        """The dead letters, oldest first. Reads their whole stream."""
        with self._client.errors():
            return list((await self._letters.kept()).values())[:count]

    async def replay(self, letter_id: str) -> str:
        """Publish a dead letter again and drop it; of several who replay it at once, one does.

        Raises:
            NotFound: no such letter.
        """
        name = f"replay\x00{letter_id}"
        with self._client.errors():
            letter = (await self._letters.kept()).get(letter_id)
        token = await self._marks.begin(name) if letter else None
        if letter is None or token is None:
            raise NotFound(f"there is no dead letter {letter_id[:200]}; list them to see which remain")
        try:
            published = await self._send(letter.topic, letter.message)
        except BaseException:
            await self._marks.forget(name, token)
            raise
        with self._client.errors():
            await self._letters.drop(letter_id)
        await self._marks.done(name)
        return published

    async def lag(self, topic: str, group: str) -> Lag:
        """How far the group is behind; what other processes hold is not counted, nor the age of what waits.

        Raises:
            NotFound: the group was never declared here.
        """
        known = self._group(topic, group)
        with self._client.errors():
            await self._current(known)
            waiting = (await self._client.work_queue(known.queue)).declaration_result.message_count
        published = [published_ms(held.record) for held in known.held.values()]
        age_ms = max(0, epoch_ms(self._now()) - min(published)) if published else 0
        return Lag(undelivered=waiting, pending=len(known.held), oldest_ms=age_ms)

    async def trim(self, topic: str) -> int:
        """Drop nothing, return 0: group queues drop on acknowledgement, the stream by its retention policy."""
        return 0

    async def close(self) -> None:
        """Disconnect; what was not acknowledged goes back to its queue."""
        await self._client.close()

    def _group(self, topic: str, group: str) -> _Group:
        if (topic, group) not in self._groups:
            raise NotFound(f"group {group} was never declared on topic {topic}; call subscribe first")
        return self._groups[topic, group]

    async def _current(self, known: _Group) -> None:
        """Forget what an earlier channel delivered: the broker has put it back and gives it out again."""
        await self._client.channel()
        if known.epoch != self._client.epoch:
            if known.held:
                log.warning("bus.deliveries_returned", queue=known.queue, count=len(known.held))
            known.held.clear()
            known.epoch = self._client.epoch

    async def _open_topic(self, topic: str) -> None:
        await self._client.channel()
        if self._declared.get(topic) != self._client.epoch:
            await self._client.topic(self._prefix + topic, f"{self._prefix}{topic}.log")
            self._declared[topic] = self._client.epoch

    async def _fill(self, topic: str, queue: str) -> None:
        """Make a group's queue: copy the past into it, bind it, copy what came in between."""
        await self._client.delete(queue)
        made = await self._client.work_queue(queue)
        async for record in self._client.until_fence(f"{self._prefix}{topic}.log", passes=2):
            if record is None:
                await made.bind(self._prefix + topic, "#")
            else:
                await self._client.send("", queue, record.body, record.headers, message_id=record.message_id)

    async def _send(self, topic: str, message: Message) -> str:
        with self._client.errors():
            await self._open_topic(topic)
            headers = headers_of(message, epoch_ms(self._now()))
            return await self._client.send(
                self._prefix + topic, routing_key_of(message), message.body.encode(), headers
            )

    async def _take(self, topic: str, group: str, count: int) -> list[Delivery]:
        known = self._groups[topic, group]
        await self._current(known)
        queue = await (await self._client.channel()).get_queue(known.queue, ensure=False)
        taken: list[Delivery] = []
        while len(taken) < count and (record := await queue.get(fail=False)) is not None:
            message, problem = message_of(record)
            attempts = int(record.headers.get("x-delivery-count") or 0) + 1
            delivery_id = uuid4().hex
            known.held[delivery_id] = _Held(record, message, self._now(), min(attempts, self._cap))
            if not problem and attempts > self._cap:
                problem = f"delivered {self._cap} times without being acknowledged"
            if problem:
                await self._move(topic, group, delivery_id, problem)
            else:
                taken.append(Delivery(delivery_id=delivery_id, message=message, attempt=attempts))
        return taken

    async def _move(self, topic: str, group: str, delivery_id: str, reason: str) -> None:
        """Write a dead letter, then acknowledge the message."""
        held = self._groups[topic, group].held[delivery_id]
        letter = DeadLetter(
            letter_id=f"{topic}/{group}/{held.record.message_id or delivery_id}",
            topic=topic,
            group=group,
            message=held.message,
            reason=reason,
            attempts=held.attempts,
            at=self._now(),
        )
        await self._letters.put(letter)
        del self._groups[topic, group].held[delivery_id]
        await held.record.ack()
        log.warning("bus.dead_lettered", topic=topic, group=group, delivery_id=delivery_id, reason=reason)
