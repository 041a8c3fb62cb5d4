"""The connection to Redis: how clients are configured, how its failures are named, and the batcher everything goes through.

Promise: a command either gets the server's answer or raises an error of ours; nothing is ever sent twice.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hiredis
from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from domain.errors import ConfigError, StoreUnavailable
from graph.runtime.scripts import Script

SOCKET_TIMEOUT_S = 5.0
"""A server silent for this long is unavailable. Blocking reads must block for less."""

BATCH_COMMANDS = 256
"""Commands sent together at most, so that one batch cannot keep the others waiting for long."""

_REFUSED_FOR_NOW = ("MISCONF", "NOREPLICAS", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY ", "UNKILLABLE")
_UNAVAILABLE = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
    OSError,
)

_Call = tuple[bytes, asyncio.Future[Any]]


def connect(url: str, *, concurrency: int = 32) -> Redis:
    """A client for up to ``concurrency`` tasks at a time; it connects on first use and never repeats a command.

    Every task may need a second connection beside the one it blocks on; one more than the pool holds waits instead of
    failing. Replies are bytes.

    Raises:
        ConfigError: the URL is no Redis URL.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=2 * concurrency,
            timeout=SOCKET_TIMEOUT_S,
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=2.0,
            health_check_interval=30,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
    except ValueError as error:
        raise ConfigError(f"SIGNALBOX_REDIS_URL is not a Redis URL: {error}.") from error
    return Redis.from_pool(pool)


def translated(error: Exception) -> Exception:
    """The error of ours that a Redis failure stands for; errors that show a fault in our own commands stay as they are."""
    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError):
        return ConfigError(f"Redis refuses our credentials ({error}); correct the password in SIGNALBOX_REDIS_URL.")
    if isinstance(error, _UNAVAILABLE) or str(error).startswith(_REFUSED_FOR_NOW):
        return StoreUnavailable(
            f"Redis cannot serve us now ({str(error) or 'no answer in time'}); try again once it is back."
        )
    return error


@contextmanager
def store_errors() -> Iterator[None]:
    """Name the Redis failures of a block: for the few commands that cannot go through the batcher.

    Raises:
        StoreUnavailable: Redis did not answer, or refuses to serve for now.
        ConfigError: Redis refuses our credentials.
    """
    try:
        yield
    except (exceptions.RedisError, OSError) as error:
        named = translated(error)
        if named is error:
            raise
        raise named from error


class Batcher:
    """Sends the commands of many tasks together over one connection; each caller gets its own reply or error.

    Commands issued while a batch is under way form the next batch, in the order they were issued. Replies are raw:
    bytes, integers, lists. Blocking commands need a connection of their own and must not come here.
    """

    def __init__(self, client: Redis, *, answer_timeout_s: float = SOCKET_TIMEOUT_S) -> None:
        """The one connection is made the way the client makes its own, and closed by ``aclose``."""
        self._answer_timeout_s = answer_timeout_s
        self._connection: AbstractConnection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        self._connection.socket_timeout = None  # a batch has one limit for everything, instead of one per reply
        self._waiting: deque[_Call] = deque()
        self._in_flight: deque[_Call] = deque()
        self._sending: asyncio.Task[None] | None = None

    async def execute(self, *command: str | int | float | bytes | memoryview) -> Any:
        """Send one command and return its raw reply.

        Raises:
            StoreUnavailable: no answer; a write may or may not have been applied.
            redis.exceptions.ResponseError: the server refuses the command itself.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        packed = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub names a tuple of one
        self._waiting.append((packed, answer))
        if self._sending is None:
            self._sending = loop.create_task(self._send_all())
        return await answer

    async def script(
        self, script: Script, keys: Sequence[bytes | str], args: Sequence[bytes | str | int | float] = ()
    ) -> Any:
        """Run a script by its digest, sending the source only to a server that does not know it yet.

        Raises:
            TypeError: not the keys and arguments the script declares.
            StoreUnavailable: no answer; the script may or may not have run.
        """
        script.check(len(keys), len(args))
        try:
            return await self.execute("EVALSHA", script.sha, len(keys), *keys, *args)
        except exceptions.NoScriptError:
            return await self.execute("EVAL", script.source, len(keys), *keys, *args)

    async def aclose(self) -> None:
        """Answer what is under way, then close the connection."""
        if self._sending is not None:
            await asyncio.wait({self._sending})
        await self._connection.disconnect()

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                async with asyncio.timeout(self._answer_timeout_s):
                    await self._open()
                    await self._send_batch()
        except (exceptions.RedisError, OSError) as error:
            await self._connection.disconnect(nowait=True)
            self._abandon(error)
        except BaseException as error:
            self._abandon(error)
            await self._connection.disconnect(nowait=True)
            raise
        finally:
            self._sending = None

    async def _open(self) -> None:
        """Connect, and again when the server has closed the connection meanwhile."""
        connection = self._connection
        if connection.is_connected and await connection.can_read():
            await connection.disconnect()
        if not connection.is_connected:
            await connection.connect()  # type: ignore[no-untyped-call]

    async def _send_batch(self) -> None:
        while self._waiting and len(self._in_flight) < BATCH_COMMANDS:
            call = self._waiting.popleft()
            if not call[1].done():
                self._in_flight.append(call)
        if self._in_flight:
            await self._connection.send_packed_command([packed for packed, _ in self._in_flight])
        while self._in_flight:
            await self._receive()

    async def _receive(self) -> None:
        """Hand the next reply to the caller it belongs to, if that one still waits."""
        try:
            reply = await self._connection.read_response()
        except exceptions.ResponseError as error:
            answer = self._in_flight.popleft()[1]
            if not answer.done():
                answer.set_exception(translated(error))
        else:
            answer = self._in_flight.popleft()[1]
            if not answer.done():
                answer.set_result(reply)

    def _abandon(self, error: BaseException) -> None:
        """Tell everybody who waits: what is queued behind a dead connection would only wait for the next limit."""
        for calls in (self._in_flight, self._waiting):
            while calls:
                answer = calls.popleft()[1]
                if answer.done():
                    continue
                if isinstance(error, Exception):
                    answer.set_exception(translated(error))
                else:
                    answer.cancel()
