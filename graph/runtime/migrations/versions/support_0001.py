"""Support contexts, flags on them, and contacts."""

import sqlalchemy as sa
from alembic import op

revision = "support_0001"
down_revision = "0001"


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _key(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in names]


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "support_contexts",
        *_key("tenant", "context_id"),
        *_text("at", "order_id", "customer_hash", "reason", "role", "actor", "document"),
    )
    op.create_index("support_contexts_by_order", "support_contexts", ["tenant", "order_id", "at"])
    op.create_index("support_contexts_by_customer", "support_contexts", ["tenant", "customer_hash"])
    op.create_table(
        "support_flags",
        *_key("tenant", "flag_id"),
        *_text("context_id", "at", "actor", "field", "problem", "shown", "expected"),
    )
    op.create_index("support_flags_by_context", "support_flags", ["tenant", "context_id"])
    op.create_table(
        "support_contacts",
        *_key("tenant", "contact_id"),
        *_text("order_id", "reason", "opened_at", "context_id"),
        sa.Column("escalated", sa.Boolean, nullable=False),
    )
    op.create_index("support_contacts_by_order", "support_contacts", ["tenant", "order_id", "reason", "opened_at"])
