"""Tables of the model cost ledger: one row a call, and the budgets."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from graph.runtime.audit_schema import UtcText, metadata

_TEXTS = (
    "record_id", "tenant", "agent", "entity_type", "entity_id", "day", "prompt", "prompt_version", "prompt_digest",
    "inputs_digest", "model", "model_answered", "purpose", "outcome", "detail", "request_id", "bad_answer",
)  # fmt: skip
_NUMBERS = (
    "attempt", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "usd_micro", "estimate_usd_micro",
    "latency_ms",
)  # fmt: skip
_MARKS = ("estimated", "price_unknown")

model_calls = Table(
    "model_calls",
    metadata,
    Column("call_id", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in _TEXTS),
    *(Column(name, BigInteger, nullable=False) for name in _NUMBERS),
    *(Column(name, Boolean, nullable=False) for name in _MARKS),
    Column("at_utc", UtcText, nullable=False),
    Index("model_calls_by_day", "tenant", "day", "agent"),
    Index("model_calls_by_entity", "tenant", "entity_type", "entity_id"),
    Index("model_calls_by_record", "record_id"),
)
"""Every call to a provider, written once; ``day`` is the tenant's calendar day that paid."""

budgets = Table(
    "budgets",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("usd_micro_per_day", BigInteger, nullable=False),
    Column("calls_per_entity", Integer, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_at", UtcText, nullable=False),
)
"""What agents may spend a day where it is not the installation's default."""
