"""Clocks that run against us."""

import sqlalchemy as sa
from alembic import op

revision = "clocks_0001"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "promise_clocks",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "clock_id")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("kind", "entity_type", "entity_id", "subject")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("started_at", "warn_at", "due_at")),
        sa.Column("next_at", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("ended_at", sa.Text),
        sa.Column("ended_by", sa.Text, nullable=False),
    )
    op.create_index("promise_clocks_due", "promise_clocks", ["next_at"])
    op.create_index("promise_clocks_by_entity", "promise_clocks", ["tenant", "entity_type", "entity_id"])
    op.create_index("promise_clocks_by_kind", "promise_clocks", ["tenant", "kind", "started_at"])
