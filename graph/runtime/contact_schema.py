"""Tables of what outside senders told: tickets with the times of their messages, parcels, and which webhooks were taken."""

from sqlalchemy import Column, Float, Index, Table, Text

from graph.runtime.audit_schema import UtcText, metadata

webhooks_taken = Table(
    "webhooks_taken",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("sender", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("taken_at", UtcText, nullable=False),
    Index("webhooks_taken_by_time", "taken_at"),
)
"""Kept for 30 days; senders repeat for three at most."""

support_tickets = Table(
    "support_tickets",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("sender", Text, primary_key=True),
    Column("ticket_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("order_ref", Text, nullable=False),
    Column("entity_type", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    Column("closed_at", UtcText),
    Column("changed_at", UtcText, nullable=False),
)
"""``entity`` is what the ticket's clocks are about: its order when it was known at first sight, else the ticket."""

ticket_messages = Table(
    "ticket_messages",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("tenant", "sender", "ticket_id", "message_id")),
    Column("side", Text, nullable=False),
    Column("machine", Text, nullable=False),
    Column("at", UtcText, nullable=False),
)

tracked_parcels = Table(
    "tracked_parcels",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("tracking_number", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("carrier", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("sub_reason", Text, nullable=False),
    Column("scanned_at", UtcText),
    Column("delivered_at", UtcText),
    Column("expected_at", UtcText),
    Column("doubts", Text, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("seen_at", UtcText, nullable=False),
    Index("tracked_parcels_by_order", "tenant", "order_id"),
)
"""``order_id`` is empty until we know whose parcel it is, ``status`` until its carrier has said something."""
