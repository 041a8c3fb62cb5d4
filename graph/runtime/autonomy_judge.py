"""Decides where segments stand: weighs the ledger by the rules of promotion and writes what follows, with its event."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from domain.autonomy import POLICY, AutonomyPolicy, Level, Segment, ShadowGate, Standing
from domain.errors import Conflict
from domain.event import Event
from domain.ids import EventId, TenantId, stable_id
from domain.promotion import Case, Change, Signs, advance, demoted, promoted, shortfalls, tally
from graph.runtime.autonomy_book import ENTITY, AutonomyBook, Earned, thread_of_agent
from graph.runtime.autonomy_counts import AutonomyCounts
from graph.runtime.autonomy_ledger import SuggestionLedger
from graph.runtime.clock import Clock

log = structlog.get_logger(__name__)

EVER = datetime(1970, 1, 1, tzinfo=UTC)
"""When the record of a segment began that was never changed."""
_RACES = 5


@dataclass(frozen=True, kw_only=True)
class Record:
    """One segment with everything its next change depends on."""

    standing: Standing
    cases: list[Case]
    signs: Signs


class AutonomyJudge:
    """Promotes, steps and demotes. Several workers may judge the same segment at once: one change wins."""

    def __init__(
        self,
        book: AutonomyBook,
        ledger: SuggestionLedger,
        counts: AutonomyCounts,
        clock: Clock,
        *,
        gate: ShadowGate,
        topology: str,
        policy: AutonomyPolicy = POLICY,
    ) -> None:
        """``gate`` knows which versions passed their shadow test in the topology of this name."""
        self._book = book
        self._ledger = ledger
        self._counts = counts
        self._clock = clock
        self._gate = gate
        self._topology = topology
        self.policy = policy

    async def record(self, segment: Segment) -> Record:
        """What is known of a segment now.

        Raises:
            StoreUnavailable: it cannot be read now.
        """
        return await self._record(await self._book.fresh(segment.tenant, segment.agent), segment)

    async def _record(self, earned: Earned, segment: Segment) -> Record:
        standing = earned.standing(segment) or Standing(segment=segment, since=EVER, stepped_at=EVER)
        cases = await self._ledger.cases(segment, standing.since)
        return Record(standing=standing, cases=cases, signs=await self._signs(earned, standing))

    async def _signs(self, earned: Earned, standing: Standing) -> Signs:
        segment, now = standing.segment, self._clock.now()
        found = earned.calibration
        measured = found is not None and found.version == segment.version
        calibrated = found.made_at if found and measured and found.curve(segment.action, segment.market) else None
        if standing.level is Level.SUGGESTION:
            features = await self._ledger.features(segment, standing.since)
            return Signs(
                fast_track=await self._fast_track(earned, segment), features=features, calibrated_at=calibrated
            )
        asked, silent = await self._counts.silences(
            segment.tenant, segment.agent, within=self.policy.silent_for, now=now
        )
        seen = await self._counts.features(segment.tenant, segment.agent, now=now)
        return Signs(asked=asked, silent=silent, features=seen.get(segment.field, {}), calibrated_at=calibrated)

    async def _fast_track(self, earned: Earned, segment: Segment) -> bool:
        place = (segment.action, segment.market, segment.band)
        before = any(
            one.promoted and (one.segment.action, one.segment.market, one.segment.band) == place
            and one.segment.version != segment.version
            for one in earned.standings.values()
        )  # fmt: skip
        return before and await self._gate.passed(agent=segment.agent, version=segment.version, topology=self._topology)

    async def consider(self, segment: Segment) -> Change | None:
        """Let the record decide about a segment; what it changed, or None.

        Raises:
            StoreUnavailable: nothing was changed.
        """

        def judge(record: Record, now: datetime) -> Change | None:
            return advance(record.standing, record.cases, now, record.signs, self.policy)

        return await self._write(segment, judge)

    async def demote(self, segment: Segment, why: str, *, by: str = "signalbox") -> Change | None:
        """Take the autonomy of a segment away now, and begin its record anew; None when a severe error already did.

        Raises:
            StoreUnavailable: it was not taken away; asking again is safe.
        """

        def judge(record: Record, now: datetime) -> Change | None:
            if record.standing.level is Level.SUGGESTION and by == "signalbox":
                return None
            return demoted(record.standing, why, now, by=by)

        return await self._write(segment, judge)

    async def promote(self, segment: Segment, why: str, *, by: str) -> Change:
        """Promote a segment, or take it one step up, ahead of the next look; only where the record allows it.

        Raises:
            Conflict: the record does not allow it; the message says what is missing.
            StoreUnavailable: nothing was changed.
        """

        def judge(record: Record, now: datetime) -> Change | None:
            return self._by_hand(record, now, why=why, by=by)

        change = await self._write(segment, judge)
        if change is None:
            raise Conflict(f"{segment} was changed by somebody else meanwhile; look again")
        return change

    def _by_hand(self, record: Record, now: datetime, *, why: str, by: str) -> Change:
        standing, count = record.standing, tally(record.cases)
        if not standing.segment.promotable:
            raise Conflict(f"{standing.segment} is not an action an agent takes by itself; nothing to promote")
        if standing.level is Level.FULL:
            raise Conflict(f"{standing.segment} is fully autonomous already")
        if standing.level is Level.SUGGESTION and standing.looks >= self.policy.looks:
            raise Conflict(
                f"the {self.policy.looks} looks at {standing.segment} are used up; demote it to begin a new record"
            )
        missing = shortfalls(standing, record.cases, record.signs, self.policy)
        if missing:
            raise Conflict(f"{standing.segment} has not earned it: {'; '.join(missing)}")
        if standing.level is Level.SUGGESTION:
            looked = standing.model_copy(update={"looks": standing.looks + 1, "looked_at_cases": count.cases})
            return promoted(looked, count, now, why=why, features=record.signs.features, by=by)
        made = {"level": standing.level.next, "stepped_at": now, "why": why, "by": by}
        return Change(standing=standing.model_copy(update=made), kind="stepped")

    async def _write(self, segment: Segment, judge: Callable[[Record, datetime], Change | None]) -> Change | None:
        for _ in range(_RACES):
            earned = await self._book.fresh(segment.tenant, segment.agent)
            record, now = await self._record(earned, segment), self._clock.now()
            # Noise floors take a moment to draw; the loop has orders to carry meanwhile.
            change = await asyncio.to_thread(judge, record, now)
            if change is None:
                return None
            event = event_of(change, record, now)
            if await self._book.put(earned, change.standing, event):
                log.warning(
                    "agent.autonomy", change=change.kind, segment=str(segment), level=change.standing.level.value,
                    why=change.standing.why, by=change.standing.by,
                )  # fmt: skip
                return change
        return None


def event_of(change: Change, record: Record, at: datetime) -> Event:
    """The event that tells a change of standing."""
    standing, count = change.standing, tally(record.cases)
    facts: Mapping[str, object] = {
        **standing.segment.model_dump(mode="json"),
        "level": standing.level.value,
        "was": record.standing.level.value,
        "why": standing.why,
        "looks": standing.looks,
        "cases": count.cases,
        "disagreements": count.wrong,
    }
    of, kind = standing.segment, f"agent.autonomy.{change.kind}"
    return agent_event(kind, dict(facts), tenant=of.tenant, agent=of.agent, part=of.field, by=standing.by, at=at)


def agent_event(
    kind: str, facts: dict[str, object], *, tenant: str, agent: str, part: str, by: str, at: datetime
) -> Event:
    """A happening about an agent; ``by`` is ``signalbox`` or ``person:<id>``, ``part`` tells happenings of one instant apart."""
    thread = thread_of_agent(tenant, agent)
    return Event(
        event_id=EventId(stable_id(thread, kind, part, at.isoformat())),
        event_type=kind,
        entity_type=ENTITY,
        entity_id=agent,
        agent_name=by,
        timestamp=at,
        result=facts,
        tenant=TenantId(tenant),
        sequence=0,
        correlation_id=thread,
        currency="",
        locale="",
    )
