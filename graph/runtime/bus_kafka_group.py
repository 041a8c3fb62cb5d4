"""A Kafka consumer group as this process sees it: its members here, what they hold, and what is committed for them."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import structlog

from graph.runtime.bus_kafka_client import KafkaClient, message_of, published_ms
from graph.runtime.bus_kafka_progress import Held, Progress

log = structlog.get_logger()


class KafkaGroup:
    """One group on one topic. Whoever reads or settles messages holds ``lock`` meanwhile."""

    def __init__(self, client: KafkaClient, topic: str, name: str) -> None:
        self.topic = topic
        self.name = name
        self.lock = asyncio.Lock()
        self.progress: dict[int, Progress] = {}
        """By partition. Kept over a rebalance that gives the partition back, so that work in hand is not repeated."""
        self._client = client
        self._members: dict[str, Any] = {}
        self._joining = asyncio.Lock()

    async def fetch(self, consumer: str, *, count: int, block_ms: int) -> list[Any]:
        """Records nobody has seen yet, waiting up to ``block_ms`` for the first one."""
        member = await self._member(consumer)
        found = await member.getmany(timeout_ms=block_ms, max_records=count)
        return [record for records in found.values() for record in records]

    def hold(self, record: Any, now: datetime) -> tuple[Held, str] | None:
        """Note that a record is handed out; also says why it is no message of ours ("" when it is one).

        None when the partition has moved on: the record was handed out before.
        """
        progress = self.progress.get(record.partition)
        if progress is None or record.offset < progress.delivered:
            return None
        message, problem = message_of(record)
        return progress.hand_out(record.offset, message, now, published_ms(record)), problem

    def held_here(self) -> list[tuple[int, int, Held]]:
        """Partition, offset and message of all that is handed out in partitions this process owns, oldest first."""
        owned = {partition for member in self._members.values() for partition in _partitions(member)}
        rows = [(p, o, held) for p in owned if p in self.progress for o, held in self.progress[p].held.items()]
        return sorted(rows, key=lambda row: (row[2].published_ms, row[0], row[1]))

    def owns(self, partition: int) -> bool:
        """Whether a member here reads the partition now."""
        return any(partition in _partitions(member) for member in self._members.values())

    async def commit(self, partitions: Iterable[int]) -> None:
        """Commit the acknowledged prefix of partitions; one that has moved to another process is left to that."""
        for partition in sorted(set(partitions)):
            progress = self.progress[partition]
            place = (progress.committed, progress.metadata())
            owner = next((m for m in self._members.values() if partition in _partitions(m)), None)
            if place == progress.stored:
                continue
            moved = owner is None
            if owner is not None:
                try:
                    await owner.commit({self._client.partition(self.topic, partition): place})
                except self._client.moved_errors:
                    moved = True
            if moved:
                log.warning("bus.commit_late", topic=self.topic, group=self.name, partition=partition)
            else:
                progress.stored = place

    async def stored(self, partitions: Iterable[int]) -> dict[int, tuple[int, str]]:
        """The committed offset (-1 for none) and metadata of partitions, from the broker."""
        return await self._client.committed(self.name, self.topic, list(partitions))

    async def assigned(self, member: Any, partitions: Iterable[Any]) -> None:
        """Place a member that was given partitions: where this process left off, or where the last owner did."""
        stored = await self.stored([each.partition for each in partitions])
        for each in partitions:
            kept = self.progress.get(each.partition)
            if kept is None or kept.stored != stored[each.partition]:
                kept = self.progress[each.partition] = Progress.read(*stored[each.partition])
            if kept.delivered >= 0:
                member.seek(each, kept.delivered)

    async def close(self) -> None:
        """Leave the group."""
        for member in self._members.values():
            await member.stop()
        self._members.clear()

    async def _member(self, consumer: str) -> Any:
        async with self._joining:
            if consumer not in self._members:
                member = self._client.member(self.name)
                self._members[consumer] = member
                member.subscribe([self.topic], listener=self._client.listener(_placing(self, member)))
                try:
                    await member.start()
                except BaseException:
                    del self._members[consumer]
                    await member.stop()
                    raise
            return self._members[consumer]


def _partitions(member: Any) -> set[int]:
    return {each.partition for each in member.assignment()}


def _placing(group: KafkaGroup, member: Any) -> Callable[[Iterable[Any]], Any]:
    async def place(partitions: Iterable[Any]) -> None:
        await group.assigned(member, list(partitions))

    return place
