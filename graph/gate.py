"""The gate after each stage: joins decisions, has contradictions resolved, and lets only confident agreement through.

Pure rules on values. Severity is monotone: a milder opinion never lowers the result. Contradictions are settled by the
one conflict policy (``domain.resolution``), within what the topology declares for the facet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from itertools import combinations, product
from typing import Self

from domain.autonomy import note_of
from domain.conflict import ConflictPolicy, Resolution, Side
from domain.conflict import Rule as Decided
from domain.decision import CONFIDENCE_TO_ACT, Decision, Mode, Outcome
from domain.resolution import Settle, resolve
from domain.values import Plain, digest
from graph.topology.conflict_policy import shipped_policy
from graph.topology.conflicts import nearest
from graph.topology.model import AgentNode, Autonomy, Rule, Workflow

_SETTLED = {
    Rule.MOST_SEVERE: Settle.MOST_SEVERE,
    Rule.HIGHEST_TIER: Settle.BY_RULES,
    Rule.ASK_PERSON: Settle.ASK_PERSON,
}
_GOING = frozenset({Outcome.PROCEED, Outcome.LIMIT})
WITHDRAWN = "WITHDRAWN"
"""The ground of an agent that lost its autonomy after it had decided."""
SUGGESTION = "SUGGESTION"
"""The ground of an agent that may only recommend."""


class GateAction(StrEnum):
    """Where the order goes next."""

    PROCEED = "proceed"
    PARK = "park"
    REVIEW = "review"
    CANCEL = "cancel"


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """Two decisions that cannot both stand, and how that was settled."""

    decisions: tuple[Decision, Decision]
    resolution: Resolution

    @property
    def facet(self) -> str:
        """What they are about."""
        return self.resolution.winner.facet

    @property
    def winner(self) -> str:
        """The agent that prevails."""
        return self.resolution.winner.agent

    @property
    def rule(self) -> str:
        """What chose the winner."""
        return self.resolution.rule.value

    def facts(self) -> dict[str, Plain]:
        """The record of the conflict."""
        return self.resolution.facts()


@dataclass(frozen=True, kw_only=True)
class Ground:
    """One reason for not just proceeding."""

    agent: str
    code: str
    sentence: str

    @property
    def key(self) -> str:
        """Identifies the ground, so that a person's approval of it is remembered."""
        return f"{self.agent}:{self.code}"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the gate concludes about one stage."""

    action: GateAction
    rule: str
    grounds: tuple[Ground, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    after_approval: GateAction = GateAction.PROCEED
    """Where the order goes once a person has approved: a missing unit stays missing."""
    recommendation: str = "approve"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the gate judges by besides the decisions."""

    conflicts: ConflictPolicy = field(default_factory=shipped_policy)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    """What the topology declares per facet; a facet takes the rule of the nearest one that contains it."""

    @classmethod
    def of(cls, workflow: Workflow, conflicts: ConflictPolicy) -> Self:
        """The policy of a workflow: the conflict policy in force, within what its topology declares."""
        return cls(conflicts=conflicts, rules={declared.facet: declared.rule for declared in workflow.conflict_rules})


def judge(
    nodes: Sequence[AgentNode],
    decisions: Mapping[str, Decision],
    *,
    exposure_usd: Decimal | None,
    earlier: Sequence[AgentNode] = (),
    policy: Policy | None = None,
    approved: frozenset[str] = frozenset(),
    standing: Sequence[Ground] = (),
) -> Judgement:
    """Join the decisions of one stage.

    ``earlier`` are the agents of the stages before, whose facets may be contradicted. ``exposure_usd`` is the order's
    value in US dollars, None when no rate exists (judged as high). ``approved`` holds the keys of grounds a person has
    approved for this order; they do not stop it again. ``standing`` are grounds that come with the order itself.
    """
    policy = policy or Policy()
    taken = [decisions[node.name] for node in nodes if node.name in decisions and node.mode is not Autonomy.SHADOW]
    conflicts = _conflicts(nodes, earlier, decisions, policy, exposure_usd=exposure_usd)
    grounds = [g for g in (*standing, *_grounds(nodes, decisions)) if g.key not in approved]
    grounds += [g for g in _disputed(conflicts, exposure_usd) if g.key not in approved]
    parked = any(d.outcome is Outcome.LIMIT for d in taken)
    after = GateAction.PARK if parked else GateAction.PROCEED
    blocked = _certain_rejection(taken, policy.conflicts)
    if blocked is not None and not any(g.code in {"EXPOSURE", "CONFLICT", WITHDRAWN} for g in grounds):
        rule = "R0" if blocked.agent in policy.conflicts.legal else "R2"
        why = tuple(_ground(blocked, r.code, r.text) for r in blocked.reasons)
        return Judgement(action=GateAction.CANCEL, rule=rule, grounds=why, conflicts=conflicts, recommendation="reject")
    if grounds:
        severe = max((d.outcome.severity for d in taken), default=Outcome.REVIEW.severity)
        return Judgement(
            action=GateAction.REVIEW,
            rule="R5" if any(g.code == "EXPOSURE" for g in grounds) else "R1",
            grounds=tuple(grounds),
            conflicts=conflicts,
            after_approval=after,
            recommendation="reject" if severe >= Outcome.REJECT.severity else "look",
        )
    return Judgement(action=after, rule="agreed", conflicts=conflicts)


def _ground(decision: Decision, code: str, sentence: str) -> Ground:
    return Ground(agent=decision.agent, code=code, sentence=sentence)


def _certain_rejection(taken: Sequence[Decision], policy: ConflictPolicy) -> Decision | None:
    for decision in sorted(taken, key=lambda d: d.agent not in policy.legal):
        needed = policy.act if decision.agent in policy.legal else policy.irreversible
        sure = decision.confidence is not None and Decimal(repr(decision.confidence)) >= needed
        if decision.outcome is Outcome.REJECT and sure and decision.mode in {Mode.NORMAL, Mode.DEGRADED}:
            return decision
    return None


def _grounds(nodes: Sequence[AgentNode], decisions: Mapping[str, Decision]) -> list[Ground]:
    grounds: list[Ground] = []
    for node in nodes:
        decision = decisions.get(node.name)
        if node.mode is Autonomy.SHADOW:
            continue
        if decision is None:
            missing = Ground(agent=node.name, code="NO_DECISION", sentence=f"{node.name} gave no decision")
            grounds.append(missing)
            continue
        grounds += _of_decision(decision, node)
    return grounds


def _of_decision(decision: Decision, node: AgentNode) -> list[Ground]:
    if decision.outcome in {Outcome.REVIEW, Outcome.HOLD, Outcome.REJECT}:
        return [_ground(decision, r.code, f"{decision.agent}: {r.text}") for r in decision.reasons] or [
            _ground(decision, decision.decision.upper(), f"{decision.agent} says {decision.decision}")
        ]
    if kept := _kept_back(decision, node):
        return [_ground(decision, SUGGESTION, f"{decision.agent} {kept} and proposes {decision.decision}")]
    if not decision.may_act:
        held = "no usable confidence" if decision.confidence is None else f"confidence {decision.confidence:.2f}"
        sentence = f"{decision.agent} proposes {decision.decision} with {held}, below {CONFIDENCE_TO_ACT}"
        return [_ground(decision, "LOW_CONFIDENCE", sentence)]
    return []


def _kept_back(decision: Decision, node: AgentNode) -> str:
    """Why the agent may only suggest here; empty when it may act."""
    if node.mode is Autonomy.SUGGESTION:
        return "is in suggestion mode"
    note = note_of(decision)
    if note is not None:
        return note.why
    return "has no record of what it may do" if node.mode is Autonomy.EARNED else ""


def _conflicts(
    nodes: Sequence[AgentNode],
    earlier: Sequence[AgentNode],
    decisions: Mapping[str, Decision],
    policy: Policy,
    *,
    exposure_usd: Decimal | None,
) -> tuple[Conflict, ...]:
    here = [n for n in nodes if n.name in decisions and n.mode is not Autonomy.SHADOW]
    before = [n for n in earlier if n.name in decisions and n.mode is not Autonomy.SHADOW]
    pairs = [*combinations(sorted(here, key=lambda n: n.name), 2), *((e, h) for e in before for h in here)]
    found = []
    for one, other in pairs:
        a, b = decisions[one.name], decisions[other.name]
        if not _may_clash(a, b):
            continue
        for left, right in product(one.writes, other.writes):
            settle = _SETTLED[nearest(policy.rules, left) or Rule.MOST_SEVERE] if left == right else Settle.BY_RULES
            sides = (
                _side(one, a, left, policy, exposure_usd=exposure_usd),
                _side(other, b, right, policy, exposure_usd=exposure_usd),
            )
            at = max(a.decided_at, b.decided_at)
            ended = resolve(*sides, policy.conflicts, at=at, settle=settle)
            if isinstance(ended, Resolution):
                found.append(Conflict(decisions=(a, b), resolution=ended))
    return tuple(found)


def _may_clash(a: Decision, b: Decision) -> bool:
    """A wish to have somebody look contradicts nobody here: the gate asks before anything is done."""
    questions = [d for d in (a, b) if d.outcome is Outcome.REVIEW]
    return not questions or any(d.outcome is Outcome.REJECT for d in (a, b))


def _side(node: AgentNode, decision: Decision, facet: str, policy: Policy, *, exposure_usd: Decimal | None) -> Side:
    plan = decision.facts.get("plan") if facet in policy.conflicts.exclusive else None
    return Side.of(
        decision,
        facet=facet,
        tier=node.tier,
        policy=policy.conflicts,
        exposure_usd=exposure_usd,
        value="" if plan is None else digest(plan),
    )


def _disputed(conflicts: Sequence[Conflict], exposure_usd: Decimal | None) -> list[Ground]:
    grounds = []
    worth = "of unknown value (no exchange rate)" if exposure_usd is None else f"worth {exposure_usd:.2f} USD"
    for c in conflicts:
        if not c.resolution.ask:
            continue
        a, b = c.decisions
        clash = f"{a.agent} says {a.decision}, {b.agent} says {b.decision}"
        if Decided.EXPOSURE in c.resolution.rules:
            grounds.append(Ground(agent=c.winner, code="EXPOSURE", sentence=f"{clash}, on an order {worth}"))
        else:
            grounds.append(Ground(agent=c.winner, code="CONFLICT", sentence=f"{clash} on {c.facet} ({c.rule})"))
    return grounds
