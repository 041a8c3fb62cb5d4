"""The table of clocks that run against us."""

from sqlalchemy import Column, Index, Table, Text

from graph.runtime.audit_schema import UtcText, metadata

promise_clocks = Table(
    "promise_clocks",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("clock_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("entity_type", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("started_at", UtcText, nullable=False),
    Column("warn_at", UtcText, nullable=False),
    Column("due_at", UtcText, nullable=False),
    Column("next_at", UtcText),
    Column("state", Text, nullable=False),
    Column("ended_at", UtcText),
    Column("ended_by", Text, nullable=False),
    Index("promise_clocks_due", "next_at"),
    Index("promise_clocks_by_entity", "tenant", "entity_type", "entity_id"),
    Index("promise_clocks_by_kind", "tenant", "kind", "started_at"),
)
"""``next_at`` is when the watch has something to do: the warning, then the breach, then nothing."""
