"""Builds the report of a shadow test from its pairs, and holds it against the release gate."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from domain.decision import Verdict
from evals.shadow_pairs import ACTIONS, LIMIT, SILENT, Pair, action
from evals.shadow_report import Confidence, Flip, Gate, HardSet, Labels, SegmentResult, Side
from evals.shadow_statistics import (
    ALPHA,
    holm,
    mcnemar,
    power,
    quantile,
    regression_bound,
    upper_share,
)
from graph.order.replaying import Played

COST_LIMIT = 1.1
FLIP_LIMIT = 0.05
REVIEWED_ENOUGH = 200
UNANSWERED_LIMIT = 0.01
LEAST_BOUND = 0.01
SHOWN_REASONS = 6
POWER_AT = ((0.03, 0.01), (0.02, 0.01), (0.015, 0.005))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the new version must stay under."""

    timeout_ms: int | None
    """The agent's own deadline in the topology; None when the topology does not carry it."""


def actions_of(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """The four actions, and those beside them that occur."""
    seen = {name for pair in pairs for name in pair.actions}
    return (*ACTIONS, *(name for name in (LIMIT, SILENT) if name in seen))


def matrix_of(pairs: Sequence[Pair], actions: Sequence[str]) -> list[list[int]]:
    """Old action by new action."""
    counted = Counter(pair.actions for pair in pairs)
    return [[counted[before, after] for after in actions] for before in actions]


def flips_of(pairs: Iterable[Pair]) -> tuple[Flip, ...]:
    """Every case on which they differ in what they would have done, or in whether they would have asked."""
    return tuple(_flip(pair) for pair in pairs if pair.flipped or pair.crossed)


def _flip(pair: Pair) -> Flip:
    known = pair.verdicts_right
    return Flip(
        case_id=pair.case.case_id,
        order_id=pair.case.order_id,
        segment=pair.case.segment.name,
        old=_named(pair.old.verdict),
        new=_named(pair.new.verdict),
        old_confidence=pair.old.verdict.confidence if pair.old.verdict else None,
        new_confidence=pair.new.verdict.confidence if pair.new.verdict else None,
        old_reasons=_reasons(pair.old),
        new_reasons=_reasons(pair.new),
        label=pair.case.label,
        better=None if known is None or known[0] == known[1] else known[1],
        hard=pair.case.hard,
    )


def _named(verdict: Verdict | None) -> str:
    if verdict is None:
        return SILENT
    does = action(verdict)
    return does if verdict.decision == does else f"{does} ({verdict.decision})"


def _reasons(played: Played) -> tuple[str, ...]:
    if played.verdict is None:
        return (played.failure,)
    return tuple(f"{reason.code}: {reason.text}" for reason in played.verdict.reasons[:SHOWN_REASONS])


def side_of(version: str, pairs: Sequence[Pair], which: Callable[[Pair], Played]) -> Side:
    """One version's figures."""
    played = [which(pair) for pair in pairs]
    verdicts = [one.verdict for one in played if one.verdict is not None]
    sure = [verdict.confidence for verdict in verdicts if verdict.confidence is not None]
    took = [one.took_ms for one in played]
    live = [
        max(which(pair).took_ms, pair.case.recorded_ms - pair.old.took_ms + which(pair).took_ms)
        for pair in pairs
        if pair.case.recorded_ms is not None
    ]
    return Side(
        version=version,
        answered=len(verdicts),
        unanswered=len(played) - len(verdicts),
        missing=dict(sorted(Counter(name for one in played for name in set(one.missing)).items())),
        failures=dict(Counter(one.failure for one in played if one.verdict is None).most_common(20)),
        latency_p50_ms=round(quantile(took, 50), 3),
        latency_p95_ms=round(quantile(took, 95), 3),
        live_p95_ms=round(quantile(live, 95), 3) if live else None,
        usd_micro_per_decision=sum(verdict.cost.usd_micro for verdict in verdicts) / max(1, len(verdicts)),
        mean_confidence=sum(sure) / len(sure) if sure else None,
    )


def confidence_of(pairs: Sequence[Pair]) -> Confidence:
    """How sure they are, and how that moved."""
    both = [
        (pair.old.verdict.confidence, pair.new.verdict.confidence)
        for pair in pairs
        if pair.old.verdict is not None and pair.new.verdict is not None
    ]
    moved = [(old, new) for old, new in both if old is not None and new is not None]
    return Confidence(
        old_histogram=_histogram(old for old, _ in both),
        new_histogram=_histogram(new for _, new in both),
        mean_shift=sum(new - old for old, new in moved) / len(moved) if moved else None,
        raised=sum(new > old for old, new in moved),
        lowered=sum(new < old for old, new in moved),
        crossed=sum(pair.crossed for pair in pairs),
    )


def _histogram(values: Iterable[float | None]) -> list[int]:
    bins = Counter(min(9, int(value * 10)) for value in values if value is not None)
    return [bins[place] for place in range(10)]


def labels_of(pairs: Sequence[Pair]) -> Labels:
    """The paired comparison where the right answer is known."""
    known = Counter(pair.verdicts_right for pair in pairs if pair.verdicts_right is not None)
    worse, better, n = known[True, False], known[False, True], known.total()
    p, bound = mcnemar(worse, better), regression_bound(worse, better, n)
    if p < ALPHA:
        said = f"the new version does worse: {worse} newly wrong, {better} newly right"
    elif n and bound < LEAST_BOUND:
        said = f"no regression: newly wrong less newly right is at most {bound:.2%} of the cases with 95 % certainty"
    else:
        said = "no evidence of regression" + (
            f"; a regression of up to {bound:.1%} would not have been seen" if n else ": no case has a label"
        )
    return Labels(
        n=n, both_right=known[True, True], worse=worse, better=better, both_wrong=known[False, False],
        p=p, bound=bound, statement=said,
    )  # fmt: skip


def segments_of(pairs: Sequence[Pair]) -> tuple[SegmentResult, ...]:
    """The same for every market x channel x value band, adjusted for looking at many."""
    found: dict[str, Counter[tuple[bool, bool]]] = defaultdict(Counter)
    for pair in pairs:
        if pair.verdicts_right is not None:
            found[pair.case.segment.name][pair.verdicts_right] += 1
    p_values = {name: mcnemar(known[True, False], known[False, True]) for name, known in found.items()}
    adjusted = holm(p_values)
    return tuple(
        SegmentResult(
            segment=name,
            n=known.total(),
            worse=known[True, False],
            better=known[False, True],
            p=p_values[name],
            p_holm=adjusted[name],
        )
        for name, known in sorted(found.items())
    )


def hard_of(pairs: Sequence[Pair], *, name: str, digest: str) -> HardSet:
    """What became of the frozen set."""
    severe = [pair for pair in pairs if pair.case.severe]
    newly = tuple(pair.case.case_id for pair in severe if pair.newly_approved)
    bound = upper_share(len(newly), len(severe)) if severe else 1.0
    said = f"{len(newly)} of {len(severe)} newly approved: recall is lost by at most {bound:.1%} with 95 % certainty"
    return HardSet(
        name=name,
        digest=digest,
        n=len(pairs),
        severe=len(severe),
        newly_approved=newly,
        newly_stopped=sum(pair.actions[0] == "approve" and pair.actions[1] != "approve" for pair in severe),
        approved_before=sum(pair.actions[0] == "approve" for pair in severe),
        approved_now=sum(pair.actions[1] == "approve" for pair in severe),
        statement=said,
    )


def power_of(n: int) -> tuple[dict[str, float], str]:
    """What so many labelled cases can find at all."""
    if not n:
        return {}, "no case has a label, so nothing could be found"
    found = {
        f"{worse:.1%} worse, {better:.1%} better": power(n, worse=worse, better=better) for worse, better in POWER_AT
    }
    parts = "; ".join(f"{name}: {share:.2f}" for name, share in found.items())
    return found, f"with {n} labelled cases a regression would be found with probability: {parts}"


def gates_of(
    pairs: Sequence[Pair], labels: Labels, segments: Sequence[SegmentResult], hard: HardSet | None,
    old: Side, new: Side, limits: Limits,
) -> tuple[Gate, ...]:  # fmt: skip
    """The rules, each with what it found."""
    bad = [one for one in segments if one.p_holm < ALPHA]
    return (
        Gate(rule="compared", passed=bool(pairs), said=f"{len(pairs)} cases were compared"),
        Gate(rule="overall", passed=labels.p >= ALPHA, said=f"{labels.statement} (p {labels.p:.3f})"),
        Gate(
            rule="segments",
            passed=not bad,
            said="; ".join(f"{one.segment} does worse (p {one.p_holm:.3f})" for one in bad)
            or f"none of {len(segments)} segments does worse after Holm's adjustment",
        ),
        _hard_gate(hard),
        _latency_gate(new, limits),
        Gate(
            rule="cost",
            passed=new.usd_micro_per_decision <= COST_LIMIT * old.usd_micro_per_decision,
            said=f"{new.usd_micro_per_decision:.1f} millionths of a US dollar a decision, "
            f"{old.usd_micro_per_decision:.1f} before; the limit is {COST_LIMIT} times that",
        ),
        _flips_gate(pairs),
        _answers_gate(pairs, new),
    )


def _hard_gate(hard: HardSet | None) -> Gate:
    if hard is None:
        return Gate(rule="hard set", passed=True, said="there is no hard set for this agent")
    return Gate(rule="hard set", passed=not hard.newly_approved, said=hard.statement)


def _latency_gate(new: Side, limits: Limits) -> Gate:
    p95 = new.latency_p95_ms if new.live_p95_ms is None else max(new.latency_p95_ms, new.live_p95_ms)
    if limits.timeout_ms is None:
        return Gate(rule="latency", passed=True, said=f"p95 {p95:.1f} ms; the topology gives this agent no deadline")
    return Gate(
        rule="latency",
        passed=p95 <= limits.timeout_ms,
        said=f"p95 {p95:.1f} ms; its deadline is {limits.timeout_ms} ms",
    )


def _flips_gate(pairs: Sequence[Pair]) -> Gate:
    """Too many changes that nobody has looked at."""
    flips = [pair for pair in pairs if pair.flipped]
    unknown = sum(pair.verdicts_right is None for pair in flips)
    reviewed = len(flips) - unknown
    share = unknown / max(1, sum(not pair.case.hard for pair in pairs))
    passed = share <= FLIP_LIMIT or reviewed >= REVIEWED_ENOUGH
    said = f"{unknown} flips without a label, {share:.1%} of the sample; {reviewed} flips have one"
    return Gate(
        rule="unreviewed flips",
        passed=passed,
        said=said if passed else f"{said}: have {REVIEWED_ENOUGH} of them reviewed and pass them as --labels",
    )


def _answers_gate(pairs: Sequence[Pair], new: Side) -> Gate:
    lost = sum(pair.new.verdict is None and pair.old.verdict is not None for pair in pairs)
    share = lost / max(1, len(pairs))
    missing = ", ".join(f"{name} {count} times" for name, count in new.missing.items())
    said = f"{lost} cases have no answer of the new version where the old one has one"
    return Gate(
        rule="answers",
        passed=share <= UNANSWERED_LIMIT,
        said=f"{said}; not on the tapes: {missing}" if missing else said,
    )
