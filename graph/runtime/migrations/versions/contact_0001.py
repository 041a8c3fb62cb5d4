"""Tickets, parcels, and the webhooks taken."""

import sqlalchemy as sa
from alembic import op

revision = "contact_0001"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table("webhooks_taken", *_keys("tenant", "sender", "event_id"), *_texts("taken_at"))
    op.create_index("webhooks_taken_by_time", "webhooks_taken", ["taken_at"])
    op.create_table(
        "support_tickets",
        *_keys("tenant", "sender", "ticket_id"),
        *_texts("channel", "order_ref", "entity_type", "entity_id"),
        sa.Column("closed_at", sa.Text),
        *_texts("changed_at"),
    )
    op.create_table(
        "ticket_messages",
        *_keys("tenant", "sender", "ticket_id", "message_id"),
        *_texts("side", "machine", "at"),
    )
    op.create_table(
        "tracked_parcels",
        *_keys("tenant", "tracking_number"),
        *_texts("order_id", "carrier", "status", "sub_reason"),
        *(sa.Column(name, sa.Text) for name in ("scanned_at", "delivered_at", "expected_at")),
        *_texts("doubts"),
        sa.Column("confidence", sa.Float, nullable=False),
        *_texts("seen_at"),
    )
    op.create_index("tracked_parcels_by_order", "tracked_parcels", ["tenant", "order_id"])


def _keys(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in names]


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]
