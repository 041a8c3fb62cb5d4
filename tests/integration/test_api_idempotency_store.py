"""The idempotency store on a real server: claims, leases, retention, and one submission among concurrent repeats."""

import asyncio
from datetime import UTC, datetime

import httpx2
import pytest
from redis.asyncio import Redis

from api.app import create_app
from api.idempotency import RETENTION_S, Claim, RedisIdempotencyStore, Reply
from api.problems import KeyReused, RequestInProgress
from domain.errors import StoreUnavailable
from graph.runtime.connection import Batcher, connect
from graph.runtime.keys import STATE_TTL_S, Keyspace
from tests.support.api_desk import MemoryDesk, key_of, order_document, two_tenants
from tests.support.servers import assert_no_unowned_keys

REPLY = Reply(202, b'{"order_id":"storefront-1"}', (("Location", "/v1/orders/storefront-1"),))


@pytest.fixture
def store(batcher: Batcher, keyspace: Keyspace) -> RedisIdempotencyStore:
    return RedisIdempotencyStore(batcher, keyspace)


async def _claimed(store: RedisIdempotencyStore, digest: str = "d1") -> Claim:
    claim = await store.begin("acme", "k", digest)
    assert isinstance(claim, Claim)
    return claim


async def test_an_answer_is_kept_exactly_and_longer_than_the_state(store: RedisIdempotencyStore, redis: Redis) -> None:
    """reliability/1 Stripe row: status, body and headers come back; kept at least as long as the shared state."""
    await store.finish(await _claimed(store), REPLY)
    kept = await store.begin("acme", "k", "d1")
    assert isinstance(kept, Reply)
    assert (kept.status, kept.body, kept.headers, kept.replayed) == (REPLY.status, REPLY.body, REPLY.headers, True)
    (key,) = await redis.keys()
    assert STATE_TTL_S < await redis.ttl(key) <= RETENTION_S
    await assert_no_unowned_keys(redis)


async def test_a_key_belongs_to_one_request(store: RedisIdempotencyStore) -> None:
    """Another request under the key is refused while the first runs and after it is done; another tenant is another key."""
    claim = await _claimed(store)
    with pytest.raises(RequestInProgress) as busy:
        await store.begin("acme", "k", "d1")
    assert 0 < busy.value.retry_after_s <= 2
    with pytest.raises(KeyReused):
        await store.begin("acme", "k", "d2")
    await store.finish(claim, REPLY)
    with pytest.raises(KeyReused):
        await store.begin("acme", "k", "d2")
    assert isinstance(await store.begin("bolt", "k", "d2"), Claim)


async def test_a_crashed_holder_frees_the_key_for_the_same_request(batcher: Batcher, keyspace: Keyspace) -> None:
    """F62: after the lease the same request may run; a different one still may not; the late holder's answer is dropped."""
    store = RedisIdempotencyStore(batcher, keyspace, lease_s=0.05)
    crashed = await _claimed(store)

    async def taken_over() -> Claim:
        while True:
            try:
                return await _claimed(store)
            except RequestInProgress:
                await asyncio.sleep(0.01)

    second = await asyncio.wait_for(taken_over(), 5)
    with pytest.raises(KeyReused):
        await store.begin("acme", "k", "d2")
    await store.finish(crashed, Reply(500, b"late"))
    await store.release(crashed)
    await store.finish(second, REPLY)
    kept = await store.begin("acme", "k", "d1")
    assert isinstance(kept, Reply)
    assert kept.body == REPLY.body


async def test_a_released_key_is_free(store: RedisIdempotencyStore, redis: Redis) -> None:
    """Nothing executed, nothing kept."""
    await store.release(await _claimed(store))
    assert await redis.keys() == []


async def test_of_many_claims_at_once_one_wins(store: RedisIdempotencyStore) -> None:
    """F62: 50 concurrent claims, 20 rounds: exactly one each."""
    for round_ in range(20):
        claims = await asyncio.gather(
            *(store.begin("acme", f"k{round_}", "d1") for _ in range(50)), return_exceptions=True
        )
        assert sum(isinstance(claim, Claim) for claim in claims) == 1
        assert sum(isinstance(claim, RequestInProgress) for claim in claims) == 49


async def test_repeats_at_two_processes_are_one_order(redis_server: str, redis: Redis, keyspace: Keyspace) -> None:
    """F62: two applications on one server: of 30 concurrent repeats one executes; all end with the same answer."""
    desk = MemoryDesk()
    clients = [connect(redis_server) for _ in range(2)]
    batchers = [Batcher(client) for client in clients]
    apps = [
        create_app(desk, two_tenants(), RedisIdempotencyStore(batcher, keyspace), now=lambda: datetime.now(UTC))
        for batcher in batchers
    ]
    headers = {"X-API-Key": key_of("acme", "storefront"), "Idempotency-Key": "same"}

    async def submit(number: int) -> httpx2.Response:
        transport = httpx2.ASGITransport(app=apps[number % 2])
        async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as client:
            for _ in range(100):
                answer = await client.post("/v1/orders", json=order_document())
                if answer.status_code != 409:
                    return answer
                await asyncio.sleep(0.01)
        raise AssertionError("the key was never free")

    answers = await asyncio.gather(*(submit(number) for number in range(30)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert len(desk.submissions) == 1
    for batcher, client in zip(batchers, clients, strict=True):
        await batcher.aclose()
        await client.aclose()


async def test_without_the_store_nothing_is_executed(keyspace: Keyspace) -> None:
    """Redis away: 503, not a second order."""
    client = connect("redis://127.0.0.1:1/0")
    batcher = Batcher(client)
    with pytest.raises(StoreUnavailable):
        await RedisIdempotencyStore(batcher, keyspace).begin("acme", "k", "d")
    await batcher.aclose()
    await client.aclose()
