"""Shadow reports, candidates beside production, and their answers."""

import sqlalchemy as sa
from alembic import op

revision = "shadow_0001"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    named = ("tenant", "agent", "old_version", "new_version", "topology", "code", "made_at", "made_by", "report")
    op.create_table(
        "shadow_reports",
        sa.Column("report_id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in named),
        sa.Column("compared", sa.Integer, nullable=False),
        sa.Column("passed", sa.Boolean, nullable=False),
    )
    op.create_index("shadow_reports_by_version", "shadow_reports", ["agent", "new_version", "made_at"])
    op.create_table(
        "shadow_candidates",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "agent", "version")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("started_at", "started_by")),
        *(sa.Column(name, sa.Text) for name in ("stopped_at", "stopped_by")),
    )
    said = ("entity_id", "agent", "mode", "failure", "missing", "answered_at")
    op.create_table(
        "shadow_answers",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "decision_id", "version")),
        *(sa.Column(name, sa.Text, nullable=False) for name in said),
        sa.Column("verdict", sa.Text),
        sa.Column("took_ms", sa.Float, nullable=False),
    )
    op.create_index("shadow_answers_by_version", "shadow_answers", ["tenant", "agent", "version", "answered_at"])
