"""Where agents stand, as API and command line show it: how often people agree, how sure that is, and what is missing."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from domain.autonomy import Level, Segment
from domain.calibration import ConfidenceCalibration, Curve
from domain.errors import InputError
from domain.promotion import Case, Tally, first_at, shortfalls, tally
from domain.proportions import wilson_lower, wilson_upper
from evals.confidence_fitting import fit
from graph.bootstrap.system import Signalbox
from graph.runtime.autonomy_judge import Record
from graph.topology.model import Autonomy

Json = dict[str, Any]


async def standings(box: Signalbox, tenant: str, agent: str | None = None) -> Json:
    """Every segment with its record, and every agent's accuracy over all of them.

    Raises:
        StoreUnavailable: it cannot be read now.
    """
    modes = {node.name: node.mode for node in box.workflow.agents}
    segments = [one for one in await _segments(box, tenant) if agent in {None, one.agent}]
    shown, by_agent = [], dict[tuple[str, str], list[Case]]()
    for segment in segments:
        record = await box.autonomy.judge.record(segment)
        shown.append(_segment(box, record, modes.get(segment.agent)))
        by_agent.setdefault((segment.agent, segment.version), []).extend(record.cases)
    agents = [
        {"agent": name, "version": version, "mode": modes[name].value if name in modes else None} | _accuracy(cases)
        for (name, version), cases in sorted(by_agent.items())
    ]
    return {"policy": box.autonomy.judge.policy.version, "agents": agents, "segments": shown}


async def find_segment(
    box: Signalbox, tenant: str, agent: str, *, action: str, market: str, band: str, version: str | None
) -> Segment:
    """The one segment a command names; the newest version's unless another is named.

    Raises:
        InputError: there is none; the message lists those there are.
    """
    known = [one for one in await _segments(box, tenant) if one.agent == agent]
    same = [one for one in known if (one.action, one.market, one.band.value) == (action, market, band)]
    found = [one for one in same if version in {None, one.version}]
    if not found:
        names = "; ".join(sorted({f"{s.action} in {s.market}, {s.band.value}" for s in known})) or "none yet"
        raise InputError(f"{agent} has no record of {action} in {market}, {band}; it has: {names}")
    placed = {node.version for node in box.workflow.agents if node.name == agent}
    return next((one for one in found if one.version in placed), found[-1])


async def drafts(box: Signalbox, tenant: str, agent: str | None = None) -> list[Json]:
    """Fit every agent's confidence to people's answers, keep the result as a draft, and show it beside what is in force.

    Raises:
        StoreUnavailable: it cannot be read or kept now.
    """
    area, now = box.autonomy, box.clock.now()
    found = []
    for name in sorted({one.agent for one in await area.ledger.segments(tenant) if agent in {None, one.agent}}):
        labels = await area.ledger.labels(tenant, name, now - timedelta(days=91))
        draft = fit(labels, tenant=tenant, agent=name, now=now)
        if draft is None:
            continue
        await area.calibrations.propose(draft)
        in_force = (await area.book.fresh(tenant, name)).calibration
        found.append(
            {
                "agent": name,
                "version": draft.version,
                "draft": draft.calibration_id,
                "made_at": draft.made_at.isoformat(),
                "in_force": in_force.calibration_id if in_force else None,
                "curves": [_curve(curve, in_force) for curve in draft.curves],
            }
        )
    return found


async def _segments(box: Signalbox, tenant: str) -> list[Segment]:
    """Segments people have answered in, and those whose standing was ever changed."""
    known = dict.fromkeys(await box.autonomy.ledger.segments(tenant))
    for name in sorted({node.name for node in box.workflow.agents} | {one.agent for one in known}):
        earned = await box.autonomy.book.fresh(tenant, name)
        known |= {standing.segment: None for standing in earned.standings.values()}
    return sorted(known, key=lambda one: (one.agent, one.version, one.action, one.market, one.band))


def _segment(box: Signalbox, record: Record, mode: Autonomy | None) -> Json:
    standing, of = record.standing, record.standing.segment
    return {
        **of.model_dump(mode="json", exclude={"tenant", "outcome"}),
        "level": standing.level.value,
        "in_effect": mode is Autonomy.EARNED,
        "target": box.autonomy.judge.policy.target_of(of.action, of.outcome),
        "looks": standing.looks,
        "why": standing.why,
        "by": standing.by,
        "needs": needs(box, record, mode),
    } | _accuracy(record.cases)


def _accuracy(cases: Sequence[Case]) -> Json:
    count = tally(cases)
    visible = Tally(
        cases=count.cases - count.blind_cases, wrong=count.wrong - count.blind_wrong, blind_cases=0, blind_wrong=0
    )
    low, high = count.interval
    return {
        "answers": count.cases,
        "disagreements": count.wrong,
        "agreement": count.agreement,
        "interval": [round(low, 4), round(high, 4)],
        "blind": _part(count.blind_cases, count.blind_wrong),
        "visible": _part(visible.cases, visible.wrong),
        "not_sure_enough": len(cases) - count.cases,
    }


def _part(cases: int, wrong: int) -> Json:
    bounds = [round(wilson_lower(cases - wrong, cases), 4), round(wilson_upper(cases - wrong, cases), 4)]
    return {"answers": cases, "agreement": (cases - wrong) / cases if cases else None, "interval": bounds}


def needs(box: Signalbox, record: Record, mode: Autonomy | None) -> list[str]:
    """What a segment still needs for its next step, in sentences; empty when nothing is left to earn."""
    standing, policy, count = record.standing, box.autonomy.judge.policy, tally(record.cases).cases
    if not standing.segment.promotable:
        return ["asking or holding is nothing an agent does by itself"]
    if mode is not Autonomy.EARNED:
        return [f"mode: earned in the topology file; it says {mode.value}" if mode else "a place in the topology file"]
    if standing.level is Level.FULL:
        return []
    if standing.level is not Level.SUGGESTION:
        since = tally([case for case in record.cases if case.decided_at >= standing.stepped_at]).cases
        return [f"{max(0, policy.ramp_cases - since)} more answers at the target for {standing.level.next.value}"]
    if standing.looks >= policy.looks:
        return [f"a new version, or a new record (agents demote): its {policy.looks} looks are used up"]
    missing = shortfalls(standing, record.cases, record.signs, policy)
    if standing.looks:
        return [f"the next look, at {standing.looked_at_cases + policy.more_cases} answers", *missing]
    first = first_at(standing.segment, record.signs, policy)
    day = f" or on {min(c.decided_at for c in record.cases) + policy.first_after:%Y-%m-%d}" if record.cases else ""
    return [f"the first look, at {first} answers{day} ({count} so far)", *missing]


def _curve(curve: Curve, in_force: ConfidenceCalibration | None) -> Json:
    held = next(
        (c for c in in_force.curves if (c.action, c.market_group) == (curve.action, curve.market_group)), None
    ) if in_force else None  # fmt: skip
    return {
        "action": curve.action,
        "market_group": curve.market_group,
        "labels": curve.labels,
        "agreement": curve.right / curve.labels,
        "interval": [
            round(wilson_lower(curve.right, curve.labels), 4), round(wilson_upper(curve.right, curve.labels), 4)
        ],
        "method": curve.method,
        "calibration_error": round(curve.stated.error, 4),
        "noise_floor": round(curve.stated.floor, 4),
        "holds": curve.stated.holds,
        "suggested_threshold": curve.threshold,
        "threshold_in_force": held.threshold if held else None,
        "most_errors": curve.most_errors,
        "bins": [one.model_dump(mode="json") for one in curve.stated.bins],
    }  # fmt: skip
