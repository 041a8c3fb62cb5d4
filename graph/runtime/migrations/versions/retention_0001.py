"""Retention and erasure: salted payloads, pruned chains, permits for the two privileged paths, erasures."""

import sqlalchemy as sa
from alembic import op

revision = "retention_0001"
down_revision = "0001"

_KEPT = (
    "id", "event_id", "tenant", "entity_type", "entity_id", "position", "sequence", "event_type", "agent",
    "agent_version", "decision", "confidence", "mode", "actor", "at_utc", "inputs_digest", "recorded_at", "prev_hash",
    "hash",
)  # fmt: skip
"""What not even an erasure may change."""

_SAME = " AND ".join(f"NEW.{name} IS OLD.{name}" for name in _KEPT)

_SQLITE_GUARDS = (
    "DROP TRIGGER IF EXISTS audit_events_no_update",
    "DROP TRIGGER IF EXISTS audit_events_no_delete",
    f"""
    CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
    WHEN NOT (EXISTS (SELECT 1 FROM audit_permits WHERE act = 'erase' AND subject = OLD.event_id) AND NEW.salt = ''
              AND {_SAME})
    BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END
    """,  # noqa: S608  # made of the names above
    """
    CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
    WHEN NOT EXISTS (SELECT 1 FROM audit_permits WHERE act = 'prune')
      OR OLD.recorded_at >= strftime('%Y-%m-%dT%H:%M:%S', 'now', '-24 months')
    BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END
    """,
)

_POSTGRES_GUARDS = (
    """
    CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN
      IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT 1 FROM audit_permits WHERE act = 'prune')
           AND OLD.recorded_at COLLATE "C" < to_char(
             (now() AT TIME ZONE 'utc') - interval '24 months', 'YYYY-MM-DD"T"HH24:MI:SS') THEN
          RETURN OLD;
        END IF;
      ELSIF TG_OP = 'UPDATE' THEN
        IF EXISTS (SELECT 1 FROM audit_permits WHERE act = 'erase' AND subject = OLD.event_id) AND NEW.salt = ''
           AND to_jsonb(NEW) - 'payload' - 'salt' = to_jsonb(OLD) - 'payload' - 'salt' THEN
          RETURN NEW;
        END IF;
      END IF;
      RAISE EXCEPTION 'audit is append-only' USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
)


def upgrade() -> None:
    """Extend the audit's tables and let its guards know the privileged paths."""
    op.add_column("audit_events", sa.Column("salt", sa.Text, nullable=False, server_default=""))
    op.add_column("audit_heads", sa.Column("pruned", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("audit_heads", sa.Column("pruned_hash", sa.Text, nullable=False, server_default="0" * 64))
    # The unique constraint on (entity, position) serves every read the old index did.
    op.drop_index("audit_events_by_entity", "audit_events")
    op.create_index("audit_events_by_recording", "audit_events", ["recorded_at"])
    op.create_table(
        "audit_permits",
        sa.Column("act", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
    )
    op.create_table(
        "erasures",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("erasure_id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("state", "by", "reason", "requested_at")),
        sa.Column("finished_at", sa.Text),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("plan", "report")),
    )
    op.create_table(
        "person_references",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "customer_id")),
        sa.Column("reference", sa.Text, nullable=False),
    )
    guards = _SQLITE_GUARDS if op.get_bind().dialect.name == "sqlite" else _POSTGRES_GUARDS
    for guard in guards:
        op.get_bind().exec_driver_sql(guard)
