"""Tapes of decisions and the values they name."""

import sqlalchemy as sa
from alembic import op

revision = "tapes_0001"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "decision_tapes",
        sa.Column("decision_id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("tenant", "entity_id", "agent", "version")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("asked_at", "order_digest", "tape")),
    )
    op.create_index("decision_tapes_by_agent", "decision_tapes", ["tenant", "agent", "asked_at"])
    op.create_index("decision_tapes_by_entity", "decision_tapes", ["tenant", "entity_id"])
    op.create_table(
        "tape_values",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "digest")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("entity_id", "text")),
    )
    op.create_index("tape_values_by_entity", "tape_values", ["tenant", "entity_id"])
