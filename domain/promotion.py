"""When autonomy is earned and when it is lost: looks, steps of the ramp, and the triggers that end it. Pure rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from domain.autonomy import POLICY, AutonomyPolicy, Level, Segment, Standing
from domain.drift import rate_alarm, stability_index
from domain.proportions import Z_95, Z_THREE_LOOKS, allowed_disagreements, least_cases, wilson_lower, wilson_upper
from domain.reliability import Reliability, measured


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One suggestion a person has answered, as later outcomes have corrected it."""

    decided_at: datetime
    agreed: bool
    blind: bool
    channel: str
    confidence: float | None
    """What the decision said, after calibration."""
    eligible: bool = True
    """Whether its confidence would have let it act."""
    severe: bool = False
    """An irreversible wrong action of high value."""


@dataclass(frozen=True, kw_only=True)
class Signs:
    """What is known of a segment beside the answers."""

    fast_track: bool = False
    """Its version passed the shadow gate, and an earlier one had been promoted here."""
    asked: int = 0
    silent: int = 0
    """Questions of the last quarter of an hour, and those left unanswered."""
    features: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Histograms of what it decides on now."""
    calibrated_at: datetime | None = None
    """When the calibration in force was measured; None where confidence is declared."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Answers so far and what they prove."""

    cases: int
    wrong: int
    blind_cases: int
    blind_wrong: int

    @property
    def agreement(self) -> float | None:
        """Share of agreement; None without cases."""
        return (self.cases - self.wrong) / self.cases if self.cases else None

    @property
    def interval(self) -> tuple[float, float]:
        """One-sided 95 % Wilson bounds, below and above."""
        right = self.cases - self.wrong
        return wilson_lower(right, self.cases), wilson_upper(right, self.cases)


def tally(cases: Sequence[Case]) -> Tally:
    """Count the cases whose confidence would have let them act."""
    counted = [case for case in cases if case.eligible]
    blind = [case for case in counted if case.blind]
    return Tally(
        cases=len(counted),
        wrong=sum(not case.agreed for case in counted),
        blind_cases=len(blind),
        blind_wrong=sum(not case.agreed for case in blind),
    )


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a look or a trigger makes of a segment."""

    standing: Standing
    kind: str
    """``promoted``, ``stepped``, ``demoted`` or ``looked``."""


def first_at(segment: Segment, signs: Signs, policy: AutonomyPolicy = POLICY) -> int:
    """How many cases the first look waits for."""
    if not signs.fast_track:
        return policy.first_cases
    return max(policy.fast_cases, least_cases(policy.target_of(segment.action, segment.outcome), Z_95))


def look_due(standing: Standing, cases: Sequence[Case], now: datetime, signs: Signs, policy: AutonomyPolicy) -> bool:
    """Whether the segment's record is looked at now."""
    if standing.level is not Level.SUGGESTION or not standing.segment.promotable or not cases:
        return False
    count = tally(cases).cases
    if standing.looks == 0:
        waited = now - min(case.decided_at for case in cases) >= policy.first_after
        return count >= first_at(standing.segment, signs, policy) or (waited and not signs.fast_track)
    return standing.looks < policy.looks and count >= standing.looked_at_cases + policy.more_cases


def shortfalls(standing: Standing, cases: Sequence[Case], signs: Signs, policy: AutonomyPolicy = POLICY) -> list[str]:
    """What keeps the record from being enough, in sentences; empty when it is."""
    segment, count = standing.segment, tally(cases)
    target = policy.target_of(segment.action, segment.outcome)
    fast = signs.fast_track and standing.looks == 0
    allowed = allowed_disagreements(count.cases, target, Z_95 if fast else Z_THREE_LOOKS)
    found = []
    if allowed is None:
        found.append(f"{count.cases} answers cannot prove {target:.0%} agreement, however good")
    elif count.wrong > allowed:
        found.append(f"{count.wrong} disagreements in {count.cases} answers; {allowed} are allowed for {target:.0%}")
    found += _weak_slices(cases, target, policy)
    if severe := sum(case.severe for case in cases):
        found.append(f"{severe} severe error{'s' if severe > 1 else ''}")
    reliability = _reliability(cases)
    if reliability is not None:
        # A declared confidence claims no probability; it must only not be grossly wrong.
        floor = reliability.floor if signs.calibrated_at else max(policy.worst_error, reliability.floor)
        if reliability.error > floor:
            found.append(f"calibration error {reliability.error:.3f}; at most {floor:.3f} passes")
    return found


def _weak_slices(cases: Sequence[Case], target: float, policy: AutonomyPolicy) -> list[str]:
    """Parts of a segment that a good average would hide: each sales channel, and what was judged blind."""
    slices: dict[str, list[Case]] = {}
    for case in cases:
        slices.setdefault(f"channel {case.channel}", []).append(case)
        if case.blind:
            slices.setdefault("blind answers", []).append(case)
    weak = []
    for name, part in sorted(slices.items()):
        count = tally(part)
        bound = wilson_lower(count.cases - count.wrong, count.cases, Z_THREE_LOOKS)
        if count.cases >= policy.slice_cases and bound < target - policy.slice_margin:
            weak.append(f"{name}: agreement is only proven to be {bound:.1%} on {count.cases} answers")
    return weak


def _reliability(cases: Sequence[Case]) -> Reliability | None:
    judged = [(case.confidence, case.agreed) for case in cases if case.eligible and case.confidence is not None]
    return measured(judged) if judged else None


def advance(
    standing: Standing, cases: Sequence[Case], now: datetime, signs: Signs, policy: AutonomyPolicy = POLICY
) -> Change | None:
    """What the record makes of the segment now; None when nothing changes.

    ``cases`` are those decided since ``standing.since``, oldest first.
    """
    if standing.level is not Level.SUGGESTION:
        lost = lost_because(standing, cases, now, signs, policy)
        return demoted(standing, lost, now) if lost else _stepped(standing, cases, now, policy)
    if not look_due(standing, cases, now, signs, policy):
        return None
    count, missing = tally(cases), shortfalls(standing, cases, signs, policy)
    looked = {"looks": standing.looks + 1, "looked_at_cases": count.cases, "by": "signalbox"}
    if missing:
        why = f"look {standing.looks + 1}: {'; '.join(missing)}"
        return Change(standing=standing.model_copy(update=looked | {"why": why}), kind="looked")
    why = f"look {standing.looks + 1}: {count.wrong} disagreements in {count.cases} answers"
    return promoted(standing.model_copy(update=looked), count, now, why=why, features=signs.features)


def promoted(
    standing: Standing, count: Tally, now: datetime, *, why: str,
    features: Mapping[str, Mapping[str, int]], by: str = "signalbox",
) -> Change:  # fmt: skip
    """The segment on the first step of the ramp."""
    made = {
        "level": Level.TENTH,
        "stepped_at": now,
        "promoted": True,
        # Smoothed, so that a record without any disagreement does not make the first one an alarm.
        "baseline": (count.wrong + 1) / (count.cases + 2),
        "features": {name: dict(bins) for name, bins in features.items()},
        "why": why,
        "by": by,
    }
    return Change(standing=standing.model_copy(update=made), kind="promoted")


def demoted(standing: Standing, why: str, now: datetime, *, by: str = "signalbox") -> Change:
    """The segment back in suggestion, its record begun anew."""
    made = {
        "level": Level.SUGGESTION, "since": now, "stepped_at": now, "looks": 0, "looked_at_cases": 0,
        "baseline": 0.0, "features": {}, "why": why, "by": by,
    }  # fmt: skip
    return Change(standing=standing.model_copy(update=made), kind="demoted")


def _stepped(standing: Standing, cases: Sequence[Case], now: datetime, policy: AutonomyPolicy) -> Change | None:
    if standing.level is Level.FULL:
        return None
    count = tally([case for case in cases if case.decided_at >= standing.stepped_at])
    target = policy.target_of(standing.segment.action, standing.segment.outcome)
    if count.cases < policy.ramp_cases or (count.agreement or 0.0) < target:
        return None
    why = f"{count.wrong} disagreements in {count.cases} answers since {standing.level.value}"
    made = {"level": standing.level.next, "stepped_at": now, "why": why, "by": "signalbox"}
    return Change(standing=standing.model_copy(update=made), kind="stepped")


def lost_because(
    standing: Standing, cases: Sequence[Case], now: datetime, signs: Signs, policy: AutonomyPolicy = POLICY
) -> str:
    """Why the segment loses its autonomy; empty when it keeps it."""
    target = policy.target_of(standing.segment.action, standing.segment.outcome)
    # What was answered before the promotion has been weighed already.
    since = [case for case in cases if case.eligible and case.decided_at >= standing.stepped_at]
    recent = tally([case for case in cases if case.eligible][-policy.recent :])
    if any(case.severe for case in cases):
        return "a severe error: an irreversible wrong action of high value"
    if recent.cases >= policy.recent and recent.interval[1] < target:
        return f"agreement on the last {recent.cases} answers is at most {recent.interval[1]:.1%}, needed {target:.0%}"
    if rate_alarm([not case.agreed for case in since], before=standing.baseline, batch=policy.cusum_batch):
        return f"overrides have risen above the {standing.baseline:.1%} they were at"
    return _signs_lost(standing, cases, now, signs, policy)


def _signs_lost(standing: Standing, cases: Sequence[Case], now: datetime, signs: Signs, policy: AutonomyPolicy) -> str:
    judged = [(case.confidence, case.agreed) for case in cases if case.confidence is not None]
    if len(judged) >= policy.measured_cases:
        found = measured(judged)
        if found.error > max(policy.worst_error, found.floor):
            return f"calibration error {found.error:.3f} on {found.cases} answers"
    if signs.asked >= policy.least_asked and signs.silent * 100 > signs.asked * policy.silent_percent:
        return f"{signs.silent} of {signs.asked} questions got no answer in time within {policy.silent_for}"
    if signs.calibrated_at is not None and now - signs.calibrated_at > policy.calibration_age:
        return f"the calibration in force is from {signs.calibrated_at:%Y-%m-%d}, older than {policy.calibration_age}"
    for name, bins in sorted(signs.features.items()):
        before = standing.features.get(name, {})
        enough = min(sum(before.values()), sum(bins.values())) >= policy.measured_cases
        if enough and (moved := stability_index(before, bins)) > policy.moved:
            return f"{name} is distributed otherwise than when it was promoted (stability index {moved:.2f})"
    return ""
