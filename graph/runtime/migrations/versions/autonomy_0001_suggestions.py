"""Earned autonomy: answered suggestions, later outcomes, drafted calibrations."""

import sqlalchemy as sa
from alembic import op

revision = "autonomy_0001"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    texts = ("decision_id", "entity_type", "entity_id", "version", "action", "outcome", "market", "band", "channel")
    flags = ("eligible", "sampled", "blind", "severe")
    op.create_table(
        "suggestions",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "review_id", "agent")),
        *(sa.Column(name, sa.Text, nullable=False) for name in (*texts, "answer", "decided_by", "decided_at")),
        sa.Column("usd_minor", sa.BigInteger),
        sa.Column("stated", sa.Float),
        sa.Column("confidence", sa.Float),
        *(sa.Column(name, sa.Boolean, nullable=False) for name in flags),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("edit_distance", "seconds")),
        sa.Column("corrected", sa.Boolean),
    )
    segment = ["tenant", "agent", "version", "action", "market", "band", "decided_at"]
    op.create_index("suggestions_by_segment", "suggestions", segment)
    op.create_index("suggestions_by_entity", "suggestions", ["tenant", "entity_id"])
    op.create_table(
        "autonomy_outcomes",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "event_id")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("entity_id", "agent", "kind", "at_utc")),
        sa.Column("wrong", sa.Boolean, nullable=False),
    )
    op.create_table(
        "calibrations",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "calibration_id")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("agent", "made_at", "body")),
        *(sa.Column(name, sa.Text) for name in ("adopted_at", "adopted_by")),
    )
    op.create_index("calibrations_by_agent", "calibrations", ["tenant", "agent", "made_at"])
