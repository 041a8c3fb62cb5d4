"""Too big, too deep, too fast, misdirected: refused early and cheaply, and the process goes on."""

import itertools
import resource
import time
from collections.abc import AsyncIterator

import pytest

from api.limits import Limits, RateLimiter
from api.problems import TooManyRequests
from tests.support.api_desk import World, order_document, shopify_headers

BOMBS: dict[str, bytes] = {
    "depth 10,000": b"[" * 10_000 + b"]" * 10_000,
    "objects 10,000 deep": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "unclosed": b'{"a":' * 10_000,
    "1e400": b'{"external_id": 1e400}',
    "NaN": b'{"external_id": NaN}',
    "duplicate keys": b'{"external_id": "a", "external_id": "b"}',
    "10^5 keys": b"{" + b",".join(b'"k%d":1' % i for i in range(100_000)) + b"}",
    "huge int": b'{"external_id": ' + b"9" * 100_000 + b"}",
    "lone surrogate": b'{"external_id": "\\ud800"}',
    "surrogate bytes": b'{"external_id": "\xed\xa0\x80"}',
    "wrong charset": '{"external_id": "é"}'.encode("latin-1"),
    "UTF-16": '{"external_id": "a"}'.encode("utf-16"),
    "BOM": b"\xef\xbb\xbf" + b'{"external_id": "a"}',
    "NUL": b'{"external_id": "a"}\x00',
    "1 MB of quotes": b'"' * 1_000_000,
    "2 MB of backslashes": b'{"a":"' + b"\\" * 2_000_000,
    "long key": b'{"' + b"k" * 1_000_000 + b'": 1}',
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("path", ["/v1/orders", "/v1/reviews/r/decision", "/v1/channels/shopify/webhooks"])
async def test_json_bombs(bomb: str, path: str) -> None:
    """reliability/S15: 4xx in under 100 ms of processing, memory stays, and the next request is served."""
    world = World()
    raw = BOMBS[bomb]
    async with world.client("ops") as client:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        spent = []
        for _ in range(3):
            began = time.thread_time()
            answer = await client.post(path, content=raw, headers=shopify_headers(raw))
            spent.append(time.thread_time() - began)
            assert 400 <= answer.status_code < 500, answer.text
        grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert min(spent) < 0.1
        assert grown_kb < 50_000
        assert (await client.post("/v1/orders", json=order_document())).status_code == 202


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/channels/shopify/webhooks", "/v1/agents"])
async def test_a_body_over_the_limit_is_refused_by_its_length_alone(path: str) -> None:
    """reliability/S06: 10 MB is 413, whatever it holds."""
    world = World()
    raw = b" " * 10_000_000
    async with world.client("ops") as client:
        answer = await client.post(path, content=raw, headers=shopify_headers(b""))
    assert (answer.status_code, answer.json()["code"]) == (413, "input.too_large")


async def test_a_body_of_undeclared_length_is_counted_as_it_comes() -> None:
    """reliability/S06: chunks are read up to the limit and no further than it takes to answer."""
    world = World(limits=Limits(body_bytes=100_000))
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(10):
            sent += 50_000
            yield b" " * 50_000

    async with world.client("ops") as client:
        for path in ("/v1/orders", "/v1/channels/shopify/webhooks"):
            answer = await client.post(path, content=chunks(), headers={"Content-Type": "application/json"})
            assert (answer.status_code, answer.json()["code"]) == (413, "input.too_large")
    assert not world.desk.submissions


async def test_bodies_up_to_the_limit_pass() -> None:
    """The limit itself is allowed."""
    raw = b'{"id": 450789469}'
    padded = raw + b" " * (100_000 - len(raw))
    world = World(limits=Limits(body_bytes=100_000))
    async with world.client(None) as client:
        for body, status in ((padded, 202), (padded + b" ", 413)):
            headers = shopify_headers(body)
            assert (
                await client.post("/v1/channels/shopify/webhooks", content=body, headers=headers)
            ).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"Authorization", b"Bearer a"), (b"Authorization", b"Bearer b")], 400),
        ([(b"Idempotency-Key", b"a"), (b"Idempotency-Key", b"b")], 400),
        ([(b"X-Filler", b"x")] * 200, 400),
        ([(b"X-Filler", b"x" * 40_000)], 400),
        ([(b"Content-Length", b"-5")], 400),
        ([(b"Host", b"evil.example")], 400),
        ([(b"Host", b"api.shop.example:8443")], 200),
        ([(b"Host", b"signalbox.example.")], 200),
        ([(b"Host", b"shop.example.evil.example")], 400),
    ],
)
async def test_headers_must_mean_one_thing(headers: list[tuple[bytes, bytes]], status: int) -> None:
    """Repeated, oversized or misdirected headers are refused before anything reads them."""
    world = World(limits=Limits(hosts=("signalbox.example", "*.shop.example")))
    async with world.client(None) as client:
        assert (await client.get("/healthz", headers=headers)).status_code == status


def test_the_bucket_refills_by_time() -> None:
    """reliability/T05: a burst is allowed once, then the rate; each tenant has its own bucket."""
    clock = itertools.chain([0.0] * 5, [0.05], [10.0] * 3)
    limiter = RateLimiter(rate_per_s=10, burst=3, monotonic=lambda: next(clock))
    for _ in range(3):
        limiter.take("a")
    with pytest.raises(TooManyRequests) as refusal:
        limiter.take("a")
    assert refusal.value.retry_after_s == pytest.approx(0.1)
    limiter.take("b")
    with pytest.raises(TooManyRequests):
        limiter.take("a")
    for _ in range(3):
        limiter.take("a")


async def test_a_flooding_tenant_is_slowed_and_others_are_not() -> None:
    """reliability/T05: A gets 429 with Retry-After, by key and by webhook; B is served."""
    world = World(limits=Limits(rate_per_s=0.001, burst=3))
    raw = b'{"id": 1}'
    async with world.client("ops") as a, world.client("ops", tenant="bolt") as b:
        answers = [await a.get("/v1/agents") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        flood = await a.post("/v1/channels/shopify/webhooks", content=raw, headers=shopify_headers(raw))
        assert flood.status_code == 429
        assert (await b.get("/v1/agents")).status_code == 200
        assert (await a.get("/healthz")).status_code == 200
