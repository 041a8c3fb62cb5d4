"""Runs the migrations on the connection, and inside the transaction, that ``graph.runtime.database`` hands over."""

from alembic import context

from graph.runtime.audit_schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
