"""Tables of shadow tests: reports on candidates, candidates running beside production, and what those said."""

from sqlalchemy import Boolean, Column, Float, Index, Integer, Table, Text

from graph.runtime.audit_schema import UtcText, metadata

shadow_reports = Table(
    "shadow_reports",
    metadata,
    Column("report_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("old_version", Text, nullable=False),
    Column("new_version", Text, nullable=False),
    Column("topology", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("compared", Integer, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("made_at", UtcText, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("report", Text, nullable=False),
    Index("shadow_reports_by_version", "agent", "new_version", "made_at"),
)

shadow_candidates = Table(
    "shadow_candidates",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("started_at", UtcText, nullable=False),
    Column("started_by", Text, nullable=False),
    Column("stopped_at", UtcText),
    Column("stopped_by", Text),
)
"""Which version runs beside production, for whom, since when."""

shadow_answers = Table(
    "shadow_answers",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("decision_id", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("entity_id", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("verdict", Text),
    Column("failure", Text, nullable=False),
    Column("missing", Text, nullable=False),
    Column("took_ms", Float, nullable=False),
    Column("answered_at", UtcText, nullable=False),
    Index("shadow_answers_by_version", "tenant", "agent", "version", "answered_at"),
)
"""What a candidate said about a decision production had made, in mode ``shadow``."""
