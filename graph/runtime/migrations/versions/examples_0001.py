"""Examples from people's edits."""

import sqlalchemy as sa
from alembic import op

revision = "examples_0001"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "edit_examples",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "example_id")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("agent", "kind", "cue", "body", "taught_at")),
        sa.Column("undone_at", sa.Text),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("undone_by", "undone_reason")),
    )
    op.create_index("edit_examples_by_situation", "edit_examples", ["tenant", "agent", "kind", "cue", "taught_at"])
