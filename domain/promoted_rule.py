"""Rules made from model answers that people confirmed: declared features to one answer, with what they rest on.

A rule is looked for by counting, not by a model: the fewest conditions under which enough confirmed answers were the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from pydantic import AwareDatetime, Field

from domain.ids import TenantId, stable_id
from domain.proportions import wilson_lower
from domain.values import Document, Plain

LEAST_CASES = 30
"""Confirmed answers a rule must rest on."""
LEAST_BOUND = 0.9
"""The least the lower bound of its precision may be (Wilson, one-sided 95 %)."""
MOST_CONDITIONS = 3
RECENT = 20
MOST_RECENT_DISAGREEMENTS = 1
"""One more than this among the last RECENT answers of people retires a rule, however good it was before."""
_SHOWN_COUNTEREXAMPLES = 20


class RuleState(StrEnum):
    """Life of a rule."""

    PROPOSED = "proposed"
    ADOPTED = "adopted"
    RETIRED = "retired"


class Condition(Document):
    """One feature that must have one value."""

    feature: str
    equals: str | bool

    def holds(self, features: Mapping[str, Plain]) -> bool:
        """Whether a case fulfils it; a feature the case does not have fulfils nothing."""
        return features.get(self.feature) == self.equals and type(features[self.feature]) is type(self.equals)


class Confirmation(Document):
    """What a person's answer said about one answer of a model, or of a rule that stood in for it."""

    tenant: TenantId
    decision_id: str
    agent: str
    version: str
    entity_type: str
    entity_id: str
    answer: str
    agreed: bool
    features: dict[str, Plain]
    prompt: str = ""
    model: str = ""
    rule_id: str = ""
    """The promoted rule that answered, when one did."""
    by: str
    at: AwareDatetime


class PromotedRule(Document):
    """A deterministic rule and the evidence it was proposed on."""

    rule_id: str
    tenant: TenantId
    agent: str
    conditions: tuple[Condition, ...] = Field(min_length=1, max_length=MOST_CONDITIONS)
    answer: str
    cases: int
    """Confirmed answers that fulfil the conditions."""
    agreed: int
    """Of those, the ones that gave this answer and that a person agreed with."""
    bound: float
    """Wilson's lower bound of ``agreed`` of ``cases``."""
    counterexamples: tuple[str, ...] = ()
    """Entities on which a person or the model said otherwise."""
    sources: tuple[str, ...] = ()
    """Prompt versions and models the answers came from."""
    proposed_at: AwareDatetime
    state: RuleState = RuleState.PROPOSED
    version: int = 1
    """Counts up with every adoption."""
    report_id: str = ""
    """The shadow report it was adopted on."""
    decided_by: str = ""
    decided_at: AwareDatetime | None = None
    reason: str = ""

    def applies(self, features: Mapping[str, Plain]) -> bool:
        """Whether all conditions hold."""
        return all(condition.holds(features) for condition in self.conditions)


def first_match(rules: Iterable[PromotedRule], features: Mapping[str, Plain]) -> PromotedRule | None:
    """The rule that answers a case: the most specific, then the best supported; None when contradicting ones are left."""
    fitting = [rule for rule in rules if rule.state is RuleState.ADOPTED and rule.applies(features)]
    if not fitting:
        return None
    most = max(len(rule.conditions) for rule in fitting)
    closest = [rule for rule in fitting if len(rule.conditions) == most]
    if len({rule.answer for rule in closest}) > 1:
        return None
    return max(closest, key=lambda rule: (rule.cases, rule.rule_id))


def should_retire(rule: PromotedRule, later: Sequence[bool]) -> str:
    """Why people's answers since the adoption (oldest first) retire a rule; empty when they do not."""
    wrong = later[-RECENT:].count(False)
    if wrong > MOST_RECENT_DISAGREEMENTS:
        return f"people disagreed with {wrong} of its last {min(RECENT, len(later))} answers"
    bound = wilson_lower(rule.agreed + later.count(True), rule.cases + len(later))
    if bound < LEAST_BOUND and False in later:
        return f"its precision is only known to be above {bound:.3f} after people disagreed; {LEAST_BOUND} is needed"
    return ""


@dataclass(frozen=True)
class _Candidate:
    conditions: tuple[Condition, ...]
    answer: str
    cases: int
    agreed: int
    members: int
    """The cases it covers, one bit each."""

    @property
    def bound(self) -> float:
        return wilson_lower(self.agreed, self.cases)


def propose(
    confirmed: Sequence[Confirmation],
    *,
    at: AwareDatetime,
    least_cases: int = LEAST_CASES,
    least_bound: float = LEAST_BOUND,
) -> list[PromotedRule]:
    """The rules that one agent's confirmed answers of one tenant justify, fewest conditions first; none covers another's cases."""
    known = [one for one in confirmed if not one.rule_id]
    left = (1 << len(known)) - 1
    found: list[PromotedRule] = []
    while True:
        best = _best(known, left, least_cases, least_bound)
        if best is None:
            return found
        found.append(_rule(best, known, at))
        left &= ~best.members


def _best(known: Sequence[Confirmation], left: int, least_cases: int, least_bound: float) -> _Candidate | None:
    """The shortest conjunction that is sure enough and covers most of what no rule covers yet."""
    right = {
        answer: sum(1 << i for i, one in enumerate(known) if one.answer == answer and one.agreed)
        for answer in sorted({one.answer for one in known})
    }
    singles = _singles(known, least_cases)
    for size in range(1, MOST_CONDITIONS + 1):
        good = [
            candidate
            for conditions, members in _conjunctions(singles, size, least_cases)
            for answer, agreeing in right.items()
            for candidate in [
                _Candidate(conditions, answer, members.bit_count(), (members & agreeing).bit_count(), members)
            ]
            if (members & agreeing & left).bit_count() >= least_cases and candidate.bound >= least_bound
        ]
        if good:
            return max(good, key=lambda one: ((one.members & left).bit_count(), one.bound, _named(one.conditions)))
    return None


def _singles(known: Sequence[Confirmation], least_cases: int) -> list[tuple[Condition, int]]:
    """Every condition enough cases fulfil, with those cases; one that all fulfil says nothing."""
    members: dict[tuple[str, str | bool], int] = {}
    for i, one in enumerate(known):
        for feature, value in one.features.items():
            if isinstance(value, str | bool):
                members[feature, value] = members.get((feature, value), 0) | 1 << i
    return [
        (Condition(feature=feature, equals=value), cases)
        for (feature, value), cases in sorted(members.items(), key=lambda item: (item[0][0], str(item[0][1])))
        if cases.bit_count() >= least_cases and cases.bit_count() < len(known)
    ]


def _conjunctions(
    singles: Sequence[tuple[Condition, int]], size: int, least_cases: int
) -> Iterator[tuple[tuple[Condition, ...], int]]:
    for parts in combinations(singles, size):
        members = parts[0][1]
        for _, cases in parts[1:]:
            members &= cases
        if members.bit_count() >= least_cases:
            yield tuple(condition for condition, _ in parts), members


def _rule(best: _Candidate, known: Sequence[Confirmation], at: AwareDatetime) -> PromotedRule:
    covered = [one for i, one in enumerate(known) if best.members >> i & 1]
    against = [one.entity_id for one in covered if one.answer != best.answer or not one.agreed]
    first = covered[0]
    return PromotedRule(
        rule_id="pr-" + stable_id(first.tenant, first.agent, best.answer, _named(best.conditions))[:12],
        tenant=first.tenant,
        agent=first.agent,
        conditions=best.conditions,
        answer=best.answer,
        cases=best.cases,
        agreed=best.agreed,
        bound=round(best.bound, 4),
        counterexamples=tuple(dict.fromkeys(against))[:_SHOWN_COUNTEREXAMPLES],
        sources=tuple(sorted({source for one in covered for source in (one.prompt, one.model) if source})),
        proposed_at=at,
    )


def _named(conditions: Sequence[Condition]) -> str:
    return " and ".join(f"{one.feature}={one.equals}" for one in conditions)
