"""The audit: chained events guarded by triggers, chain heads, review history."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_SQLITE_GUARDS = (
    """
    CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
    BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END
    """,
    """
    CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
    BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END
    """,
    # INSERT OR REPLACE removes the old row without firing its delete trigger (SQLite, recursive_triggers off)
    """
    CREATE TRIGGER audit_events_no_replace BEFORE INSERT ON audit_events
    WHEN EXISTS (SELECT 1 FROM audit_events WHERE event_id = NEW.event_id OR id = NEW.id)
      OR EXISTS (SELECT 1 FROM audit_events WHERE tenant = NEW.tenant AND entity_type = NEW.entity_type
                 AND entity_id = NEW.entity_id AND position = NEW.position)
    BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END
    """,
)

_POSTGRES_GUARDS = (
    """
    CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'audit is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$
    """,
    """
    CREATE TRIGGER audit_events_no_change BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_refuse()
    """,
    """
    CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()
    """,
)


def upgrade() -> None:
    """Make the tables and their guards."""
    _events()
    _heads()
    _reviews()
    guards = _SQLITE_GUARDS if op.get_bind().dialect.name == "sqlite" else _POSTGRES_GUARDS
    for guard in guards:
        op.get_bind().exec_driver_sql(guard)


def _events() -> None:
    entity = ["tenant", "entity_type", "entity_id"]
    op.create_table(
        "audit_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ["event_id", *entity]),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("event_type", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("agent_version", sa.Text),
        sa.Column("decision", sa.Text),
        sa.Column("confidence", sa.Float),
        sa.Column("mode", sa.Text),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("at_utc", sa.Text, nullable=False),
        sa.Column("inputs_digest", sa.Text),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("payload", "recorded_at", "prev_hash", "hash")),
        sa.UniqueConstraint("event_id", name="audit_events_once"),
        sa.UniqueConstraint(*entity, "position", name="audit_events_one_chain"),
    )
    op.create_index("audit_events_by_entity", "audit_events", [*entity, "sequence"])
    op.create_index("audit_events_by_agent", "audit_events", ["agent", "agent_version"])
    op.create_index("audit_events_by_time", "audit_events", ["at_utc"])


def _heads() -> None:
    op.create_table(
        "audit_heads",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "entity_type", "entity_id")),
        sa.Column("length", sa.BigInteger, nullable=False),
        sa.Column("last_hash", sa.Text, nullable=False),
    )


def _reviews() -> None:
    answered = ["decided_at", "decided_by", "action", "via", "reason"]
    op.create_table(
        "reviews",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "review_id")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("entity_type", "entity_id", "state")),
        *(sa.Column(name, sa.Text) for name in ["stage", "recommendation", "requested_at", "deadline", *answered]),
    )
    op.create_index("reviews_by_entity", "reviews", ["tenant", "entity_type", "entity_id"])
    op.create_index("reviews_by_state", "reviews", ["tenant", "state", "requested_at"])
