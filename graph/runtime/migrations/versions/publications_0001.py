"""Versions of published policies, and their publications."""

import sqlalchemy as sa
from alembic import op

revision = "publications_0001"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "policy_versions",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "subject", "version")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("text", "author", "reason", "written_at")),
    )
    said = ("tenant", "subject", "version", "action", "by", "reason", "at", "in_force_from", "reports")
    op.create_table(
        "policy_publications",
        sa.Column("publication_id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in said),
    )
    op.create_index("policy_publications_by_subject", "policy_publications", ["tenant", "subject", "in_force_from"])
