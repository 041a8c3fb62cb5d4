"""The cost ledger in SQL: every model call once, and what was spent by agent, order, day, model or tenant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, func, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.cost import CallRecord
from domain.errors import StoreUnavailable
from graph.runtime.connection import Batcher
from graph.runtime.cost_schema import model_calls
from graph.runtime.keys import Keyspace

AT_ONCE = 200
GROUPS = {
    "agent": (model_calls.c.agent,),
    "order": (model_calls.c.entity_type, model_calls.c.entity_id),
    "day": (model_calls.c.day,),
    "model": (model_calls.c.model,),
    "tenant": (model_calls.c.tenant,),
    "prompt": (model_calls.c.prompt, model_calls.c.prompt_version),
}
"""What costs may be grouped by."""
_TOKENS = ("input", "cached", "output", "reasoning")
_SUMS = ("usd_micro", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")


@dataclass(frozen=True, kw_only=True)
class CostFilter:
    """Which calls a report is about; what is empty does not matter."""

    tenant: str = ""
    agent: str = ""
    entity_id: str = ""
    since: str = ""
    """First day, the tenants' own calendar."""
    until: str = ""
    """Last day."""


class CostLedger:
    """Moves finished records from the working store into SQL, and adds them up."""

    def __init__(self, batcher: Batcher, keys: Keyspace, engine: AsyncEngine) -> None:
        """All are shared with the rest of the runtime."""
        self._redis = batcher
        self._key = keys.holds().unbooked
        self._engine = engine

    async def book(self) -> int:
        """Write every finished record that SQL does not have yet; how many there were. Several may do it at once.

        Raises:
            StoreUnavailable: a store does not answer; nothing is lost.
        """
        cursor, booked = "0", 0
        while True:
            cursor, found = await self._redis.execute("HSCAN", self._key, cursor, "COUNT", AT_ONCE)
            records = [CallRecord.from_json(value) for value in found[1::2]]
            if records:
                await self._write(records)
                await self._redis.execute("HDEL", self._key, *(record.call_id for record in records))
                booked += len(records)
            if int(cursor) == 0:
                return booked

    async def grouped(self, by: str, wanted: CostFilter) -> list[dict[str, Any]]:
        """Calls, tokens and cost per group, dearest first; ``by`` is one of ``GROUPS``.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        columns = GROUPS[by]
        bad = func.sum((model_calls.c.outcome != "answered").cast(model_calls.c.attempt.type))
        estimated = func.sum(model_calls.c.estimated.cast(model_calls.c.attempt.type))
        sums = [func.sum(model_calls.c[name]).label(name) for name in _SUMS]
        query = (
            _narrowed(
                select(
                    *columns, func.count().label("calls"), bad.label("unanswered"), estimated.label("estimated"), *sums
                ),
                wanted,
            )
            .group_by(*columns)
            .order_by(func.sum(model_calls.c.usd_micro).desc(), *columns)
        )
        return [{name: _number(value) for name, value in row.items()} for row in await self._rows(query)]

    async def calls(self, wanted: CostFilter, *, limit: int = 200) -> list[dict[str, Any]]:
        """Single calls, newest first.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        query = _narrowed(select(model_calls), wanted).order_by(model_calls.c.at_utc.desc()).limit(limit)
        return [dict(row) for row in await self._rows(query)]

    async def _rows(self, query: Any) -> Sequence[RowMapping]:
        try:
            async with self._engine.connect() as connection:
                return (await connection.execute(query)).mappings().all()
        except (SQLAlchemyError, OSError) as failure:
            raise StoreUnavailable(f"the cost ledger cannot be read: {failure}") from failure

    async def _write(self, records: Sequence[CallRecord]) -> None:
        insert = sqlite_insert if self._engine.dialect.name == "sqlite" else postgres_insert
        statement = insert(model_calls).on_conflict_do_nothing(index_elements=["call_id"])
        try:
            async with self._engine.begin() as connection:
                await connection.execute(statement, [_row(record) for record in records])
        except (SQLAlchemyError, OSError) as failure:
            raise StoreUnavailable(f"the cost ledger cannot be written: {failure}") from failure


def _row(record: CallRecord) -> dict[str, Any]:
    row = record.model_dump(exclude={"tokens", "at"})
    row["outcome"] = record.outcome.value
    row["at_utc"] = record.at
    return row | {f"{name}_tokens": getattr(record.tokens, name) for name in _TOKENS}


def _narrowed(query: Any, wanted: CostFilter) -> Any:
    for name in ("tenant", "agent", "entity_id"):
        if value := getattr(wanted, name):
            query = query.where(model_calls.c[name] == value)
    if wanted.since:
        query = query.where(model_calls.c.day >= wanted.since)
    if wanted.until:
        query = query.where(model_calls.c.day <= wanted.until)
    return query


def _number(value: Any) -> Any:
    """Sums as integers: Postgres gives decimals."""
    return value if isinstance(value, str) else int(value or 0)
