"""Learns from the journal what people and outcomes say about recommendations, and counts how earning agents are doing."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import structlog

from domain.autonomy import Note, Segment, note_of, segment_of, version_of
from domain.decision import Decision, Mode, Outcome
from domain.errors import MalformedPayload, NotFound
from domain.event import TOPIC_OF_AGENT, Event
from domain.ids import ThreadId
from domain.ports import Delivery
from domain.review import Review, ReviewAction
from graph.runtime.audit import AuditStore
from graph.runtime.autonomy_counts import AutonomyCounts
from graph.runtime.autonomy_judge import AutonomyJudge
from graph.runtime.autonomy_ledger import AGREED, Suggestion, SuggestionLedger
from graph.runtime.journal import TOPIC, Journal
from graph.runtime.reviews import ReviewDesk

log = structlog.get_logger(__name__)

OUTCOME = "outcome.recorded"
"""How events end that say what came of a decision: ``result`` has ``agent``, ``kind`` and ``wrong``."""
IRREVERSIBLE = frozenset({"chargeback", "cancel"})
"""Outcomes after which nothing can be put right: the goods are gone, or the customer is."""
_DECIDED = ".review.decided"
_NOBODY = frozenset({"timeout"})
"""Ways an answer comes without a person behind it: it teaches nothing."""


class AutonomyListener:
    """Feeds the ledger and lets the judge look at every segment something was learned about."""

    topic = TOPIC
    group = "autonomy"

    def __init__(
        self, reviews: ReviewDesk, journal: Journal, audit: AuditStore, ledger: SuggestionLedger,
        judge: AutonomyJudge, counts: AutonomyCounts, *, earning: Iterable[str],
    ) -> None:  # fmt: skip
        """``earning`` are the agents that earn their autonomy in the topology in force."""
        self._reviews = reviews
        self._journal = journal
        self._audit = audit
        self._ledger = ledger
        self._judge = judge
        self._counts = counts
        self._earning = frozenset(earning)
        self._decisions = frozenset(f".{TOPIC_OF_AGENT.get(name, name)}.completed" for name in self._earning)

    def concerns(self, delivery: Delivery) -> bool:
        """Whether the event is an answer, an outcome, or a decision of an agent that earns its autonomy."""
        kind = delivery.message.headers.get("t", "")
        return kind.endswith((_DECIDED, OUTCOME)) or kind[kind.find(".") :] in self._decisions

    async def handle(self, delivery: Delivery) -> None:
        """Take one event into account, once however often it is delivered.

        Raises:
            MalformedPayload: the event cannot be read.
            StoreUnavailable: it cannot be taken into account now.
        """
        try:
            event = Event.from_json(delivery.message.body)
        except ValueError as bad:
            raise MalformedPayload(f"the event cannot be read: {bad}") from None
        if event.event_type.endswith(_DECIDED):
            await self._answered(event)
        elif event.event_type.endswith(OUTCOME):
            await self._turned_out(event, ThreadId(delivery.message.key))
        else:
            await self._decided(event)

    async def _decided(self, event: Event) -> None:
        await self._counts.asked(
            event.tenant, event.agent_name, silent=event.metadata.get("mode") == Mode.FALLBACK.value,
            at=event.timestamp,
        )  # fmt: skip
        told = event.result.get("inputs", {}).get("autonomy")
        if told is None:
            return
        note = Note.model_validate(told)
        segment = Segment(
            tenant=event.tenant, agent=event.agent_name, version=_version(event), action=event.result["decision"],
            outcome=Outcome(event.result["outcome"]), market=note.market, band=note.band,
        )  # fmt: skip
        await self._counts.decided(segment, note, at=event.timestamp)

    async def _answered(self, event: Event) -> None:
        try:
            review = await self._reviews.find(event.tenant, str(event.result.get("review_id")))
        except NotFound:
            log.warning("autonomy.review_gone", review=event.result.get("review_id"))
            return
        made = suggestions_of(review, taken_up=event.result.get("claimed_at"))
        await self._ledger.record(made)
        for segment in {one.segment: None for one in made}:
            await self._consider(segment)

    async def _turned_out(self, event: Event, thread: ThreadId) -> None:
        agent, kind, wrong = (event.result.get(name) for name in ("agent", "kind", "wrong"))
        if not isinstance(agent, str) or not isinstance(kind, str) or not isinstance(wrong, bool):
            raise MalformedPayload("an outcome names the agent, its kind, and whether the agent was wrong")
        known = await self._ledger.answered(event.tenant, event.entity_id)
        decision = await self._last(event, thread, agent)
        note = None if decision is None else note_of(decision)
        amounts = [one.usd_minor for one in known if one.agent == agent]
        amounts += [note.usd_minor] if note is not None else []
        dear = any(usd is None or usd >= self._judge.policy.severe_usd * 100 for usd in amounts)
        severe = wrong and kind in IRREVERSIBLE and dear
        if severe and decision is not None and note is not None and note.acts and agent in self._earning:
            # Before anything else: orders it has just decided on must not go out.
            why = f"severe: {kind} on {event.entity_id}, which it decided by itself"
            await self._judge.demote(segment_of(decision, note), why)
        await self._ledger.correct(
            event.event_id, tenant=event.tenant, entity_id=event.entity_id, agent=agent, kind=kind, wrong=wrong,
            severe=severe, at=event.timestamp,
        )  # fmt: skip
        for segment in {one.segment: None for one in known if one.agent == agent}:
            await self._consider(segment)

    async def _last(self, event: Event, thread: ThreadId, agent: str) -> Decision | None:
        """The agent's last decision on the entity: from the working state, else as the audit keeps it."""
        live = [one for one in await self._journal.decisions(thread) if one.agent == agent]
        if live:
            return live[-1]
        rows = await self._audit.entity(event.tenant, event.entity_type, event.entity_id)
        for row in reversed(rows):
            if row.agent == agent and row.decision is not None:
                return _decision(Event.from_json(row.payload))
        return None

    async def _consider(self, segment: Segment) -> None:
        if segment.agent in self._earning:
            await self._judge.consider(segment)


def suggestions_of(review: Review, *, taken_up: object = None) -> list[Suggestion]:
    """What a person's answer says about each recommendation of a review; nothing where no person decided.

    ``taken_up`` is when the decider claimed the case (ISO 8601), where the time spent counts from.
    """
    told, answer = review.facts.get("suggestions"), review.answer
    if answer is None or not isinstance(told, list) or answer.via in _NOBODY:
        return []
    found, begun = [], datetime.fromisoformat(taken_up) if isinstance(taken_up, str) else review.created_at
    for one in told:
        said = _said(one, answer.action) if isinstance(one, dict) else None
        if not isinstance(one, dict) or said is None:
            continue
        kept = {name: value for name, value in one.items() if name not in {"stops", "disputed"}}
        found.append(
            Suggestion.model_validate(
                kept
                | {
                    "tenant": review.tenant,
                    "review_id": review.review_id,
                    "entity_type": review.entity_type,
                    "entity_id": review.entity_id,
                    "stated": _number(one.get("stated")),
                    "confidence": _number(one.get("confidence")),
                    "blind": review.blind,
                    "answer": said,
                    "edit_distance": len(answer.edits),
                    "seconds": max(0, round((answer.decided_at - begun).total_seconds())),
                    "decided_by": answer.decided_by,
                    "decided_at": answer.decided_at,
                }
            )
        )
    return found


def _said(one: Mapping[str, Any], action: ReviewAction) -> str | None:
    """Whether the person did as recommended; None where the answer was about something else."""
    if action is ReviewAction.EDIT:
        return "edit"
    if one.get("stops"):
        return AGREED if action is ReviewAction.REJECT else "override"
    if action is ReviewAction.APPROVE:
        return AGREED
    # Rejected while another agent gave reasons to stop: that says nothing about the one that would have gone on.
    return None if one.get("disputed") else "override"


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, str) else None


def _version(event: Event) -> str:
    versions = event.metadata.get("versions", {})
    return version_of(str(versions.get("agent", "")), versions.get("model"))


def _decision(event: Event) -> Decision:
    """The decision an audited event published."""
    told = event.result
    return Decision.model_validate(
        {
            **told,
            "decision_id": event.event_id,
            "tenant": event.tenant,
            "entity_type": event.entity_type,
            "entity_id": event.entity_id,
            "agent": event.agent_name,
            "versions": event.metadata["versions"],
            "inputs_digest": event.metadata["inputs_digest"],
            "order_version": event.metadata["order_version"],
            "mode": event.metadata["mode"],
            "decided_at": event.timestamp,
        }
    )
