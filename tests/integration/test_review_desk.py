"""The review desk on a whole system with a clock the tests move: acts, two approvals, the seal, silence, figures."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from domain.effect import EffectKind
from domain.errors import AlreadyDecided, Conflict, Forbidden, InputError, MalformedPayload, NotFound
from domain.event import Event
from domain.ids import TenantId
from domain.order import OrderProgress
from domain.ports import Delivery, Message
from domain.review import ReviewAction, ReviewAnswer, ReviewState
from domain.review_acts import Ask, Assign, Claim, Release, Remark, Snooze
from domain.review_case import Actor, CaseFile, CaseStatus
from domain.review_policy import SafeDefault
from graph.runtime.cases import CaseQuery, Verdict
from graph.runtime.intake import TOPIC as INTAKE
from graph.runtime.orders import thread_of
from tests.support.fake_clock import FakeClock
from tests.support.system import TENANT, Rig, fast_settings, for_review, line, running
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPS = Actor(name="user:mei", roles=frozenset({"ops"}), via="test")
OTHER = Actor(name="user:tan", roles=frozenset({"ops"}), via="test")
BOSS = Actor(name="user:boss", roles=frozenset({"manager"}), via="test")
CLOCK = FakeClock()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with running(fast_settings(tmp_path_factory.mktemp("desk")), clock=CLOCK) as rig:
        yield rig


@pytest_asyncio.fixture(loop_scope="module")
async def rig(system: Rig) -> AsyncIterator[Rig]:
    """The system with its clock at the real time before each test, and nothing left on the desk."""
    CLOCK.ahead = timedelta()
    yield system
    CLOCK.ahead = timedelta()
    for review in await system.box.store.reviews.listed(TENANT, limit=1000):
        await decide(
            system,
            review.review_id,
            ReviewAction.REJECT,
            by=Actor(name="user:end", roles=frozenset({"admin"}), via="test"),
        )


async def decide(
    rig: Rig, review_id: str, action: ReviewAction = ReviewAction.APPROVE, *, by: Actor = OPS, **more: Any
) -> CaseFile:
    answer = ReviewAnswer(
        action=action, decided_by=by.name, decided_at=CLOCK.now(), via=by.via, reason="looked at it", **more
    )
    return await rig.box.reviews.cases.decide(TENANT, review_id, answer, by)


async def case(rig: Rig, **changes: Any) -> CaseFile:
    record = await rig.reviewed(for_review(**changes))
    return await rig.box.reviews.cases.find(TENANT, record.review_id)


async def happened(rig: Rig, file: CaseFile) -> list[Event]:
    """The events of the review, in the journal's order."""
    rows = await rig.history(file.review.entity_id)
    return [row.event for row in rows if row.event.result.get("review_id") == file.review.review_id]


async def kinds(rig: Rig, file: CaseFile) -> list[str]:
    return [event.event_type.removeprefix("order.review.") for event in await happened(rig, file)]


async def saw(rig: Rig, file: CaseFile, kind: str) -> None:
    async def look() -> bool:
        return kind in await kinds(rig, file)

    await wait_until(look, f"{kind} happened")


async def test_a_case_is_worked_on_and_every_act_is_an_event(rig: Rig) -> None:
    """P6, P8: assigned, claimed, released, snoozed, commented, asked and answered; each leaves an event naming who."""
    cases, file = rig.box.reviews.cases, await case(rig)
    name = file.review.review_id
    await cases.act(TENANT, name, Assign(to="user:tan"), OPS)
    assert [f.review.review_id for f in await cases.listed(TENANT, CaseQuery(assignee="user:tan"))] == [name]
    assert (await cases.act(TENANT, name, Claim(), OPS)).status(CLOCK.now()) is CaseStatus.CLAIMED
    with pytest.raises(Conflict, match="user:mei has claimed this case"):
        await cases.act(TENANT, name, Claim(), OTHER)
    with pytest.raises(Conflict, match="user:mei"):
        await decide(rig, name, by=OTHER)
    with pytest.raises(Conflict, match="only they or a manager"):
        await cases.act(TENANT, name, Release(), OTHER)
    await cases.act(TENANT, name, Release(), OPS)
    with pytest.raises(Conflict, match="nobody"):
        await cases.act(TENANT, name, Release(), OPS)
    await cases.act(TENANT, name, Ask(text="which floor?", to="customer_service"), OPS)
    assert (await cases.find(TENANT, name)).status(CLOCK.now()) is CaseStatus.WAITING
    await cases.act(TENANT, name, Remark(text="I mean the building"), OPS)
    assert (await cases.find(TENANT, name)).status(CLOCK.now()) is CaseStatus.WAITING
    support = Actor(name="user:lin", roles=frozenset({"support"}), via="test")
    answered = await cases.act(TENANT, name, Remark(text="the ninth"), support)
    assert answered.status(CLOCK.now()) is CaseStatus.OPEN
    assert [(c.by, c.answers) for c in answered.case.comments] == [("user:mei", False), ("user:lin", True)]
    with pytest.raises(Forbidden):
        await cases.act(TENANT, name, Claim(), support)
    await decide(rig, name)
    told = [
        (e.event_type.removeprefix("order.review."), e.result.get("by") or e.result.get("decided_by"))
        for e in await happened(rig, file)
    ]
    assert told == [
        ("requested", None), ("assigned", "user:mei"), ("claimed", "user:mei"), ("answer_refused", "user:tan"),
        ("released", "user:mei"), ("asked", "user:mei"), ("commented", "user:mei"), ("commented", "user:lin"),
        ("decided", "user:mei"),
    ]  # fmt: skip
    with pytest.raises(AlreadyDecided, match="user:mei already answered approve"):
        await cases.act(TENANT, name, Claim(), OTHER)


async def test_a_claim_ends_with_its_lease_and_a_manager_may_take_over(rig: Rig) -> None:
    """P6: a forgotten claim holds nobody up."""
    cases, file = rig.box.reviews.cases, await case(rig)
    name = file.review.review_id
    await cases.act(TENANT, name, Claim(), OPS)
    CLOCK.pass_by(timedelta(minutes=cases.policy.claim_minutes, seconds=1))
    assert (await cases.act(TENANT, name, Claim(), OTHER)).case.holder(CLOCK.now()) == "user:tan"
    with pytest.raises(Conflict, match="user:tan"):
        await cases.act(TENANT, name, Assign(to="user:mei"), OPS)
    taken = await cases.act(TENANT, name, Assign(to="user:mei"), BOSS)
    assert (taken.case.holder(CLOCK.now()), taken.case.assignee) == ("", "user:mei")


async def test_of_many_claims_at_once_one_holds(rig: Rig) -> None:
    """P6: a claim is a compare-and-set."""
    cases, file = rig.box.reviews.cases, await case(rig)
    people = [Actor(name=f"user:{n}", roles=frozenset({"ops"}), via="test") for n in range(20)]
    done = await asyncio.gather(
        *(cases.act(TENANT, file.review.review_id, Claim(), who) for who in people), return_exceptions=True
    )
    winners = [one for one in done if isinstance(one, CaseFile)]
    assert len(winners) == 1
    holder = winners[0].case.claimed_by
    assert all(holder in str(one) for one in done if isinstance(one, Conflict))
    assert (await kinds(rig, file)).count("claimed") == 1


async def test_a_snoozed_case_comes_back(rig: Rig) -> None:
    """P6: out of sight until its time, back once."""
    cases, file = rig.box.reviews.cases, await case(rig)
    name = file.review.review_id
    with pytest.raises(InputError):
        await cases.act(TENANT, name, Snooze(until=CLOCK.now() - timedelta(minutes=1)), OPS)
    await cases.act(TENANT, name, Snooze(until=CLOCK.now() + timedelta(minutes=30), reason="lunch"), OPS)
    assert await cases.listed(TENANT) == []
    assert len(await cases.listed(TENANT, CaseQuery(status=CaseStatus.SNOOZED))) == 1
    CLOCK.pass_by(timedelta(minutes=31))
    await saw(rig, file, "returned")
    assert [f.review.review_id for f in await cases.listed(TENANT)] == [name]
    assert (await kinds(rig, file)).count("returned") == 1


async def test_silence_reminds_escalates_holds_and_never_approves(rig: Rig) -> None:
    """P7, P21, reliability/U01, domain R6: +50 %, deadline, +72 h, +10 days; each step once, and still answerable."""
    cases, file = rig.box.reviews.cases, await case(rig)
    name, allowed = file.review.review_id, file.review.deadline - file.review.created_at
    assert abs(allowed - timedelta(hours=4)) < timedelta(seconds=1)
    CLOCK.pass_by(allowed / 2 + timedelta(seconds=1))
    await saw(rig, file, "reminded")
    assert "escalated" not in await kinds(rig, file)
    CLOCK.pass_by(allowed / 2)
    await saw(rig, file, "escalated")
    stands = await cases.find(TENANT, name)
    assert (stands.case.escalated_to, stands.case.assignee, stands.case.defaulted_at) == (
        "role:manager",
        "role:manager",
        None,
    )
    CLOCK.pass_by(timedelta(hours=72))
    await saw(rig, file, "defaulted")
    CLOCK.pass_by(timedelta(days=10))
    await rig.box.reviews.timer.tick()
    await asyncio.gather(*(rig.box.reviews.timer.tick() for _ in range(5)))
    assert Counter(await kinds(rig, file)) == Counter(["requested", "reminded", "escalated", "defaulted"])
    assert await rig.progress(file.review.entity_id) is OrderProgress.IN_REVIEW
    assert not (await rig.kinds(file.review.entity_id)).keys() & {EffectKind.BOOK_LABEL, EffectKind.CAPTURE_PAYMENT}
    thread = thread_of(TENANT, file.review.entity_id)
    pinned = await rig.keys_without_ttl(file.review.entity_id)
    assert any(key.endswith(f"{thread}:doc") for key in pinned)
    await decide(rig, name, ReviewAction.REJECT)
    ended = await rig.settled(file.review.entity_id, at={OrderProgress.CANCELLED})
    assert ended.detail.startswith("rejected by user:mei"), "the person's word, thirteen days on, is what runs"


async def test_a_queue_may_cancel_on_silence_but_only_where_the_policy_says_so(rig: Rig) -> None:
    """P7: the declared safe default ``reject`` answers for nobody, once; it is recorded as a time-out."""
    cases, file = rig.box.reviews.cases, await case(rig)
    before = cases.policy
    rejecting = tuple(queue.model_copy(update={"safe_default": SafeDefault.REJECT}) for queue in before.queues)
    cases.policy = before.model_copy(update={"queues": rejecting})
    try:
        CLOCK.pass_by(timedelta(hours=7))
        await rig.settled(file.review.entity_id, at={OrderProgress.CANCELLED})
    finally:
        cases.policy = before
    answer = (await cases.find(TENANT, file.review.review_id)).review.answer
    assert answer is not None
    assert (answer.decided_by, answer.action, answer.via) == ("policy:timeout", ReviewAction.REJECT, "timeout")
    assert {default.value for default in SafeDefault} == {"hold", "reject"}
    with pytest.raises(AlreadyDecided, match="policy:timeout"):
        await decide(rig, file.review.review_id)


async def test_large_amounts_take_two_people_in_two_acts(rig: Rig) -> None:
    """P4, reliability/U03: the same person twice is one person; the first approval runs nothing."""
    file = await case(rig, lines=[line(cents=1_100_000)])
    name = file.review.review_id
    assert file.review.second_roles == ("manager", "admin")
    first = await decide(rig, name)
    assert first.review.state is ReviewState.OPEN
    twice = Actor(name="user:MEI", roles=frozenset({"ops", "manager"}), via="test")
    for _ in range(3):
        with pytest.raises(Forbidden, match="you gave the first approval"):
            await decide(rig, name, by=twice)
    with pytest.raises(Forbidden, match="second approval is for manager"):
        await decide(rig, name, by=OTHER)
    poor = Actor(name="user:small", roles=frozenset({"manager"}), limit_usd_minor=1_099_999, via="test")
    with pytest.raises(Forbidden, match="over your limit"):
        await decide(rig, name, by=poor)
    assert await rig.progress(file.review.entity_id) is OrderProgress.IN_REVIEW
    decided = await decide(rig, name, by=BOSS)
    assert decided.review.state is ReviewState.DECIDED
    assert Counter(await kinds(rig, file)) == Counter(
        {"requested": 1, "endorsed": 1, "answer_refused": 5, "decided": 1}
    )


async def test_reasons_of_both_approvers_are_found_also_when_the_desk_has_forgotten(rig: Rig) -> None:
    """P4, P24: the search knows the first person's reason; a review whose record has run out is told by the audit."""
    file = await case(rig, lines=[line(cents=1_100_000)])
    name = file.review.review_id
    for by, reason in ((OPS, 'called the "buyer" 陳'), (BOSS, "fine with me")):
        answer = ReviewAnswer(
            action=ReviewAction.APPROVE, decided_by=by.name, decided_at=CLOCK.now(), via="test", reason=reason
        )
        await rig.box.reviews.cases.decide(TENANT, name, answer, by)
    await rig.settled(file.review.entity_id)
    await happened(rig, file)
    for text, found in (('"BUYER" 陳', [name]), ("fine with", [name]), ("called%", []), (TENANT, [])):
        rows = await rig.desk.reviews(TENANT, state=ReviewState.DECIDED, reason=text)
        assert [row["review_id"] for row in rows] == found, text
    shard = rig.box.keys.shard_of(thread_of(TENANT, file.review.entity_id))
    await rig.box.store.batcher.execute("DEL", rig.box.keys.review(TENANT, name, shard))
    kept = await rig.desk.review(TENANT, name)
    assert (kept["archived"], kept["decided_by"], kept["reason"]) == (True, "user:boss", "fine with me")
    with pytest.raises(NotFound):
        await rig.desk.review(TenantId("other"), name)


async def test_the_edit_two_people_agreed_on_is_what_runs(rig: Rig) -> None:
    """P8: the first person edits, the second approves exactly that."""
    file = await case(rig, lines=[line(cents=1_100_000)])
    await decide(rig, file.review.review_id, ReviewAction.EDIT, edits={"ship_to": {"line1": "9 Peak Road"}})
    decided = await decide(rig, file.review.review_id, by=BOSS)
    assert decided.review.answer is not None
    assert (decided.review.answer.action, decided.review.answer.edits) == (
        ReviewAction.EDIT, {"ship_to": {"line1": "9 Peak Road"}}
    )  # fmt: skip

    async def edited() -> bool:
        order = (await rig.record(file.review.entity_id)).order
        return order is not None and order.ship_to.line1 == "9 Peak Road"

    await wait_until(edited, "the edited address is what runs")


async def test_amount_limits_hold(rig: Rig) -> None:
    """P4: who may approve up to 10 dollars rejects a 12 dollar order at most; an unknown value needs no limit at all."""
    file = await case(rig)
    small = Actor(name="user:small", roles=frozenset({"ops"}), limit_usd_minor=1000, via="test")
    with pytest.raises(Forbidden, match=r"USD 1\d\.\d\d is over your limit of USD 10\.00"):
        await decide(rig, file.review.review_id, by=small)
    await decide(rig, file.review.review_id, ReviewAction.REJECT, by=small)
    await rig.settled(file.review.entity_id, at={OrderProgress.CANCELLED})


async def test_an_answer_to_something_else_than_what_stands_is_refused(rig: Rig) -> None:
    """P5: a stale digest changes nothing; a price that changed voids the case and a new one follows."""
    payload = for_review()
    record = await rig.reviewed(payload)
    shown = (await rig.box.store.reviews.find(TENANT, record.review_id)).content_digest
    with pytest.raises(Conflict, match="not what stands now"):
        await decide(rig, record.review_id, seen_digest="0" * 64)
    placed = datetime.now(UTC) + timedelta(seconds=5)
    await rig.submit(payload | {"updated_at": placed.isoformat(), "lines": [line(cents=1310)]})
    again = await rig.waiting(record.order_id, besides=record.review_id)
    with pytest.raises(Conflict, match="no longer stands"):
        await decide(rig, record.review_id, seen_digest=shown)
    fresh = await rig.box.store.reviews.find(TENANT, again.review_id)
    assert fresh.content_digest != shown
    with pytest.raises(Conflict):
        await rig.box.reviews.cases.act(TENANT, again.review_id, Claim(), OPS, seen_digest=shown)
    await rig.box.reviews.cases.act(TENANT, again.review_id, Claim(), OPS, seen_digest=fresh.content_digest)
    await decide(rig, again.review_id, seen_digest=fresh.content_digest)


async def test_bulk_acts_have_a_result_each(rig: Rig) -> None:
    """P6: one foreign, one held, one too large: the others are done all the same."""
    cases = rig.box.reviews.cases
    plain, held, large = await case(rig), await case(rig), await case(rig, lines=[line(cents=1_100_000)])
    await cases.act(TENANT, held.review.review_id, Claim(), OTHER)
    names = [file.review.review_id for file in (plain, held, large)]
    results = await cases.bulk(
        TENANT, [*names, "rv0-0000000000000000"], Verdict(action=ReviewAction.APPROVE, reason="all fine"), OPS
    )
    assert [(one.done, one.detail if one.done else one.code) for one in results] == [
        (True, "decided"), (False, "refused.conflict"), (True, "open"), (False, "refused.not_found")
    ]  # fmt: skip
    with pytest.raises(NotFound):
        await cases.find("other", names[0])


async def test_the_dearest_delay_is_first_and_says_why(rig: Rig) -> None:
    """Priority: money at stake per hour of delay, with the ship-by's slack; explained in the case."""
    cases = rig.box.reviews.cases
    calm, dear = await case(rig), await case(rig, lines=[line(cents=90_000)])
    assert [f.review.review_id for f in await cases.listed(TENANT)] == [dear.review.review_id, calm.review.review_id]
    why = rig.desk.view(dear)["priority"]["why"]
    assert why.startswith("USD 900.00 at stake; USD 1.80 an hour for waiting")
    now = dear.review.created_at
    urgent = dear.review.model_copy(update={"ship_by": now + timedelta(hours=2)})
    assert cases.policy.priority(urgent, now).usd_minor_per_hour == 180 + 9000


async def test_figures_equal_what_was_done(rig: Rig) -> None:
    """P30, F42: counted by hand: one approval, one rejection, one edit, one expired."""
    start = CLOCK.now()
    approved, rejected, edited_, late = [await case(rig) for _ in range(4)]
    await rig.box.reviews.cases.act(TENANT, approved.review.review_id, Claim(), OPS)
    CLOCK.pass_by(timedelta(minutes=10))
    await decide(rig, approved.review.review_id)
    await decide(rig, rejected.review.review_id, ReviewAction.REJECT, by=OTHER)
    await decide(rig, edited_.review.review_id, ReviewAction.EDIT, edits={"deliver_by": None})
    CLOCK.pass_by(timedelta(hours=4))
    await rig.history(late.review.entity_id)
    figures = await rig.desk.measures(TENANT, since=start, until=CLOCK.now())
    queues = {queue["queue"]: queue for queue in figures["queues"]}
    asked, expired = sum(q["asked"] for q in queues.values()), sum(q["expired"] for q in queues.values())
    assert (figures["decided"], expired) == (3, 1)
    assert figures["expiry_share"] == round(1 / asked, 4)
    assert 600 <= figures["median_seconds_to_decide"] < 660
    load = Counter[str]()
    for queue in queues.values():
        load.update(queue["reviewers"])
    assert load == {"user:mei": 2, "user:tan": 1}
    minutes = 10 + 2 * rig.box.reviews.cases.policy.reviewing.minutes_unclaimed
    assert abs(figures["cost_usd_minor"] - minutes * 60) <= 60
    told = [event for file in (rejected, edited_) for event in await happened(rig, file)]
    changed = Counter(
        (agent, event.result["action"])
        for event in told if event.event_type.endswith("decided") for agent in event.result["overruled"]
    )  # fmt: skip
    measured: Counter[tuple[str, str]] = Counter()
    for row in figures["agents"]:
        measured[row["agent"], "reject"] += row["rejects"]
        measured[row["agent"], "edit"] += row["edits"]
        of = row["decisions"]
        assert row["override_rate"] == (round((row["rejects"] + row["approved_against"]) / of, 4) if of else None)
    assert +measured == changed
    assert changed, "somebody was overruled"
    page = rig.desk.metrics().decode()
    assert 'signalbox_review_decision_seconds_count{queue="' in page


async def test_reasons_are_found_again(rig: Rig) -> None:
    """P8: a reason is kept, and searched as text: the percent sign is one."""
    file = await case(rig)
    answer = ReviewAnswer(
        action=ReviewAction.REJECT, decided_by="user:mei", decided_at=CLOCK.now(), via="test",
        reason="100% sure it is the Reseller again",
    )  # fmt: skip
    await rig.box.reviews.cases.decide(TENANT, file.review.review_id, answer, OPS)
    await rig.history(file.review.entity_id)
    for text, found in (("reseller", True), ("100%", True), ("0%s", False), ("nobody wrote this", False)):
        listed = await rig.desk.reviews(TENANT, state=ReviewState.DECIDED, reason=text)
        assert (file.review.review_id in {one["review_id"] for one in listed}) is found, text


async def test_work_goes_to_the_workflow_it_names(rig: Rig) -> None:
    """The desk and the intake know workflows by name; what nobody registered is refused with the name."""
    cases, file = rig.box.reviews.cases, await case(rig)
    taken: list[str] = []

    async def resume(delivery: Delivery) -> None:
        taken.append(delivery.message.headers["review"])

    rig.box.work.register("trial", resume)
    headers = {"work": "resume", "workflow": "trial", "review": file.review.review_id}
    await rig.box.bus.publish(INTAKE, Message(key=file.review.thread_id, headers=headers, body=""))

    async def look() -> bool:
        return taken == [file.review.review_id]

    await wait_until(look, "the workflow's own handler has the work")
    message = Message(key=file.review.thread_id, headers=headers | {"workflow": "other"}, body="")
    with pytest.raises(MalformedPayload, match="no workflow 'other' runs here"):
        await rig.box.work.handle(Delivery(delivery_id="1-1", message=message, attempt=1))
    assert cases.policy.queue("gone").name == cases.policy.other
