"""Counts over the audit for screens: what happened how often since when, per minute, and the latest decisions. Never a payload's text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from graph.runtime.audit_schema import audit_events, reviews

_MINUTE_CHARS = len("2026-11-22T15:51")


@dataclass(frozen=True, slots=True)
class Said:
    """One decision, as far as figures need it."""

    agent: str
    decision: str
    mode: str
    confidence: float | None
    took_ms: int
    usd_micro: int


class AuditFigures:
    """Reads figures of one tenant at a time."""

    def __init__(self, engine: AsyncEngine) -> None:
        """The engine of the audit."""
        self._engine = engine

    async def entities_by_event(self, tenant: str, *, since: datetime) -> Mapping[str, int]:
        """How many entities each kind of event happened to."""
        kind, entities = audit_events.c.event_type, func.count(audit_events.c.entity_id.distinct())
        wanted = select(kind, entities).where(audit_events.c.tenant == tenant, audit_events.c.at_utc >= since)
        async with self._engine.connect() as connection:
            return dict((await connection.execute(wanted.group_by(kind))).all())

    async def per_minute(self, tenant: str, kinds: Sequence[str], *, since: datetime) -> Mapping[tuple[str, str], int]:
        """Events by (kind, UTC minute)."""
        minute = func.substr(audit_events.c.at_utc, 1, _MINUTE_CHARS)
        wanted = (
            select(audit_events.c.event_type, minute, func.count())
            .where(
                audit_events.c.tenant == tenant,
                audit_events.c.at_utc >= since,
                audit_events.c.event_type.in_(kinds),
            )
            .group_by(audit_events.c.event_type, minute)
        )
        async with self._engine.connect() as connection:
            return {(kind, at): count for kind, at, count in await connection.execute(wanted)}

    async def latest_decisions(self, tenant: str, *, since: datetime, limit: int = 2000) -> list[Said]:
        """The newest decisions, newest first."""
        wanted = (
            select(audit_events.c.agent, audit_events.c.decision, audit_events.c.mode, audit_events.c.confidence,
                   audit_events.c.payload)
            .where(
                audit_events.c.tenant == tenant,
                audit_events.c.at_utc >= since,
                audit_events.c.decision.is_not(None),
            )
            .order_by(audit_events.c.id.desc())
            .limit(limit)
        )  # fmt: skip
        async with self._engine.connect() as connection:
            return [_said(*row) for row in await connection.execute(wanted)]

    async def answers(self, tenant: str, *, since: datetime) -> Sequence[tuple[str, str, datetime | None, datetime]]:
        """Answered reviews as (recommendation, action, asked at, answered at)."""
        wanted = select(reviews.c.recommendation, reviews.c.action, reviews.c.requested_at, reviews.c.decided_at).where(
            reviews.c.tenant == tenant, reviews.c.state == "decided", reviews.c.decided_at >= since
        )
        async with self._engine.connect() as connection:
            return [(a or "", b or "", c, d) for a, b, c, d in await connection.execute(wanted)]


def _said(agent: str, decision: str, mode: str | None, confidence: float | None, payload: str) -> Said:
    metadata = orjson.loads(payload).get("metadata") or {}
    cost = metadata.get("cost") or {}
    return Said(
        agent, decision, mode or "normal", confidence,
        int(metadata.get("processing_time_ms") or 0), int(cost.get("usd_micro") or 0),
    )  # fmt: skip
