"""The model cost ledger and the budgets."""

import sqlalchemy as sa
from alembic import op

revision = "cost_0001"
down_revision = "0001"

_TEXTS = (
    "record_id", "tenant", "agent", "entity_type", "entity_id", "day", "prompt", "prompt_version", "prompt_digest",
    "inputs_digest", "model", "model_answered", "purpose", "outcome", "detail", "request_id", "bad_answer",
)  # fmt: skip
_NUMBERS = (
    "attempt", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "usd_micro", "estimate_usd_micro",
    "latency_ms",
)  # fmt: skip


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "model_calls",
        sa.Column("call_id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in _TEXTS),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _NUMBERS),
        *(sa.Column(name, sa.Boolean, nullable=False) for name in ("estimated", "price_unknown")),
        sa.Column("at_utc", sa.Text, nullable=False),
    )
    op.create_index("model_calls_by_day", "model_calls", ["tenant", "day", "agent"])
    op.create_index("model_calls_by_entity", "model_calls", ["tenant", "entity_type", "entity_id"])
    op.create_index("model_calls_by_record", "model_calls", ["record_id"])
    op.create_table(
        "budgets",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("usd_micro_per_day", sa.BigInteger, nullable=False),
        sa.Column("calls_per_entity", sa.Integer, nullable=False),
        sa.Column("set_by", sa.Text, nullable=False),
        sa.Column("set_at", sa.Text, nullable=False),
    )
