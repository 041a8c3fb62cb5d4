"""The gate: who may proceed, who waits for a person, and how contradictions end. Pure values in, a judgement out."""

import math
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decision import CONFIDENCE_TO_ACT, Decision, Mode, Outcome, Reason, Verdict, Versions
from domain.ids import TenantId
from graph.gate import GateAction, Ground, Judgement, Policy, judge
from graph.topology.conflict_policy import shipped_policy
from graph.topology.model import AgentNode, Autonomy, Rule

NOW = datetime(2026, 11, 11, 3, 0, tzinfo=UTC)
LOW = Decimal(20)
EXPOSURE_USD = shipped_policy().exposure_usd
CONFIDENCE_TO_CANCEL = float(shipped_policy().irreversible)
RELEASE = "order.release"
GOING = {Outcome.PROCEED, Outcome.LIMIT}


def node(name: str, *, tier: int = 1, mode: Autonomy = Autonomy.AUTONOMOUS, writes: str = RELEASE) -> AgentNode:
    return AgentNode(
        name=name, version="x-1", tier=tier, timeout_ms=1000, hard_kill_ms=2000, mode=mode, writes=(writes,)
    )


def says(agent: str, outcome: Outcome, confidence: object = 0.95, **changes: object) -> Decision:
    given: dict[str, object] = {
        "decision_id": f"d-{agent}",
        "tenant": TenantId("demo"),
        "entity_type": "order",
        "entity_id": "shopify-1001",
        "agent": agent,
        "versions": Versions(agent="x-1"),
        "decision": outcome.value,
        "outcome": outcome,
        "confidence": confidence,
        "reasons": (Reason(code=f"{agent.upper()}_SAYS", text="it says so"),),
        "inputs_digest": "0" * 64,
        "order_version": 1,
        "decided_at": NOW,
    }
    return Decision.model_validate(given | changes)


FRAUD, LEGAL, STOCK, ROUTE = (
    node("fraud_detection"),
    node("compliance"),
    node("inventory_reservation", writes="order.stock"),
    node("order_routing", tier=2, writes="order.route"),
)


def judged(*pairs: tuple[AgentNode, Decision], usd: Decimal | None = LOW, **more: object) -> Judgement:
    nodes = [one for one, _ in pairs]
    return judge(nodes, {d.agent: d for _, d in pairs}, exposure_usd=usd, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("confidence", "action"),
    [
        (0.69, GateAction.REVIEW),
        (0.6999999, GateAction.REVIEW),
        (0.70, GateAction.PROCEED),
        (1.0, GateAction.PROCEED),
        (0.0, GateAction.REVIEW),
        (None, GateAction.REVIEW),
        (math.nan, GateAction.REVIEW),
        (math.inf, GateAction.REVIEW),
        (1.7, GateAction.REVIEW),
        (-1.0, GateAction.REVIEW),
        ("high", GateAction.REVIEW),
        (True, GateAction.REVIEW),
    ],
)
def test_confidence_below_the_line_or_none_at_all_waits_for_a_person(confidence: object, action: GateAction) -> None:
    """F28: 0.69 waits, 0.70 does not, a missing, NaN or impossible score waits."""
    result = judged((FRAUD, says("fraud_detection", Outcome.PROCEED, confidence)))
    assert result.action is action
    if action is GateAction.REVIEW:
        assert [g.key for g in result.grounds] == ["fraud_detection:LOW_CONFIDENCE"]


def test_a_verdict_keeps_no_impossible_confidence_either() -> None:
    """F28: nonsense from an agent is nothing already in its verdict."""
    reason = Reason(code="X", text="x")
    for nonsense in (math.nan, 2.0, "0.9", False):
        verdict = Verdict(decision="go", outcome=Outcome.PROCEED, confidence=nonsense, reasons=(reason,))
        assert verdict.confidence is None


def test_agreement_proceeds_and_missing_stock_parks() -> None:
    """F6: all agree, the order goes on; short stock puts it aside."""
    clear = (FRAUD, says("fraud_detection", Outcome.PROCEED))
    assert judged(clear, (STOCK, says("inventory_reservation", Outcome.PROCEED))).action is GateAction.PROCEED
    assert judged(clear, (STOCK, says("inventory_reservation", Outcome.LIMIT))).action is GateAction.PARK


def test_an_agent_that_gave_nothing_stops_the_order() -> None:
    """F9: silence is not consent."""
    result = judge([FRAUD, LEGAL], {"fraud_detection": says("fraud_detection", Outcome.PROCEED)}, exposure_usd=LOW)
    assert result.action is GateAction.REVIEW
    assert [g.key for g in result.grounds] == ["compliance:NO_DECISION"]


def test_a_person_who_approves_does_not_make_units_appear() -> None:
    """An approval of a suspicious order that also lacks stock leads to the backorder, not to the release."""
    result = judged(
        (FRAUD, says("fraud_detection", Outcome.REVIEW)), (STOCK, says("inventory_reservation", Outcome.LIMIT))
    )
    assert result.action is GateAction.REVIEW
    assert result.after_approval is GateAction.PARK


@pytest.mark.parametrize("outcome", [Outcome.REVIEW, Outcome.HOLD])
def test_an_agent_that_asks_for_a_person_gets_one(outcome: Outcome) -> None:
    """F28: however sure it is."""
    assert judged((FRAUD, says("fraud_detection", outcome, 1.0))).action is GateAction.REVIEW


@pytest.mark.parametrize(
    ("agent", "confidence", "mode", "action"),
    [
        (FRAUD, CONFIDENCE_TO_CANCEL, Mode.NORMAL, GateAction.CANCEL),
        (FRAUD, CONFIDENCE_TO_CANCEL - 0.01, Mode.NORMAL, GateAction.REVIEW),
        (LEGAL, CONFIDENCE_TO_ACT, Mode.NORMAL, GateAction.CANCEL),
        (LEGAL, CONFIDENCE_TO_ACT - 0.01, Mode.NORMAL, GateAction.REVIEW),
        (FRAUD, 0.99, Mode.DEGRADED, GateAction.CANCEL),
        (FRAUD, 0.99, Mode.FALLBACK, GateAction.REVIEW),
        (FRAUD, None, Mode.NORMAL, GateAction.REVIEW),
    ],
)
def test_only_a_sure_rejection_cancels(
    agent: AgentNode, confidence: float | None, mode: Mode, action: GateAction
) -> None:
    """A cancellation cannot be undone for the customer: an unsure agent or a fallback asks a person first."""
    result = judged((agent, says(agent.name, Outcome.REJECT, confidence, mode=mode)))
    assert result.action is action
    assert result.recommendation == "reject"


def test_a_legal_block_outranks_everything() -> None:
    """R0: whatever the others say and whatever the order is worth."""
    result = judged(
        (FRAUD, says("fraud_detection", Outcome.PROCEED)),
        (LEGAL, says("compliance", Outcome.REJECT)),
        usd=Decimal(9999),
    )
    assert (result.action, result.rule) == (GateAction.CANCEL, "R0")
    assert [(c.winner, c.rule) for c in result.conflicts] == [("compliance", "R0")]


@pytest.mark.parametrize(
    ("usd", "action"),
    [
        (EXPOSURE_USD - Decimal("0.01"), GateAction.CANCEL),
        (EXPOSURE_USD, GateAction.REVIEW),
        (None, GateAction.REVIEW),
    ],
)
def test_a_contradiction_about_much_money_is_a_persons(usd: Decimal | None, action: GateAction) -> None:
    """R5: at 500 dollars, or when nobody knows the worth, the safer opinion does not win by itself."""
    other = node("second_opinion")
    result = judged(
        (FRAUD, says("fraud_detection", Outcome.REJECT)), (other, says("second_opinion", Outcome.PROCEED)), usd=usd
    )
    assert result.action is action
    if action is GateAction.REVIEW:
        assert result.rule == "R5"
        assert any(g.code == "EXPOSURE" for g in result.grounds)


def test_a_later_tier_does_not_overrule_an_earlier_one() -> None:
    """R2: between tiers the earlier one holds; within a tier the safer one; ask_person asks."""
    late = node("late_opinion", tier=2)
    decisions = {
        "fraud_detection": says("fraud_detection", Outcome.PROCEED),
        "late_opinion": says("late_opinion", Outcome.HOLD),
    }
    result = judge([late], decisions, exposure_usd=LOW, earlier=[FRAUD])
    assert [(c.winner, c.rule) for c in result.conflicts] == [("fraud_detection", "R2")]
    same = node("second_opinion")
    result = judged((FRAUD, says("fraud_detection", Outcome.PROCEED)), (same, says("second_opinion", Outcome.HOLD)))
    assert [(c.winner, c.rule) for c in result.conflicts] == [("second_opinion", "most_severe")]
    result = judged(
        (FRAUD, says("fraud_detection", Outcome.PROCEED)),
        (same, says("second_opinion", Outcome.HOLD)),
        policy=Policy(rules={RELEASE: Rule.ASK_PERSON}),
    )
    assert any(g.code == "CONFLICT" for g in result.grounds)


def test_what_a_person_approved_does_not_stop_the_order_again() -> None:
    """A recheck after an edit keeps the approval of exactly the grounds that were shown."""
    doubt = (FRAUD, says("fraud_detection", Outcome.REVIEW))
    assert judged(doubt, approved=frozenset({"fraud_detection:FRAUD_DETECTION_SAYS"})).action is GateAction.PROCEED
    assert judged(doubt, approved=frozenset({"fraud_detection:OTHER"})).action is GateAction.REVIEW


def test_a_suggestion_needs_a_person_and_a_shadow_needs_nobody() -> None:
    """An agent on probation proposes; one that is only measured changes nothing."""
    asks = node("fraud_detection", mode=Autonomy.SUGGESTION)
    result = judged((asks, says("fraud_detection", Outcome.PROCEED, 1.0)))
    assert [g.code for g in result.grounds] == ["SUGGESTION"]
    silent = node("fraud_detection", mode=Autonomy.SHADOW)
    assert judged((silent, says("fraud_detection", Outcome.REJECT, 1.0))).action is GateAction.PROCEED


def test_a_buyers_wish_to_cancel_stands_before_every_stage() -> None:
    """Grounds that come with the order stop it even when every agent agrees."""
    wish = Ground(agent="signalbox", code="CANCEL_REQUESTED", sentence="the buyer asked the channel to cancel")
    clear = (FRAUD, says("fraud_detection", Outcome.PROCEED))
    assert judged(clear, standing=[wish]).action is GateAction.REVIEW
    assert judged(clear, standing=[wish], approved=frozenset({wish.key})).action is GateAction.PROCEED


_OUTCOMES = st.sampled_from(list(Outcome))
_CONFIDENCES = st.one_of(st.none(), st.floats(min_value=0, max_value=1))
_SEVERITY = [GateAction.PROCEED, GateAction.PARK, GateAction.REVIEW, GateAction.CANCEL]


@given(one=_OUTCOMES, sure=_CONFIDENCES, other=_OUTCOMES, certain=_CONFIDENCES)
def test_another_opinion_never_makes_the_result_milder_than_proceeding_alone(
    one: Outcome, sure: float | None, other: Outcome, certain: float | None
) -> None:
    """Severity is monotone: adding an agent can only stop an order that would have gone, never free one that was stopped."""
    first, second = (FRAUD, says("fraud_detection", one, sure)), (LEGAL, says("compliance", other, certain))
    alone, both = judged(first), judged(first, second)
    if alone.action is not GateAction.PROCEED:
        assert both.action is not GateAction.PROCEED
    acts = both.action in {GateAction.PROCEED, GateAction.PARK}
    assert not acts or all(d.may_act and d.outcome in GOING for _, d in (first, second))
