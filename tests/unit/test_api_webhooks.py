"""Channel webhooks at the door: only an authentic delivery gets in, for the tenant and shop whose secret signed it."""

import asyncio
import gzip
import hashlib
import hmac
from collections.abc import AsyncIterator

import httpx2
import pytest

from domain.errors import StoreUnavailable
from tests.support.api_desk import (
    OLD_SHOPIFY_SECRET,
    SHOPEE_SECRET,
    SHOPEE_URL,
    SHOPIFY_SHOP,
    World,
    shopify_headers,
)

RAW = b'{"id": 450789469, "name": "#1001", "note": "caf\xc3\xa9"}'
URL = "/v1/channels/shopify/webhooks"
PUSH = b'{"code":3,"shop_id":220000001,"timestamp":1795320000,"data":{"ordersn":"2611220ABCDEFG","status":"READY_TO_SHIP"}}'


def _shopee(raw: bytes, url: str = SHOPEE_URL) -> dict[str, str]:
    signature = hmac.new(SHOPEE_SECRET.encode(), url.encode() + b"|" + raw, hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json", "Authorization": signature}


async def _post(world: World, raw: bytes, headers: object, path: str = URL) -> httpx2.Response:
    async with world.client(None) as client:
        return await client.post(path, content=raw, headers=headers)  # type: ignore[arg-type]


async def test_an_authentic_delivery_is_kept_as_its_bytes_came() -> None:
    """F31, reliability/S06: 202 after the desk has it, with tenant, shop and ids from what was verified."""
    world = World()
    answer = await _post(world, RAW, shopify_headers(RAW))
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted", "handle": "shopify-450789469"})
    (kept,) = world.desk.submissions
    assert (kept.tenant, kept.channel, kept.shop, kept.topic) == ("acme", "shopify", SHOPIFY_SHOP, "orders/create")
    assert (kept.raw, kept.order_hint, kept.fetch, kept.source) == (RAW, "450789469", False, "webhook")


async def test_a_repeated_delivery_is_accepted_again_and_starts_nothing() -> None:
    """F31: the platform is told 202 for its retry, and there is one submission."""
    world = World()
    answers = [await _post(world, RAW, shopify_headers(RAW)) for _ in range(3)]
    assert [answer.json()["status"] for answer in answers] == ["accepted", "duplicate", "duplicate"]
    assert len(world.desk.submissions) == 1


async def test_while_a_secret_is_changed_both_are_valid() -> None:
    """reliability/S06: the old secret still signs until it is taken out of the file."""
    world = World()
    assert (await _post(world, RAW, shopify_headers(RAW, secret=OLD_SHOPIFY_SECRET))).status_code == 202


async def test_a_shopee_push_asks_to_fetch() -> None:
    """F31, reliability/S06: signed over the registered URL, and only an announcement."""
    world = World()
    answer = await _post(world, PUSH, _shopee(PUSH), "/v1/channels/shopee/webhooks")
    assert answer.status_code == 202
    (kept,) = world.desk.submissions
    assert (kept.shop, kept.order_hint, kept.fetch) == ("220000001", "2611220ABCDEFG", True)


async def test_a_delivery_about_something_else_is_answered_and_dropped() -> None:
    """A chat push is no order: the channel is told 202 so that it stops repeating."""
    world = World()
    raw = b'{"code":10,"shop_id":220000001,"timestamp":1795320000,"data":{"type":"message"}}'
    answer = await _post(world, raw, _shopee(raw), "/v1/channels/shopee/webhooks")
    assert (answer.status_code, answer.json()["status"]) == (202, "ignored")
    assert not world.desk.submissions


_signed = shopify_headers(RAW)
FORGERIES: dict[str, tuple[bytes, object, str]] = {
    "one flipped byte": (RAW.replace(b"1001", b"1002"), _signed, URL),
    "re-serialised": (RAW.replace(b": ", b":"), _signed, URL),
    "header missing": (RAW, {"Content-Type": "application/json"}, URL),
    "header empty": (RAW, {**_signed, "X-Shopify-Hmac-Sha256": ""}, URL),
    "signature in another case": (
        RAW,
        {**_signed, "X-Shopify-Hmac-Sha256": _signed["X-Shopify-Hmac-Sha256"].swapcase()},
        URL,
    ),
    "header not ASCII": (
        RAW,
        [(b"X-Shopify-Hmac-Sha256", "签名".encode()), (b"Content-Type", b"application/json")],
        URL,
    ),
    "header twice": (RAW, [*_signed.items(), ("X-Shopify-Hmac-Sha256", _signed["X-Shopify-Hmac-Sha256"])], URL),
    "gzip": (gzip.compress(RAW), {**_signed, "Content-Encoding": "gzip"}, URL),
    "empty body": (b"", _signed, URL),
    "another secret": (RAW, shopify_headers(RAW, secret="0123456789abcdef0123456789abcdef"), URL),
    "another channel": (RAW, _signed, "/v1/channels/shopee/webhooks"),
    "the proxy's URL": (PUSH, _shopee(PUSH, "http://10.0.0.1/push"), "/v1/channels/shopee/webhooks"),
    "no webhook here": (RAW, _signed, "/v1/channels/storefront/webhooks"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forged_delivery_changes_nothing_and_is_counted(forgery: str) -> None:
    """reliability/S06, P10: 401, nothing kept, nothing parsed, and the refusal is on the metrics page."""
    world = World()
    raw, headers, path = FORGERIES[forgery]
    answer = await _post(world, raw, headers, path)
    assert (answer.status_code, answer.json()["code"]) == (401, "input.signature")
    assert not world.desk.submissions
    assert not world.desk.dead
    async with world.client(None, host="127.0.0.1") as client:
        counted = (await client.get("/metrics")).text
    assert 'code="input.signature",route="/v1/channels/{channel}/webhooks"} 1.0' in counted


@pytest.mark.parametrize("raw", [b"{broken", b"[1]", b'{"id":1,"id":2}', b'{"id": NaN}', b"\xff\xfe", b"[" * 5000])
async def test_an_authentic_delivery_that_cannot_be_read_is_not_lost(raw: bytes) -> None:
    """Bad input: 400, and a dead-letter copy for the tenant whose secret signed it."""
    world = World()
    answer = await _post(world, raw, shopify_headers(raw))
    assert (answer.status_code, answer.json()["code"]) == (400, "input.malformed")
    ((tenant, channel, kept, reason),) = world.desk.dead
    assert (tenant, channel, kept) == ("acme", "shopify", raw)
    assert reason == answer.json()["detail"]


async def test_no_answer_before_the_delivery_is_durable() -> None:
    """reliability/P1: while the store does not answer the sender waits; when it fails the sender is told to repeat."""
    world = World()
    world.desk.gate = asyncio.Event()
    waiting = asyncio.create_task(_post(world, RAW, shopify_headers(RAW)))
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert not done
    world.desk.fail = StoreUnavailable("Redis is away")
    world.desk.gate.set()
    answer = await waiting
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    for raw in (RAW, b"{broken"):
        assert (await _post(world, raw, shopify_headers(raw))).status_code == 503
    world.desk.fail = None
    assert (await _post(world, RAW, shopify_headers(RAW))).json()["status"] == "accepted"


async def test_a_chunked_delivery_is_the_same_delivery() -> None:
    """reliability/S06: how the bytes are cut makes no difference."""
    world = World()

    async def chunks() -> AsyncIterator[bytes]:
        for i in range(0, len(RAW), 7):
            yield RAW[i : i + 7]

    async with world.client(None) as client:
        answer = await client.post(URL, content=chunks(), headers=shopify_headers(RAW))
    assert answer.status_code == 202
    assert world.desk.submissions[0].raw == RAW
