"""Durable clocks: warned at three quarters of the time, breached at the end, each told once, whoever watches.

They live in the database: a restart, a lost store or a week of standstill makes them late, never forgotten.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
import yaml
from pydantic import ValidationError
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import ConfigError, InputError, NotFound, StoreUnavailable, Transient
from domain.event import Event
from domain.ids import EventId, TenantId, stable_id, thread_id
from domain.promise_clock import ClockRule, ClockState, PromiseClock
from domain.values import Document
from graph.runtime.audit_reviews import insert_into
from graph.runtime.clock import Clock
from graph.runtime.clocks_schema import promise_clocks
from graph.runtime.journal import Journal
from graph.runtime.leases import Leadership
from graph.runtime.metrics import Metrics

log = structlog.get_logger(__name__)

RULES_FILE = Path(__file__).with_name("clock_rules.yaml")
TICK_S = 1.0
AT_ONCE = 200
_RUNNING = tuple(state.value for state in ClockState if state.runs)


class ResponseMeasure(Document):
    """How one kind of promise is kept."""

    kind: str
    started: int
    met: int
    breached: int
    open: int
    share: float | None
    """Of those decided, the share met in time; None when none was."""
    median_hours: float | None
    """From the start until it happened."""
    target: float | None
    days: int


def read_rules(file: Path = RULES_FILE) -> Mapping[str, ClockRule]:
    """The rules of a file, by kind.

    Raises:
        ConfigError: it cannot be read or a rule is wrong; the message says which.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        rules = [ClockRule.model_validate(rule) for rule in content["rules"]]
    except ValidationError as bad:
        first = bad.errors()[0]
        raise ConfigError(f"{file}: {'.'.join(map(str, first['loc'])) or 'rule'}: {first['msg']}") from None
    except (OSError, yaml.YAMLError, KeyError, TypeError) as bad:
        raise ConfigError(f"{file} is not a file of clock rules: {bad}") from None
    return {rule.kind: rule for rule in rules}


class PromiseClocks:
    """Starts, ends, lists and watches clocks."""

    def __init__(
        self, engine: AsyncEngine, journal: Journal, rules: Mapping[str, ClockRule], *,
        lead: Leadership, clock: Clock, metrics: Metrics,
    ) -> None:  # fmt: skip
        """``lead`` says whether it is this process that watches."""
        self._engine = engine
        self._journal = journal
        self.rules = rules
        self._lead = lead
        self._clock = clock
        self._metrics = metrics

    async def start(
        self,
        tenant: str,
        kind: str,
        *,
        entity: tuple[str, str],
        subject: str = "",
        started: datetime,
        due: datetime | None = None,
    ) -> PromiseClock:
        """Start a clock, once for each kind, entity and subject; ``due`` overrides the rule (a return window's own end).

        Raises:
            InputError: no rule of this kind, or it would be over before it began.
            StoreUnavailable: it was not started.
        """
        rule = self.rules.get(kind)
        if rule is None:
            raise InputError(f"there is no clock {kind!r}; known are {', '.join(sorted(self.rules))}")
        end = due or rule.due(started)
        if end <= started:
            raise InputError(f"clock {kind} of {entity[1]} would end at {end.isoformat()}, before it begins")
        clock = PromiseClock(
            clock_id=stable_id(tenant, kind, *entity, subject),
            tenant=TenantId(tenant),
            kind=kind,
            entity_type=entity[0],
            entity_id=entity[1],
            subject=subject[:200],
            started_at=started,
            warn_at=started + (end - started) * rule.warn_at,
            due_at=end,
        )
        row = clock.model_dump() | {"state": clock.state.value, "next_at": clock.warn_at}
        async with self._reach() as connection:
            await connection.execute(insert_into(promise_clocks, connection).values(**row).on_conflict_do_nothing())
        return await self.find(tenant, clock.clock_id)

    async def end(
        self, tenant: str, clock_id: str, *, by: str, at: datetime, machine: bool = False, stopped: bool = False
    ) -> PromiseClock:
        """What was owed happened, or is not owed any more. Ending twice changes nothing.

        An automatic answer leaves a clock running where the rule counts people's answers only.

        Raises:
            NotFound: this tenant has no such clock.
            StoreUnavailable: it runs on.
        """
        found = await self.find(tenant, clock_id)
        rule = self.rules.get(found.kind)
        if not found.state.runs or (machine and not stopped and rule is not None and not rule.machines_count):
            return found
        late = at > found.due_at
        state = ClockState.STOPPED if stopped else ClockState.MET_LATE if late else ClockState.MET
        ended = found.model_copy(update={"state": state, "ended_at": at, "ended_by": by})
        await self._tell(ended, state.value, at)
        if await self._move(found, state, _RUNNING, ended_at=at, ended_by=by, next_at=None):
            if late and not stopped and found.state is not ClockState.BREACHED:
                self._metrics.clock_stepped(found.kind, ClockState.BREACHED.value)  # answered before anybody looked
            after_s = None if stopped else max(0.0, (at - found.started_at).total_seconds())
            self._metrics.clock_stepped(found.kind, state.value, after_s=after_s)
        return await self.find(tenant, clock_id)

    async def find(self, tenant: str, clock_id: str) -> PromiseClock:
        """One clock.

        Raises:
            NotFound: this tenant has none of that id.
            StoreUnavailable: no answer.
        """
        found = await self._select(promise_clocks.c.tenant == tenant, promise_clocks.c.clock_id == clock_id)
        if not found:
            raise NotFound(f"there is no clock {clock_id!r}")
        return found[0]

    async def listed(
        self, tenant: str, *, running: bool = True, entity_id: str | None = None, limit: int = 500
    ) -> list[PromiseClock]:
        """A tenant's clocks, the nearest deadline first.

        Raises:
            StoreUnavailable: no answer.
        """
        conditions: list[Any] = [promise_clocks.c.tenant == tenant]
        conditions += [promise_clocks.c.state.in_(_RUNNING)] if running else []
        conditions += [promise_clocks.c.entity_id == entity_id] if entity_id is not None else []
        return await self._select(*conditions, limit=limit)

    async def measures(self, tenant: str) -> list[ResponseMeasure]:
        """How each promise was kept within its own days.

        Raises:
            StoreUnavailable: no answer.
        """
        now = self._clock.now()
        found = []
        for rule in self.rules.values():
            since = now - timedelta(days=rule.measured_days)
            clocks = await self._select(
                promise_clocks.c.tenant == tenant,
                promise_clocks.c.kind == rule.kind,
                promise_clocks.c.started_at >= since,
                limit=100_000,
            )
            found.append(_measure(rule, clocks))
        return found

    async def watch(self, stop: asyncio.Event) -> None:
        """Warn and breach what is due, while this process leads; what came due while nobody watched is made up for."""
        while not stop.is_set():
            try:
                if await self._lead.lead():
                    await self.tick()
            except Transient as away:
                log.warning("clocks.not_now", why=str(away))
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await stop.wait()
        with suppress(StoreUnavailable):
            await self._lead.resign()

    async def tick(self) -> int:
        """Take every step that is due now; returns how many.

        Raises:
            StoreUnavailable: the next tick goes on.
        """
        now = self._clock.now()
        taken = 0
        for clock in await self._select(promise_clocks.c.next_at <= now, limit=AT_ONCE):
            breached = clock.due_at <= now
            state = ClockState.BREACHED if breached else ClockState.WARNED
            # Told first: told twice is one event, and a crash in between tells it again.
            await self._tell(clock.model_copy(update={"state": state}), state.value, now)
            following = None if breached else clock.due_at
            if await self._move(clock, state, (clock.state.value,), next_at=following):
                self._metrics.clock_stepped(clock.kind, state.value)
            taken += 1
        return taken

    async def _move(self, clock: PromiseClock, state: ClockState, expected: tuple[str, ...], **columns: Any) -> bool:
        """Whether it was this call that moved it: of several watchers one does."""
        async with self._reach() as connection:
            moved = await connection.execute(
                update(promise_clocks)
                .where(
                    promise_clocks.c.tenant == clock.tenant,
                    promise_clocks.c.clock_id == clock.clock_id,
                    promise_clocks.c.state.in_(expected),
                )
                .values(state=state.value, **columns)
            )
            return bool(moved.rowcount)

    async def _tell(self, clock: PromiseClock, what: str, at: datetime) -> None:
        event = Event(
            event_id=EventId(stable_id(clock.tenant, clock.clock_id, what)),
            event_type=f"{clock.entity_type}.clock.{what}",
            entity_type=clock.entity_type,
            entity_id=clock.entity_id,
            agent_name="clocks",
            timestamp=at,
            result={"clock_id": clock.clock_id, "kind": clock.kind, "subject": clock.subject}
            | {"due_at": clock.due_at.isoformat(), "by": clock.ended_by},
            tenant=clock.tenant,
            sequence=0,
            correlation_id=clock.clock_id,
            currency="",
            locale="",
        )
        await self._journal.publish(thread_id(clock.tenant, clock.entity_type, clock.entity_id), [event], at=at)

    async def _select(self, *conditions: Any, limit: int = 1) -> list[PromiseClock]:
        wanted = select(promise_clocks).where(*conditions).order_by(promise_clocks.c.due_at).limit(limit)
        async with self._reach() as connection:
            return [_clock(row) for row in await connection.execute(wanted)]

    @asynccontextmanager
    async def _reach(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except (DBAPIError, PoolTimeout, OSError) as away:
            raise StoreUnavailable(f"the store of clocks does not answer: {type(away).__name__}") from away


def _clock(row: Any) -> PromiseClock:
    return PromiseClock.model_validate({name: getattr(row, name) for name in PromiseClock.model_fields})


def _measure(rule: ClockRule, clocks: list[PromiseClock]) -> ResponseMeasure:
    met = [clock for clock in clocks if clock.state is ClockState.MET]
    late = [clock for clock in clocks if clock.state in {ClockState.BREACHED, ClockState.MET_LATE}]
    hours = sorted(
        (clock.ended_at - clock.started_at).total_seconds() / 3600
        for clock in clocks
        if clock.ended_at is not None and clock.state is not ClockState.STOPPED
    )
    decided = len(met) + len(late)
    return ResponseMeasure(
        kind=rule.kind,
        started=len(clocks),
        met=len(met),
        breached=len(late),
        open=sum(clock.state in {ClockState.RUNNING, ClockState.WARNED} for clock in clocks),
        share=len(met) / decided if decided else None,
        median_hours=hours[len(hours) // 2] if hours else None,
        target=rule.target,
        days=rule.measured_days,
    )
