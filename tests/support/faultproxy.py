"""A relay on loopback between a client and a server that can be told to be slow, deaf, cut or broken.

Both directions pass through it byte for byte; what ``way`` says holds for what is relayed from then on, on connections
that are open and on new ones.
"""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

CHUNK = 64 * 1024
DRIP_S = 1.0
_RESET = struct.pack("ii", 1, 0)
"""Linger for no time: closing sends RST instead of FIN."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How bytes travel."""

    delay_s: float = 0.0
    """Before each chunk from the server."""
    jitter_s: float = 0.0
    """Added to or taken off the delay, evenly spread."""
    drop: bool = False
    """What is sent is swallowed, in both directions; connections stay open."""
    refuse: bool = False
    """New connections are reset at once."""
    drip: bool = False
    """The server's answers arrive at one byte a second."""
    cut_after: int | None = None
    """The server's answers are cut off by a reset after so many bytes, on each connection."""
    half_close_after: int | None = None
    """The server's side is closed properly after so many bytes; what the client sends still arrives."""


CLEAR = Way()


@dataclass
class FaultProxy:
    """The relay. ``connections`` counts those there ever were."""

    target: tuple[str, int]
    seed: int = 1
    way: Way = CLEAR
    port: int = 0
    connections: int = 0
    _random: random.Random = field(init=False)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311  # faults that can be repeated, not secrets

    def be(self, **changes: object) -> None:
        """From now on, this way."""
        self.way = replace(CLEAR, **changes)  # type: ignore[arg-type]

    def clear(self) -> None:
        """From now on, as if it were not there."""
        self.way = CLEAR

    def reset(self) -> int:
        """Reset every open connection; gives how many there were."""
        cut = 0
        for writer in list(self._open):
            cut += _reset(writer)
        return cut

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            if self.way.refuse:
                _reset(writer)
                return
            up_reader, up_writer = await asyncio.open_connection(*self.target)
            self._open.add(up_writer)
            try:
                with suppress(OSError):
                    await asyncio.gather(self._up(reader, up_writer), self._down(up_reader, writer))
            finally:
                self._open.discard(up_writer)
                up_writer.close()
        except OSError:
            _reset(writer)  # nobody is listening: the client sees that too
        finally:
            self._open.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the client to the server."""
        while chunk := await reader.read(CHUNK):
            if not self.way.drop:
                writer.write(chunk)
                await writer.drain()
        writer.write_eof()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the server to the client."""
        passed = 0
        while chunk := await reader.read(CHUNK):
            way = self.way
            if way.drop:
                continue
            if way.delay_s or way.jitter_s:
                await asyncio.sleep(max(0.0, way.delay_s + self._random.uniform(-way.jitter_s, way.jitter_s)))
            for limit, end in ((way.cut_after, _reset), (way.half_close_after, _half_close)):
                if limit is not None and passed + len(chunk) > limit:
                    writer.write(chunk[: max(0, limit - passed)])
                    await writer.drain()
                    end(writer)
                    return
            passed += len(chunk)
            await self._deliver(chunk, writer)
        _half_close(writer)

    async def _deliver(self, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        for at in range(len(chunk)):
            if not self.way.drip:
                writer.write(chunk[at:])
                break
            writer.write(chunk[at : at + 1])
            await writer.drain()
            await asyncio.sleep(DRIP_S)
        await writer.drain()

    async def _close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> bool:
    """Close with RST; whether it was open."""
    if writer.transport.is_closing():
        return False
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
    return True


def _half_close(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        if writer.can_write_eof() and not writer.transport.is_closing():
            writer.write_eof()


@asynccontextmanager
async def fault_proxy(host: str, port: int, *, seed: int = 1) -> AsyncIterator[FaultProxy]:
    """A relay to a server on a port of its own."""
    proxy = FaultProxy(target=(host, port), seed=seed)
    server = await asyncio.start_server(proxy._accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy._close()
        await server.wait_closed()
