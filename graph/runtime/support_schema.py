"""Tables of support: contexts that were given (without addresses), what was wrong in them, contacts and how they ended."""

from sqlalchemy import Boolean, Column, Index, Table, Text

from graph.runtime.audit_schema import UtcText, metadata

support_contexts = Table(
    "support_contexts",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("context_id", Text, primary_key=True),
    Column("at", UtcText, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("customer_hash", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("document", Text, nullable=False),
    Index("support_contexts_by_order", "tenant", "order_id", "at"),
    Index("support_contexts_by_customer", "tenant", "customer_hash"),
)

support_flags = Table(
    "support_flags",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("flag_id", Text, primary_key=True),
    Column("context_id", Text, nullable=False),
    Column("at", UtcText, nullable=False),
    Column("actor", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("problem", Text, nullable=False),
    Column("shown", Text, nullable=False),
    Column("expected", Text, nullable=False),
    Index("support_flags_by_context", "tenant", "context_id"),
)
"""Each is an evaluation case: the context, the field, what it should have said."""

support_contacts = Table(
    "support_contacts",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("contact_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("opened_at", UtcText, nullable=False),
    Column("context_id", Text, nullable=False),
    Column("escalated", Boolean, nullable=False),
    Index("support_contacts_by_order", "tenant", "order_id", "reason", "opened_at"),
)
"""``context_id`` is empty for a contact that was answered without one."""
