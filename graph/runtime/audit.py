"""The SQL audit: every event of every entity, append-only, chained by hash, for years.

A batch is written in one durable transaction or not at all; repeating a batch changes nothing; two writers at once keep
every chain in one piece, because each locks the heads of the chains it extends.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from typing import Any

from sqlalchemy import Select, bindparam, func, insert, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import MalformedPayload, StoreUnavailable
from domain.event import Event
from domain.review import ReviewState
from graph.runtime import audit_reviews, audit_verify
from graph.runtime.audit_chain import GENESIS, AuditRow, ChainKey, columns_of, key_of, link
from graph.runtime.audit_reviews import ReviewRecord, insert_into
from graph.runtime.audit_schema import audit_events, audit_heads
from graph.runtime.audit_verify import VerifyReport
from graph.runtime.clock import Clock, SystemClock

_IN_LIST = 1000
"""Values per IN list: both databases limit the parameters of a statement (SQLite 32,766, Postgres 32,767)."""

_ADVANCE_HEAD = (
    update(audit_heads)
    .where(
        audit_heads.c.tenant == bindparam("t"),
        audit_heads.c.entity_type == bindparam("e"),
        audit_heads.c.entity_id == bindparam("i"),
    )
    .values(length=bindparam("n"), last_hash=bindparam("h"))
)


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
            heads = await self._lock_heads(connection, {key_of(event) for event, _ in offered.values()})
            known = await self._known(connection, offered)
            fresh = [pair for event_id, pair in offered.items() if event_id not in known]
            if fresh:
                await self._extend(connection, heads, [columns for _, columns in fresh])
                await audit_reviews.project(connection, [event for event, _ in fresh])
        return len(fresh)

    async def _lock_heads(self, connection: AsyncConnection, keys: set[ChainKey]) -> dict[ChainKey, tuple[int, str]]:
        """Chain ends by entity, locked until the transaction ends; the first statement takes SQLite's write lock."""
        ordered = sorted(keys)
        start = insert_into(audit_heads, connection).on_conflict_do_nothing()
        names = ("tenant", "entity_type", "entity_id")
        new = [{**dict(zip(names, key, strict=True)), "length": 0, "last_hash": GENESIS} for key in ordered]
        await connection.execute(start, new)
        heads: dict[ChainKey, tuple[int, str]] = {}
        for kind, of_kind in groupby(ordered, key=lambda key: key[:2]):
            for some in _chunks(entity_id for _, _, entity_id in of_kind):
                wanted = select(audit_heads).where(
                    audit_heads.c.tenant == kind[0], audit_heads.c.entity_type == kind[1]
                )
                locked = (
                    wanted.where(audit_heads.c.entity_id.in_(some)).order_by(audit_heads.c.entity_id).with_for_update()
                )
                heads |= {key_of(head): (head.length, head.last_hash) for head in await connection.execute(locked)}
        return heads

    async def _known(self, connection: AsyncConnection, event_ids: Iterable[str]) -> set[str]:
        known: set[str] = set()
        for some in _chunks(event_ids):
            known |= set(
                await connection.scalars(select(audit_events.c.event_id).where(audit_events.c.event_id.in_(some)))
            )
        return known

    async def _extend(
        self, connection: AsyncConnection, heads: dict[ChainKey, tuple[int, str]], fresh: Sequence[Mapping[str, Any]]
    ) -> None:
        now = self._clock.now()
        rows = []
        moved: dict[ChainKey, tuple[int, str]] = {}
        for columns in fresh:
            key = columns["tenant"], columns["entity_type"], columns["entity_id"]
            length, last_hash = moved.get(key) or heads[key]
            row = link(columns, position=length + 1, prev_hash=last_hash, recorded_at=now)
            moved[key] = row["position"], row["hash"]
            rows.append(row)
        await connection.execute(insert(audit_events), rows)
        ends = [{"t": t, "e": e, "i": i, "n": length, "h": last} for (t, e, i), (length, last) in moved.items()]
        await connection.execute(_ADVANCE_HEAD, ends)

    async def entity(self, tenant: str, entity_type: str, entity_id: str) -> list[AuditRow]:
        """Everything audited about one entity, in the order it was recorded; empty when nothing was.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        wanted = select(audit_events).where(*audit_verify.rows_of((tenant, entity_type, entity_id)))
        return await self._rows(wanted.order_by(audit_events.c.position))

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


def _chunks(values: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(values)
    while some := list(islice(rest, _IN_LIST)):
        yield some
