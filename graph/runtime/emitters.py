"""Who speaks in the events without being registered: looked for in the audit, told once in log and journal, counted in metrics.

The distinct speakers are found by jumping along the index of agents, so that years of events cost no more than a day's.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import StoreUnavailable
from domain.event import Event
from domain.ids import EventId, TenantId, stable_id, thread_id
from graph.runtime.audit_schema import audit_events
from graph.runtime.clock import Clock
from graph.runtime.journal import Journal
from graph.runtime.leases import Leadership

log = structlog.get_logger(__name__)

EVERY_S = 10.0
SEEN_WITHIN = timedelta(days=7)
"""One that has been silent for longer is history."""
UNREGISTERED = "emitter.unregistered.seen"
_AGENT: ColumnElement[str] = audit_events.c.agent


@dataclass(frozen=True, kw_only=True)
class Emitter:
    """Somebody unregistered who speaks in one tenant's events."""

    tenant: str
    name: str
    events: int
    """Of the last ``SEEN_WITHIN``."""
    event_type: str
    """Of the newest."""
    first_seen: datetime
    last_seen: datetime


class EmitterWatch:
    """Finds them. Every worker runs one, one of all leads."""

    def __init__(
        self, engine: AsyncEngine, journal: Journal, clock: Clock, lead: Leadership,
        *, unknown: Callable[[list[str]], list[str]],
    ) -> None:  # fmt: skip
        """``unknown`` picks those of some speakers who are not registered."""
        self._engine = engine
        self._journal = journal
        self._clock = clock
        self._lead = lead
        self._unknown = unknown
        self._told: set[tuple[str, str]] = set()
        self.show: Callable[[int], None] = lambda _count: None
        """Takes how many there are, for the metrics of the process that leads."""

    async def run(self, stop: asyncio.Event) -> None:
        """Look every ``EVERY_S`` until ``stop`` is set."""
        while not stop.is_set():
            try:
                if await self._lead.lead():
                    await self.look()
            except StoreUnavailable as away:
                log.warning("emitters.not_now", why=str(away))
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await stop.wait()
        with suppress(StoreUnavailable):
            await self._lead.resign()

    async def look(self) -> list[Emitter]:
        """Flag everybody who is new among the unregistered; gives all of them.

        Raises:
            StoreUnavailable: the audit or the journal does not answer.
        """
        found = await self.unregistered()
        self.show(len(found))
        for emitter in found:
            if (emitter.tenant, emitter.name) not in self._told:
                await self._tell(emitter)
                self._told.add((emitter.tenant, emitter.name))
        return found

    async def unregistered(self, tenant: str | None = None) -> list[Emitter]:
        """Everybody who spoke within ``SEEN_WITHIN`` and is not registered, newest first.

        Raises:
            StoreUnavailable: the audit does not answer.
        """
        since = self._clock.now() - SEEN_WITHIN
        try:
            async with self._engine.connect() as connection:
                unknown = self._unknown(await _speakers(connection))
                found = [one for name in unknown for one in await _spoken(connection, name, since)]
        except (SQLAlchemyError, OSError) as failure:
            raise StoreUnavailable(f"the audit cannot be read: {failure}") from failure
        mine = [one for one in found if tenant is None or one.tenant == tenant]
        return sorted(mine, key=lambda one: one.last_seen, reverse=True)

    async def _tell(self, emitter: Emitter) -> None:
        """In the log and, with an id the audit takes only once, in the journal."""
        log.warning("emitter.unregistered", emitter=emitter.name, tenant=emitter.tenant, event_type=emitter.event_type)
        thread = thread_id(emitter.tenant, "emitter", emitter.name)
        first = emitter.first_seen.isoformat()
        event = Event(
            event_id=EventId(stable_id(thread, UNREGISTERED, first)),
            event_type=UNREGISTERED,
            entity_type="emitter",
            entity_id=emitter.name,
            agent_name="signalbox",
            timestamp=self._clock.now(),
            result={"event_type": emitter.event_type, "first_seen": first},
            tenant=TenantId(emitter.tenant),
            sequence=0,
            correlation_id=f"emitter-{emitter.name}",
            currency="",
            locale="",
        )
        await self._journal.publish(thread, [event], at=event.timestamp)


async def _speakers(connection: AsyncConnection) -> list[str]:
    found: list[str] = []
    name = await connection.scalar(select(func.min(_AGENT)))
    while name is not None:
        found.append(name)
        name = await connection.scalar(select(func.min(_AGENT)).where(name < _AGENT))
    return found


async def _spoken(connection: AsyncConnection, name: str, since: datetime) -> list[Emitter]:
    at, newest = audit_events.c.at_utc, func.max(audit_events.c.id)
    wanted = (
        select(audit_events.c.tenant, func.count(), func.min(at), func.max(at), newest)
        .where(_AGENT.in_([name]), audit_events.c.recorded_at >= since)
        .group_by(audit_events.c.tenant)
    )
    found = []
    for tenant, count, first, last, row in (await connection.execute(wanted)).all():
        kind = await connection.scalar(select(audit_events.c.event_type).where(audit_events.c.id == row))
        found.append(
            Emitter(tenant=tenant, name=name, events=count, event_type=kind or "", first_seen=first, last_seen=last)
        )  # fmt: skip
    return found
