"""The event bus inside one process: the same promises as the brokers, nothing survives the process."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

from domain.errors import NotFound
from domain.ports import DeadLetter, Delivery, Lag, Message
from graph.runtime.bus_messages import DEDUPE_TTL_S, DELIVERY_CAP, Capability, utc_now


@dataclass
class _Entry:
    message: Message
    at: datetime


@dataclass
class _Taken:
    delivered_at: datetime
    attempts: int


@dataclass
class _Group:
    position: int = 0
    """Number of the next message to deliver."""
    pending: dict[int, _Taken] = field(default_factory=dict)


@dataclass
class _Topic:
    entries: dict[int, _Entry] = field(default_factory=dict)
    """Kept messages by number, ascending."""
    last: int = 0
    groups: dict[str, _Group] = field(default_factory=dict)
    arrivals: asyncio.Event = field(default_factory=asyncio.Event)


class MemoryBus:
    """An ``EventBus`` in memory. Safe under concurrent tasks of one event loop."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)

    def __init__(
        self,
        *,
        delivery_cap: int = DELIVERY_CAP,
        dedupe_ttl_s: int = DEDUPE_TTL_S,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._cap = delivery_cap
        self._dedupe_ttl = timedelta(seconds=dedupe_ttl_s)
        self._now = now
        self._topics: dict[str, _Topic] = {}
        self._seen: dict[tuple[str, str], datetime] = {}
        self._letters: dict[str, DeadLetter] = {}
        self._letters_made = 0

    async def publish(self, topic: str, message: Message, *, dedupe_key: str | None = None) -> str | None:
        """Append and return the message id, or None when ``dedupe_key`` was published within its time to live."""
        if dedupe_key is not None and not self._first(topic, dedupe_key):
            return None
        kept = self._topic(topic)
        kept.last += 1
        kept.entries[kept.last] = _Entry(message, self._now())
        kept.arrivals.set()
        return str(kept.last)

    async def subscribe(self, topic: str, group: str) -> None:
        """Declare a group; it starts at the topic's beginning."""
        kept = self._topic(topic)
        kept.groups.setdefault(group, _Group(position=next(iter(kept.entries), kept.last + 1)))

    async def read(
        self, topic: str, group: str, consumer: str, *, count: int = 10, block_ms: int = 0
    ) -> list[Delivery]:
        """Take up to ``count`` undelivered messages, waiting up to ``block_ms`` for the first one.

        Raises:
            NotFound: the group was never declared.
        """
        kept, reader = self._group(topic, group)
        await asyncio.sleep(0)  # a busy reader gives the others their turn
        try:
            async with asyncio.timeout(block_ms / 1000 if block_ms else None):
                while block_ms and reader.position > kept.last:
                    kept.arrivals.clear()
                    await kept.arrivals.wait()
        except TimeoutError:
            return []
        now = self._now()
        taken: list[Delivery] = []
        while reader.position <= kept.last and len(taken) < count:
            number, reader.position = reader.position, reader.position + 1
            reader.pending[number] = _Taken(now, 1)
            taken.append(Delivery(delivery_id=str(number), message=kept.entries[number].message, attempt=1))
        return taken

    async def claim(self, topic: str, group: str, consumer: str, *, idle_ms: int, count: int = 10) -> list[Delivery]:
        """Take over messages left unacknowledged for ``idle_ms``; those at the delivery cap become dead letters.

        Raises:
            NotFound: the group was never declared.
        """
        kept, reader = self._group(topic, group)
        now = self._now()
        idle = [
            n
            for n, taken in sorted(reader.pending.items())
            if now - taken.delivered_at >= timedelta(milliseconds=idle_ms)
        ]
        claimed: list[Delivery] = []
        for number in idle[:count]:
            taken = reader.pending[number]
            message = kept.entries[number].message
            if taken.attempts >= self._cap:
                reason = f"delivered {taken.attempts} times without being acknowledged"
                self._bury(
                    topic, group, Delivery(delivery_id=str(number), message=message, attempt=taken.attempts), reason
                )
                continue
            taken.attempts += 1
            taken.delivered_at = now
            claimed.append(Delivery(delivery_id=str(number), message=message, attempt=taken.attempts))
        return claimed

    async def ack(self, topic: str, group: str, delivery_ids: Sequence[str]) -> None:
        """Confirm that the messages are handled; an id settled before is left alone.

        Raises:
            NotFound: the group was never declared, or an id is none this bus gives; nothing is acknowledged.
        """
        _, reader = self._group(topic, group)
        for number in [_number(delivery_id) for delivery_id in delivery_ids]:
            reader.pending.pop(number, None)

    async def bury(self, topic: str, group: str, delivery: Delivery, reason: str) -> None:
        """Move a delivery to the dead-letter list; one somebody else has settled since is left alone."""
        _, reader = self._group(topic, group)
        if _number(delivery.delivery_id) in reader.pending:
            self._bury(topic, group, delivery, reason)

    async def dead_letters(self, *, count: int = 100) -> list[DeadLetter]:
        """The dead letters, oldest first."""
        return list(self._letters.values())[:count]

    async def replay(self, letter_id: str) -> str:
        """Publish a dead letter again and drop it from the list.

        Raises:
            NotFound: no such letter.
        """
        letter = self._letters.pop(letter_id, None)
        if letter is None:
            raise NotFound(f"there is no dead letter {letter_id}; list them to see which remain")
        published = await self.publish(letter.topic, letter.message)
        return published or ""

    async def lag(self, topic: str, group: str) -> Lag:
        """How far the group is behind.

        Raises:
            NotFound: the group was never declared.
        """
        kept, reader = self._group(topic, group)
        undelivered = kept.last + 1 - reader.position
        waiting = min(reader.pending, default=reader.position)
        oldest = kept.entries.get(waiting)
        age = (self._now() - oldest.at) // timedelta(milliseconds=1) if oldest else 0
        return Lag(undelivered=undelivered, pending=len(reader.pending), oldest_ms=age)

    async def trim(self, topic: str) -> int:
        """Drop messages every group has acknowledged; returns how many went."""
        kept = self._topic(topic)
        needed = min((min(group.pending, default=group.position) for group in kept.groups.values()), default=0)
        gone = [number for number in kept.entries if number < needed]
        for number in gone:
            del kept.entries[number]
        return len(gone)

    async def close(self) -> None:
        """Nothing to let go of."""

    def _first(self, topic: str, dedupe_key: str) -> bool:
        now = self._now()
        mark = (topic, dedupe_key)
        # The oldest marks stand first, so forgetting the expired ones costs nothing while none is.
        while self._seen and now - next(iter(self._seen.values())) >= self._dedupe_ttl:
            del self._seen[next(iter(self._seen))]
        if mark in self._seen:
            return False
        self._seen[mark] = now
        return True

    def _topic(self, topic: str) -> _Topic:
        return self._topics.setdefault(topic, _Topic())

    def _group(self, topic: str, group: str) -> tuple[_Topic, _Group]:
        kept = self._topic(topic)
        if group not in kept.groups:
            raise NotFound(f"group {group} was never declared on topic {topic}; call subscribe first")
        return kept, kept.groups[group]

    def _bury(self, topic: str, group: str, delivery: Delivery, reason: str) -> None:
        self._letters_made += 1
        letter_id = str(self._letters_made)
        self._letters[letter_id] = DeadLetter(
            letter_id=letter_id,
            topic=topic,
            group=group,
            message=delivery.message,
            reason=reason,
            attempts=delivery.attempt,
            at=self._now(),
        )
        self._topics[topic].groups[group].pending.pop(int(delivery.delivery_id), None)


def _number(delivery_id: str) -> int:
    if not delivery_id.isdecimal():
        raise NotFound(f"there is no delivery {delivery_id[:60]!r}; ids are those read gave")
    return int(delivery_id)
