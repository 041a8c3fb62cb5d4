"""The SQL audit: every event of every entity, append-only, chained by hash, for years.

A batch is written in one durable transaction or not at all; repeating a batch changes nothing; two writers at once keep
every chain in one piece, because each locks the heads of the chains it extends.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import MalformedPayload, StoreUnavailable
from domain.event import Event
from domain.review import ReviewState
from graph.runtime import audit_reviews, audit_verify
from graph.runtime.audit_append import extend, known_ids, lock_heads
from graph.runtime.audit_chain import AuditRow, columns_of, key_of
from graph.runtime.audit_reviews import ReviewRecord
from graph.runtime.audit_schema import audit_events, audit_heads, reviews
from graph.runtime.audit_verify import VerifyReport
from graph.runtime.clock import Clock, SystemClock


@dataclass(frozen=True, kw_only=True)
class AuditQuery:
    """Which rows of a tenant to list, newest first."""

    tenant: str
    agent: str | None = None
    event_type: str | None = None
    since: datetime | None = None
    """Events at or after this instant."""
    before_id: int | None = None
    """Continues a listing: rows recorded before the row with this id."""
    limit: int = 100


class AuditStore:
    """Reads and appends the audit of one installation."""

    def __init__(self, engine: AsyncEngine, *, clock: Clock | None = None) -> None:
        """The engine comes from ``graph.runtime.database`` and its schema is up to date."""
        self._engine = engine
        self._where = engine.url.render_as_string(hide_password=True)
        self._clock = clock or SystemClock()

    async def append(self, events: Sequence[Event]) -> int:
        """Write the events that are not there yet, all or none, and return how many that were.

        Raises:
            MalformedPayload: an event can never be stored; nothing was written.
            StoreUnavailable: the database is unreachable, full or read-only; nothing was written.
        """
        offered: dict[str, tuple[Event, dict[str, Any]]] = {}
        for event in events:
            offered.setdefault(event.event_id, (event, columns_of(event)))
        if not offered:
            return 0
        async with self._reach() as connection, connection.begin():
            heads = await lock_heads(connection, {key_of(event) for event, _ in offered.values()})
            known = await known_ids(connection, offered)
            fresh = [pair for event_id, pair in offered.items() if event_id not in known]
            if fresh:
                await extend(connection, heads, [columns for _, columns in fresh], at=self._clock.now())
                await audit_reviews.project(connection, [event for event, _ in fresh])
        return len(fresh)

    async def entity(self, tenant: str, entity_type: str, entity_id: str) -> list[AuditRow]:
        """Everything audited about one entity, in the order it was recorded; empty when nothing was.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        wanted = select(audit_events).where(*audit_verify.rows_of((tenant, entity_type, entity_id)))
        return await self._rows(wanted.order_by(audit_events.c.position))

    async def named(self, tenant: str, name: str) -> list[tuple[str, str]]:
        """Type and id of the entities of a tenant that go by a name, orders first; a review's is what it is about.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        heads = audit_heads.c
        wanted = select(heads.entity_type, heads.entity_id).where(heads.tenant == tenant, heads.entity_id == name)
        asked = select(reviews.c.entity_type, reviews.c.entity_id).where(
            reviews.c.tenant == tenant, reviews.c.review_id == name
        )
        async with self._reach() as connection:
            found = [tuple(row) for row in await connection.execute(wanted)]
            found += [tuple(row) for row in await connection.execute(asked)]
        return sorted(found, key=lambda one: (one[0] != "order", one))

    async def find(self, query: AuditQuery) -> list[AuditRow]:
        """A tenant's rows that match, newest recorded first.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        wanted = select(audit_events).where(audit_events.c.tenant == query.tenant)
        if query.agent is not None:
            wanted = wanted.where(audit_events.c.agent == query.agent)
        if query.event_type is not None:
            wanted = wanted.where(audit_events.c.event_type == query.event_type)
        if query.since is not None:
            wanted = wanted.where(audit_events.c.at_utc >= query.since)
        if query.before_id is not None:
            wanted = wanted.where(audit_events.c.id < query.before_id)
        return await self._rows(wanted.order_by(audit_events.c.id.desc()).limit(query.limit))

    async def count_by_version(self, agent: str, *, tenant: str | None = None) -> dict[str, int]:
        """Decisions of an agent by its version; decisions that name none are counted under the empty text.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        version = func.coalesce(audit_events.c.agent_version, "")
        wanted = select(version, func.count()).where(
            audit_events.c.agent == agent, audit_events.c.decision.is_not(None)
        )
        if tenant is not None:
            wanted = wanted.where(audit_events.c.tenant == tenant)
        async with self._reach() as connection:
            counted = await connection.execute(wanted.group_by(version).order_by(version))
            return dict(counted.all())

    async def reviews(
        self, tenant: str, *, state: ReviewState | None = None, limit: int = 100, reason: str = ""
    ) -> list[ReviewRecord]:
        """A tenant's reviews, newest question first; with ``reason``, those whose answer's reason holds the text.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        async with self._reach() as connection:
            return await audit_reviews.history(connection, tenant, state=state, limit=limit, reason=reason)

    async def review(self, tenant: str, review_id: str) -> ReviewRecord | None:
        """A review as its events tell it, also when the desk has forgotten it.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        async with self._reach() as connection:
            return await audit_reviews.remembered(connection, tenant, review_id)

    async def verify(self, *, tenant: str | None = None, entity: tuple[str, str] | None = None) -> VerifyReport:
        """Check every chain, or a tenant's, or the one of ``entity`` (type, id), and name the first bad row of each.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        async with self._reach() as connection, connection.begin():
            return await audit_verify.verify(connection, (tenant, *(entity or (None, None))))

    async def ready(self) -> None:
        """Return when the database takes writes.

        Raises:
            StoreUnavailable: it does not.
        """
        async with self._reach() as connection, connection.begin():
            await connection.execute(update(audit_heads).where(audit_heads.c.length < 0).values(length=0))

    async def _rows(self, wanted: Select[Any]) -> list[AuditRow]:
        async with self._reach() as connection:
            found = await connection.execute(wanted)
            return [AuditRow.model_validate(dict(row)) for row in found.mappings()]

    @asynccontextmanager
    async def _reach(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                yield connection
        except DataError as refused:
            raise MalformedPayload(f"event cannot be audited: the database refuses it: {refused.orig}") from refused
        except IntegrityError as torn:
            raise StoreUnavailable(
                f"The audit store {self._where} holds rows its chain heads do not know; run audit verify: {torn.orig}"
            ) from torn
        except (DBAPIError, PoolTimeout, OSError) as failure:
            said = getattr(failure, "orig", None) or failure
            why = str(said) or type(said).__name__
            raise StoreUnavailable(
                f"The audit store {self._where} does not answer or refuses to write: {why}"
            ) from failure
