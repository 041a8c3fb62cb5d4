"""A Kafka consumer group as this process sees it: its members here, what they hold, and what is committed for them."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
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
        self.owners: dict[int, Any] = {}
        """The member here that reads each partition now."""
        self._client = client
        self._members: dict[str, Any] = {}
        self._joining = asyncio.Lock()

    async def fetch(self, consumer: str, *, count: int, block_ms: int) -> list[Any]:
        """Records nobody has seen yet, waiting up to ``block_ms`` for the first one."""
        member = await self._member(consumer)
        try:
            found = await member.getmany(timeout_ms=block_ms, max_records=count)
        except self._client.any_error:
            # A member whose group protocol failed never recovers; the next read joins with a fresh one.
            await self._leave(consumer)
            raise
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
        rows = [(p, o, held) for p in self.owners for o, held in self.progress[p].held.items()]
        return sorted(rows, key=lambda row: (row[2].published_ms, row[0], row[1]))

    async def commit(self) -> None:
        """Commit what changed in the partitions owned here.

        During a rebalance nobody owns anything: what was acknowledged meanwhile is committed when the partition comes
        back, or is delivered again by the process it went to.
        """
        for partition, owner in list(self.owners.items()):
            progress = self.progress[partition]
            place = (progress.committed, progress.metadata())
            if place == progress.stored:
                continue
            try:
                await owner.commit({self._client.partition(self.topic, partition): place})
            except self._client.moved_errors as error:
                cause = type(error).__name__
                log.warning("bus.commit_late", topic=self.topic, group=self.name, partition=partition, cause=cause)
                return
            progress.stored = place

    async def stored(self, partitions: Iterable[int]) -> dict[int, tuple[int, str]]:
        """The committed offset (-1 for none) and metadata of partitions, from the broker."""
        return await self._client.committed(self.name, self.topic, list(partitions))

    async def revoked(self, partitions: Iterable[Any]) -> None:
        """Commit for the last time before a rebalance takes partitions away."""
        async with self.lock:
            await self.commit()
            for each in partitions:
                self.owners.pop(each.partition, None)

    async def assigned(self, member: Any, partitions: Sequence[Any]) -> None:
        """Place a member that was given partitions: where this process left off, or where the last owner did."""
        async with self.lock:
            stored = await self.stored([each.partition for each in partitions])
            for each in partitions:
                kept = self.progress.get(each.partition)
                if kept is None or kept.stored != stored[each.partition]:
                    kept = self.progress[each.partition] = Progress.read(*stored[each.partition])
                if kept.delivered >= 0:
                    member.seek(each, kept.delivered)
                self.owners[each.partition] = member

    async def close(self) -> None:
        """Leave the group."""
        for consumer in list(self._members):
            await self._leave(consumer)

    async def _member(self, consumer: str) -> Any:
        async with self._joining:
            if consumer not in self._members:
                member = self._client.member(self.name)
                listener = self._client.listener(self.revoked, partial(self.assigned, member))
                member.subscribe([self.topic], listener=listener)
                try:
                    await member.start()
                except BaseException:
                    await member.stop()
                    raise
                self._members[consumer] = member
            return self._members[consumer]

    async def _leave(self, consumer: str) -> None:
        member = self._members.pop(consumer, None)
        self.owners = {partition: owner for partition, owner in self.owners.items() if owner is not member}
        if member is not None:
            await member.stop()
