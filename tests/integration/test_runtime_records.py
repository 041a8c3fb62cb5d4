"""The records an order's safety rests on, on every server we promise to work on: journal, leases, ledger, intake, reviews."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry

from domain.decision import Decision, Outcome, Reason, Versions
from domain.effect import Effect, EffectKind, EffectState, Receipt
from domain.errors import AlreadyDecided, Conflict, Forbidden, LeaseBusy, NotFound, StaleFence, StoreUnavailable
from domain.event import Event, decision_event
from domain.ids import EffectKey, EventId, TenantId
from domain.ports import Message
from domain.review import Review, ReviewAction, ReviewAnswer, ReviewState
from domain.review_case import Actor
from graph.order.reviewed import ReviewedOrders
from graph.runtime.atomics import UNFENCED
from graph.runtime.bus_redis import RedisBus
from graph.runtime.cases import Cases
from graph.runtime.clock import SystemClock
from graph.runtime.connection import Batcher, connect
from graph.runtime.intake import TOPIC as INTAKE
from graph.runtime.intake import Parcelled
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.journal import Recorded
from graph.runtime.keys import STATE_TTL_S, Keyspace
from graph.runtime.leases import Leadership, Leases
from graph.runtime.ledger import Begun
from graph.runtime.orders import thread_of
from graph.runtime.review_metrics import ReviewMetrics
from graph.runtime.review_policies import shipped_policy
from graph.runtime.reviews import review_id
from graph.runtime.store import Store
from tests.support.faultproxy import fault_proxy
from tests.support.servers import assert_no_unowned_keys
from tests.support.waiting import wait_until

TENANT = TenantId("acme")
ORDER = "storefront-1"
THREAD = thread_of(TENANT, ORDER)
NOW = datetime.now(UTC).replace(microsecond=0)
CLOCK = SystemClock()
LEASE_MS = 300


@pytest.fixture
async def store(any_redis_server: str) -> AsyncIterator[Store]:
    """A store on each kind of server, clean before, and without an unowned key afterwards."""
    client = connect(any_redis_server)
    await client.flushall()
    batcher = Batcher(client)
    built = Store.over(batcher, Keyspace(), CLOCK, owner="here", lease_ms=LEASE_MS)
    yield built
    await assert_no_unowned_keys(client)
    await batcher.aclose()
    await client.aclose()


def decision(agent: str = "fraud_detection", *, word: str = "approve", group: int = 1, attempt: int = 1) -> Decision:
    return Decision(
        decision_id=CLOCK.new_id(),
        tenant=TENANT,
        entity_type="order",
        entity_id=ORDER,
        agent=agent,
        versions=Versions(agent="x-1"),
        decision=word,
        outcome=Outcome.PROCEED,
        confidence=0.9,
        reasons=(Reason(code="X", text="x"),),
        inputs_digest="0" * 64,
        order_version=1,
        attempt_group=group,
        attempt=attempt,
        decided_at=NOW,
    )


def event(kind: str = "order.noted", **result: object) -> Event:
    return Event(
        event_id=EventId(CLOCK.new_id()),
        event_type=kind,
        entity_type="order",
        entity_id=ORDER,
        agent_name="signalbox",
        timestamp=NOW,
        result=result,
        tenant=TENANT,
        sequence=0,
        correlation_id="c",
        currency="USD",
        locale="en",
    )


async def offered(store: Store, made: Decision, *, token: int = UNFENCED) -> Recorded:
    published = decision_event(made, correlation_id="c", causation_id="", currency="USD", locale="en")
    return await store.journal.record(THREAD, made, published, token=token)


async def record(store: Store, made: Decision, *, token: int = UNFENCED) -> bool:
    return (await offered(store, made, token=token)).won


async def journaled(store: Store) -> list[dict[bytes, bytes]]:
    rows = await store.batcher.execute("XRANGE", store.keys.stream(JOURNAL), "-", "+")
    return [dict(zip(fields[::2], fields[1::2], strict=True)) for _, fields in rows]


async def ttl_s(store: Store, key: str) -> int:
    """Seconds the key has left; -1 for ever, -2 when there is none."""
    return int(await store.batcher.execute("TTL", key))


# --- journal -------------------------------------------------------------------------------------------------------


async def test_the_first_decision_of_an_attempt_stands(store: Store) -> None:
    """P2, design 2.3: a repeated node gets back what was decided, and nothing is published twice."""
    first, second = decision(word="approve"), decision(word="hold")
    assert await record(store, first)
    again = await offered(store, second)
    assert (again.won, again.decision) == (False, first)
    assert await record(store, decision(word="hold", attempt=2))
    assert await record(store, decision(word="hold", group=2))
    assert len(await journaled(store)) == 3
    latest = await store.journal.latest(THREAD, attempt_group=1)
    assert (latest["fraud_detection"].attempt, len(latest)) == (2, 1)
    assert (await store.journal.latest(THREAD))["fraud_detection"].attempt_group == 2


async def test_writers_side_by_side_lose_nothing(store: Store) -> None:
    """F23: every agent's decision is in the shared state, and every event has a sequence number of its own."""
    made = [decision(f"agent_{n}") for n in range(50)]
    assert all(await asyncio.gather(*(record(store, one) for one in made)))
    assert {d.agent for d in await store.journal.decisions(THREAD)} == {d.agent for d in made}
    assert sorted(int(row[b"seq"]) for row in await journaled(store)) == list(range(1, 51))


async def test_shared_state_lives_72_hours_after_its_last_write(store: Store) -> None:
    """F23: each write starts the time again; an order with an open review has none."""
    state = store.keys.entity(THREAD).state
    await record(store, decision())
    assert STATE_TTL_S - 5 <= await ttl_s(store, state) <= STATE_TTL_S
    await store.batcher.execute("EXPIRE", state, 10)
    await record(store, decision("tax"))
    assert await ttl_s(store, state) > STATE_TTL_S - 5
    await store.journal.advance(THREAD, {}, [], token=UNFENCED, at=NOW, pin=True)
    await record(store, decision("loyalty"))
    assert await ttl_s(store, state) == -1
    await store.journal.advance(THREAD, {}, [], token=UNFENCED, at=NOW, pin=False)
    assert await ttl_s(store, state) > STATE_TTL_S - 5


async def test_an_older_token_writes_nothing(store: Store) -> None:
    """reliability/B06, rule 2: the late writes of a worker that lost the order are refused, all of them."""
    async with store.leases.hold(THREAD) as old:
        pass
    async with store.leases.hold(THREAD) as new:
        assert new > old
        with pytest.raises(StaleFence):
            await record(store, decision(), token=old)
        with pytest.raises(StaleFence):
            await store.journal.advance(THREAD, {"progress": "fulfilled"}, [event()], token=old, at=NOW)
        with pytest.raises(StaleFence):
            await store.ledger.begin(THREAD, effect(), token=old, at=NOW, heed_cancel=True)
        with pytest.raises(StaleFence):
            await store.ledger.forget(THREAD, effect().key, token=old)
        with pytest.raises(StaleFence):
            await store.reviews.open(THREAD, review(), event(), token=old, detail="")
        assert await journaled(store) == []
        assert await store.journal.decisions(THREAD) == []
        assert await record(store, decision(), token=new)


# --- leases --------------------------------------------------------------------------------------------------------


def _elsewhere(store: Store, *, lease_ms: int = LEASE_MS) -> Leases:
    """The leases as another process sees them."""
    return Leases(store.batcher, store.keys, owner="elsewhere", lease_ms=lease_ms)


async def test_one_process_holds_an_order_at_a_time(store: Store) -> None:
    """P4: the other one waits, or is told to come back."""
    other = _elsewhere(store)
    async with store.leases.hold(THREAD) as first:
        with pytest.raises(LeaseBusy):
            async with other.hold(THREAD, wait_s=0.1):
                raise AssertionError("two holders")
    async with other.hold(THREAD, wait_s=0.1) as second:
        assert second > first


async def test_a_lease_is_renewed_for_as_long_as_its_work_takes(store: Store) -> None:
    """reliability/B06: slow is not dead."""
    other = _elsewhere(store)
    async with store.leases.hold(THREAD):
        with pytest.raises(LeaseBusy):
            async with other.hold(THREAD, wait_s=LEASE_MS / 1000 * 3):
                raise AssertionError("two holders")


async def test_a_silent_holder_is_replaced(store: Store) -> None:
    """F25: whoever is killed keeps an order for one lease at most."""
    silent = _elsewhere(store, lease_ms=150)
    gone = await silent._acquire(THREAD, 0.0)
    async with store.leases.hold(THREAD, wait_s=2.0) as token:
        assert token > gone


async def test_waiters_of_one_process_take_their_turns_in_order(store: Store) -> None:
    """reliability/T01: a hot order is worked through in the order its work came."""
    served: list[int] = []

    async def one(number: int) -> None:
        async with store.leases.hold(THREAD):
            served.append(number)

    await asyncio.gather(*(one(n) for n in range(20)))
    assert served == list(range(20))


async def test_a_cancelled_holder_is_cancelled_and_lets_go(redis_server: str) -> None:
    """House rule: a cancellation that comes while the lease is given back is not swallowed."""
    parts = urlsplit(redis_server)
    async with fault_proxy(parts.hostname or "", parts.port or 0) as proxy:
        client = connect(redis_server.replace(f":{parts.port}", f":{proxy.port}"))
        await client.flushall()
        batcher = Batcher(client)
        leases, done = Leases(batcher, Keyspace(), owner="here"), asyncio.Event()

        async def work() -> None:
            async with leases.hold(THREAD):
                proxy.be(delay_s=0.3)
                done.set()

        task = asyncio.get_running_loop().create_task(work())
        await done.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        proxy.clear()
        async with Leases(batcher, Keyspace(), owner="elsewhere").hold(THREAD, wait_s=2.0):
            pass
        await batcher.aclose()
        await client.aclose()


async def test_one_process_leads_and_another_takes_over(store: Store) -> None:
    """F25: the audit relay has one leader, and a next one when that is silent or resigns."""
    here = Leadership(store.batcher, store.keys, "relay", "here", lease_ms=200)
    there = Leadership(store.batcher, store.keys, "relay", "there", lease_ms=200)
    assert await here.lead()
    assert not await there.lead()
    await here.resign()
    assert await there.lead()
    await wait_until(here.lead, "the silent leader is replaced", within_s=3.0)


# --- effect ledger -------------------------------------------------------------------------------------------------


def effect(part: str = "-", **args: object) -> Effect:
    return Effect(
        key=EffectKey(f"{TENANT}/{ORDER}/refund_payment/{part}/1"),
        kind=EffectKind.REFUND_PAYMENT,
        tenant=TENANT,
        entity_id=ORDER,
        args={"order_id": ORDER, **args},
        decision_id="d",
    )


def receipt(of: Effect, reference: str = "r-1") -> Receipt:
    return Receipt(key=of.key, kind=of.kind, reference=reference, applied_at=NOW)


async def _begin(store: Store, one: Effect, *, heed_cancel: bool = False) -> Begun:
    return (await store.ledger.begin(THREAD, one, token=1, at=NOW, heed_cancel=heed_cancel)).state


async def test_a_key_is_begun_once_and_settled_once(store: Store) -> None:
    """P2, rule 4: begun and not settled means look it up; settled means done, whoever asks."""
    one = effect()
    assert await _begin(store, one) is Begun.NEW
    assert await _begin(store, one) is Begun.UNSETTLED
    begun = (await store.ledger.begin(THREAD, one, token=1, at=NOW, heed_cancel=False)).record
    settled = await store.ledger.settle(THREAD, begun, receipt(one, "first"), event())
    late = await store.ledger.settle(THREAD, begun, receipt(one, "second"), event())
    assert settled.receipt == late.receipt == receipt(one, "first")
    assert await _begin(store, one) is Begun.DONE
    assert len(await journaled(store)) == 1


async def test_one_intention_of_many_begins(store: Store) -> None:
    """P2: a hundred at once, one of them calls."""
    states = await asyncio.gather(*(_begin(store, effect()) for _ in range(100)))
    assert Counter(states) == {Begun.NEW: 1, Begun.UNSETTLED: 99}


async def test_a_refusal_is_settled_too(store: Store) -> None:
    """A system that said no for good is not asked again."""
    begun = (await store.ledger.begin(THREAD, effect(), token=1, at=NOW, heed_cancel=False)).record
    await store.ledger.settle(THREAD, begun, "there is nothing to refund", event())
    again = await store.ledger.begin(THREAD, effect(), token=1, at=NOW, heed_cancel=False)
    assert (again.state, again.record.refusal) == (Begun.REFUSED, "there is nothing to refund")
    assert [r.state for r in await store.ledger.records(THREAD)] == [EffectState.REFUSED]


async def test_a_key_stands_for_one_intention_whatever_the_reason(store: Store) -> None:
    """P1: whoever goes on with an undo after a crash may give another reason; another amount is another intention."""
    assert await _begin(store, effect(amount=100, reason="release failed: no answer")) is Begun.NEW
    assert await _begin(store, effect(amount=100, reason="cancelled by user:mei")) is Begun.UNSETTLED
    with pytest.raises(Conflict):
        await _begin(store, effect(amount=200, reason="cancelled by user:mei"))


async def test_nothing_new_begins_once_cancellation_is_asked_for(store: Store) -> None:
    """O04: what had begun goes on to its end, and compensation is not held up by the request it answers."""
    await _begin(store, effect("before"), heed_cancel=True)
    await store.journal.advance(THREAD, {"cancel": "{}"}, [], token=1, at=NOW)
    assert await _begin(store, effect("before"), heed_cancel=True) is Begun.UNSETTLED
    assert await _begin(store, effect("after"), heed_cancel=True) is Begun.CANCELLED
    assert await _begin(store, effect("undo"), heed_cancel=False) is Begun.NEW


async def test_only_what_never_happened_is_forgotten(store: Store) -> None:
    """A key the connector does not know may begin again; a settled one stays for good. The order of beginning is kept."""
    for part in "abc":
        await _begin(store, effect(part))
    begun = (await store.ledger.begin(THREAD, effect("b"), token=1, at=NOW, heed_cancel=False)).record
    await store.ledger.settle(THREAD, begun, receipt(effect("b")), event())
    for part in "ab":
        await store.ledger.forget(THREAD, effect(part).key, token=1)
    assert [r.key for r in await store.ledger.records(THREAD)] == [effect("b").key, effect("c").key]
    assert await _begin(store, effect("a")) is Begun.NEW
    assert [r.key for r in await store.ledger.records(THREAD)] == [effect(p).key for p in "bca"]


# --- intake --------------------------------------------------------------------------------------------------------


def parcel(dedupe_id: str = "event-1", order_id: str = ORDER, tenant: str = TENANT) -> Parcelled:
    return Parcelled(tenant=tenant, channel="storefront", shop="web", raw="{}", dedupe_id=dedupe_id, order_id=order_id)


async def _queued(store: Store) -> int:
    return int(await store.batcher.execute("XLEN", store.keys.stream(INTAKE)))


async def test_a_delivery_is_taken_once_however_often_it_comes(store: Store) -> None:
    """reliability/B01: five at the same instant are one order and four noted duplicates."""
    taken = await asyncio.gather(*(store.intake.accept(parcel(), at=NOW) for _ in range(5)))
    assert Counter(t.duplicate for t in taken) == {False: 1, True: 4}
    assert {t.handle for t in taken} == {ORDER}
    assert await _queued(store) == 1
    kinds = Counter(row[b"t"] for row in await journaled(store))
    assert kinds == {b"order.accepted": 1, b"order.duplicate": 4}


async def test_the_same_id_elsewhere_is_another_delivery(store: Store) -> None:
    """Shopify's event id is shared by subscriptions and unknown to other tenants: it counts per tenant and channel."""
    assert not (await store.intake.accept(parcel(), at=NOW)).duplicate
    assert not (await store.intake.accept(parcel(tenant="other"), at=NOW)).duplicate
    assert not (await store.intake.accept(parcel("event-2"), at=NOW)).duplicate
    assert await _queued(store) == 3


async def test_an_order_known_only_from_its_payload_is_taken_by_its_delivery(store: Store) -> None:
    """A push that names no order is durable as well, under the delivery's own handle."""
    first = await store.intake.accept(parcel(order_id=""), at=NOW)
    assert first.handle.startswith("delivery-")
    again = await store.intake.accept(parcel(order_id=""), at=NOW)
    assert (again.handle, again.duplicate) == (first.handle, True)
    assert await store.orders.find(TENANT, first.handle) is None


async def test_a_request_is_queued_once_and_only_for_orders_there_are(store: Store) -> None:
    """O04: the second click on cancel queues nothing."""
    headers = {"work": "cancel", "tenant": TENANT, "order_id": ORDER}
    assert await store.intake.push(THREAD, headers, at=NOW, once=("cancel", "{}")) == "unknown"
    await store.intake.accept(parcel(), at=NOW)
    assert await store.intake.push(THREAD, headers, at=NOW, once=("cancel", "{}"), event=event()) == "queued"
    assert await store.intake.push(THREAD, headers, at=NOW, once=("cancel", "{}"), event=event()) == "repeated"
    assert await _queued(store) == 2


async def test_nothing_is_accepted_while_the_store_is_away(redis_server: str) -> None:
    """reliability/R01: no answer means no promise; with the same delivery id repeating is safe."""
    parts = urlsplit(redis_server)
    async with fault_proxy(parts.hostname or "", parts.port or 0) as proxy:
        client = connect(redis_server.replace(f":{parts.port}", f":{proxy.port}"))
        await client.flushall()
        batcher = Batcher(client)
        store = Store.over(batcher, Keyspace(), CLOCK, owner="here")
        proxy.be(refuse=True)
        proxy.reset()
        with pytest.raises(StoreUnavailable):
            await store.intake.accept(parcel("never-sent"), at=NOW)
        proxy.clear()
        assert await _queued(store) == 0
        await store.intake.accept(parcel("warm-up"), at=NOW)
        proxy.be(cut_after=0)  # on connections from now on the answer is lost, after the work is done
        proxy.reset()
        with pytest.raises(StoreUnavailable):
            await store.intake.accept(parcel("answer-lost"), at=NOW)
        proxy.clear()
        await store.intake.accept(parcel("answer-lost"), at=NOW)
        assert await _queued(store) == 2
        await batcher.aclose()
        await client.aclose()


# --- reviews -------------------------------------------------------------------------------------------------------

REVIEW = review_id(THREAD, "gate_1", 1, 0, shard=0)


def review(**changes: object) -> Review:
    given: dict[str, object] = {
        "review_id": REVIEW,
        "tenant": TENANT,
        "entity_type": "order",
        "entity_id": ORDER,
        "stage": "gate_1",
        "recommendation": "look",
        "confidence": 0.5,
        "reasons": ("fraud_detection: several cards",),
        "facts": {},
        "editable": ("ship_to",),
        "content_digest": "0" * 64,
        "allowed_roles": ("ops",),
        "proposed_by": ("agent:fraud_detection", "user:author"),
        "created_at": NOW,
        "deadline": NOW + timedelta(hours=4),
        "thread_id": THREAD,
    }
    return Review.model_validate(given | changes)


def answer(by: str = "user:mei", action: ReviewAction = ReviewAction.APPROVE, **edits: object) -> ReviewAnswer:
    return ReviewAnswer(
        action=action, decided_by=by, decided_at=NOW, via="test", reason="looked", edits=edits
    )  # fmt: skip


async def _asked(store: Store) -> Review:
    return await store.reviews.open(THREAD, review(), event("order.review.requested"), token=1, detail="look")


async def _decide(store: Store, given: ReviewAnswer, *, roles: tuple[str, ...] = ("ops",)) -> None:
    await _cases(store).decide(TENANT, REVIEW, given, _actor(given, roles))


def _cases(store: Store) -> Cases:
    cases = Cases(
        store.reviews, store.journal, shipped_policy(), clock=store.clock, metrics=store.metrics,
        instruments=ReviewMetrics(CollectorRegistry()),
    )  # fmt: skip
    cases.register("order", ReviewedOrders(store.orders))
    return cases


def _actor(given: ReviewAnswer, roles: tuple[str, ...] = ("ops",)) -> Actor:
    return Actor(name=given.decided_by, roles=frozenset(roles), via="test")


async def _close(store: Store) -> None:
    """End the order, so that nothing of it stays pinned."""
    await store.journal.advance(THREAD, {"review": ""}, [], token=1, at=NOW, pin=False)


async def test_the_same_question_is_asked_once(store: Store) -> None:
    """F61: a node repeated after a crash finds its question on the desk."""
    assert await _asked(store) == review()
    again = await store.reviews.open(
        THREAD, review(recommendation="reject"), event("order.review.requested"), token=1, detail="other"
    )
    assert again == review()
    assert await store.reviews.count_open(TENANT) == 1
    assert len(await journaled(store)) == 1
    await _decide(store, answer())
    await _close(store)


async def test_of_a_hundred_answers_one_stands_and_the_others_learn_whose(store: Store) -> None:
    """P3, reliability/U02: one answer, one resumption queued; everybody else is told who, what and when."""
    await _asked(store)

    async def one(number: int) -> AlreadyDecided | None:
        action = ReviewAction.APPROVE if number % 2 else ReviewAction.REJECT
        try:
            await _decide(store, answer(f"user:{number}", action))
        except AlreadyDecided as late:
            return late
        return None

    results = await asyncio.gather(*(one(n) for n in range(100)))
    assert results.count(None) == 1
    winner = f"user:{results.index(None)}"
    losers = [late for late in results if late is not None]
    stored = await store.reviews.find(TENANT, REVIEW)
    assert stored.answer is not None
    assert stored.answer.decided_by == winner
    assert {(late.decided_by, late.decided_at, late.action) for late in losers} == {
        (winner, NOW, stored.answer.action.value)
    }
    assert all(winner in str(late) for late in losers)
    assert await _queued(store) == 1
    assert await store.reviews.listed(TENANT) == []
    await _close(store)


async def test_an_open_review_outlives_every_ttl_and_a_closed_one_does_not(store: Store) -> None:
    """P21: neither the question nor the order it is about may expire before the answer."""
    await store.intake.accept(parcel(), at=NOW)
    await record(store, decision())
    await _begin(store, effect())
    await _asked(store)
    keys = store.keys.entity(THREAD)
    pinned = [keys.document, keys.state, keys.effects, keys.effects_order, store.keys.review(TENANT, REVIEW)]
    assert {await ttl_s(store, key) for key in pinned} == {-1}
    await _begin(store, effect("later"))
    await record(store, decision("tax"))
    await store.intake.accept(parcel("event-2"), at=NOW)
    assert {await ttl_s(store, key) for key in pinned} == {-1}
    await _decide(store, answer())
    await _close(store)
    assert all([await ttl_s(store, key) > 0 for key in pinned])


async def test_a_review_of_another_tenant_does_not_exist(store: Store) -> None:
    """reliability/S04: neither to read nor to answer, and an id that is none is no error of ours."""
    await _asked(store)
    with pytest.raises(NotFound):
        await store.reviews.find("other", REVIEW)
    with pytest.raises(NotFound):
        await _cases(store).decide("other", REVIEW, answer(), _actor(answer()))
    for nonsense in ("", "rv", "rvx-1", "rv0-0000000000000000"):
        with pytest.raises(NotFound):
            await store.reviews.find(TENANT, nonsense)
    assert (await store.reviews.find(TENANT, REVIEW)).state is ReviewState.OPEN
    await _decide(store, answer())
    await _close(store)


@pytest.mark.parametrize(
    ("given", "roles", "error"),
    [
        (answer(), ("storefront",), Forbidden),
        (answer("user:author"), ("ops",), Forbidden),
        (answer(action=ReviewAction.EDIT), ("ops",), Conflict),
        (answer(ship_to={"city": "Kowloon"}), ("ops",), Conflict),
        (answer(action=ReviewAction.EDIT, total=1), ("ops",), Conflict),
    ],
)
async def test_an_answer_that_may_not_be_given_changes_nothing(
    store: Store, given: ReviewAnswer, roles: tuple[str, ...], error: type[Exception]
) -> None:
    """P3: wrong role, own proposal, an edit of nothing, edits with an approval, a field that may not be edited."""
    await _asked(store)
    with pytest.raises(error):
        await _decide(store, given, roles=roles)
    assert (await store.reviews.find(TENANT, REVIEW)).state is ReviewState.OPEN
    assert await _queued(store) == 0
    await _decide(store, answer())
    await _close(store)


async def test_a_withdrawn_question_cannot_be_answered_nor_an_answered_one_withdrawn(store: Store) -> None:
    """P3: whichever comes first stands."""
    await _asked(store)
    assert await store.reviews.void(review(), event("order.review.voided"))
    assert not await store.reviews.void(review(), event("order.review.voided"))
    with pytest.raises(Conflict, match="no longer stands"):
        await _decide(store, answer())
    other = review(review_id=review_id(THREAD, "gate_1", 2, 0, shard=0))
    await store.reviews.open(THREAD, other, event(), token=1, detail="")
    await _cases(store).decide(TENANT, other.review_id, answer(), _actor(answer()))
    assert not await store.reviews.void(other, event())
    assert await _queued(store) == 1
    await _close(store)


# --- work in hand --------------------------------------------------------------------------------------------------


async def test_work_in_hand_is_kept_from_others_and_counts_no_delivery(any_redis_server: str) -> None:
    """reliability/B06: renewed as often as it takes, it is nobody else's; what was taken over cannot be renewed back."""
    client = connect(any_redis_server)
    await client.flushall()
    batcher = Batcher(client)
    bus = RedisBus(client, batcher, Keyspace())
    await bus.subscribe(INTAKE, "controller")
    await bus.publish(INTAKE, Message(key="k", headers={"work": "order"}, body=""))
    (mine,) = await bus.read(INTAKE, "controller", "here")
    for _ in range(10):
        assert await bus.renew(INTAKE, "controller", "here", [mine.delivery_id]) == 1
    assert await bus.claim(INTAKE, "controller", "elsewhere", idle_ms=60_000) == []
    (theirs,) = await bus.claim(INTAKE, "controller", "elsewhere", idle_ms=0)
    assert theirs.attempt == 2
    assert await bus.renew(INTAKE, "controller", "here", [mine.delivery_id]) == 0
    assert await bus.renew(INTAKE, "controller", "elsewhere", [mine.delivery_id]) == 1
    await bus.ack(INTAKE, "controller", [theirs.delivery_id])
    assert await bus.renew(INTAKE, "controller", "elsewhere", [mine.delivery_id]) == 0
    await batcher.aclose()
    await client.aclose()
