"""Tables of purchase orders: every version as it was made, the series of numbers, what started each, mail both ways."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from graph.runtime.audit_schema import UtcText, metadata

purchase_orders = Table(
    "purchase_orders",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("number", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("vendor_id", Text, nullable=False),
    Column("trigger_key", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("triggered_at", UtcText, nullable=False),
    Column("drafted_at", UtcText),
    Column("decided_at", UtcText),
    Column("sent_at", UtcText),
    Column("answered_at", UtcText),
    Column("changed_at", UtcText, nullable=False),
    Column("detail", Text, nullable=False),
    Index("purchase_orders_by_state", "tenant", "state", "changed_at"),
    Index("purchase_orders_by_vendor", "tenant", "vendor_id", "changed_at"),
)
"""One row an order, as it stands; the instants split the cycle into work and waiting."""

purchase_order_versions = Table(
    "purchase_order_versions",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("number", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("letter", Text, nullable=False),
    Column("made_at", UtcText, nullable=False),
    Column("made_by", Text, nullable=False),
)
"""Inserted only: what was approved and sent stays as it was."""

purchase_order_triggers = Table(
    "purchase_order_triggers",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("trigger_key", Text, primary_key=True),
    Column("number", Text, nullable=False),
    Column("at", UtcText, nullable=False),
)
"""One trigger starts one order, whoever sees it first."""

purchase_order_numbers = Table(
    "purchase_order_numbers",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("year", Integer, primary_key=True),
    Column("last", Integer, nullable=False),
)

purchase_mail = Table(
    "purchase_mail",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("number", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", UtcText, nullable=False),
    Column("body", Text, nullable=False),
    Index("purchase_mail_by_order", "tenant", "number", "at"),
)
"""Letters sent and answers read, once by their Message-ID."""
