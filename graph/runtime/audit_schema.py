"""Tables of the SQL audit: events chained by hash per entity, the head of each chain, and the history of reviews.

``audit_events`` is only ever inserted into; triggers made by the migrations refuse everything else.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Dialect, Float, Index, Integer, MetaData, Table, Text, UniqueConstraint
from sqlalchemy.types import TypeDecorator


def utc_text(at: datetime) -> str:
    """An instant as ISO-8601 UTC text of fixed width, so that text order is time order."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


class UtcText(TypeDecorator[datetime]):
    """A zone-aware instant kept as text: SQLite gives its own date type back without a zone."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: D102
        return None if value is None else utc_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: D102
        return None if value is None else datetime.fromisoformat(value)


metadata = MetaData()

audit_events = Table(
    "audit_events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("entity_type", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("agent_version", Text),
    Column("decision", Text),
    Column("confidence", Float),
    Column("mode", Text),
    Column("actor", Text, nullable=False),
    Column("at_utc", UtcText, nullable=False),
    Column("inputs_digest", Text),
    Column("payload", Text, nullable=False),
    Column("recorded_at", UtcText, nullable=False),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("salt", Text, nullable=False, server_default=""),
    UniqueConstraint("event_id", name="audit_events_once"),
    UniqueConstraint("tenant", "entity_type", "entity_id", "position", name="audit_events_one_chain"),
    Index("audit_events_by_agent", "agent", "agent_version"),
    Index("audit_events_by_time", "at_utc"),
    Index("audit_events_by_recording", "recorded_at"),
)
"""``position`` counts an entity's rows without a gap; ``sequence`` is the journal's number, which starts again when an
entity is touched after its working state expired, and arrives late when a dead letter is replayed. ``salt`` keeps the
digest of an erased payload from being guessed: it goes with the payload."""

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("entity_type", Text, primary_key=True),
    Column("entity_id", Text, primary_key=True),
    Column("length", BigInteger, nullable=False),
    Column("last_hash", Text, nullable=False),
    Column("pruned", BigInteger, nullable=False, server_default="0"),
    Column("pruned_hash", Text, nullable=False, server_default="0" * 64),
    Index("audit_heads_by_id", "tenant", "entity_id"),
)
"""Where each chain ends, and where it begins since its oldest rows were pruned: writers lock its row, and a chain cut
short is noticed by it."""

audit_permits = Table(
    "audit_permits",
    metadata,
    Column("act", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
)
"""What the guards let pass within one transaction, which takes its permits back: ``prune``, or ``erase`` of one event."""

reviews = Table(
    "reviews",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("review_id", Text, primary_key=True),
    Column("entity_type", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("stage", Text),
    Column("recommendation", Text),
    Column("requested_at", UtcText),
    Column("deadline", UtcText),
    Column("decided_at", UtcText),
    Column("decided_by", Text),
    Column("action", Text),
    Column("via", Text),
    Column("reason", Text),
    Index("reviews_by_entity", "tenant", "entity_type", "entity_id"),
    Index("reviews_by_state", "tenant", "state", "requested_at"),
)
"""What the review events of the audit say, one row a review."""
