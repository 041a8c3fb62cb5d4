"""The book of erasures: what was asked for, how far it is, what it found; and random names that stand for customers."""

import secrets
from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime
from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.values import Document
from graph.runtime.audit_reviews import insert_into
from graph.runtime.erasure_schema import erasures, person_references
from graph.runtime.sql import transaction


class ErasureState(StrEnum):
    """How far an erasure is."""

    RUNNING = "running"
    COMPACTING = "compacting"
    """Nothing of the person is left in any record; files still have to be rewritten."""
    DONE = "done"


class ErasurePlan(Document):
    """Whom an erasure is about. It exists only while the erasure runs."""

    customer_id: str
    orders: tuple[str, ...]
    ids: tuple[str, ...]
    values: tuple[str, ...]
    raw: tuple[str, ...]
    """References of raw payloads."""


class ErasureReport(Document):
    """What an erasure removed, or would; and what is left to others."""

    erasure_id: str = ""
    dry_run: bool = False
    orders: int = 0
    audit_rows: int = 0
    tapes: int = 0
    sql_rows: int = 0
    redis_keys: int = 0
    stream_entries: int = 0
    dead_letters: int = 0
    stand_in_rows: int = 0
    remaining: tuple[str, ...] = ()
    """Where something of the person was seen and could not be removed."""
    ask: tuple[str, ...] = ()
    """Systems outside that hold the person's data themselves."""
    export_again: tuple[str, ...] = ()
    """Months whose earlier exports hold what is erased now."""

    @property
    def nothing(self) -> bool:
        """Whether nothing was held of the person."""
        seen = (self.orders, self.audit_rows, self.tapes, self.sql_rows, self.redis_keys, self.stream_entries)
        return not any(seen) and not (self.dead_letters or self.stand_in_rows or self.remaining)


class Erasure(Document):
    """One request."""

    tenant: str
    erasure_id: str
    state: ErasureState
    by: str
    reason: str
    requested_at: AwareDatetime
    plan: ErasurePlan | None
    report: ErasureReport


class ErasureBook:
    """Reads and writes the book."""

    def __init__(self, engine: AsyncEngine) -> None:
        """The engine of the audit."""
        self._engine = engine

    async def unfinished(self, tenant: str) -> list[Erasure]:
        """The tenant's erasures that a crash or an outage stopped, oldest first."""
        wanted = select(erasures).where(erasures.c.tenant == tenant, erasures.c.state != ErasureState.DONE)
        async with transaction(self._engine, "the book of erasures") as connection:
            found = (await connection.execute(wanted.order_by(erasures.c.requested_at))).mappings()
            return [
                Erasure(
                    **{name: row[name] for name in ("tenant", "erasure_id", "state", "by", "reason", "requested_at")},
                    plan=ErasurePlan.from_json(row["plan"]) if row["plan"] else None,
                    report=ErasureReport.from_json(row["report"]),
                )
                for row in found
            ]

    async def open(self, erasure: Erasure) -> None:
        """Write a request down before anything is touched."""
        plan = erasure.plan.to_json() if erasure.plan else ""
        row = erasure.model_dump(include={"tenant", "erasure_id", "state", "by", "reason", "requested_at"})
        async with transaction(self._engine, "the book of erasures") as connection:
            await connection.execute(insert(erasures), [row | {"plan": plan, "report": erasure.report.to_json()}])

    async def note(self, erasure: Erasure, *, at: datetime) -> None:
        """Write down how far an erasure is; its plan goes as soon as it is not needed any more."""
        values = {
            "state": erasure.state,
            "report": erasure.report.to_json(),
            "plan": erasure.plan.to_json() if erasure.plan else "",
            "finished_at": at if erasure.state is ErasureState.DONE else None,
        }
        mine = (erasures.c.tenant == erasure.tenant, erasures.c.erasure_id == erasure.erasure_id)
        async with transaction(self._engine, "the book of erasures") as connection:
            await connection.execute(update(erasures).where(*mine).values(**values))

    async def reference(self, tenant: str, customer_id: str) -> str:
        """The random name that stands for a customer in the audit's own columns; the same one until it is forgotten."""
        made = {"tenant": tenant, "customer_id": customer_id, "reference": f"customer-{secrets.token_hex(8)}"}
        async with transaction(self._engine, "the book of erasures") as connection:
            await connection.execute(insert_into(person_references, connection).on_conflict_do_nothing(), [made])
            return str(await connection.scalar(select(person_references.c.reference).where(*_of(tenant, customer_id))))

    async def known_reference(self, tenant: str, customer_id: str) -> str:
        """The customer's reference, empty when there is none."""
        async with transaction(self._engine, "the book of erasures") as connection:
            found = await connection.scalar(select(person_references.c.reference).where(*_of(tenant, customer_id)))
            return str(found or "")

    async def forget(self, tenant: str, customer_id: str) -> None:
        """Drop the customer's reference: nobody can tell any more who it was."""
        async with transaction(self._engine, "the book of erasures") as connection:
            await connection.execute(delete(person_references).where(*_of(tenant, customer_id)))


def _of(tenant: str, customer_id: str) -> tuple[ColumnElement[bool], ...]:
    return person_references.c.tenant == tenant, person_references.c.customer_id == customer_id
