"""Tables of erasures: who asked for which, how far it is, and the references that stand for people in the audit."""

from sqlalchemy import Column, Table, Text

from graph.runtime.audit_schema import UtcText, metadata

erasures = Table(
    "erasures",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("erasure_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_at", UtcText, nullable=False),
    Column("finished_at", UtcText),
    Column("plan", Text, nullable=False),
    Column("report", Text, nullable=False),
)
"""``plan`` names the person's orders and values while the erasure runs, so that it survives a crash; then it is empty."""

person_references = Table(
    "person_references",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("reference", Text, nullable=False),
)
"""A random name for a customer where the audit's own columns must name one: forgetting the row forgets who it was."""
