"""Workers as processes of their own that can be killed: one parent imports everything once and forks each of them.

Run as a script it takes one JSON line per wish on its standard input and answers each with one line. ``start`` forks a
worker with environment variables of its own (``CRASH_AT`` among them), ``poll`` tells how one ended. When its input ends
it kills the workers it has left.
"""

import asyncio
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"  # read when langgraph is imported, so it must come first

import structlog

from api.worker import Worker
from domain.errors import Transient
from domain.review import ReviewAction
from graph.runtime import crash
from tests.support.system import fast_settings, opened
from tests.support.waiting import wait_until

KILLED = -signal.SIGKILL


@dataclass
class Workers:
    """The parent process, seen from a test."""

    process: asyncio.subprocess.Process

    async def start(self, home: Path, *, crash_at: str = "", **wish: Any) -> "WorkerProcess":
        """Fork a worker on a home. ``submit`` are payloads, ``decide`` review ids it sees to before it works."""
        env = {"CRASH_AT": crash_at, **wish.pop("env", {})}
        answer = await self._ask({"do": "start", "home": str(home), "env": env, **wish})
        return WorkerProcess(workers=self, home=home, pid=int(answer["pid"]))

    async def _ask(self, wish: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(wish).encode() + b"\n")
        await self.process.stdin.drain()
        answer: dict[str, Any] = json.loads(await self.process.stdout.readline())
        return answer


@dataclass
class WorkerProcess:
    """One forked worker."""

    workers: Workers
    home: Path
    pid: int

    async def code(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        found = (await self.workers._ask({"do": "poll", "pid": self.pid}))["code"]
        return None if found is None else int(found)

    async def ended(self, *, within_s: float = 20.0) -> int:
        """Wait for its end and give the code."""

        async def look() -> tuple[int] | None:
            code = await self.code()
            return None if code is None else (code,)

        try:
            return (await wait_until(look, f"worker {self.pid} has ended", within_s=within_s))[0]
        except AssertionError as late:
            self.signal(signal.SIGKILL)
            raise AssertionError(f"{late}\n{self.log()[-3000:]}") from None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    async def stop(self) -> int:
        """Ask it to stop, as an orchestrator does."""
        self.signal(signal.SIGTERM)
        return await self.ended(within_s=25.0)

    def log(self) -> str:
        """What it logged."""
        path = _log_of(self.home, self.pid)
        return path.read_text() if path.exists() else ""


@asynccontextmanager
async def worker_processes() -> AsyncIterator[Workers]:
    """The parent of worker processes; at the end of the block it and all of them are gone."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    try:
        yield Workers(process=process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


def _log_of(home: Path, pid: int) -> Path:
    return home / f"worker-{pid}.log"


async def work(home: Path, wish: Mapping[str, Any]) -> None:
    """The life of one worker: see to the deliveries and answers it was given, then carry orders until SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    async with opened(fast_settings(home, **wish.get("settings", {}))) as rig:
        for payload in wish.get("submit", ()):
            await rig.submit(payload)
        for review_id in wish.get("decide", ()):
            await rig.decide(review_id, ReviewAction.APPROVE)
        worker = Worker(rig.box)
        while not stop.is_set():
            try:
                await worker.run(stop)
            except Transient:  # the store was away when it came up: an orchestrator would start it again
                await asyncio.sleep(0.1)


def _child(home: Path, wish: Mapping[str, Any]) -> None:
    os.environ.update(wish["env"])
    importlib.reload(crash)
    log = _log_of(home, os.getpid()).open("w", buffering=1)
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer(key_order=["event"])],
        logger_factory=structlog.PrintLoggerFactory(log),
    )
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    asyncio.run(work(home, wish))


def _started(wish: Mapping[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        _child(Path(wish["home"]), wish)
        code = 0
    except BaseException:  # noqa: BLE001  # the edge of a process: it may not return into its parent's code
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Answer wishes until there are no more."""
    left: set[int] = set()
    codes: dict[int, int] = {}
    for wish in map(json.loads, sys.stdin):
        if wish["do"] == "start":
            left.add(pid := _started(wish))
            answer: dict[str, int | None] = {"pid": pid}
        else:
            pid = wish["pid"]
            if pid in left:
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    left.discard(pid)
                    codes[pid] = os.waitstatus_to_exitcode(status)
            answer = {"code": codes.get(pid)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
