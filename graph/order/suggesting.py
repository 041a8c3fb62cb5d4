"""What agents recommend to the person who reviews an order: kept with the question, so that the answer teaches something."""

from domain.autonomy import band_of, note_of, version_of
from domain.decision import Decision, Mode, Outcome
from domain.values import Plain
from graph.gate import SUGGESTION, WITHDRAWN
from graph.order.earning import market_of
from graph.order.run import OrderRun
from graph.order.state import OrderGraphState

TO_REJECT = 0.90
"""What a rejection must be sure of to happen unasked; the conflict policy's figure for what cannot be undone."""
LOW_CONFIDENCE = "LOW_CONFIDENCE"
_GOING = frozenset({SUGGESTION, WITHDRAWN, LOW_CONFIDENCE})
"""Grounds of agents that would go on; every other ground is a reason to stop."""
_NOT_ITS_WORD = frozenset({Mode.FALLBACK, Mode.HUMAN, Mode.SHADOW})


def only_suggestions(state: OrderGraphState) -> bool:
    """Whether nothing but suggestions stopped the order: only then can a person decide without seeing them."""
    grounds = state.get("grounds", [])
    return bool(grounds) and all(ground["code"] == SUGGESTION for ground in grounds)


def proposed(state: OrderGraphState, run: OrderRun) -> list[Plain]:
    """The recommendations among the grounds of a question; none about a release that failed."""
    if not state.get("stage"):
        return []
    codes: dict[str, set[str]] = {}
    for ground in state.get("grounds", []):
        codes.setdefault(str(ground["agent"]), set()).add(str(ground["code"]))
    stopped_by = {agent for agent, named in codes.items() if named - _GOING}
    found: list[Plain] = []
    for agent, named in sorted(codes.items()):
        decision = run.decisions.get(agent)
        if decision is None or decision.mode in _NOT_ITS_WORD or decision.outcome is Outcome.REVIEW:
            continue
        stops = decision.outcome in {Outcome.HOLD, Outcome.REJECT}
        if stops or named & _GOING:
            found.append(_told(run, decision, stops=stops, disputed=bool(stopped_by - {agent})))
    return found


def _told(run: OrderRun, decision: Decision, *, stops: bool, disputed: bool) -> dict[str, Plain]:
    note = note_of(decision)
    stated = note.stated if note is not None else None
    if note is None and decision.confidence is not None:
        stated = f"{decision.confidence:.6f}"
    sure = decision.confidence is not None and decision.confidence >= TO_REJECT
    return {
        "agent": decision.agent,
        "version": version_of(decision.versions.agent, decision.versions.model),
        "decision_id": decision.decision_id,
        "action": decision.decision,
        "outcome": decision.outcome.value,
        "market": market_of(run),
        "band": band_of(run.exposure_usd).value,
        "channel": run.order.channel.value,
        "usd_minor": run.usd_minor,
        "stated": stated,
        "confidence": None if decision.confidence is None else f"{decision.confidence:.6f}",
        "eligible": sure if decision.outcome is Outcome.REJECT else decision.may_act,
        "sampled": note is not None and note.sampled,
        "stops": stops,
        "disputed": disputed,
    }
