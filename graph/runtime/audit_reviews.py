"""The history of reviews, kept beside the audit from the review events in it. Late and repeated events do no harm."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from pydantic import AwareDatetime
from sqlalchemy import Table, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.event import Event
from domain.review import ReviewState
from domain.values import Document
from graph.runtime.audit_schema import audit_events, reviews

_ASKED = ("stage", "recommendation", "requested_at", "deadline")
_ANSWERED = ("state", "decided_at", "decided_by", "action", "via", "reason")
_ENDORSED = 1_000
"""First approvals looked at for one search, newest first."""
_STATES = {
    "review.requested": ReviewState.OPEN,
    "review.decided": ReviewState.DECIDED,
    "review.voided": ReviewState.VOID,
}


class ReviewRecord(Document):
    """One review as the audit knows it."""

    tenant: str
    review_id: str
    entity_type: str
    entity_id: str
    state: ReviewState
    stage: str | None
    recommendation: str | None
    requested_at: AwareDatetime | None
    deadline: AwareDatetime | None
    decided_at: AwareDatetime | None
    decided_by: str | None
    action: str | None
    via: str | None
    reason: str | None


def insert_into(table: Table, connection: AsyncConnection) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that understands ON CONFLICT in the connection's dialect."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


async def project(connection: AsyncConnection, events: Sequence[Event]) -> None:
    """Bring the review rows up to date with newly audited events, inside the caller's transaction."""
    for event in events:
        row = _row(event)
        if row is None:
            continue
        kept = _ASKED if row["state"] is ReviewState.OPEN else _ANSWERED
        statement = insert_into(reviews, connection).values(**row)
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=[reviews.c.tenant, reviews.c.review_id], set_={name: row[name] for name in kept}
            )
        )


def _row(event: Event) -> dict[str, Any] | None:
    _, _, happening = event.event_type.partition(".")
    review_id = event.result.get("review_id")
    if happening not in _STATES or not isinstance(review_id, str):
        return None
    state = _STATES[happening]
    nested = event.result.get("answer")
    answer = nested if isinstance(nested, dict) else event.result
    asked = state is ReviewState.OPEN
    return {
        "tenant": event.tenant,
        "review_id": review_id.replace("\x00", ""),
        "entity_type": event.entity_type,
        "entity_id": event.entity_id,
        "state": state,
        "stage": _text(event.result.get("stage")),
        "recommendation": _text(event.result.get("recommendation")),
        "requested_at": event.timestamp if asked else None,
        "deadline": _instant(event.result.get("deadline")),
        "decided_at": None if asked else event.timestamp,
        "decided_by": None if asked else _text(answer.get("decided_by")) or event.agent_name,
        "action": None if asked else _text(answer.get("action")),
        "via": None if asked else _text(answer.get("via")),
        "reason": None if asked else _text(answer.get("reason")) or _text(answer.get("why")),
    }


def _text(value: object) -> str | None:
    return value.replace("\x00", "") if isinstance(value, str) else None


def _instant(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None else None


async def remembered(connection: AsyncConnection, tenant: str, review_id: str) -> ReviewRecord | None:
    """One review of a tenant, however long ago it was closed."""
    wanted = select(reviews).where(reviews.c.tenant == tenant, reviews.c.review_id == review_id)
    row = (await connection.execute(wanted)).mappings().first()
    return None if row is None else ReviewRecord.model_validate(dict(row))


async def history(
    connection: AsyncConnection, tenant: str, *, state: ReviewState | None, limit: int, reason: str = ""
) -> list[ReviewRecord]:
    """A tenant's reviews, newest question first; with ``reason``, those where an approver's or the answer's holds the text."""
    wanted = select(reviews).where(reviews.c.tenant == tenant)
    if state is not None:
        wanted = wanted.where(reviews.c.state == state)
    if reason:
        endorsed = await _endorsed(connection, tenant, reason)
        said = reviews.c.reason.icontains(reason, autoescape=True)
        wanted = wanted.where(or_(said, reviews.c.review_id.in_(endorsed)))
    found = await connection.execute(wanted.order_by(reviews.c.requested_at.desc()).limit(limit))
    return [ReviewRecord.model_validate(dict(row)) for row in found.mappings()]


async def _endorsed(connection: AsyncConnection, tenant: str, reason: str) -> list[str]:
    """Reviews whose first of two approvals was given with a reason that holds the text."""
    rows = audit_events.c
    written = orjson.dumps(reason).decode()[1:-1]
    told = (
        select(rows.payload)
        .where(rows.tenant == tenant, rows.event_type.like("%.review.endorsed"))
        .where(rows.payload.icontains(written, autoescape=True))
        .order_by(rows.id.desc())
        .limit(_ENDORSED)
    )
    events = [Event.from_json(text) for text in await connection.scalars(told)]
    said = [(str(one.result.get("review_id")), str(one.result.get("reason") or "")) for one in events]
    return sorted({review_id for review_id, text in said if reason.casefold() in text.casefold()})
