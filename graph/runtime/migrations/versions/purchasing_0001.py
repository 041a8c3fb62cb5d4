"""Purchase orders, their versions, numbers, triggers and mail."""

import sqlalchemy as sa
from alembic import op

revision = "purchasing_0001"
down_revision = "0001"


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _key(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in names]


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "purchase_orders",
        *_key("tenant", "number"),
        sa.Column("version", sa.Integer, nullable=False),
        *_text("state", "vendor_id", "trigger_key", "currency"),
        sa.Column("total_minor", sa.BigInteger, nullable=False),
        *_text("triggered_at"),
        *(sa.Column(name, sa.Text) for name in ("drafted_at", "decided_at", "sent_at", "answered_at")),
        *_text("changed_at", "detail"),
    )
    op.create_index("purchase_orders_by_state", "purchase_orders", ["tenant", "state", "changed_at"])
    op.create_index("purchase_orders_by_vendor", "purchase_orders", ["tenant", "vendor_id", "changed_at"])
    op.create_table(
        "purchase_order_versions",
        *_key("tenant", "number"),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        *_text("digest", "document", "letter", "made_at", "made_by"),
    )
    op.create_table("purchase_order_triggers", *_key("tenant", "trigger_key"), *_text("number", "at"))
    op.create_table(
        "purchase_order_numbers",
        *_key("tenant"),
        sa.Column("year", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("last", sa.Integer, nullable=False),
    )
    op.create_table("purchase_mail", *_key("tenant", "message_id"), *_text("number", "direction", "kind", "at", "body"))
    op.create_index("purchase_mail_by_order", "purchase_mail", ["tenant", "number", "at"])
