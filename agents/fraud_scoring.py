"""From fired rules to points to one decision.

Severity is monotone: a forced hold, once hit, is never lowered by points. Points of all entries of a trace, the cap
included, add up to the score.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.fraud_rules import RULES, Finding
from agents.fraud_signals import Signals
from agents.fraud_table import FraudTable

CAP_CODE = "PAYMENT_GEO_CAP"
PLATFORM_CODE = "PLATFORM_SCREENED"

ACTIONS = ("approve", "review", "hold", "reject")
"""Ascending severity."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A rule that fired."""

    code: str
    group: str
    points: int
    finding: Finding


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """Which rules fired and which could not be evaluated."""

    hits: tuple[Hit, ...]
    not_evaluated: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """Points to action."""

    action: str
    score: int
    entries: tuple[tuple[str, int], ...]
    """Code and points; they add up to the score."""


def evaluate(signals: Signals, table: FraudTable) -> Trace:
    """Run every rule the order's channel allows."""
    hits, unknown = [], []
    for code, rule in RULES.items():
        terms = table.rules[code]
        if signals.platform and terms.group in table.platform_skips:
            continue
        answer = rule(signals, terms, table)
        if isinstance(answer, Finding):
            hits.append(Hit(code=code, group=terms.group, points=terms.points, finding=answer))
        elif answer is not None:
            unknown.append(code)
    return Trace(hits=tuple(hits), not_evaluated=tuple(unknown))


def judge(hits: Sequence[Hit], table: FraudTable, *, platform: bool) -> Judgement:
    """Sum the points under the cap, apply the thresholds, then force and clamp."""
    codes = {hit.code for hit in hits}
    unforgivable = bool(codes & table.unforgivable)
    entries = [(hit.code, 0 if unforgivable and hit.group == "W" else hit.points) for hit in hits]
    capped = sum(hit.points for hit in hits if hit.group in table.cap_groups)
    if capped > table.cap_points:
        entries.append((CAP_CODE, table.cap_points - capped))
    score = sum(points for _, points in entries)
    steps = (score >= table.review, score >= table.hold, score >= table.decline)
    severity = sum(steps)
    if codes & table.force_hold:
        severity = max(severity, ACTIONS.index("hold"))
    if platform:
        entries.append((PLATFORM_CODE, 0))
        severity = min(severity, ACTIONS.index("review"))
    return Judgement(action=ACTIONS[severity], score=score, entries=tuple(entries))


def counterfactual(hits: Sequence[Hit], decide: Callable[[Sequence[Hit]], str]) -> tuple[str, ...]:
    """A smallest-first set of codes whose removal gives another decision; empty when no removal does.

    For a restrictive decision the heaviest hits go first; for an approval the hits that spoke in its favour.
    """
    verdict = decide(hits)
    favourable = verdict == "approve"
    ranked = sorted(hits, key=lambda hit: hit.points if favourable else -hit.points)
    removed: list[Hit] = []
    for hit in ranked:
        if (hit.points < 0) != favourable:
            continue
        removed.append(hit)
        if decide(_without(hits, removed)) != verdict:
            return _pruned(hits, removed, decide, verdict)
    return ()


def _without(hits: Sequence[Hit], removed: Sequence[Hit]) -> list[Hit]:
    return [hit for hit in hits if hit not in removed]


def _pruned(
    hits: Sequence[Hit], removed: list[Hit], decide: Callable[[Sequence[Hit]], str], verdict: str
) -> tuple[str, ...]:
    for hit in list(removed):
        fewer = [other for other in removed if other is not hit]
        if fewer and decide(_without(hits, fewer)) != verdict:
            removed = fewer
    return tuple(hit.code for hit in removed)
