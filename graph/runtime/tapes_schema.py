"""Tables of the tapes: what each decision rested on, and the texts that tapes name by digest.

They hold personal data and can be erased by order, unlike the audit.
"""

from sqlalchemy import Column, Index, Table, Text

from graph.runtime.audit_schema import UtcText, metadata

decision_tapes = Table(
    "decision_tapes",
    metadata,
    Column("decision_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("asked_at", UtcText, nullable=False),
    Column("order_digest", Text, nullable=False),
    Column("tape", Text, nullable=False),
    Index("decision_tapes_by_agent", "tenant", "agent", "asked_at"),
    Index("decision_tapes_by_entity", "tenant", "entity_id"),
)
"""``tape`` is the tape's JSON without its values."""

tape_values = Table(
    "tape_values",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("entity_id", Text, nullable=False),
    Column("text", Text, nullable=False),
    Index("tape_values_by_entity", "tenant", "entity_id"),
)
"""``entity_id`` is the order whose document it is; empty for what many orders share."""
