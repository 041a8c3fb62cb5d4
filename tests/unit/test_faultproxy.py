"""The relay the fault tests rely on does what it is told: otherwise they would prove nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.faultproxy import FaultProxy, fault_proxy


@asynccontextmanager
async def echo() -> AsyncIterator[FaultProxy]:
    """A proxy before a server that answers what it is sent."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1024):
            writer.write(chunk)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with fault_proxy(host, port) as proxy:
        yield proxy
    server.close()


@asynccontextmanager
async def client(proxy: FaultProxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_bytes_pass_unchanged_and_slowly_when_told() -> None:
    loop = asyncio.get_running_loop()
    async with echo() as proxy, client(proxy) as (reader, writer):
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        proxy.be(delay_s=0.2, jitter_s=0.05)
        start = loop.time()
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"
        assert 0.14 < loop.time() - start < 1.5


async def test_what_is_dropped_never_arrives_and_the_connection_stays() -> None:
    async with echo() as proxy, client(proxy) as (reader, writer):
        proxy.be(drop=True)
        writer.write(b"lost")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.read(1)
        proxy.clear()
        writer.write(b"kept")
        assert await reader.readexactly(4) == b"kept"


async def test_connections_are_reset_refused_cut_and_half_closed() -> None:
    async with echo() as proxy:
        async with client(proxy) as (reader, writer):
            writer.write(b"x")
            await reader.readexactly(1)
            assert proxy.reset() >= 1
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
        proxy.be(refuse=True)
        async with client(proxy) as (reader, _):
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
        proxy.be(cut_after=3)
        async with client(proxy) as (reader, writer):
            writer.write(b"abcdef")
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(6)
        proxy.be(half_close_after=3)
        async with client(proxy) as (reader, writer):
            writer.write(b"abcdef")
            assert await reader.read() == b"abc"
            writer.write(b"still open this way")
            await writer.drain()
        assert proxy.connections == 4


async def test_a_dripping_answer_comes_byte_by_byte() -> None:
    loop = asyncio.get_running_loop()
    async with echo() as proxy, client(proxy) as (reader, writer):
        proxy.be(drip=True)
        start = loop.time()
        writer.write(b"abc")
        assert await reader.readexactly(2) == b"ab"
        assert loop.time() - start > 0.9
