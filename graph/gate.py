"""The gate after each stage: joins decisions, resolves contradictions, and lets only confident agreement through.

Pure rules on values. Severity is monotone: a milder opinion never lowers the result. Rule numbers follow the conflict
policy: R0 legal block, R1 confidence, R2 tier, R4 safer action, R5 exposure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from itertools import combinations
from types import MappingProxyType

from domain.decision import CONFIDENCE_TO_ACT, Decision, Mode, Outcome
from graph.topology.model import AgentNode, Autonomy, Rule

CONFIDENCE_TO_CANCEL = 0.90
"""A cancellation cannot be undone for the customer, so its agent must be this sure."""
EXPOSURE_USD = Decimal(500)
"""At or above this, a contradiction is a person's to decide."""
LEGAL_AGENTS = frozenset({"compliance"})


class GateAction(StrEnum):
    """Where the order goes next."""

    PROCEED = "proceed"
    PARK = "park"
    REVIEW = "review"
    CANCEL = "cancel"


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """Two decisions about one facet that cannot both stand."""

    facet: str
    agents: tuple[str, str]
    decisions: tuple[str, str]
    winner: str
    rule: str


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


def judge(
    nodes: Sequence[AgentNode],
    decisions: Mapping[str, Decision],
    *,
    exposure_usd: Decimal | None,
    earlier: Sequence[AgentNode] = (),
    rules: Mapping[str, Rule] = MappingProxyType({}),
    approved: frozenset[str] = frozenset(),
    standing: Sequence[Ground] = (),
) -> Judgement:
    """Join the decisions of one stage.

    ``earlier`` are the agents of the stages before, whose facets may be contradicted; ``rules`` say per facet how.
    ``exposure_usd`` is the order's value in US dollars, None when no rate exists (judged as high). ``approved`` holds
    the keys of grounds a person has approved for this order; they do not stop it again. ``standing`` are grounds
    that come with the order itself.
    """
    taken = [decisions[node.name] for node in nodes if node.name in decisions and node.mode is not Autonomy.SHADOW]
    conflicts = _conflicts(nodes, earlier, decisions, rules)
    grounds = [g for g in (*standing, *_grounds(nodes, decisions)) if g.key not in approved]
    grounds += [g for g in _disputed(conflicts, exposure_usd) if g.key not in approved]
    parked = any(d.outcome is Outcome.LIMIT for d in taken)
    after = GateAction.PARK if parked else GateAction.PROCEED
    blocked = _certain_rejection(taken)
    if blocked is not None and not any(g.code in {"EXPOSURE", "CONFLICT"} for g in grounds):
        rule = "R0" if blocked.agent in LEGAL_AGENTS else "R2"
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


def _certain_rejection(taken: Sequence[Decision]) -> Decision | None:
    for decision in sorted(taken, key=lambda d: d.agent not in LEGAL_AGENTS):
        needed = CONFIDENCE_TO_ACT if decision.agent in LEGAL_AGENTS else CONFIDENCE_TO_CANCEL
        sure = decision.confidence is not None and decision.confidence >= needed
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
    if node.mode is Autonomy.SUGGESTION:
        sentence = f"{decision.agent} is in suggestion mode and proposes {decision.decision}"
        return [_ground(decision, "SUGGESTION", sentence)]
    if not decision.may_act:
        held = "no usable confidence" if decision.confidence is None else f"confidence {decision.confidence:.2f}"
        sentence = f"{decision.agent} proposes {decision.decision} with {held}, below {CONFIDENCE_TO_ACT}"
        return [_ground(decision, "LOW_CONFIDENCE", sentence)]
    return []


def _conflicts(
    nodes: Sequence[AgentNode],
    earlier: Sequence[AgentNode],
    decisions: Mapping[str, Decision],
    rules: Mapping[str, Rule],
) -> tuple[Conflict, ...]:
    here = [n for n in nodes if n.name in decisions and n.mode is not Autonomy.SHADOW]
    before = [n for n in earlier if n.name in decisions and n.mode is not Autonomy.SHADOW]
    pairs = [*combinations(sorted(here, key=lambda n: n.name), 2), *((e, h) for e in before for h in here)]
    found = []
    for one, other in pairs:
        a, b = decisions[one.name], decisions[other.name]
        for facet in sorted(set(one.writes) & set(other.writes)):
            if _contradict(a, b):
                winner, rule = _winner((one, a), (other, b), rules.get(facet, Rule.MOST_SEVERE))
                conflict = Conflict(
                    facet=facet,
                    agents=(a.agent, b.agent),
                    decisions=(a.decision, b.decision),
                    winner=winner.agent,
                    rule=rule,
                )
                found.append(conflict)
    return tuple(found)


def _contradict(a: Decision, b: Decision) -> bool:
    """One goes on, the other stops; a wish to have somebody look contradicts nobody."""
    going, stopping = {Outcome.PROCEED, Outcome.LIMIT}, {Outcome.HOLD, Outcome.REJECT}
    return (a.outcome in going and b.outcome in stopping) or (a.outcome in stopping and b.outcome in going)


def _winner(one: tuple[AgentNode, Decision], other: tuple[AgentNode, Decision], rule: Rule) -> tuple[Decision, str]:
    (first, a), (second, b) = one, other
    for decision in (a, b):
        if decision.agent in LEGAL_AGENTS and decision.outcome is Outcome.REJECT:
            return decision, "R0"
    if first.tier != second.tier and rule is not Rule.ASK_PERSON:
        return (a, "R2") if first.tier < second.tier else (b, "R2")
    safer = a if a.outcome.severity > b.outcome.severity else b
    return safer, "ask_person" if rule is Rule.ASK_PERSON else "R4"


def _disputed(conflicts: Sequence[Conflict], exposure_usd: Decimal | None) -> list[Ground]:
    grounds = []
    high = exposure_usd is None or exposure_usd >= EXPOSURE_USD
    worth = "of unknown value (no exchange rate)" if exposure_usd is None else f"worth {exposure_usd:.2f} USD"
    for c in conflicts:
        clash = f"{c.agents[0]} says {c.decisions[0]}, {c.agents[1]} says {c.decisions[1]}"
        if c.rule == "ask_person":
            grounds.append(Ground(agent=c.winner, code="CONFLICT", sentence=f"{clash} on {c.facet}"))
        elif high and c.rule != "R0":
            grounds.append(Ground(agent=c.winner, code="EXPOSURE", sentence=f"{clash}, on an order {worth}"))
    return grounds
