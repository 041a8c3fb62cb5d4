"""Entities of the audit found by id alone."""

from alembic import op

revision = "retention_0002"
down_revision = "retention_0001"


def upgrade() -> None:
    """Make the index."""
    op.create_index("audit_heads_by_id", "audit_heads", ["tenant", "entity_id"])
