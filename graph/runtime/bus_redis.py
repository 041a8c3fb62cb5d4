"""The event bus on Redis Streams, core commands only: one stream per topic and shard, one dead-letter stream per shard.

Promise: nothing published is dropped before every group has acknowledged it; a message ends acknowledged or as a dead
letter with its reason. Ids are ``<shard>:<stream id>``.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, ClassVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from domain.errors import MalformedPayload, NotFound
from domain.ports import DeadLetter, Delivery, Lag, Message
from graph.runtime.bus_entries import letter_of, message_of, pairs_of, text_of
from graph.runtime.bus_messages import DEDUPE_TTL_S, DELIVERY_CAP, Capability, epoch_ms, stream_fields, utc_now
from graph.runtime.bus_scripts import BURY, CLAIM, COUNT_AFTER, LAG, LEAVE, PUBLISH_ONCE, RENEW, REPLAY, TRIM
from graph.runtime.connection import Batcher, store_errors
from graph.runtime.keys import Keyspace

log = structlog.get_logger()

READ_COUNT = 64
"""Most messages taken by one command."""
BLOCK_MS = 4000
"""Longest wait of one command: below the client's socket time-out of 5 s."""
SHARD_BLOCK_MS = 25
"""Longest wait on one of several shards before the others are looked at."""
_COUNT_CHUNK = 500
_ID = re.compile(r"([0-9]{1,5}):([0-9]{1,20}-[0-9]{1,20})")
_GROUP_GONE = re.compile("NOGROUP|UNBLOCKED")


class RedisBus:
    """An ``EventBus`` on Redis 6.2+ or Valkey. Waiting reads hold a connection of their own from the client's pool."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)

    def __init__(
        self,
        redis: Redis,
        batcher: Batcher,
        keys: Keyspace,
        *,
        delivery_cap: int = DELIVERY_CAP,
        dedupe_ttl_s: int = DEDUPE_TTL_S,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """The client and the batcher are shared with the rest of the runtime and closed by their owner."""
        self._redis = redis
        self._batcher = batcher
        self._keys = keys
        self._cap = delivery_cap
        self._dedupe_ttl_ms = dedupe_ttl_s * 1000
        self._now = now
        self._declared: set[tuple[str, str]] = set()
        self._turn = 0

    async def publish(self, topic: str, message: Message, *, dedupe_key: str | None = None) -> str | None:
        """Append and return the message id, or None when ``dedupe_key`` was published before.

        A dedupe key belongs to one topic and one message key: with several shards the same key under another message
        key may be on another shard, which does not know it.

        Raises:
            StoreUnavailable: it is not known whether the message was appended; with a dedupe key, repeat safely.
        """
        shard = self._keys.shard_of(message.key)
        stream = self._keys.stream(topic, shard)
        fields = list(chain.from_iterable(stream_fields(message, epoch_ms(self._now())).items()))
        if dedupe_key is None:
            entry = await self._batcher.execute("XADD", stream, "*", *fields)
        else:
            seen = self._keys.dedupe(f"{topic}\x00{dedupe_key}", shard)
            entry = await self._batcher.script(PUBLISH_ONCE, [stream, seen], [self._dedupe_ttl_ms, *fields])
        return None if entry is None else f"{shard}:{text_of(entry)}"

    async def subscribe(self, topic: str, group: str) -> None:
        """Declare a group on every shard; it starts at the topic's beginning."""
        self._declared.add((topic, group))
        for shard in range(self._keys.shards):
            await self._create(topic, group, shard)

    async def read(
        self, topic: str, group: str, consumer: str, *, count: int = 10, block_ms: int = 0
    ) -> list[Delivery]:
        """Take up to ``count`` undelivered messages (64 at most), waiting up to ``block_ms`` for the first one.

        A stream that vanished is declared again from its beginning and logged as ``bus.group_recreated``. An entry that
        is no message at all goes to the dead letters.

        Raises:
            NotFound: the group was never declared.
            StoreUnavailable: Redis did not answer; what it may have handed out comes back through ``claim``.
        """
        count = min(count, READ_COUNT)
        shards = self._keys.shards
        longest_ms = BLOCK_MS if shards == 1 else SHARD_BLOCK_MS
        looks, left_ms = 0, block_ms
        while True:
            looks += 1
            self._turn = (self._turn + 1) % shards
            wait_ms = min(left_ms, longest_ms) if looks >= shards else 0
            found = await self._read_shard(topic, group, consumer, shard=self._turn, count=count, block_ms=wait_ms)
            left_ms -= wait_ms
            if found or (looks >= shards and left_ms <= 0):
                return found

    async def claim(self, topic: str, group: str, consumer: str, *, idle_ms: int, count: int = 10) -> list[Delivery]:
        """Take over messages left unacknowledged for ``idle_ms``, oldest first.

        Messages at the delivery cap, and entries somebody deleted from the stream before they were acknowledged, go to
        the dead letters with the reason and are logged as ``bus.dead_lettered``.

        Raises:
            NotFound: the group was never declared.
        """
        claimed: list[Delivery] = []
        for shard in range(self._keys.shards):
            if len(claimed) >= count:
                break
            keys = [self._keys.stream(topic, shard), self._keys.dead_letters(shard)]
            limit = min(count - len(claimed), READ_COUNT)
            now_ms = epoch_ms(self._now())
            try:
                reply = await self._batcher.script(
                    CLAIM, keys, [topic, group, consumer, idle_ms, limit, self._cap, now_ms]
                )
            except ResponseError as error:
                await self._declare_again(topic, group, shard, error)
                continue
            entries, buried = reply
            for entry, reason in buried:
                self._log_buried(topic, group, f"{shard}:{text_of(entry)}", text_of(reason))
            claimed += await self._deliveries(topic, group, shard, entries)
        return claimed

    async def renew(self, topic: str, group: str, consumer: str, delivery_ids: Sequence[str]) -> int:
        """Keep messages a consumer has in hand from being claimed by others; gives how many it still has.

        Raises:
            NotFound: an id this bus never gave.
        """
        kept = 0
        for shard, entries in self._by_shard(delivery_ids).items():
            try:
                kept += await self._batcher.script(
                    RENEW, [self._keys.stream(topic, shard)], [group, consumer, *entries]
                )
            except ResponseError as error:
                await self._declare_again(topic, group, shard, error)
        return kept

    async def ack(self, topic: str, group: str, delivery_ids: Sequence[str]) -> None:
        """Confirm that the messages are handled, with one command per shard; an id settled before is left alone.

        Raises:
            NotFound: an id this bus never gave; nothing is acknowledged.
        """
        for shard, entries in self._by_shard(delivery_ids).items():
            await self._batcher.execute("XACK", self._keys.stream(topic, shard), group, *entries)

    async def bury(self, topic: str, group: str, delivery: Delivery, reason: str) -> None:
        """Move a delivery to the dead letters and acknowledge it, in one script.

        One that somebody else has settled since is left alone.
        """
        fields = chain.from_iterable(stream_fields(delivery.message, epoch_ms(self._now())).items())
        await self._bury(topic, group, delivery.delivery_id, reason=reason, attempts=delivery.attempt, fields=[*fields])

    async def dead_letters(self, *, count: int = 100) -> list[DeadLetter]:
        """The dead letters of all shards, oldest first."""
        letters: list[DeadLetter] = []
        for shard in range(self._keys.shards):
            dead = self._keys.dead_letters(shard)
            rows = await self._batcher.execute("XRANGE", dead, "-", "+", "COUNT", count)
            letters += [letter_of(f"{shard}:{text_of(entry)}", fields) for entry, fields in rows]
        return sorted(letters, key=lambda letter: letter.at)[:count]

    async def replay(self, letter_id: str) -> str:
        """Publish a dead letter again to its topic, for every group, and drop it, in one script.

        Raises:
            NotFound: no such letter.
        """
        shard, entry = self._locate(letter_id, "dead letter")
        dead = self._keys.dead_letters(shard)
        rows = await self._batcher.execute("XRANGE", dead, entry, entry)
        published = None
        if rows:
            stream = self._keys.stream(letter_of(letter_id, rows[0][1]).topic, shard)
            published = await self._batcher.script(REPLAY, [dead, stream], [entry, epoch_ms(self._now())])
        if published is None:
            raise NotFound(f"there is no dead letter {letter_id}; list them to see which remain")
        return f"{shard}:{text_of(published)}"

    async def leave(self, topic: str, group: str, consumer: str) -> None:
        """Take a consumer that stops out of its group; one with unacknowledged messages stays until they are claimed."""
        for shard in range(self._keys.shards):
            await self._batcher.script(LEAVE, [self._keys.stream(topic, shard)], [group, consumer])

    async def abandon(self, topic: str, group: str) -> None:
        """Forget a group nobody reads for any more, so that it holds no message back; without it, nothing happens."""
        for shard in range(self._keys.shards):
            stream = self._keys.stream(topic, shard)
            if await self._batcher.execute("EXISTS", stream):
                await self._batcher.execute("XGROUP", "DESTROY", stream, group)

    async def lag(self, topic: str, group: str) -> Lag:
        """How far the group is behind, over all shards; the age is by the server's clock.

        Raises:
            NotFound: the group was never declared.
        """
        undelivered = pending = oldest_ms = 0
        for shard in range(self._keys.shards):
            stream = self._keys.stream(topic, shard)
            reply = await self._batcher.script(LAG, [stream], [group])
            if reply is None:
                await self._declare_again(topic, group, shard, None)
                continue
            ahead, waiting, age, last = reply
            undelivered += ahead if ahead >= 0 else await self._count_after(stream, last)
            pending += waiting
            oldest_ms = max(oldest_ms, int(age))
        return Lag(undelivered=undelivered, pending=pending, oldest_ms=oldest_ms)

    async def trim(self, topic: str) -> int:
        """Drop what every group has acknowledged, exactly; with no group declared nothing goes."""
        gone = 0
        for shard in range(self._keys.shards):
            gone += await self._batcher.script(TRIM, [self._keys.stream(topic, shard)])
        return gone

    async def close(self) -> None:
        """Nothing of its own: the client and the batcher are closed by whoever made them."""

    async def _read_shard(
        self, topic: str, group: str, consumer: str, *, shard: int, count: int, block_ms: int
    ) -> list[Delivery]:
        stream = self._keys.stream(topic, shard)
        wait = ["BLOCK", block_ms] if block_ms else []
        try:
            with store_errors():
                reply = await self._redis.execute_command(  # type: ignore[no-untyped-call]
                    "XREADGROUP", "GROUP", group, consumer, "COUNT", count, *wait, "STREAMS", stream, ">"
                )
        except ResponseError as error:
            await self._declare_again(topic, group, shard, error)
            return await self._read_shard(topic, group, consumer, shard=shard, count=count, block_ms=0)
        if not reply:
            return []
        entries = [(entry, 1, fields) for entry, fields in reply[0][1]]
        return await self._deliveries(topic, group, shard, entries)

    async def _deliveries(
        self, topic: str, group: str, shard: int, entries: Sequence[tuple[bytes, int, Any]]
    ) -> list[Delivery]:
        """The messages of raw entries; what is no message at all is buried here, so that it stops nobody."""
        deliveries = []
        for entry, attempt, fields in entries:
            delivery_id = f"{shard}:{text_of(entry)}"
            try:
                message = message_of(fields)
            except MalformedPayload as error:
                raw = [part for pair in pairs_of(fields) for part in pair]
                await self._bury(topic, group, delivery_id, reason=str(error), attempts=attempt, fields=raw)
            else:
                deliveries.append(Delivery(delivery_id=delivery_id, message=message, attempt=attempt))
        return deliveries

    async def _bury(
        self, topic: str, group: str, delivery_id: str, *, reason: str, attempts: int, fields: Sequence[str | bytes]
    ) -> None:
        shard, entry = self._locate(delivery_id, "delivery")
        keys = [self._keys.stream(topic, shard), self._keys.dead_letters(shard)]
        args = [topic, group, entry, reason, attempts, epoch_ms(self._now()), *fields]
        if await self._batcher.script(BURY, keys, args) is not None:
            self._log_buried(topic, group, delivery_id, reason)

    async def _create(self, topic: str, group: str, shard: int) -> None:
        try:
            await self._batcher.execute("XGROUP", "CREATE", self._keys.stream(topic, shard), group, "0", "MKSTREAM")
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def _declare_again(self, topic: str, group: str, shard: int, error: ResponseError | None) -> None:
        """Declare a group whose stream was deleted under it; any other refusal is raised."""
        if error is not None and not _GROUP_GONE.search(str(error)):
            raise error
        if (topic, group) not in self._declared:
            raise NotFound(f"group {group} was never declared on topic {topic}; call subscribe first") from error
        await self._create(topic, group, shard)
        log.warning(
            "bus.group_recreated", topic=topic, group=group, shard=shard, cause="the stream or group was deleted"
        )

    async def _count_after(self, stream: str, last: bytes) -> int:
        total, counted, after = 0, _COUNT_CHUNK, last
        while counted == _COUNT_CHUNK:
            counted, after = await self._batcher.script(COUNT_AFTER, [stream], [after, _COUNT_CHUNK])
            total += counted
        return total

    def _locate(self, given: str, what: str) -> tuple[int, str]:
        found = _ID.fullmatch(given)
        if not found or int(found[1]) >= self._keys.shards:
            raise NotFound(f"there is no {what} {given[:60]!r}; ids look like 0:1700000000000-0")
        return int(found[1]), found[2]

    def _by_shard(self, delivery_ids: Sequence[str]) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for delivery_id in delivery_ids:
            shard, entry = self._locate(delivery_id, "delivery")
            found.setdefault(shard, []).append(entry)
        return found

    def _log_buried(self, topic: str, group: str, delivery_id: str, reason: str) -> None:
        log.warning("bus.dead_lettered", topic=topic, group=group, delivery_id=delivery_id, reason=reason)
