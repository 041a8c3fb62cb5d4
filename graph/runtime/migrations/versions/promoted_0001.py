"""Rules promoted from confirmed model answers."""

import sqlalchemy as sa
from alembic import op

revision = "promoted_0001"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "model_confirmations",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "decision_id")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("agent", "rule_id")),
        sa.Column("agreed", sa.Boolean, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("at_utc", "body")),
    )
    op.create_index("model_confirmations_by_agent", "model_confirmations", ["tenant", "agent", "at_utc"])
    op.create_index("model_confirmations_by_rule", "model_confirmations", ["tenant", "rule_id", "at_utc"])
    op.create_table(
        "promoted_rules",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "rule_id")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("agent", "state", "changed_at", "body")),
    )
    op.create_index("promoted_rules_in_force", "promoted_rules", ["tenant", "agent", "state"])
