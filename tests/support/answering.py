"""A second process that answers reviews at the instant a test names."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def answerer(home: Path, person: str, action: str) -> AsyncIterator["Answerer"]:
    """Another process of the same home that answers as one person, at the instant it is told."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.answerer", str(home), person, action,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=_ROOT,
        env={"PYTHONPATH": str(_ROOT), "LANGGRAPH_STRICT_MSGPACK": "true"},
    )  # fmt: skip
    assert process.stdin is not None
    try:
        yield Answerer(process)
    finally:
        process.stdin.close()
        await process.wait()


class Answerer:
    """The other process, seen from a test."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def answer(self, review_id: str, at: float) -> dict[str, Any]:
        """Let it answer a review at an instant of the machine's clock; gives what it was told."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"review": review_id, "at": at}).encode() + b"\n")
        await self._process.stdin.drain()
        told: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return told
