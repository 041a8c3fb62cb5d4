"""Tables of published policies: every version anybody wrote, and what was put in force when, by whom, why."""

from sqlalchemy import Column, Index, Table, Text

from graph.runtime.audit_schema import UtcText, metadata

policy_versions = Table(
    "policy_versions",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("text", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("written_at", UtcText, nullable=False),
)
"""A draft may be written again until it has been published once; from then on it never changes."""

policy_publications = Table(
    "policy_publications",
    metadata,
    Column("publication_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcText, nullable=False),
    Column("in_force_from", UtcText, nullable=False),
    Column("reports", Text, nullable=False),
    Index("policy_publications_by_subject", "tenant", "subject", "in_force_from"),
)
"""Only ever added to: going back is a publication too."""
