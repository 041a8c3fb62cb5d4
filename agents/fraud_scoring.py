"""From fired rules to points to a severity, and which of them the decision hangs on.

Severity is monotone: a forced hold, once hit, is never lowered by points. Points of all entries of a trace, base and
cap included, add up to the score.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from agents.fraud_rules import RULES, Finding
from agents.fraud_signals import Signals
from agents.fraud_table import FraudTable
from agents.fraud_thresholds import Thresholds

BASE_CODE = "BASE"
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
    """Which rules fired, which could not be evaluated, and which a snooze kept silent."""

    hits: tuple[Hit, ...]
    not_evaluated: tuple[str, ...]
    snoozed: tuple[str, ...] = ()
    """Codes that would have fired; they count for nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Points and the severity they lead to."""

    points: int
    severity: int
    entries: tuple[tuple[str, int], ...]
    """Code and points; they add up to the score."""


def evaluate(signals: Signals, table: FraudTable, *, skipped: Collection[str] = ()) -> Trace:
    """Run every rule that the order's channel and the mode allow."""
    hits, unknown, silent = [], [], []
    for code, rule in RULES.items():
        terms = table.rules[code]
        if code in skipped or (signals.platform and terms.group in table.platform_skips):
            continue
        answer = rule(signals, terms, table)
        if not isinstance(answer, Finding):
            if answer is not None:
                unknown.append(code)
        elif code in signals.snoozed and code not in table.unforgivable:
            silent.append(code)
        else:
            hits.append(Hit(code=code, group=terms.group, points=terms.points, finding=answer))
    return Trace(hits=tuple(hits), not_evaluated=tuple(unknown), snoozed=tuple(silent))


def add_up(hits: Sequence[Hit], table: FraudTable, thresholds: Thresholds) -> Score:
    """Sum the points under the cap, apply the thresholds, then the forced hold."""
    codes = {hit.code for hit in hits}
    unforgivable = bool(codes & table.unforgivable)
    entries = [(BASE_CODE, table.base_points)] if table.base_points else []
    entries += [(hit.code, 0 if unforgivable and hit.group == "W" else hit.points) for hit in hits]
    capped = sum(hit.points for hit in hits if hit.group in table.cap_groups)
    if capped > table.cap_points:
        entries.append((CAP_CODE, table.cap_points - capped))
    points = sum(worth for _, worth in entries)
    severity = (points >= thresholds.review) + (points >= thresholds.hold) + (points >= thresholds.decline)
    if codes & table.force_hold:
        severity = max(severity, ACTIONS.index("hold"))
    return Score(points=points, severity=severity, entries=tuple(entries))


def counterfactual(
    hits: Sequence[Hit], gates: Sequence[str], decide: Callable[[Sequence[Hit], Collection[str]], str]
) -> tuple[str, ...]:
    """A small set of codes whose removal gives another decision; empty when no removal does.

    ``decide`` takes the hits that are left and the gates that are left out. For a restrictive decision the heaviest
    hits go first and the gates last; for an approval what spoke in its favour.
    """
    verdict = decide(hits, ())
    favourable = verdict == "approve"
    ranked = sorted(hits, key=lambda hit: hit.points if favourable else -hit.points)
    codes = [hit.code for hit in ranked if (hit.points < 0) == favourable and hit.points]
    codes = [*gates, *codes] if favourable else [*codes, *gates]

    def flips(removed: Sequence[str]) -> bool:
        left = [hit for hit in hits if hit.code not in removed]
        return decide(left, [gate for gate in gates if gate in removed]) != verdict

    if favourable and not flips(codes):
        return ()
    for many in range(1, len(codes) + 1):
        if flips(codes[:many]):
            return _pruned(codes[:many], flips)
    return ()


def _pruned(removed: list[str], flips: Callable[[Sequence[str]], bool]) -> tuple[str, ...]:
    for code in list(removed):
        fewer = [other for other in removed if other != code]
        if fewer and flips(fewer):
            removed = fewer
    return tuple(removed)
