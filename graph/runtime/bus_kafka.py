"""The event bus on Kafka: a topic each, keyed partitions, consumer groups, offsets committed by hand.

What Kafka gives and what not, plainly. Delivery is at least once. Messages of one key keep their order, in one partition.
Only the acknowledged prefix of a partition can be committed: after a crash, messages acknowledged out of order behind an
open one come again. A dead process's messages reach the others through ``read`` when the group rebalances; ``claim``
redelivers what consumers of *this* process left. ``bury`` and ``replay`` send first and settle second: a crash between
the two repeats a message, never loses one. Kafka remembers no dedupe keys across producers: ``PublishMarks`` in Redis do.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

import structlog

from domain.errors import NotFound
from domain.ports import DeadLetter, Delivery, Lag, Message
from graph.runtime.bus_kafka_client import KafkaClient, published_ms, record_of
from graph.runtime.bus_kafka_group import KafkaGroup
from graph.runtime.bus_kafka_letters import KafkaLetters
from graph.runtime.bus_kafka_progress import Held, Progress
from graph.runtime.bus_marks import PublishMarks
from graph.runtime.bus_messages import DELIVERY_CAP, Capability, epoch_ms, utc_now

log = structlog.get_logger()

SESSION_TIMEOUT_MS = 10_000
"""A consumer silent for so long loses its partitions to the others."""


class KafkaBus:
    """An ``EventBus`` on a Kafka-protocol cluster. Topics are ``<prefix><topic>`` and ``<prefix>dead``."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.KNOWS_AGE, Capability.COUNTS_EVERYWHERE})

    def __init__(
        self,
        bootstrap_servers: str,
        marks: PublishMarks,
        *,
        prefix: str = "signalbox.",
        delivery_cap: int = DELIVERY_CAP,
        now: Callable[[], datetime] = utc_now,
        options: Mapping[str, Any] | None = None,
        session_timeout_ms: int = SESSION_TIMEOUT_MS,
    ) -> None:
        """``options`` go to every aiokafka client: ``security_protocol``, ``sasl_mechanism``, ``ssl_context``...

        Raises:
            ConfigError: aiokafka is not installed.
        """
        self._client = KafkaClient(bootstrap_servers, options or {}, session_timeout_ms=session_timeout_ms)
        self._marks = marks
        self._prefix = prefix
        self._cap = delivery_cap
        self._now = now
        self._letters = KafkaLetters(self._client, f"{prefix}dead")
        self._groups: dict[tuple[str, str], KafkaGroup] = {}

    async def publish(self, topic: str, message: Message, *, dedupe_key: str | None = None) -> str | None:
        """Append and return the message id, or None when ``dedupe_key`` was published before.

        Raises:
            PayloadTooLarge: the cluster does not take messages of this size.
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
        """Declare a group; it starts at the topic's beginning. The cluster creates a missing topic if it may."""
        with self._client.errors():
            await self._client.partitions(self._prefix + topic)
        # Offsets are kept per group and topic, but a rebalance stops the whole group: so one Kafka group per pair.
        name = f"{self._prefix}{topic}.{group}"
        self._groups.setdefault((topic, group), KafkaGroup(self._client, self._prefix + topic, name))

    async def read(
        self, topic: str, group: str, consumer: str, *, count: int = 10, block_ms: int = 0
    ) -> list[Delivery]:
        """Take up to ``count`` undelivered messages, waiting up to ``block_ms`` for the first one.

        The first read joins the group, which may take some seconds.

        Raises:
            NotFound: the group was never declared here.
            StoreUnavailable: the cluster did not answer.
        """
        known = self._group(topic, group)
        deliveries: list[Delivery] = []
        with self._client.errors():
            records = await known.fetch(consumer, count=count, block_ms=block_ms)
            async with known.lock:
                for record in records:
                    if (taken := known.hold(record, self._now())) is None:
                        continue
                    held, problem = taken
                    if not problem and held.attempts > self._cap:
                        held.attempts -= 1
                        problem = f"delivered {held.attempts} times without being acknowledged"
                    if problem:
                        await self._move(topic, group, f"{record.partition}:{record.offset}", held, problem)
                    else:
                        deliveries.append(_delivery(record.partition, record.offset, held))
                await known.commit()
        return deliveries

    async def claim(self, topic: str, group: str, consumer: str, *, idle_ms: int, count: int = 10) -> list[Delivery]:
        """Deliver again what consumers of this process left unacknowledged for ``idle_ms``, oldest first.

        Raises:
            NotFound: the group was never declared here.
            StoreUnavailable: the cluster did not answer.
        """
        known = self._group(topic, group)
        claimed: list[Delivery] = []
        async with known.lock:
            with self._client.errors():
                now = self._now()
                idle = timedelta(milliseconds=idle_ms)
                waiting = [row for row in known.held_here() if now - row[2].delivered_at >= idle]
                for partition, offset, held in waiting[:count]:
                    if held.attempts >= self._cap:
                        reason = f"delivered {held.attempts} times without being acknowledged"
                        await self._move(topic, group, f"{partition}:{offset}", held, reason)
                        continue
                    held.attempts += 1
                    held.delivered_at = now
                    claimed.append(_delivery(partition, offset, held))
                await known.commit()
        return claimed

    async def ack(self, topic: str, group: str, delivery_ids: Sequence[str]) -> None:
        """Confirm that the messages are handled, and commit what is now complete.

        An id settled before is left alone, and so is one whose partition has gone to another process: it comes again.

        Raises:
            NotFound: the group was never declared here, or an id is none this bus gives; nothing is acknowledged.
            StoreUnavailable: the cluster did not answer; the acknowledgement counts here and goes with the next.
        """
        known = self._group(topic, group)
        places = [_locate(delivery_id) for delivery_id in delivery_ids]
        async with known.lock:
            for partition, offset in places:
                if partition in known.progress:
                    known.progress[partition].held.pop(offset, None)
            with self._client.errors():
                await known.commit()

    async def bury(self, topic: str, group: str, delivery: Delivery, reason: str) -> None:
        """Move a delivery to the dead letters and acknowledge it; one that somebody has settled since is left alone."""
        known = self._group(topic, group)
        partition, offset = _locate(delivery.delivery_id)
        async with known.lock:
            progress = known.progress.get(partition)
            if progress is None or offset not in progress.held:
                return
            with self._client.errors():
                await self._move(topic, group, delivery.delivery_id, progress.held[offset], reason)
                await known.commit()

    async def dead_letters(self, *, count: int = 100) -> list[DeadLetter]:
        """The dead letters, oldest first."""
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
        """How far the group is behind, in this process and all others, from the committed offsets and their metadata.

        Raises:
            NotFound: the group was never declared here.
        """
        known = self._group(topic, group)
        undelivered = pending = 0
        oldest: list[int] = []
        with self._client.errors():
            ends = await self._client.ends(known.topic)
            stored = await known.stored(ends)
            for partition, (first, following) in ends.items():
                here = known.progress.get(partition) if partition in known.owners else None
                progress = here or Progress.read(*stored[partition])
                place = max(progress.delivered, first)
                pending += len(progress.held) + len(progress.earlier)
                undelivered += following - place - len(progress.earlier)
                if progress.held:
                    oldest.append(min(held.published_ms for held in progress.held.values()))
                elif following > place and (record := await self._client.record_at(known.topic, partition, place)):
                    oldest.append(published_ms(record))
        age_ms = max(0, epoch_ms(self._now()) - min(oldest)) if oldest else 0
        return Lag(undelivered=undelivered, pending=pending, oldest_ms=age_ms)

    async def trim(self, topic: str) -> int:
        """Drop nothing, return 0: ``retention.ms`` of the topic does it, and must exceed the slowest group's backlog."""
        return 0

    async def close(self) -> None:
        """Leave every group and disconnect."""
        for known in self._groups.values():
            await known.close()
        await self._client.close()

    def _group(self, topic: str, group: str) -> KafkaGroup:
        try:
            return self._groups[topic, group]
        except KeyError:
            raise NotFound(f"group {group} was never declared on topic {topic}; call subscribe first") from None

    async def _send(self, topic: str, message: Message) -> str:
        with self._client.errors():
            producer = await self._client.producer()
            sent = await producer.send_and_wait(self._prefix + topic, **record_of(message, epoch_ms(self._now())))
        return f"{sent.partition}:{sent.offset}"

    async def _move(self, topic: str, group: str, delivery_id: str, held: Held, reason: str) -> None:
        """Write a dead letter, then let go of the message; the caller commits."""
        letter = DeadLetter(
            letter_id=f"{topic}/{group}/{delivery_id}",
            topic=topic,
            group=group,
            message=held.message,
            reason=reason,
            attempts=held.attempts,
            at=self._now(),
        )
        await self._letters.put(letter)
        partition, offset = _locate(delivery_id)
        self._groups[topic, group].progress[partition].held.pop(offset, None)
        log.warning("bus.dead_lettered", topic=topic, group=group, delivery_id=delivery_id, reason=reason)


def _delivery(partition: int, offset: int, held: Held) -> Delivery:
    return Delivery(delivery_id=f"{partition}:{offset}", message=held.message, attempt=held.attempts)


def _locate(delivery_id: str) -> tuple[int, int]:
    partition, _, offset = delivery_id.partition(":")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise NotFound(f"there is no delivery {delivery_id[:60]!r}; ids look like 0:42")
    return int(partition), int(offset)
