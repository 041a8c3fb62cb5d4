"""Rules made of confirmed answers: counted, bounded, readable, and retired when people disagree."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents.promoted import rule_reason
from domain.ids import TenantId
from domain.promoted_rule import (
    LEAST_BOUND,
    LEAST_CASES,
    Condition,
    Confirmation,
    PromotedRule,
    RuleState,
    first_match,
    propose,
    should_retire,
)
from domain.proportions import wilson_lower

AT = datetime(2026, 11, 22, tzinfo=UTC)


def said(number: int, answer: str = "concern", *, agreed: bool = True, **features: Any) -> Confirmation:
    return Confirmation(
        tenant=TenantId("acme"), decision_id=f"d-{number}", agent="fraud_detection", version="fd-2.0", entity_type="order",
        entity_id=f"o-{number}", answer=answer, agreed=agreed, features=features, prompt="fraud_second_opinion/1.0@abc",
        model="m", by="user:mei", at=AT + timedelta(minutes=number),
    )  # fmt: skip


def mixed(right: int, wrong: int = 0, others: int = 40) -> list[Confirmation]:
    """Confirmed concerns of one sign, some of them contradicted, among answers about something else."""
    good = [said(n, ships_to="HK", **{"note.card_not_own": True}) for n in range(right)]
    bad = [said(1000 + n, agreed=False, ships_to="HK", **{"note.card_not_own": True}) for n in range(wrong)]
    rest = [said(2000 + n, "no_concern", agreed=n % 2 == 0, ships_to="HK" if n % 3 else "SG") for n in range(others)]
    return good + bad + rest


def test_a_rule_is_the_fewest_conditions_with_enough_support() -> None:
    """P23: conditions, support, precision bound and sources; nothing a model had to find."""
    (rule,) = propose(mixed(40), at=AT)
    assert [(one.feature, one.equals) for one in rule.conditions] == [("note.card_not_own", True)]
    assert (rule.answer, rule.cases, rule.agreed, rule.counterexamples) == ("concern", 40, 40, ())
    assert rule.bound == pytest.approx(wilson_lower(40, 40), abs=1e-4)
    assert rule.sources == ("fraud_second_opinion/1.0@abc", "m")
    assert rule.state is RuleState.PROPOSED


@pytest.mark.parametrize(("right", "wrong", "found"), [(29, 0, 0), (30, 0, 1), (100, 2, 1), (40, 6, 0)])
def test_too_few_or_too_many_disagreements_make_no_rule(right: int, wrong: int, found: int) -> None:
    """P23: thirty confirmed answers, and a lower bound of 0.9; people who disagreed are counterexamples by id."""
    rules = propose(mixed(right, wrong), at=AT)
    assert len(rules) == found
    for rule in rules:
        assert rule.bound >= LEAST_BOUND
        assert rule.cases >= LEAST_CASES
        assert len(rule.counterexamples) == wrong


def test_a_second_condition_is_used_only_where_one_is_not_enough() -> None:
    """P23: the sign alone is not sure; with the country it is."""
    sure = [said(n, ships_to="VN", **{"note.urgency": True}) for n in range(40)]
    unsure = [said(100 + n, agreed=n % 2 == 0, ships_to="HK", **{"note.urgency": True}) for n in range(40)]
    calm = [said(200 + n, "no_concern", agreed=n % 2 == 0, ships_to="VN") for n in range(40)]
    (rule,) = propose(sure + unsure + calm, at=AT)
    assert {one.feature for one in rule.conditions} == {"note.urgency", "ships_to"}


def test_the_same_evidence_gives_the_same_rule() -> None:
    """P23: the id follows from agent, answer and conditions."""
    assert propose(mixed(40), at=AT)[0].rule_id == propose(mixed(50), at=AT)[0].rule_id


def rule(
    answer: str = "concern", *, state: RuleState = RuleState.ADOPTED, rule_id: str = "pr-1", **when: Any
) -> PromotedRule:
    return PromotedRule(
        rule_id=rule_id, tenant=TenantId("acme"), agent="fraud_detection", answer=answer, cases=40, agreed=40, bound=0.93,
        conditions=tuple(Condition(feature=name, equals=value) for name, value in when.items()), proposed_at=AT, state=state,
    )  # fmt: skip


def test_only_adopted_rules_answer_and_contradictions_do_not() -> None:
    """P23: the most specific adopted rule; two that contradict each other leave the question to the model."""
    features = {"a": True, "b": "x"}
    assert first_match([rule(a=True, state=RuleState.PROPOSED)], features) is None
    assert first_match([rule(a=False)], features) is None
    assert first_match([rule(b="x"), rule(a=True, b="x", rule_id="pr-2")], features).rule_id == "pr-2"  # type: ignore[union-attr]
    assert first_match([rule(a=True), rule("no_concern", b="x", rule_id="pr-2")], features) is None
    assert first_match([rule(a="True")], features) is None


def test_people_who_disagree_retire_a_rule() -> None:
    """P23: one disagreement is enough where the support was thin; two of the last twenty always are."""
    thin = rule(a=True).model_copy(update={"cases": 30, "agreed": 30})
    broad = rule(a=True).model_copy(update={"cases": 400, "agreed": 400})
    assert should_retire(thin, [True, True]) == ""
    assert should_retire(thin, [False])
    assert should_retire(broad, [False]) == ""
    assert "2 of its last" in should_retire(broad, [True, False, True, False])


def test_a_rule_says_what_it_rests_on() -> None:
    """P9, P23: the reason names conditions, support and the rule's version."""
    told = rule_reason(rule(a=True))
    assert "a is True" in told.text
    assert "40 of 40" in told.text
    assert told.evidence == "rule:pr-1#1"
