"""How the RabbitMQ bus talks to a broker: one connection, its queues and streams, its failures as ours."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import orjson

from domain.errors import StoreUnavailable
from domain.ports import Message
from graph.runtime.bus_messages import HEADERS_FIELD, KEY_FIELD, PUBLISHED_FIELD, broker_library

CONNECT_TIMEOUT_S = 5.0
FENCE_TIMEOUT_S = 30.0
"""Longest silence while a stream is read up to a mark."""
_TURN_POLL_S = 0.1
TURN_TIMEOUT_S = 300.0
"""Longest wait for another process that fills the same group's queue from the past."""
_FENCE = "fence"
_PREFETCH = 100
_ROUTING_KEY_CHARS = 60
"""AMQP 0-9-1 allows 255 bytes; the whole key travels in a header."""


class RabbitClient:
    """A connection that is opened when needed and again after it broke, with one channel for all work."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError when aio-pika is not installed."""
        self._library = broker_library("aio_pika", extra="rabbitmq")
        self._errors = broker_library("aiormq.exceptions", extra="rabbitmq")
        self._url = url
        self._connection: Any = None
        self._channel: Any = None
        self._opening = asyncio.Lock()
        self.epoch = 0
        """Rises with each new channel: what an older channel delivered has gone back to its queue."""

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Name the RabbitMQ failures of a block.

        Raises:
            StoreUnavailable: the broker did not answer, or refused.
        """
        try:
            yield
        # aiormq says that a connection or channel has closed meanwhile with a bare RuntimeError.
        except (self._errors.AMQPError, RuntimeError, OSError, TimeoutError) as error:
            raise StoreUnavailable(
                f"RabbitMQ cannot serve us now ({error or type(error).__name__}); try again."
            ) from error

    async def channel(self) -> Any:
        """The open channel, with publisher confirms."""
        async with self._opening:
            if self._channel is None or self._channel.is_closed or not self._connected():
                self._channel = await self._new_channel()
                self.epoch += 1
            return self._channel

    async def topic(self, exchange: str, log: str) -> Any:
        """A durable topic exchange and the stream that keeps all that was ever published to it."""
        channel = await self.channel()
        made = await channel.declare_exchange(exchange, self._library.ExchangeType.TOPIC, durable=True)
        await (await self.stream(log)).bind(made, "#")
        return made

    async def stream(self, name: str) -> Any:
        """A durable stream: read without taking, from its beginning."""
        return await (await self.channel()).declare_queue(name, durable=True, arguments={"x-queue-type": "stream"})

    async def work_queue(self, name: str) -> Any:
        """A durable replicated queue that counts deliveries (``x-delivery-count``)."""
        return await (await self.channel()).declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})

    async def exists(self, queue: str) -> bool:
        """Whether a queue was declared; asked on a channel of its own, which a no closes."""
        channel = await self._new_channel()
        try:
            await channel.get_queue(queue, ensure=True)
        except self._errors.ChannelNotFoundEntity:
            return False
        else:
            return True
        finally:
            if not channel.is_closed:
                await channel.close()

    async def delete(self, queue: str) -> None:
        """Delete a queue with all it holds; none is fine."""
        await (await self.channel()).queue_delete(queue)

    async def take_turn(self, name: str) -> Any:
        """A connection that excludes every other holder of the name, until it is closed or its process ends."""
        async with asyncio.timeout(TURN_TIMEOUT_S):
            while True:
                connection = await self._library.connect(self._url, timeout=CONNECT_TIMEOUT_S)
                try:
                    await (await connection.channel()).declare_queue(name, exclusive=True)
                except self._errors.ChannelLockedResource:
                    await connection.close()
                    await asyncio.sleep(_TURN_POLL_S)
                else:
                    return connection

    async def send(
        self, exchange: str, routing_key: str, body: bytes, headers: Mapping[str, Any], *, message_id: str | None = None
    ) -> str:
        """Publish durably; returns the message id once the broker has confirmed."""
        channel = await self.channel()
        message_id = message_id or uuid4().hex
        message = self._library.Message(
            body,
            headers=dict(headers),
            message_id=message_id,
            content_type="application/json",
            delivery_mode=self._library.DeliveryMode.PERSISTENT,
        )
        target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
        await target.publish(message, routing_key)
        return message_id

    async def until_fence(self, stream: str, *, passes: int = 1) -> AsyncIterator[Any]:
        """Every record of a stream from its first to what is in it now.

        With two passes a None marks the first end; what came in between follows after the caller asked for more.
        """
        await self.stream(stream)
        channel = await self._new_channel()
        try:
            await channel.set_qos(prefetch_count=_PREFETCH)
            arrived: asyncio.Queue[Any] = asyncio.Queue()
            queue = await channel.get_queue(stream, ensure=False)
            await queue.consume(arrived.put, arguments={"x-stream-offset": "first"})
            for number in range(passes):
                if number:
                    yield None
                fence = uuid4().hex
                await self.send("", stream, b"", {_FENCE: fence})
                while True:
                    record = await asyncio.wait_for(arrived.get(), FENCE_TIMEOUT_S)
                    await record.ack()
                    mark = record.headers.get(_FENCE)
                    if mark is None:
                        yield record
                    elif _text(mark) == fence:
                        break
        finally:
            await channel.close()

    async def close(self) -> None:
        """Disconnect; what was delivered and not acknowledged goes back to its queue."""
        if self._connection is not None:
            await self._connection.close()

    def _connected(self) -> bool:
        """Whether the connection still stands: a lost one is known to the transport only."""
        transport = self._connection.transport if self._connection is not None else None
        return transport is not None and not self._connection.is_closed and not transport.connection.is_closed

    async def _new_channel(self) -> Any:
        if not self._connected():
            self._connection = await self._library.connect(self._url, timeout=CONNECT_TIMEOUT_S)
        return await self._connection.channel(publisher_confirms=True)


def routing_key_of(message: Message) -> str:
    """What the broker routes by."""
    return message.key[:_ROUTING_KEY_CHARS]


def headers_of(message: Message, at_ms: int) -> dict[str, str]:
    """The AMQP headers of a message."""
    return {
        KEY_FIELD: message.key,
        HEADERS_FIELD: orjson.dumps(message.headers).decode(),
        PUBLISHED_FIELD: str(at_ms),
    }


def published_ms(record: Any) -> int:
    """When a record was published, in ms since 1970; 0 for a foreign record that does not say."""
    text = _text(record.headers.get(PUBLISHED_FIELD, ""))
    return int(text) if text.isdecimal() else 0


def message_of(record: Any) -> tuple[Message, str]:
    """The message of a record, and why it is none of ours ("" when it is)."""
    problem = ""
    try:
        body = record.body.decode()
    except UnicodeDecodeError:
        body, problem = record.body.decode(errors="replace"), "record is not UTF-8 text"
    headers: Any = None
    try:
        headers = orjson.loads(_text(record.headers.get(HEADERS_FIELD, "{}")))
    except orjson.JSONDecodeError:
        problem = problem or "headers are not JSON"
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        headers, problem = {}, problem or "headers are not a JSON object of text values"
    return Message(key=_text(record.headers.get(KEY_FIELD, "")), headers=headers, body=body), problem


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
