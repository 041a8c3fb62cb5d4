"""The table of what people's edits have taught. Rows are never deleted: an undone one stays on record."""

from sqlalchemy import Column, Index, Table, Text

from graph.runtime.audit_schema import UtcText, metadata

edit_examples = Table(
    "edit_examples",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("example_id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("cue", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("taught_at", UtcText, nullable=False),
    Column("undone_at", UtcText),
    Column("undone_by", Text, nullable=False),
    Column("undone_reason", Text, nullable=False),
    Index("edit_examples_by_situation", "tenant", "agent", "kind", "cue", "taught_at"),
)
"""``body`` is the example as it was taught; whether it has influence stands in the ``undone`` columns."""
