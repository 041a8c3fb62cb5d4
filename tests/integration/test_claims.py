"""Claims on facets, on a real server: two agents at the same moment, across processes, stale ones, and taken-back ones."""

import asyncio
import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from domain.claim import Claim, ClaimState, Entity
from domain.conflict import Party, Side
from domain.errors import Conflict, InputError, NotFound
from domain.ids import TenantId
from graph.runtime.claims import REMEMBERED, Claims
from graph.runtime.connection import Batcher
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.journal import pairs
from graph.runtime.keys import Keyspace
from tests.support.conflict_sides import NOW, POLICY, side

RACER = Path(__file__).parents[1] / "support" / "claim_racer.py"
SKU = Entity(tenant=TenantId("demo"), entity_type="sku", entity_id="SKU-1")
HIDE = side("merchandising", "sku.visibility/hide", 2, ".95", "0")
FEATURE = side("promo", "sku.visibility/feature", 3, ".90", "0")


@pytest.fixture
def claims(batcher: Batcher, keyspace: Keyspace) -> Claims:
    return Claims(batcher, keyspace, POLICY)


async def events(redis: Redis, kind: str) -> list[dict[str, Any]]:
    stream = Keyspace().stream(JOURNAL)
    entries = [pairs(fields) for _, fields in await redis.execute_command("XRANGE", stream, "-", "+")]  # type: ignore[no-untyped-call]
    return [orjson.loads(entry["b"])["result"] for entry in entries if entry["t"] == kind]


async def test_one_wins_one_loses_and_one_conflict_is_recorded(claims: Claims, redis: Redis) -> None:
    """domain/C3, F5, F59: whoever comes first, the same one prevails; the loser learns why; the record names both."""
    for first, second in ((HIDE, FEATURE), (FEATURE, HIDE)):
        await redis.flushall()
        await claims.claim_facet(SKU, first, at=NOW)
        await claims.claim_facet(SKU, second, at=NOW)
        stands = {claim.side.agent: claim for claim in await claims.of(SKU)}
        assert {agent: claim.state for agent, claim in stands.items()} == {
            "merchandising": ClaimState.GRANTED,
            "promo": ClaimState.LOST,
        }
        assert "the lower tier comes first" in stands["promo"].why
        [record] = await events(redis, "sku.conflict.recorded")
        assert (record["winner_id"], record["loser_id"]) == (HIDE.decision_id, FEATURE.decision_id)
        assert (record["rule"], record["policy"], record["ask"]) == ("R2", POLICY.version, False)
        await claims.begin(SKU, HIDE, at=NOW)
        with pytest.raises(Conflict, match="promo may not feature SKU-1: merchandising says hide"):
            await claims.begin(SKU, FEATURE, at=NOW)


async def _racers(url: str, rounds: int, *sides: Side) -> list[list[dict[str, Any]]]:
    running = [
        await asyncio.create_subprocess_exec(
            sys.executable, str(RACER), url, str(rounds), str(len(sides)), one.to_json(),
            stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(RACER.parents[2])},
        )
        for one in sides
    ]  # fmt: skip
    said = [await process.communicate() for process in running]
    assert [process.returncode for process in running] == [0] * len(sides)
    return [[json.loads(line) for line in out.decode().splitlines()] for out, _ in said]


async def test_two_processes_in_the_same_millisecond_leave_one_outcome(redis: Redis, redis_server: str) -> None:
    """domain/C3, F5: 100 rounds from two processes: never both act, one loser with its reason, one record each."""
    rounds = 100
    ties = (
        side("reorder", "po.send/send", 3, ".9", "90", value="1000"),
        side("merch", "sku.price/clearance", 3, ".9", "90"),
    )
    for pair in ((HIDE, FEATURE), ties):
        await redis.flushall()
        both = await _racers(redis_server, rounds, *pair)
        acted = [sum(one[number]["begun"] for one in both) for number in range(rounds)]
        assert max(acted) <= 1
        records = await events(redis, "sku.conflict.recorded")
        assert len(records) == rounds
        assert all(record["winner_id"] != record["loser_id"] and record["sentence"] for record in records)
        apart = [abs(a["ms"] - b["ms"]) for a, b in zip(*both, strict=True)]
        assert sum(ms <= 1 for ms in apart) > rounds / 4, "they did not act at the same moment"


async def test_fifty_at_once_leave_one_that_acts(claims: Claims, redis: Redis) -> None:
    """domain/C3: fifty writers of one exclusive facet; every loser has exactly one record against the winner."""
    sides = [
        side("pricer", "sku.price/discount", 3, ".9", "10", decision_id=f"d-{n:03d}", value=str(n)) for n in range(50)
    ]
    await asyncio.gather(*(claims.claim_facet(SKU, one, at=NOW) for one in sides))
    states = [claim.state for claim in await claims.of(SKU)]
    assert states.count(ClaimState.LOST) == 49
    assert states.count(ClaimState.HELD) == 1
    assert len(await events(redis, "sku.conflict.recorded")) == 49


async def test_asking_again_gives_the_same_answer_and_no_second_record(claims: Claims, redis: Redis) -> None:
    """domain/C2: idempotent."""
    await claims.claim_facet(SKU, HIDE, at=NOW)
    lost = await claims.claim_facet(SKU, FEATURE, at=NOW)
    assert await claims.claim_facet(SKU, FEATURE, at=NOW + timedelta(minutes=1)) == lost
    assert len(await events(redis, "sku.conflict.recorded")) == 1
    await claims.begin(SKU, HIDE, at=NOW)
    await claims.begin(SKU, HIDE, at=NOW)


async def test_what_has_begun_cannot_be_taken_away(claims: Claims, redis: Redis) -> None:
    """F59: a hold that comes after the effect began loses to the state of things, and a person hears of it."""
    await claims.claim_facet(SKU, FEATURE, at=NOW)
    await claims.begin(SKU, FEATURE, at=NOW)
    late = await claims.claim_facet(SKU, HIDE, at=NOW)
    assert (late.state, late.ask) == (ClaimState.LOST, True)
    [record] = await events(redis, "sku.conflict.recorded")
    assert (record["rule"], record["winner"]) == ("state", "promo")
    await claims.release(SKU, FEATURE, at=NOW)
    again = HIDE.model_copy(update={"decision_id": "d-again"})
    assert (await claims.claim_facet(SKU, again, at=NOW)).state is ClaimState.GRANTED


async def test_an_older_version_is_stale_and_no_conflict(claims: Claims, redis: Redis) -> None:
    """F59: stale decisions are recorded as stale, on whichever side they are."""
    newer = HIDE.model_copy(update={"state_version": 2})
    await claims.claim_facet(SKU, newer, at=NOW)
    assert (await claims.claim_facet(SKU, FEATURE, at=NOW)).state is ClaimState.STALE
    newest = FEATURE.model_copy(update={"state_version": 3, "decision_id": "d-3"})
    assert (await claims.claim_facet(SKU, newest, at=NOW)).state is ClaimState.GRANTED
    assert [claim.state for claim in await claims.of(SKU) if claim.side == newer] == [ClaimState.STALE]
    assert await events(redis, "sku.conflict.recorded") == []
    stale = await events(redis, "sku.decision.stale")
    assert [(one["agent"], one["decided_on"], one["newer"]) for one in stale] == [
        ("promo", 1, 2),
        ("merchandising", 2, 3),
    ]


async def test_much_money_holds_both_until_a_person_says(claims: Claims) -> None:
    """F60, domain/C1: row 8 in the running system: neither may act; a person's word then prevails."""
    reorder = side("reorder", "po.send/send", 3, ".9", "9100", value="1000")
    clearance = side("merch", "sku.price/clearance", 3, ".9", "9100")
    await claims.claim_facet(SKU, reorder, at=NOW)
    await claims.claim_facet(SKU, clearance, at=NOW)
    for one in (reorder, clearance):
        with pytest.raises(Conflict, match="a person decides"):
            await claims.begin(SKU, one, at=NOW)
    word = side("mei", "po.send/send", 0, None, "9100", value="500", party=Party.PERSON)
    assert (await claims.claim_facet(SKU, word, at=NOW)).state is ClaimState.GRANTED
    await claims.begin(SKU, word, at=NOW)


async def test_a_silent_owner_loses_its_claim_in_time(claims: Claims, redis: Redis, keyspace: Keyspace) -> None:
    """A crash between claim and effect blocks nobody for ever, and what lost is forgotten after a day."""
    await claims.claim_facet(SKU, HIDE, at=NOW, expires_at=NOW + timedelta(minutes=5))
    later = NOW + timedelta(minutes=5)
    assert (await claims.claim_facet(SKU, FEATURE, at=later)).state is ClaimState.GRANTED
    with pytest.raises(Conflict, match="it is expired"):
        await claims.begin(SKU, HIDE, at=later)
    next_day = later + REMEMBERED + timedelta(minutes=1)
    await claims.claim_facet(SKU, FEATURE.model_copy(update={"decision_id": "d-9"}), at=next_day)
    assert HIDE not in [claim.side for claim in await claims.of(SKU)]
    assert 0 < await redis.ttl(keyspace.claims(SKU.thread)) <= 72 * 3600


async def test_another_tenants_claims_do_not_exist(claims: Claims) -> None:
    await claims.claim_facet(SKU, HIDE, at=NOW)
    rival = Entity(tenant=TenantId("rival"), entity_type="sku", entity_id="SKU-1")
    assert (await claims.claim_facet(rival, FEATURE, at=NOW)).state is ClaimState.GRANTED
    with pytest.raises(NotFound, match="merchandising has no claim on"):
        await claims.begin(rival, HIDE, at=NOW)
    await claims.release(rival, HIDE, at=NOW)


async def test_a_claim_the_policy_does_not_know_is_refused(claims: Claims) -> None:
    with pytest.raises(InputError, match="no action 'burn'"):
        await claims.claim_facet(SKU, HIDE.model_copy(update={"action": "burn"}), at=NOW)


async def test_a_buyers_cancellation_meets_a_parcel(claims: Claims) -> None:
    """domain/C1: row 11 with claims: cancelled before the carrier has it, a return after."""
    order = Entity(tenant=TenantId("demo"), entity_type="order", entity_id="O-1")
    ship = side("fulfilment", "order.shipping/ship", 2, ".99", "60", state_version=3)
    wish = side("customer", "order.cancel/cancel", 0, None, "60", party=Party.CUSTOMER)

    async def after(*steps: Any) -> Claim:
        await claims.claim_facet(order, ship, at=NOW)
        for step in steps:
            await step(order, ship, at=NOW)
        found = await claims.claim_facet(order, wish, at=NOW)
        for one in (ship, wish):
            await claims.release(order, one, at=NOW)
        return found

    assert (await after()).state is ClaimState.GRANTED
    late = await after(claims.begin)
    assert (late.state, late.resolutions[0].instead) == (ClaimState.LOST, "return")
