"""The book of examples in SQL: learned once, found by situation, undone and restored with an event each."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import Conflict, Forbidden, InputError, MalformedPayload, NotFound, StoreUnavailable
from domain.event import Event
from domain.example import Edit, Example, Situation, learned, similar
from domain.ids import EventId, stable_id, thread_id
from domain.ports import Delivery
from graph.runtime.audit_reviews import insert_into
from graph.runtime.examples_schema import edit_examples
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.journal import Journal

log = structlog.get_logger(__name__)

RECENT = 200
"""Examples of one situation that are ranked; older ones have no influence."""
ACCEPTED = ".edit.accepted"
"""How the event of an accepted edit ends, whatever entity it is about; its facts are an ``Edit``."""


class ExampleBook:
    """What people's edits have taught, per tenant."""

    topic = JOURNAL
    group = "learning"
    """It listens to the journal for accepted edits."""

    def __init__(self, engine: AsyncEngine, journal: Journal) -> None:
        """The schema is up to date; what changes is told in ``journal``."""
        self._engine = engine
        self._journal = journal

    def concerns(self, delivery: Delivery) -> bool:
        """Whether a message tells of an accepted edit."""
        return delivery.message.headers.get("t", "").endswith(ACCEPTED)

    async def handle(self, delivery: Delivery) -> None:
        """Learn from one accepted edit, once; an edit that may not teach is noted in the log and has no influence.

        Raises:
            MalformedPayload: the event cannot be read.
            StoreUnavailable: not now; it should be delivered again.
        """
        try:
            event = Event.from_json(delivery.message.body)
            edit = Edit.model_validate(event.result)
        except ValueError as bad:
            raise MalformedPayload(f"the accepted edit cannot be read: {bad}") from None
        try:
            example = learned(
                edit, tenant=event.tenant, entity_type=event.entity_type, entity_id=event.entity_id, at=event.timestamp
            )
        except (Forbidden, InputError) as refused:
            log.info("example.not_learned", entity=event.entity_id, kind=edit.situation.kind, why=str(refused))
            return
        await self.learn(example)

    async def learn(self, example: Example) -> None:
        """Keep an example and tell of it; learning it again changes nothing, not even that it was undone.

        Raises:
            StoreUnavailable: no answer; learning it again is safe.
        """
        own = example.situation
        row = {
            "tenant": example.tenant,
            "example_id": example.example_id,
            "agent": own.agent,
            "kind": own.kind,
            "cue": own.cue,
            "body": example.to_json(),
            "taught_at": example.at,
            "undone_by": "",
            "undone_reason": "",
        }
        async with self._reach() as connection:
            await connection.execute(insert_into(edit_examples, connection).values(**row).on_conflict_do_nothing())
        await self._tell(example, "learned", by=example.taught_by, reason=example.reason, at=example.at)

    async def similar(self, tenant: str, situation: Situation) -> list[Example]:
        """The examples with influence on a situation, best first.

        Raises:
            StoreUnavailable: no answer.
        """
        wanted = (
            select(edit_examples)
            .where(
                edit_examples.c.tenant == tenant,
                edit_examples.c.agent == situation.agent,
                edit_examples.c.kind == situation.kind,
                edit_examples.c.cue == situation.cue,
                edit_examples.c.undone_at.is_(None),
            )
            .order_by(edit_examples.c.taught_at.desc())
            .limit(RECENT)
        )
        async with self._reach() as connection:
            return similar(situation, [_example(row) for row in await connection.execute(wanted)])

    async def listed(self, tenant: str, *, agent: str | None = None, limit: int = 200) -> Sequence[Example]:
        """A tenant's examples, newest first, undone ones included.

        Raises:
            StoreUnavailable: no answer.
        """
        wanted = select(edit_examples).where(edit_examples.c.tenant == tenant)
        if agent is not None:
            wanted = wanted.where(edit_examples.c.agent == agent)
        async with self._reach() as connection:
            found = await connection.execute(wanted.order_by(edit_examples.c.taught_at.desc()).limit(limit))
            return [_example(row) for row in found]

    async def find(self, tenant: str, example_id: str) -> Example:
        """One example.

        Raises:
            NotFound: this tenant has none of that id.
            StoreUnavailable: no answer.
        """
        wanted = select(edit_examples).where(edit_examples.c.tenant == tenant, edit_examples.c.example_id == example_id)
        async with self._reach() as connection:
            row = (await connection.execute(wanted)).first()
        if row is None:
            raise NotFound(f"there is no example {example_id!r}; list them to see which there are")
        return _example(row)

    async def undo(self, tenant: str, example_id: str, *, by: str, reason: str, at: datetime) -> Example:
        """Take an example's influence away from the next proposal on. Undoing twice tells who was first.

        Raises:
            NotFound: this tenant has none of that id.
            StoreUnavailable: no answer; undoing it again is safe.
        """
        before = await self.find(tenant, example_id)
        if before.active:
            await self._set(tenant, example_id, was_active=True, undone_at=at, undone_by=by, undone_reason=reason)
        now = await self.find(tenant, example_id)
        if now.undone_at is not None:
            await self._tell(now, "undone", by=now.undone_by, reason=now.undone_reason, at=now.undone_at)
        return now

    async def restore(self, tenant: str, example_id: str, *, by: str, reason: str, at: datetime) -> Example:
        """Give an undone example its influence back.

        Raises:
            NotFound: this tenant has none of that id.
            Conflict: it was not undone.
            StoreUnavailable: no answer.
        """
        if (await self.find(tenant, example_id)).active:
            raise Conflict(f"example {example_id} is in use; there is nothing to restore")
        await self._set(tenant, example_id, was_active=False, undone_at=None, undone_by="", undone_reason="")
        now = await self.find(tenant, example_id)
        await self._tell(now, "restored", by=by, reason=reason, at=at)
        return now

    async def _set(self, tenant: str, example_id: str, *, was_active: bool, **columns: Any) -> None:
        known = (edit_examples.c.tenant == tenant) & (edit_examples.c.example_id == example_id)
        standing = edit_examples.c.undone_at.is_(None) if was_active else edit_examples.c.undone_at.is_not(None)
        async with self._reach() as connection:
            await connection.execute(update(edit_examples).where(known & standing).values(**columns))

    async def _tell(self, example: Example, what: str, *, by: str, reason: str, at: datetime) -> None:
        """Publish that an example was learned, undone or restored; what is told again is the same event."""
        own = example.situation
        event = Event(
            event_id=EventId(stable_id(example.tenant, example.example_id, what, at.isoformat())),
            event_type=f"example.{what}",
            entity_type="example",
            entity_id=example.example_id,
            agent_name=f"person:{by}",
            timestamp=at,
            result={"agent": own.agent, "kind": own.kind, "from": example.entity_id, "by": by, "reason": reason},
            metadata={"actor": by},
            tenant=example.tenant,
            sequence=0,
            correlation_id=example.review_id,
            currency="",
            locale=own.language,
        )
        await self._journal.publish(thread_id(example.tenant, "example", example.example_id), [event], at=at)

    @asynccontextmanager
    async def _reach(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except (DBAPIError, PoolTimeout, OSError) as away:
            raise StoreUnavailable(f"the book of examples does not answer: {type(away).__name__}") from away


def _example(row: Any) -> Example:
    undone = {"undone_at": row.undone_at, "undone_by": row.undone_by, "undone_reason": row.undone_reason}
    return Example.from_json(row.body).model_copy(update=undone)
