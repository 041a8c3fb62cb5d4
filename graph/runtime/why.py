"""The answer to "which agent did what to this entity, when, why, with which versions and inputs, and who overrode".

Built from audit rows alone, so it outlives the working state; events the relay has not carried yet can be merged in.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from domain.automation import OBSERVED
from domain.decision import CONFIDENCE_TO_ACT, Mode, Outcome
from domain.errors import NotFound
from domain.event import Event
from domain.review import ReviewAction, ReviewState
from graph.runtime.audit_chain import AuditRow, probability
from graph.runtime.explanation import ConflictStep, EffectStep, Entry, Explanation, Ground, Override, ReviewStep

_SHOWN_APART = frozenset({"decision", "confidence", "outcome", "reasons", "flags", "counterfactual"})
CONFLICT = "conflict.recorded"
"""How an entity's events name two decisions that could not both stand."""
_GOES_ON = frozenset({Outcome.PROCEED.value, Outcome.LIMIT.value})
_STOPS = frozenset({Outcome.HOLD.value, Outcome.REJECT.value})


def explain(rows: Sequence[AuditRow], live_events: Sequence[Event] = ()) -> Explanation:
    """Explain one entity from its audit rows, oldest first, and events that are not audited yet.

    Raises:
        NotFound: nothing is recorded.
        ValueError: rows or events of more than one entity were given.
    """
    seen: dict[str, tuple[Event, bool]] = {}
    for event, audited in [*((row.event, True) for row in rows), *((event, False) for event in live_events)]:
        seen.setdefault(event.event_id, (event, audited))
    if not seen:
        raise NotFound("nothing is recorded under this id; check the id and the tenant")
    timeline = in_order(list(seen.values()))
    entities = {(event.tenant, event.entity_type, event.entity_id) for event, _ in timeline}
    if len(entities) != 1:
        raise ValueError(f"an explanation is of one entity, not of {len(entities)}")
    tenant, entity_type, entity_id = entities.pop()
    entries = tuple(_entry(event, audited) for event, audited in timeline)
    reviews = _reviews(entries)
    return Explanation(
        tenant=tenant,
        entity_type=entity_type,
        entity_id=entity_id,
        outcome=_outcome(entries),
        entries=entries,
        overrides=tuple(_overrides(entries, reviews)),
        effects=tuple(_effect(entry) for entry in entries if _happening(entry).startswith("effect.")),
        reviews=tuple(reviews.values()),
        conflicts=tuple(_conflict(entry) for entry in entries if _happening(entry) == CONFLICT),
        usd_micro=sum(entry.usd_micro for entry in entries),
    )


def withheld(explained: Explanation) -> Explanation:
    """The explanation for somebody who is asked without being told what the machine thinks: no agent's conclusions."""
    entries = tuple(
        entry
        if entry.decision is None and _happening(entry) != CONFLICT
        else entry.model_copy(
            update={
                "decision": "withheld" if entry.decision else None,
                "outcome": None,
                "confidence": None,
                "reasons": (),
                "flags": (),
                "counterfactual": (),
                "facts": {},
            }
        )
        for entry in explained.entries
    )
    steps = tuple(step.model_copy(update={"recommendation": ""}) for step in explained.reviews)
    return explained.model_copy(update={"entries": entries, "reviews": steps, "conflicts": (), "overrides": ()})


def in_order(recorded: Sequence[tuple[Event, bool]]) -> list[tuple[Event, bool]]:
    """Events in the journal's order.

    The journal numbers an entity from 1 again once its working state expired, and a replayed dead letter is recorded
    late: a number that was seen before starts a new life of the entity; within a life the numbers decide.
    """
    lives: list[dict[int, tuple[Event, bool]]] = [{}]
    unnumbered: list[tuple[Event, bool]] = []
    for event, audited in recorded:
        if event.sequence == 0:
            unnumbered.append((event, audited))
            continue
        if event.sequence in lives[-1]:
            lives.append({})
        lives[-1][event.sequence] = event, audited
    numbered = [life[number] for life in lives for number in sorted(life)]
    return numbered + sorted(unnumbered, key=lambda pair: pair[0].timestamp)


def _happening(entry: Entry) -> str:
    """The event type without the entity it is about (``review.decided``)."""
    return entry.event.partition(".")[2]


def _outcome(entries: Sequence[Entry]) -> str:
    for entry in reversed(entries):
        happening = _happening(entry)
        if happening.startswith("progress."):
            return happening.removeprefix("progress.")
    return _happening(entries[-1])


def _entry(event: Event, audited: bool) -> Entry:
    result, metadata = event.result, event.metadata
    cost = metadata.get("cost")
    return Entry(
        event_id=event.event_id,
        sequence=event.sequence,
        at=event.timestamp,
        actor=_text(metadata, "actor") or event.agent_name,
        event=event.event_type,
        decision=_text(result, "decision") or None,
        outcome=_text(result, "outcome") or None,
        confidence=probability(result.get("confidence")),
        reasons=tuple(_grounds(result.get("reasons"))),
        flags=tuple(_texts(result.get("flags"))),
        counterfactual=tuple(_texts(result.get("counterfactual"))),
        versions=_versions(metadata),
        mode=_text(metadata, "mode") or None,
        inputs_digest=_text(metadata, "inputs_digest") or None,
        order_version=_whole(metadata.get("order_version")),
        processing_time_ms=_whole(metadata.get("processing_time_ms")),
        usd_micro=(_whole(cost.get("usd_micro")) or 0) if isinstance(cost, dict) else 0,
        facts={name: value for name, value in result.items() if name not in _SHOWN_APART},
        audited=audited,
    )


def _grounds(value: object) -> Iterable[Ground]:
    for item in value if isinstance(value, list | tuple) else ():
        if isinstance(item, dict):
            named = {name: item[name] for name in Ground.model_fields if isinstance(item.get(name), str)}
            yield Ground.model_validate({"code": "", **named})
        elif isinstance(item, str):
            yield Ground(code="", text=item)


def _versions(metadata: Mapping[str, Any]) -> dict[str, str]:
    named = metadata.get("versions")
    versions = {k: v for k, v in named.items() if isinstance(v, str) and v} if isinstance(named, dict) else {}
    agent = _text(metadata, "model_version")
    return {"agent": agent, **versions} if agent else versions


def _reviews(entries: Sequence[Entry]) -> dict[str, ReviewStep]:
    found: dict[str, ReviewStep] = {}
    for entry in entries:
        review_id = _text(entry.facts, "review_id")
        happening = _happening(entry)
        if not review_id or not happening.startswith("review."):
            continue
        step = found.get(review_id) or _question(review_id, entry)
        match happening:
            case "review.decided":
                found[review_id] = step.model_copy(update=_answer(entry) | {"state": ReviewState.DECIDED})
            case "review.voided":
                found[review_id] = step.model_copy(update=_answer(entry) | {"state": ReviewState.VOID})
            case _:
                found[review_id] = step
    return found


def _question(review_id: str, entry: Entry) -> ReviewStep:
    return ReviewStep(
        review_id=review_id,
        state=ReviewState.OPEN,
        stage=_text(entry.facts, "stage"),
        recommendation=_text(entry.facts, "recommendation"),
        requested_at=entry.at if _happening(entry) == "review.requested" else None,
        closed_at=None,
        decided_by="",
        action="",
        via="",
        reason="",
    )


def _answer(entry: Entry) -> dict[str, Any]:
    nested = entry.facts.get("answer")
    answer: Mapping[str, Any] = nested if isinstance(nested, dict) else entry.facts
    return {
        "closed_at": entry.at,
        "decided_by": _text(answer, "decided_by") or entry.actor,
        "action": _text(answer, "action") or entry.decision or "",
        "via": _text(answer, "via"),
        "reason": _text(answer, "reason"),
    }


def _overrides(entries: Sequence[Entry], reviews: Mapping[str, ReviewStep]) -> Iterable[Override]:
    latest: dict[str, Entry] = {}
    for entry in entries:
        if entry.mode == OBSERVED:
            continue  # an automation's word settles nothing, so nobody overruled it
        happening = _happening(entry)
        if happening == "review.decided":
            review = reviews.get(_text(entry.facts, "review_id"))
            override = _overruling(entry, review, latest) if review else None
        else:
            override = _replacement(entry, latest)
        if override is not None:
            yield override
        if happening.endswith(".completed") and entry.decision is not None:
            latest[entry.event] = entry


def _overruling(entry: Entry, review: ReviewStep, latest: Mapping[str, Entry]) -> Override | None:
    """What a person's answer replaced: agents that would have stopped, or gone on had they been sure; an edited plan."""
    if review.action == ReviewAction.REJECT:
        against = [said for said in latest.values() if said.outcome in _GOES_ON and not _sure(said)]
        contrary = review.recommendation == ReviewAction.APPROVE
    else:
        against = [said for said in latest.values() if said.outcome in _STOPS]
        contrary = review.recommendation == ReviewAction.REJECT or review.action == ReviewAction.EDIT
    if not against and not contrary:
        return None
    return Override(
        at=entry.at,
        by=review.decided_by,
        was=", ".join(said.decision or "" for said in against) or review.recommendation,
        became=review.action,
        agents=tuple(said.actor for said in against),
        reason=review.reason,
        event_id=entry.event_id,
    )


def _sure(entry: Entry) -> bool:
    return entry.confidence is not None and entry.confidence >= CONFIDENCE_TO_ACT


def _replacement(entry: Entry, latest: Mapping[str, Entry]) -> Override | None:
    """A decision a person wrote in an agent's place."""
    before = latest.get(entry.event)
    if entry.mode != Mode.HUMAN or before is None or before.decision == entry.decision:
        return None
    return Override(
        at=entry.at,
        by=entry.actor,
        was=before.decision or "",
        became=entry.decision or "",
        agents=(before.actor,),
        reason="; ".join(ground.text or ground.code for ground in entry.reasons),
        event_id=entry.event_id,
    )


def _effect(entry: Entry) -> EffectStep:
    said = entry.facts
    return EffectStep(
        at=entry.at,
        state=_happening(entry).removeprefix("effect."),
        kind=_text(said, "kind"),
        key=_text(said, "key"),
        reference=_text(said, "reference"),
        decision_id=_text(said, "decision_id"),
        reason=_text(said, "reason") or _text(said, "refusal"),
    )


def _conflict(entry: Entry) -> ConflictStep:
    said = entry.facts
    return ConflictStep(
        at=entry.at,
        facet=_text(said, "facet"),
        winner=_text(said, "winner"),
        loser=_text(said, "loser"),
        decision_ids=tuple(_texts(said.get("decision_ids"))),
        rules=tuple(_texts(said.get("rules"))) or (_text(said, "rule"),),
        form=_text(said, "form"),
        ask=said.get("ask") is True,
        policy=_text(said, "policy"),
        sentence=_text(said, "sentence"),
    )


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) else ""


def _texts(value: object) -> Iterable[str]:
    return (item for item in value if isinstance(item, str)) if isinstance(value, list | tuple) else ()


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
