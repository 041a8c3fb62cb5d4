"""Idempotency-Key over HTTP: one execution, one answer, whoever repeats and whenever."""

import asyncio

import httpx2
import pytest

from domain.errors import StoreUnavailable, TooLate
from tests.support.api_desk import World, approval, order_document


async def _submit(client: httpx2.AsyncClient, key: str | None = "k1", **changes: object) -> httpx2.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await client.post("/v1/orders", json={**order_document(), **changes}, headers=headers)


async def test_the_same_request_twice_is_one_order_and_one_answer() -> None:
    """F62: the same request id twice gives one order; the second answer is the first one, and says so."""
    world = World()
    async with world.client("storefront") as client:
        first, second = [await _submit(client) for _ in range(2)]
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert first.headers["location"] == second.headers["location"] == "/v1/orders/storefront-web-1"
    assert [answer.headers.get("idempotency-replayed") for answer in (first, second)] == [None, "true"]
    assert len(world.desk.submissions) == 1


async def test_without_a_key_the_document_itself_is_the_key() -> None:
    """F62: no key, or a new key for the same document, is still one order."""
    world = World()
    async with world.client("storefront") as client:
        answers = [await _submit(client, key) for key in (None, None, "k2")]
    assert [answer.json()["duplicate"] for answer in answers] == [False, True, True]
    assert len({answer.json()["order_id"] for answer in answers}) == 1
    assert len(world.desk.submissions) == 1


async def test_layout_does_not_matter_and_content_does() -> None:
    """The key covers what the request means: spaces and member order may differ, one quantity may not."""
    world = World()
    reordered = dict(reversed(order_document().items()))
    async with world.client("storefront") as client:
        await _submit(client)
        headers = {"Idempotency-Key": "k1"}
        same = await client.post("/v1/orders", json=reordered, headers=headers)
        other = await client.post("/v1/orders", json=order_document(quantity=3), headers=headers)
        elsewhere = await client.post("/v1/orders?channel=b2b", json=order_document(), headers=headers)
    assert same.headers["idempotency-replayed"] == "true"
    for refused in (other, elsewhere):
        assert (refused.status_code, refused.json()["code"]) == (422, "input.idempotency_key")
    assert len(world.desk.submissions) == 1


async def test_a_repeat_while_the_first_runs_is_told_to_wait() -> None:
    """F62: concurrent duplicates: one executes, the others get 409 with Retry-After, later the answer."""
    world = World()
    world.desk.gate = asyncio.Event()
    async with world.client("storefront") as client:
        first = asyncio.create_task(_submit(client))
        await asyncio.wait({first}, timeout=0.05)
        others = await asyncio.gather(*(_submit(client) for _ in range(20)))
        world.desk.gate.set()
        answer = await first
        later = await _submit(client)
    assert {(other.status_code, other.json()["code"]) for other in others} == {(409, "refused.in_progress")}
    assert all(int(other.headers["retry-after"]) >= 1 for other in others)
    assert (answer.status_code, later.status_code, later.content) == (202, 202, answer.content)
    assert len(world.desk.submissions) == 1


@pytest.mark.parametrize("failure", [StoreUnavailable("away"), RuntimeError("bug")])
async def test_a_failure_of_ours_is_not_the_answer_for_ever(failure: Exception) -> None:
    """After a 5xx the repeat runs again."""
    world = World()
    world.desk.fail = failure
    async with world.client("storefront") as client:
        failed = await _submit(client)
        world.desk.fail = None
        repeated = await _submit(client)
    assert failed.status_code in {500, 503}
    assert repeated.status_code == 202
    assert "idempotency-replayed" not in repeated.headers


async def test_a_refusal_is_an_answer_too() -> None:
    """Execution began and said no: the repeat hears the same, even when it would now succeed."""
    world = World()
    world.desk.fail = TooLate("the parcel has left")
    async with world.client("ops") as client:

        async def cancel() -> httpx2.Response:
            url, headers = "/v1/orders/storefront-1/cancel", {"Idempotency-Key": "k"}
            return await client.post(url, json={"reason": "x"}, headers=headers)

        refused = await cancel()
        world.desk.fail = None
        again = await cancel()
    assert (refused.status_code, again.status_code, again.content) == (409, 409, refused.content)
    assert again.headers["content-type"] == "application/problem+json"
    assert again.headers["idempotency-replayed"] == "true"


async def test_a_request_that_is_refused_before_it_runs_leaves_the_key_free() -> None:
    """As Stripe has it: an answer is kept only once execution began."""
    world = World()
    async with world.client("storefront") as client:
        assert (await _submit(client, currency="USD")).status_code == 422
        assert (await _submit(client)).status_code == 202


async def test_a_decision_repeated_under_its_key_is_not_a_second_answer() -> None:
    """P3 part: the decider's own retry gets their answer; another person's click gets the winner's name."""
    world = World()
    world.add_review("rev-1")
    async with world.client("ops") as client:

        async def decide(user: str, key: str) -> httpx2.Response:
            headers = {"Idempotency-Key": key, "X-Signalbox-User": user}
            return await client.post("/v1/reviews/rev-1/decision", json=approval(), headers=headers)

        first, retry = await decide("mei", "a"), await decide("mei", "a")
        other, borrowed = await decide("boss", "b"), await decide("boss", "a")
    assert (first.status_code, retry.status_code, retry.content) == (200, 200, first.content)
    assert (other.status_code, other.json()["decided_by"], other.json()["action"]) == (409, "user:mei", "approve")
    assert borrowed.status_code == 422


async def test_tenants_share_no_keys() -> None:
    """P16: the same key at two tenants is two keys."""
    world = World()
    async with world.client("storefront") as acme, world.client("storefront", tenant="bolt") as bolt:
        answers = [await _submit(acme), await _submit(bolt)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert len(world.desk.submissions) == 2


@pytest.mark.parametrize("key", [b"", b"x" * 256, "键".encode(), b"a\tb"])
async def test_a_malformed_key_is_refused(key: bytes) -> None:
    """A key is 1 to 255 printable ASCII characters."""
    world = World()
    async with world.client("storefront") as client:
        answer = await client.post("/v1/orders", json=order_document(), headers={b"Idempotency-Key": key})
    assert answer.status_code == 422
    assert not world.desk.submissions
