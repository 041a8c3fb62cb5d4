"""The application behind a real server on loopback: big bodies over the wire, streams that resume, health."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import orjson
import pytest
import uvicorn

from api.services import Check, Health
from tests.support.api_desk import World, key_of, order_document, shopify_headers

BIG = 10_000_000


@asynccontextmanager
async def served(world: World) -> AsyncIterator[str]:
    """The world on a free port of this machine; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(world.app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        async with asyncio.timeout(10):
            while not server.started:  # noqa: ASYNC110 - the server offers no event
                await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/v1/orders", "/v1/channels/shopify/webhooks"])
async def test_ten_megabytes_over_the_wire(path: str, chunked: bool) -> None:
    """reliability/S06: 413 reaches the sender, declared or chunked; the server goes on; nothing was kept."""
    world = World()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(BIG // 100_000):
            yield b" " * 100_000

    async with served(world) as url, httpx2.AsyncClient(base_url=url) as client:
        headers = {**shopify_headers(b""), "X-API-Key": key_of("acme", "storefront")}
        answer = await client.post(path, content=chunks() if chunked else b" " * BIG, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "input.too_large")
        assert (await client.post("/v1/orders", json=order_document(), headers=headers)).status_code == 202
    assert len(world.desk.submissions) == 1


async def test_a_large_body_is_refused_before_it_is_sent() -> None:
    """The declared length is enough: a sender that waits for the answer need not send a byte."""
    world = World()
    async with served(world) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n")
        first = await asyncio.wait_for(reader.readuntil(b"\r\n"), 2)
        assert b" 413 " in first
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "wire",
    [
        b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /v1/orders/%00%ff%c3 HTTP/1.1\r\nHost: x\r\nX-API-Key: \xff\xfe\r\n\r\n",
        b"BREW /v1/orders HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\nContent-Type: application/json\r\n\r\n{",
    ],
)
async def test_broken_wire_traffic_leaves_the_server_up(wire: bytes) -> None:
    """reliability/P10: whatever arrives, the answer is 4xx or a closed connection, and others are served."""
    world = World()
    async with served(world) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(wire)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 5)
        assert not answer or answer.split(b" ", 2)[1].startswith(b"4")
        writer.close()
        async with httpx2.AsyncClient(base_url=url) as client:
            assert (await client.get("/healthz")).status_code == 200
    assert not world.desk.submissions


async def _read_events(lines: AsyncIterator[str], count: int) -> list[tuple[str, str]]:
    """The next ``count`` events as (id, tenant)."""
    found: list[tuple[str, str]] = []
    event: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(": ")
        event[name] = value
        if not line and "data" in event:
            found.append((event["id"], orjson.loads(event["data"])["tenant"]))
            event = {}
        if len(found) == count:
            return found
    raise AssertionError("the stream ended")


async def test_a_stream_resumes_where_it_stopped() -> None:
    """A client that reconnects with Last-Event-ID misses nothing, repeats nothing, and sees its own tenant only."""
    world = World()
    headers = {"X-API-Key": key_of("acme", "ops")}
    async with served(world) as url, httpx2.AsyncClient(base_url=url, headers=headers, timeout=10) as client:
        resume = {"Last-Event-ID": await world.desk.tell("acme", "order.accepted")}
        for tenant in ("acme", "bolt", "acme"):
            await world.desk.tell(tenant, "order.fraud_check.completed")
        async with client.stream("GET", "/v1/stream", headers=resume) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert await _read_events(answer.aiter_lines(), 2) == [("2-0", "acme"), ("4-0", "acme")]
        await world.desk.tell("acme", "order.tax.completed")
        async with client.stream("GET", "/v1/stream", headers={"Last-Event-ID": "4-0"}) as answer:
            lines = answer.aiter_lines()
            assert await _read_events(lines, 1) == [("5-0", "acme")]
            await world.desk.tell("bolt", "order.tax.completed")
            await world.desk.tell("acme", "order.tax.completed")
            assert await _read_events(lines, 1) == [("7-0", "acme")]


async def test_readiness_is_red_for_a_reason() -> None:
    """Alive is not ready: 503 names what is wrong, and turns green with it."""
    world = World()
    async with world.client(None) as client:
        assert (await client.get("/readyz")).json()["checks"]["redis"]["ok"]
        world.desk.ready = Health(ready=False, checks={"redis": Check(ok=False, detail="Redis does not answer")})
        red = await client.get("/readyz")
        assert (red.status_code, red.json()["ready"]) == (503, False)
        assert red.json()["checks"]["redis"]["detail"] == "Redis does not answer"
        assert (await client.get("/healthz")).status_code == 200
