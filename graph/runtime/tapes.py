"""The book of tapes: what every decision rested on, kept for as long as anybody may want to replay it.

Writing a tape again changes nothing. An order's tapes can be erased; what many orders share holds no personal data.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.decision import Decision
from domain.errors import NotFound
from domain.event import Event
from domain.tape import Tape
from graph.runtime.audit_reviews import insert_into
from graph.runtime.audit_schema import audit_events
from graph.runtime.sql import transaction
from graph.runtime.tapes_schema import decision_tapes, tape_values

_IN_LIST = 1000


@dataclass(frozen=True, kw_only=True)
class TapeQuery:
    """Which tapes of an agent to read: one for each order, the newest orders first."""

    tenant: str
    agent: str
    limit: int
    since: datetime | None = None


class TapeBook:
    """Reads and writes tapes of one installation."""

    def __init__(self, engine: AsyncEngine) -> None:
        """The engine's schema is up to date."""
        self._engine = engine

    async def write(self, tapes: Sequence[Tape]) -> None:
        """Keep the tapes and the values they bring, all or none.

        Raises:
            StoreUnavailable: the database cannot be written; nothing was kept.
        """
        if not tapes:
            return
        rows = [_row(tape) for tape in {tape.decision_id: tape for tape in tapes}.values()]
        values = {
            (tape.tenant, digest): {
                "tenant": tape.tenant,
                "digest": digest,
                "entity_id": tape.entity_id if digest == tape.order else "",
                "text": text,
            }
            for tape in tapes
            for digest, text in tape.values.items()
        }
        async with transaction(self._engine, "the book of tapes") as connection:
            for table, given in ((decision_tapes, rows), (tape_values, list(values.values()))):
                if given:
                    await connection.execute(insert_into(table, connection).on_conflict_do_nothing(), given)

    async def find(self, tenant: str, decision_id: str) -> Tape:
        """The tape of one decision.

        Raises:
            NotFound: there is none in this tenant.
        """
        wanted = select(decision_tapes.c.tape).where(
            decision_tapes.c.tenant == tenant, decision_tapes.c.decision_id == decision_id
        )
        async with transaction(self._engine, "the book of tapes") as connection:
            text = await connection.scalar(wanted)
        if text is None:
            raise NotFound(f"there is no tape of a decision {decision_id!r}: it was erased, or never made")
        return Tape.from_json(text)

    async def of_order(self, tenant: str, entity_id: str) -> list[Tape]:
        """The tapes of an order's decisions, oldest first; empty when there are none."""
        wanted = (
            select(decision_tapes.c.tape)
            .where(decision_tapes.c.tenant == tenant, decision_tapes.c.entity_id == entity_id)
            .order_by(decision_tapes.c.asked_at, decision_tapes.c.decision_id)
        )
        async with transaction(self._engine, "the book of tapes") as connection:
            return [Tape.from_json(text) for text in await connection.scalars(wanted)]

    async def some(self, tenant: str, decision_ids: Iterable[str]) -> list[Tape]:
        """The tapes of these decisions that are kept, in the order of their instants."""
        found: list[Tape] = []
        async with transaction(self._engine, "the book of tapes") as connection:
            for part in _chunks(sorted(set(decision_ids))):
                wanted = select(decision_tapes.c.tape).where(
                    decision_tapes.c.tenant == tenant, decision_tapes.c.decision_id.in_(part)
                )
                found += [Tape.from_json(text) for text in await connection.scalars(wanted)]
        return sorted(found, key=lambda tape: (tape.asked_at, tape.decision_id))

    async def last(self, query: TapeQuery) -> list[Tape]:
        """The agent's last tape on each of its last orders, newest order first."""
        rows = decision_tapes.c
        newest = (
            select(rows.entity_id, func.max(rows.decision_id).label("decision_id"))
            .where(rows.tenant == query.tenant, rows.agent == query.agent)
            .group_by(rows.entity_id)
            .order_by(func.max(rows.asked_at).desc(), rows.entity_id)
            .limit(query.limit)
        )
        if query.since is not None:
            newest = newest.where(rows.asked_at >= query.since)
        chosen = newest.subquery()
        wanted = (
            select(rows.tape)
            .join(chosen, rows.decision_id == chosen.c.decision_id)
            .order_by(rows.asked_at.desc(), rows.decision_id)
        )
        async with transaction(self._engine, "the book of tapes") as connection:
            return [Tape.from_json(text) for text in await connection.scalars(wanted)]

    async def values(self, tenant: str, digests: Iterable[str]) -> dict[str, str]:
        """The texts that are kept under these digests."""
        found: dict[str, str] = {}
        async with transaction(self._engine, "the book of tapes") as connection:
            for some in _chunks(sorted(set(digests))):
                wanted = select(tape_values.c.digest, tape_values.c.text).where(
                    tape_values.c.tenant == tenant, tape_values.c.digest.in_(some)
                )
                found |= {digest: text for digest, text in await connection.execute(wanted)}  # noqa: C416
        return found

    async def decisions(self, tenant: str, decision_ids: Iterable[str]) -> dict[str, Decision]:
        """The decisions as the audit has them, by id; one that is not audited yet is absent."""
        found: dict[str, Decision] = {}
        async with transaction(self._engine, "the audit") as connection:
            for some in _chunks(sorted(set(decision_ids))):
                wanted = select(audit_events.c.payload).where(
                    audit_events.c.tenant == tenant, audit_events.c.event_id.in_(some)
                )
                for payload in await connection.scalars(wanted):
                    decision = decision_of(Event.from_json(payload))
                    found[decision.decision_id] = decision
        return found

    async def erase(self, tenant: str, entity_ids: Sequence[str]) -> int:
        """Erase every tape and document of these orders; returns how many tapes went."""
        erased = 0
        async with transaction(self._engine, "the book of tapes") as connection:
            for some in _chunks(entity_ids):
                gone = await connection.execute(
                    delete(decision_tapes).where(
                        decision_tapes.c.tenant == tenant, decision_tapes.c.entity_id.in_(some)
                    )
                )
                erased += gone.rowcount
                await connection.execute(
                    delete(tape_values).where(tape_values.c.tenant == tenant, tape_values.c.entity_id.in_(some))
                )
        return erased


def decision_of(event: Event) -> Decision:
    """The decision an event publishes."""
    metadata: dict[str, Any] = event.metadata
    return Decision.model_validate(
        {
            **event.result,
            "decision_id": event.event_id,
            "tenant": event.tenant,
            "entity_type": event.entity_type,
            "entity_id": event.entity_id,
            "agent": event.agent_name,
            "versions": metadata["versions"],
            "inputs_digest": metadata["inputs_digest"],
            "order_version": metadata["order_version"],
            "mode": metadata["mode"],
            "attempt_group": metadata["attempt_group"],
            "attempt": metadata["attempt"],
            "cost": metadata["cost"],
            "processing_time_ms": metadata["processing_time_ms"],
            "decided_at": event.timestamp,
        }
    )


def _row(tape: Tape) -> dict[str, Any]:
    return {
        "decision_id": tape.decision_id,
        "tenant": tape.tenant,
        "entity_id": tape.entity_id,
        "agent": tape.agent,
        "version": tape.version,
        "asked_at": tape.asked_at,
        "order_digest": tape.order,
        "tape": tape.model_copy(update={"values": {}}).to_json(),
    }


def _chunks(values: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(values)
    while some := list(islice(rest, _IN_LIST)):
        yield some
