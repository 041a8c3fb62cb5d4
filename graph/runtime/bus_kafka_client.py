"""How the Kafka bus talks to a cluster: the clients it opens, their failures as ours, and records as messages."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from domain.errors import PayloadTooLarge, StoreUnavailable
from domain.ports import Message
from graph.runtime.bus_messages import HEADERS_FIELD, PUBLISHED_FIELD, broker_library

REQUEST_BYTES = 16 * 1024 * 1024
"""Largest record sent or fetched; the cluster's ``message.max.bytes`` (1 MB by default) may allow less."""
REQUEST_TIMEOUT_MS = 10_000

_OnPartitions = Callable[[Sequence[Any]], Awaitable[None]]


class KafkaClient:
    """Opens aiokafka clients with the same settings and closes those that are shared."""

    def __init__(self, bootstrap_servers: str, options: Mapping[str, Any], *, session_timeout_ms: int) -> None:
        """``options`` go to every client as they are: ``security_protocol``, ``sasl_mechanism`` and so on.

        Raises:
            ConfigError: aiokafka is not installed.
        """
        self._library = broker_library("aiokafka", extra="kafka")
        self._admin_library = broker_library("aiokafka.admin", extra="kafka")
        self._errors = broker_library("aiokafka.errors", extra="kafka")
        self._options = {
            "bootstrap_servers": bootstrap_servers,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            **options,
        }
        self._session = {
            "session_timeout_ms": session_timeout_ms,
            "heartbeat_interval_ms": session_timeout_ms // 4,
            "rebalance_timeout_ms": session_timeout_ms,
        }
        self._shared: dict[str, Any] = {}
        self._opening = asyncio.Lock()
        self._library.ConsumerRebalanceListener.register(_Listener)
        self.any_error = self._errors.KafkaError
        self.moved_errors = (
            self._errors.CommitFailedError,
            self._errors.IllegalStateError,
            self._errors.IllegalGenerationError,
            self._errors.UnknownMemberIdError,
            self._errors.RebalanceInProgressError,
        )
        """A commit refused because the partition has gone to another consumer."""

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Name the Kafka failures of a block.

        Raises:
            PayloadTooLarge: the cluster does not take records of this size.
            StoreUnavailable: the cluster did not answer, or refused.
        """
        try:
            yield
        except (self._errors.MessageSizeTooLargeError, self._errors.RecordTooLargeError) as error:
            raise PayloadTooLarge(
                f"Kafka refuses the message for its size ({error}); raise message.max.bytes."
            ) from error
        except (self._errors.KafkaError, self._errors.ConsumerStoppedError, OSError, TimeoutError) as error:
            raise StoreUnavailable(
                f"Kafka cannot serve us now ({error or type(error).__name__}); try again."
            ) from error

    def partition(self, topic: str, number: int) -> Any:
        """A topic partition as aiokafka names it."""
        return self._library.TopicPartition(topic, number)

    def listener(self, revoked: _OnPartitions, assigned: _OnPartitions) -> Any:
        """A rebalance listener: ``revoked`` before partitions go, ``assigned`` before the first fetch from new ones."""
        return _Listener(revoked, assigned)

    def member(self, group: str) -> Any:
        """A consumer of a group: starts at the topic's beginning and commits only when told to."""
        return self._consumer(group_id=group, enable_auto_commit=False, **self._session)

    def reader(self) -> Any:
        """A consumer of no group, for looking."""
        return self._consumer(group_id=None)

    async def producer(self) -> Any:
        """The producer everything is sent with: idempotent, confirmed by all in-sync replicas."""
        return await self._open("producer", self._new_producer)

    async def partitions(self, topic: str) -> list[int]:
        """The topic's partitions; a cluster that creates topics by itself creates it now."""
        return sorted(await (await self.producer()).partitions_for(topic))

    async def ends(self, topic: str) -> dict[int, tuple[int, int]]:
        """First and next offset of every partition."""
        names = [self.partition(topic, number) for number in await self.partitions(topic)]
        looker = await self._open("looker", self.reader)
        first, following = await looker.beginning_offsets(names), await looker.end_offsets(names)
        return {name.partition: (first[name], following[name]) for name in names}

    async def record_at(self, topic: str, partition: int, offset: int) -> Any | None:
        """The first record from an offset on; None when it does not come within a second."""
        name = self.partition(topic, partition)
        async with self.reader() as reader:
            reader.assign([name])
            reader.seek(name, offset)
            found = await reader.getmany(timeout_ms=1000, max_records=1)
        return next((record for records in found.values() for record in records), None)

    async def committed(self, group: str, topic: str, partitions: list[int]) -> dict[int, tuple[int, str]]:
        """Committed offset (-1 for none) and metadata by partition."""
        if not partitions:
            return {}
        names = [self.partition(topic, number) for number in partitions]
        admin = await self._open("admin", self._new_admin)
        found = await admin.list_consumer_group_offsets(group, partitions=names)
        return {name.partition: (found[name].offset, found[name].metadata or "") for name in names}

    async def close(self) -> None:
        """Close the shared clients."""
        while self._shared:
            kind, client = self._shared.popitem()
            await (client.close() if kind == "admin" else client.stop())

    def _consumer(self, **more: Any) -> Any:
        return self._library.AIOKafkaConsumer(
            auto_offset_reset="earliest", max_partition_fetch_bytes=REQUEST_BYTES, **self._options, **more
        )

    def _new_producer(self) -> Any:
        return self._library.AIOKafkaProducer(
            enable_idempotence=True, acks="all", max_request_size=REQUEST_BYTES, **self._options
        )

    def _new_admin(self) -> Any:
        return self._admin_library.AIOKafkaAdminClient(**self._options)

    async def _open(self, kind: str, make: Callable[[], Any]) -> Any:
        async with self._opening:
            if kind not in self._shared:
                client = make()
                try:
                    await client.start()
                except BaseException:
                    await (client.close() if kind == "admin" else client.stop())
                    raise
                self._shared[kind] = client
            return self._shared[kind]


class _Listener:
    """Registered as aiokafka's rebalance listener; its failures are named there and the rebalance goes on."""

    def __init__(self, revoked: _OnPartitions, assigned: _OnPartitions) -> None:
        self._revoked = revoked
        self._assigned = assigned

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """Partitions are about to go."""
        await self._revoked(list(revoked))

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Partitions have come."""
        await self._assigned(list(assigned))


def record_of(message: Message, at_ms: int) -> dict[str, Any]:
    """Key, value and headers of a record, as ``send`` takes them."""
    headers = [(HEADERS_FIELD, orjson.dumps(message.headers)), (PUBLISHED_FIELD, str(at_ms).encode())]
    return {"key": message.key.encode(), "value": message.body.encode(), "headers": headers}


def published_ms(record: Any) -> int:
    """When a record was published, in ms since 1970: our header, or the broker's time for a foreign record."""
    text = dict(record.headers).get(PUBLISHED_FIELD, b"")
    return int(text) if text.isdigit() else int(record.timestamp)


def message_of(record: Any) -> tuple[Message, str]:
    """The message of a record, and why it is none of ours ("" when it is); foreign headers are passed on as text."""
    problem = ""
    headers: dict[str, str] = {}
    for name, value in record.headers:
        if name == HEADERS_FIELD:
            own = _own_headers(value)
            problem = problem or ("" if own is not None else "headers are not a JSON object of text values")
            headers.update(own or {})
        elif name != PUBLISHED_FIELD:
            headers[name] = value.decode(errors="replace")
    texts = []
    for part in (record.key or b"", record.value):
        try:
            texts.append(part.decode())
        except (UnicodeDecodeError, AttributeError):
            problem = problem or "record is not UTF-8 text, or has no value"
            texts.append((part or b"").decode(errors="replace"))
    return Message(key=texts[0], headers=headers, body=texts[1]), problem


def _own_headers(value: bytes) -> dict[str, str] | None:
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        return None
    return found
