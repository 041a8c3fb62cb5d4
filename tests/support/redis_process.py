"""A Redis server a test may kill, freeze and bring back: on one port, with its data in one folder, synced like in production."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from graph.runtime.connection import connect
from graph.runtime.server import embedded_binary
from tests.support.waiting import wait_until


@dataclass
class RedisProcess:
    """The server; ``start`` after ``kill`` continues with what was on disk."""

    folder: Path
    port: int
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        """Start and wait until it answers."""
        settings = {
            "port": self.port, "bind": "127.0.0.1", "dir": self.folder, "appendonly": "yes", "save": "",
            "logfile": self.folder / "redis.log",
        }  # fmt: skip
        arguments = [str(part) for name, value in settings.items() for part in (f"--{name}", value)]
        self.process = await asyncio.create_subprocess_exec(embedded_binary(), *arguments)

        async def answers() -> bool:
            client = connect(self.url)
            try:
                return bool(await client.ping())
            except OSError:
                return False
            except Exception as loading:  # noqa: BLE001  # whatever it says while it loads: not yet
                return not str(loading)
            finally:
                await client.aclose()

        await wait_until(answers, "Redis answers", within_s=10.0)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    async def kill(self) -> None:
        """End it without warning."""
        assert self.process is not None
        self._signal(signal.SIGKILL)
        await self.process.wait()

    def freeze(self) -> None:
        """It keeps its connections and says nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was."""
        self._signal(signal.SIGCONT)


@asynccontextmanager
async def redis_process(folder: Path) -> AsyncIterator[RedisProcess]:
    """A server of one's own, gone at the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = RedisProcess(folder=folder, port=port)
    await server.start()
    try:
        yield server
    finally:
        assert server.process is not None
        if server.process.returncode is None:
            await server.kill()
