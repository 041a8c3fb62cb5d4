"""Tables of promoted rules: what people said about models' answers, and the rules made of it. Rows are never deleted."""

from sqlalchemy import Boolean, Column, Index, Table, Text

from graph.runtime.audit_schema import UtcText, metadata

model_confirmations = Table(
    "model_confirmations",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("decision_id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("rule_id", Text, nullable=False),
    Column("agreed", Boolean, nullable=False),
    Column("at_utc", UtcText, nullable=False),
    Column("body", Text, nullable=False),
    Index("model_confirmations_by_agent", "tenant", "agent", "at_utc"),
    Index("model_confirmations_by_rule", "tenant", "rule_id", "at_utc"),
)
"""One row a model's answer (or a rule's in its place) that a person has agreed or disagreed with."""

promoted_rules = Table(
    "promoted_rules",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("rule_id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("changed_at", UtcText, nullable=False),
    Column("body", Text, nullable=False),
    Index("promoted_rules_in_force", "tenant", "agent", "state"),
)
