"""The events of the review desk: ``<entity>.review.<happening>``, in the stream of the entity the review is about."""

from datetime import datetime
from typing import Any

from domain.event import Event
from domain.ids import EventId, stable_id
from domain.review import Review, ReviewAnswer, ReviewState
from domain.review_case import Case, agreed, overruled


def review_event(
    review: Review, happening: str, facts: dict[str, Any], *, by: str, at: datetime, part: str = ""
) -> Event:
    """A happening on a review; ``part`` tells apart those that may come more than once."""
    kind = f"{review.entity_type}.review.{happening}"
    person = by.startswith(("user:", "key:"))
    return Event(
        event_id=EventId(stable_id(review.thread_id, kind, review.review_id, part)),
        event_type=kind,
        entity_type=review.entity_type,
        entity_id=review.entity_id,
        agent_name=f"person:{by}" if person else "signalbox",
        timestamp=at,
        result={"review_id": review.review_id, "stage": review.stage, "queue": review.queue, **facts},
        metadata={"actor": by},
        tenant=review.tenant,
        sequence=0,
        correlation_id=review.correlation_id or review.review_id,
        currency=review.currency,
        locale=review.locale,
    )


def decided(review: Review, case: Case, answer: ReviewAnswer) -> Event:
    """The event of the answer that runs, with what the measures need to know of it."""
    claimed = case.claimed_by == answer.decided_by and case.claimed_at is not None
    first, told = case.approval, review.facts.get("decisions")
    facts: dict[str, Any] = {
        "recommendation": review.recommendation,
        "action": answer.action.value,
        "decided_by": answer.decided_by,
        "via": answer.via,
        "reason": answer.reason,
        "edited": sorted(answer.edits),
        "content_digest": review.content_digest,
        "first_approval": first.by if first else None,
        "asked_at": review.created_at.isoformat(),
        "deadline": review.deadline.isoformat(),
        "claimed_at": case.claimed_at.isoformat() if claimed and case.claimed_at else None,
        "blind": review.blind,
        "agreed": agreed(review, answer.action),
        "agents": sorted(told) if isinstance(told, dict) else [],
        "overruled": [] if answer.via == "timeout" else list(overruled(review, answer.action)),
    }
    return review_event(review, "decided", facts, by=answer.decided_by, at=answer.decided_at)


def refused(review: Review, answer: ReviewAnswer, why: str, state: ReviewState) -> Event:
    """An answer that changed nothing, kept with its reason."""
    facts = {
        "action": answer.action.value,
        "by": answer.decided_by,
        "via": answer.via,
        "reason": answer.reason,
        "why": why,
        "state": state.value,
    }
    part = f"{answer.decided_by}:{answer.action}:{answer.decided_at.isoformat()}"
    return review_event(review, "answer_refused", facts, by=answer.decided_by, at=answer.decided_at, part=part)
