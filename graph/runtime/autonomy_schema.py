"""Tables of earned autonomy: answered suggestions, outcomes that came in later, and drafted calibrations."""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, Table, Text

from graph.runtime.audit_schema import UtcText, metadata

suggestions = Table(
    "suggestions",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("review_id", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("decision_id", Text, nullable=False),
    Column("entity_type", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("market", Text, nullable=False),
    Column("band", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("usd_minor", BigInteger),
    Column("stated", Float),
    Column("confidence", Float),
    Column("eligible", Boolean, nullable=False),
    Column("sampled", Boolean, nullable=False),
    Column("blind", Boolean, nullable=False),
    Column("answer", Text, nullable=False),
    Column("edit_distance", Integer, nullable=False),
    Column("seconds", Integer, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("decided_at", UtcText, nullable=False),
    Column("corrected", Boolean),
    Column("severe", Boolean, nullable=False),
    Index("suggestions_by_segment", "tenant", "agent", "version", "action", "market", "band", "decided_at"),
    Index("suggestions_by_entity", "tenant", "entity_id"),
)
"""One row a recommendation a person has answered; ``corrected`` is what an outcome says the agent was: right or wrong."""

outcomes = Table(
    "autonomy_outcomes",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("entity_id", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("wrong", Boolean, nullable=False),
    Column("at_utc", UtcText, nullable=False),
)
"""Outcomes already taken into account, so that none counts twice."""

calibrations = Table(
    "calibrations",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("calibration_id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("made_at", UtcText, nullable=False),
    Column("body", Text, nullable=False),
    Column("adopted_at", UtcText),
    Column("adopted_by", Text),
    Index("calibrations_by_agent", "tenant", "agent", "made_at"),
)
"""Every calibration ever proposed; the one in force is named by the agent's autonomy record."""
