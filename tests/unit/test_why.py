"""The explanation of an entity: who did what, why, on which versions and inputs, and who overrode."""

from datetime import timedelta
from typing import Any

import pytest

from domain.conflict import Resolution
from domain.decision import Cost, Decision, Mode, Outcome, Reason, Versions
from domain.errors import NotFound
from domain.event import Event, decision_event
from domain.ids import TenantId
from domain.resolution import resolve
from domain.review import ReviewState
from graph.runtime.audit_chain import GENESIS, AuditRow, columns_of, link
from graph.runtime.explanation import Explanation
from graph.runtime.why import explain
from tests.support.audited import AT, an_event
from tests.support.conflict_sides import POLICY, side

VERSIONS = Versions(agent="fd-1.0", thresholds="th-3", topology="t-9", code="0.1.0")


def decided(sequence: int, agent: str = "fraud_detection", **changes: Any) -> Event:
    plain: dict[str, Any] = {
        "decision_id": f"d-{sequence}",
        "tenant": TenantId("acme"),
        "entity_type": "order",
        "entity_id": "shopify-1001",
        "agent": agent,
        "versions": VERSIONS,
        "decision": "approve",
        "outcome": Outcome.PROCEED,
        "confidence": 0.93,
        "reasons": (Reason(code="CARD_VELOCITY", text="3 orders", value="3", threshold="5", evidence="activity.card"),),
        "inputs_digest": "ab" * 32,
        "order_version": 2,
        "cost": Cost(usd_micro=120),
        "processing_time_ms": 14,
        "decided_at": AT + timedelta(seconds=sequence),
    }
    published = decision_event(
        Decision.model_validate(plain | changes), correlation_id="c", causation_id="", currency="HKD", locale="en"
    )
    event = Event.from_json(published.text)
    return event.model_copy(update={"sequence": sequence})


def happened(sequence: int, name: str, who: str = "signalbox", **result: Any) -> Event:
    return an_event(sequence=sequence, event_type=f"order.{name}", agent_name=who, result=result, metadata={})


def asked(sequence: int, recommendation: str) -> Event:
    return happened(sequence, "review.requested", review_id="rv0-1", stage="tier_1", recommendation=recommendation)


def answered(sequence: int, action: str, **more: Any) -> Event:
    said = {"review_id": "rv0-1", "action": action, "decided_by": "user:mei", "via": "cli", "reason": "known buyer"}
    return happened(sequence, "review.decided", "person:mei", **said, **more)


def audited(*events: Event) -> list[AuditRow]:
    rows = []
    last = GENESIS
    for position, event in enumerate(events, start=1):
        row = link(columns_of(event), position=position, prev_hash=last, recorded_at=AT)
        last = row["hash"]
        rows.append(AuditRow.model_validate({"id": position, **row}))
    return rows


def told(*events: Event) -> Explanation:
    return explain(audited(*events))


def test_a_contradiction_is_told_with_its_rule() -> None:
    """F45, F59: who contradicted whom, which rule won, and what was carried out."""
    hold = side("fraud_detection", "order.release/hold", 1, ".82", "640")
    release = side("shipping_method", "order.release/release", 2, ".97", "640")
    found = resolve(hold, release, POLICY, at=AT)
    assert isinstance(found, Resolution)
    recorded: dict[str, Any] = dict(found.facts())
    story = told(happened(1, "accepted"), happened(2, "conflict.recorded", **recorded))
    [step] = story.conflicts
    assert (step.winner, step.loser, step.rules, step.form, step.ask) == (
        "fraud_detection", "shipping_method", ("R2", "R5"), "hold", True,
    )  # fmt: skip
    assert step.decision_ids == ("d-fraud_detection", "d-shipping_method")
    assert step.sentence.endswith("nothing is carried out, a person decides")


def test_one_answer_says_who_when_why_on_what_and_who_overrode() -> None:
    """F45"""
    story = told(
        happened(1, "accepted"),
        decided(2, decision="reject", outcome=Outcome.REJECT, confidence=0.71),
        asked(3, "reject"),
        answered(4, "approve"),
        happened(5, "effect.applied", kind="hold_stock", key="k-1", reference="H-77", decision_id="d-2"),
        happened(6, "progress.fulfilled"),
    )
    fraud = story.entries[1]
    assert (fraud.actor, fraud.decision, fraud.confidence, fraud.mode) == ("fraud_detection", "reject", 0.71, "normal")
    assert fraud.at == AT + timedelta(seconds=2)
    assert fraud.versions == {"agent": "fd-1.0", "thresholds": "th-3", "topology": "t-9", "code": "0.1.0"}
    assert (fraud.inputs_digest, fraud.order_version, fraud.processing_time_ms) == ("ab" * 32, 2, 14)
    [ground] = fraud.reasons
    assert (ground.code, ground.value, ground.threshold, ground.evidence) == (
        "CARD_VELOCITY",
        "3",
        "5",
        "activity.card",
    )
    [override] = story.overrides
    assert (override.by, override.was, override.became, override.agents, override.reason) == (
        "user:mei",
        "reject",
        "approve",
        ("fraud_detection",),
        "known buyer",
    )
    [effect] = story.effects
    assert (effect.state, effect.kind, effect.reference, effect.decision_id) == ("applied", "hold_stock", "H-77", "d-2")
    [review] = story.reviews
    assert (review.state, review.stage, review.decided_by, review.via) == (
        ReviewState.DECIDED,
        "tier_1",
        "user:mei",
        "cli",
    )
    assert (story.outcome, story.usd_micro) == ("fulfilled", 120)


@pytest.mark.parametrize(
    ("outcome", "confidence", "recommendation", "action", "agents"),
    [
        (Outcome.PROCEED, 0.93, "approve", "approve", None),
        (Outcome.REVIEW, 0.93, "look", "approve", None),
        (Outcome.REVIEW, 0.93, "look", "reject", None),
        (Outcome.REJECT, 0.93, "reject", "reject", None),
        (Outcome.REJECT, 0.93, "reject", "approve", ("fraud_detection",)),
        (Outcome.HOLD, 0.93, "look", "approve", ("fraud_detection",)),
        (Outcome.PROCEED, 0.55, "look", "reject", ("fraud_detection",)),
        (Outcome.PROCEED, None, "look", "approve", None),
        (Outcome.PROCEED, 0.93, "approve", "reject", ()),
        (Outcome.PROCEED, 0.93, "look", "edit", ()),
    ],
)
def test_an_answer_overrides_when_it_goes_against_what_agents_concluded(
    outcome: Outcome, confidence: float | None, recommendation: str, action: str, agents: tuple[str, ...] | None
) -> None:
    """F45: agreeing with the agents, or deciding what they left open, is no override."""
    story = told(decided(1, outcome=outcome, confidence=confidence), asked(2, recommendation), answered(3, action))
    assert [override.agents for override in story.overrides] == ([] if agents is None else [agents])


def test_a_decision_a_person_wrote_in_an_agent_s_place_is_an_override() -> None:
    """F45"""
    by_hand = decided(2, decision="reject", outcome=Outcome.REJECT, mode=Mode.HUMAN)
    by_hand = by_hand.model_copy(update={"metadata": by_hand.metadata | {"actor": "user:mei"}})
    [override] = told(decided(1), by_hand).overrides
    assert (override.by, override.was, override.became) == ("user:mei", "approve", "reject")


def test_an_agent_that_tried_again_is_judged_by_its_last_word() -> None:
    again = decided(2, outcome=Outcome.PROCEED)
    assert told(decided(1, outcome=Outcome.HOLD), again, asked(3, "look"), answered(4, "approve")).overrides == ()


def test_events_not_audited_yet_are_merged_in_once() -> None:
    first, second, third = happened(1, "accepted"), decided(2), happened(3, "progress.routed")
    story = explain(audited(first, second), [second, third])
    assert [(entry.sequence, entry.audited) for entry in story.entries] == [(1, True), (2, True), (3, False)]
    assert story.outcome == "routed"
    assert explain([], [third, first]).outcome == "routed"


def test_an_order_touched_again_after_its_state_expired_tells_both_lives_in_turn() -> None:
    """F46: the journal numbers from 1 again; the story goes on, it does not interleave."""
    later = [
        an_event(sequence=n, event_type="order.stale", timestamp=AT + timedelta(days=9, seconds=n)) for n in (1, 2)
    ]
    story = told(happened(1, "accepted"), happened(3, "progress.fulfilled"), happened(2, "gate.passed"), *later)
    assert [(entry.event, entry.sequence) for entry in story.entries] == [
        ("order.accepted", 1),
        ("order.gate.passed", 2),
        ("order.progress.fulfilled", 3),
        ("order.stale", 1),
        ("order.stale", 2),
    ]
    assert story.outcome == "fulfilled"


def test_a_voided_review_says_so_and_overrides_nobody() -> None:
    voided = happened(3, "review.voided", review_id="rv0-1", reason="order changed")
    story = told(decided(1, outcome=Outcome.REJECT), asked(2, "reject"), voided)
    [review] = story.reviews
    assert (review.state, review.reason, review.requested_at is not None) == (ReviewState.VOID, "order changed", True)
    assert story.overrides == ()


def test_nothing_recorded_is_said_plainly() -> None:
    with pytest.raises(NotFound, match="nothing is recorded"):
        explain([])


def test_two_orders_are_never_told_as_one() -> None:
    with pytest.raises(ValueError, match="one entity"):
        explain(audited(an_event()), [an_event(tenant="rival")])


def test_results_of_unknown_shape_are_shown_and_break_nothing() -> None:
    odd = an_event(
        event_type="order.experiment.completed",
        result={"decision": ["x"], "confidence": True, "reasons": "none", "flags": [1, "A"], "answer": 5},
        metadata={"cost": 7, "versions": ["fd"], "order_version": "two", "mode": None},
    )
    bare = happened(2, "review.decided", review_id=9)
    said = happened(3, "review.requested", review_id="rv0-2", reasons=["too dear", 3, {"text": "no code"}])
    story = told(odd, bare, said)
    assert story.entries[0].facts["answer"] == 5
    assert story.entries[0].flags == ("A",)
    assert (story.entries[0].decision, story.entries[0].confidence) == (None, None)
    assert [ground.text for ground in story.entries[2].reasons] == ["too dear", "no code"]
    assert [review.review_id for review in story.reviews] == ["rv0-2"]
