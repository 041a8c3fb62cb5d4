"""The sandbox's SQLite file and the one thread that touches it.

Work is queued to that thread and runs in order. A write runs as one ``BEGIN IMMEDIATE`` transaction, so several processes
may share the file: what one call changes is there completely or not at all.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from domain.errors import ConfigError, ConnectorUnavailable
from tools.sandbox.schema import SCHEMA

BUSY_TIMEOUT_MS = 5_000
"""How long a write waits for another process's write."""
CHECKPOINT_PAGES = 4_000
"""Log size at which it is folded into the file; each time costs a disk sync."""
BATCH = 32
"""Calls answered together at most, so that the first does not wait for a long queue."""

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Work[Any]]
_Settled = tuple["asyncio.Future[Any]", Any, BaseException | None]


class Store:
    """One SQLite file behind one thread."""

    def __init__(self, path: Path | str) -> None:
        """Open (and create) the file at ``path`` when ``open`` is awaited."""
        self.path = Path(path)
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def open(self) -> None:
        """Start the thread and create missing tables."""
        await asyncio.to_thread(self.path.parent.mkdir, parents=True, exist_ok=True)
        self._jobs = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, args=(self._jobs,), name="sandbox-store", daemon=True)
        self._thread.start()
        try:
            await self._queue(_prepare)
        except sqlite3.DatabaseError as error:
            await self.close()
            raise ConfigError(
                f"{self.path} is not a usable sandbox file ({error}); delete it or name another"
            ) from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish queued work and let go of the file."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(thread.join)

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` on the thread outside any transaction: one statement sees one consistent state.

        Raises:
            ConnectorUnavailable: the file is busy, gone or closed.
        """
        return await self._queue(work)

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` as one transaction; anything it raises undoes all of it.

        Raises:
            ConnectorUnavailable: another process kept the file busy, or it is gone or closed; nothing was done.
        """

        def transaction(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result

        return await self._queue(transaction)

    async def _queue(self, work: Work[T]) -> T:
        if self._thread is None:
            raise ConnectorUnavailable(f"the sandbox at {self.path} is not open; enter it with 'async with' first")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((loop, future, work))
        try:
            return await future
        except sqlite3.OperationalError as error:
            raise ConnectorUnavailable(
                f"the sandbox file {self.path} cannot be used now ({error}); try again"
            ) from error

    def _serve(self, jobs: "SimpleQueue[_Job | None]") -> None:
        """Take what waits, do it, wake each loop once: under load this is several times cheaper per call."""
        connection: sqlite3.Connection | None = None
        while (job := jobs.get()) is not None:
            settled: dict[asyncio.AbstractEventLoop, list[_Settled]] = {}
            stopping = False
            while job is not None:
                loop, future, work = job
                try:
                    connection = connection or _connect(self.path)
                    outcome = _do(connection, future, work)
                except sqlite3.Error as error:
                    outcome = (future, None, error)
                settled.setdefault(loop, []).append(outcome)
                try:
                    job = jobs.get_nowait() if len(settled[loop]) < BATCH else None
                    stopping = job is None and len(settled[loop]) < BATCH
                except Empty:
                    job = None
            for loop, outcomes in settled.items():
                _report(loop, outcomes)
            if stopping:
                break
        if connection is not None:
            connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    _switch_to_wal(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    return connection


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Turn on the write-ahead log. SQLite does not apply the busy timeout here, so a race of two openers is retried."""
    pause = threading.Event()
    for _ in range(100):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            pause.wait(0.05)
        else:
            return
    connection.execute("PRAGMA journal_mode = WAL")


def _prepare(connection: sqlite3.Connection) -> None:
    # executescript commits on its own; every statement is IF NOT EXISTS, so two processes may prepare at once
    connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")


def _do(connection: sqlite3.Connection, future: "asyncio.Future[Any]", work: Work[Any]) -> _Settled:
    if future.cancelled():
        return future, None, None
    try:
        return future, work(connection), None
    except BaseException as error:  # noqa: BLE001 - the thread's edge: whatever happened belongs to the caller
        return future, None, error


def _report(loop: asyncio.AbstractEventLoop, settled: list[_Settled]) -> None:
    try:
        loop.call_soon_threadsafe(_settle, settled)
    except RuntimeError:
        # the loop closed while its work was running; nobody is left to tell
        return


def _settle(settled: list[_Settled]) -> None:
    for future, result, error in settled:
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
