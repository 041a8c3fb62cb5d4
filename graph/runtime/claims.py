"""Claims on facets: what any workflow asks for before an effect that another agent may contradict.

The claims of one entity live together and change by compare-and-set, in the script that also publishes what happened: of
two that exclude each other exactly one prevails, whoever asks first and in whichever process.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from domain.claim import Claim, ClaimState, Entity
from domain.conflict import ConflictPolicy, Resolution, Side, Stale
from domain.errors import Conflict, NotFound, StoreUnavailable
from domain.event import Event
from domain.ids import EventId, stable_id
from domain.resolution import resolve
from domain.values import Plain
from graph.runtime.atomics import PRELUDE
from graph.runtime.connection import Batcher
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.journal import millis, pairs, text
from graph.runtime.keys import STATE_TTL_S, Keyspace
from graph.runtime.scripts import Script

REMEMBERED = timedelta(hours=24)
"""A claim that lost is kept this long, so that its owner gets the same answer again."""
ATTEMPTS = 100
"""Each lost race means that somebody else's claim was written; nobody loses this many."""

SHOWN = 20
"""Conflicts a claim carries with it; the journal has all of them."""

_WRITE = Script(
    PRELUDE
    + """
local claims, doc, stream = unpack(KEYS)
local rev, thread, now, changes = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if (redis.call('HGET', claims, 'rev') or '0') ~= rev then return {'moved', redis.call('HGETALL', claims)} end
local at = 5
for _ = 1, changes do
  if ARGV[at + 1] == '' then redis.call('HDEL', claims, ARGV[at])
  else redis.call('HSET', claims, ARGV[at], ARGV[at + 1]) end
  at = at + 2
end
redis.call('HINCRBY', claims, 'rev', 1)
while at < #ARGV do
  publish(doc, stream, thread, now, ARGV[at], ARGV[at + 1])
  at = at + 2
end
keep(doc, claims); keep(doc, doc)
return {'written', {}}
"""
)


_VACATE = Script(
    f"""
local claims = KEYS[1]
if redis.call('HDEL', claims, ARGV[1]) == 1 then redis.call('HINCRBY', claims, 'rev', 1) end
redis.call('EXPIRE', claims, {STATE_TTL_S})
return 1
"""
)


@dataclass
class _Changes:
    """What one attempt would write."""

    fields: dict[str, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def put(self, claim: Claim) -> None:
        self.fields[_key(claim.side.decision_id, claim.side.facet)] = claim.to_json()


class Claims:
    """Grants, holds back and takes away claims by the conflict policy."""

    def __init__(self, batcher: Batcher, keys: Keyspace, policy: ConflictPolicy) -> None:
        """``policy`` is the one the gate judges by."""
        self._redis = batcher
        self._keys = keys
        self.policy = policy
        self._queues: dict[str, asyncio.Lock] = {}
        """Of this process: writers of one entity queue up instead of losing races to each other."""

    async def claim_facet(
        self, entity: Entity, side: Side, *, at: datetime, expires_at: datetime | None = None
    ) -> Claim:
        """Claim a facet for a decision; asking again gives the same answer.

        Act only on ``GRANTED``, after ``begin``. Every conflict is recorded once, with the claim, in the same step.

        Raises:
            InputError: the policy does not know the facet or the action.
            StoreUnavailable: no answer; claiming again is safe.
        """
        self.policy.stance(side.facet, side.action)
        async with self._turn(entity):
            return await self._claim(entity, side, at=at, expires_at=expires_at)

    @asynccontextmanager
    async def _turn(self, entity: Entity) -> AsyncIterator[None]:
        queue = self._queues.setdefault(entity.thread, asyncio.Lock())
        try:
            async with queue:
                yield
        finally:
            if not queue.locked() and self._queues.get(entity.thread) is queue:
                del self._queues[entity.thread]

    async def _claim(self, entity: Entity, side: Side, *, at: datetime, expires_at: datetime | None) -> Claim:
        rev, kept = "0", dict[str, Claim]()
        for _ in range(ATTEMPTS):
            if known := kept.get(_key(side.decision_id, side.facet)):
                return known
            claim, changes = self._settle(entity, side, kept, at=at, expires_at=expires_at)
            moved = await self._write(entity, rev, changes, at=at)
            if moved is None:
                return claim
            rev, kept = moved
        raise StoreUnavailable(f"{entity.entity_type} {entity.entity_id} is claimed by too many at once; try again")

    async def occupy(self, entity: Entity, side: Side, *, at: datetime) -> Claim:
        """Claim a facet and begin in one step: the claim is ``BEGUN``, or says what stands against it.

        The caller holds the entity's lease: whatever the same agent claimed there before has ended, by a crash or by
        what is asked for now, and gives way. So a claim left behind never stands in its own workflow's way.

        Raises:
            InputError: the policy does not know the facet or the action.
            StoreUnavailable: no answer; asking again is safe.
        """
        self.policy.stance(side.facet, side.action)
        async with self._turn(entity):
            rev, kept = "0", dict[str, Claim]()
            for _ in range(ATTEMPTS):
                own = [key for key, claim in kept.items() if claim.side.agent == side.agent]
                others = {key: claim for key, claim in kept.items() if key not in own}
                claim, changes = self._settle(entity, side, others, at=at, expires_at=None)
                changes.fields = dict.fromkeys(own, "") | changes.fields
                if claim.state is ClaimState.GRANTED:
                    claim = claim.model_copy(update={"state": ClaimState.BEGUN})
                    changes.put(claim)
                moved = await self._write(entity, rev, changes, at=at)
                if moved is None:
                    return claim
                rev, kept = moved
        raise StoreUnavailable(f"{entity.entity_type} {entity.entity_id} is claimed by too many at once; try again")

    async def vacate(self, entity: Entity, side: Side) -> None:
        """Give up what was occupied, in one step. Twice is the same as once."""
        await self._redis.script(_VACATE, [self._keys.claims(entity.thread)], [_key(side.decision_id, side.facet)])

    def _settle(
        self, entity: Entity, side: Side, kept: dict[str, Claim], *, at: datetime, expires_at: datetime | None
    ) -> tuple[Claim, _Changes]:
        """The claim as it stands against those there are, and what that changes."""
        others = [claim for claim in kept.values() if claim.counts(at)]
        ends = [(claim, resolve(side, claim.as_side(), self.policy, at=at)) for claim in others]
        claim = Claim(side=side, state=ClaimState.GRANTED, at=at, expires_at=expires_at)
        changes = _Changes(fields={key: "" for key, old in kept.items() if _forgotten(old, at)})
        outdated = [end for _, end in ends if isinstance(end, Stale) and end.side == side]
        lost = [end for _, end in ends if isinstance(end, Resolution) and end.loser == side]
        if outdated:
            claim = claim.model_copy(update={"state": ClaimState.STALE, "stale": outdated[0]})
            changes.events.append(_stale_event(entity, outdated[0], at=at))
        elif lost:
            claim = claim.model_copy(update={"state": ClaimState.LOST, "resolutions": tuple(lost)})
        else:
            won = tuple(end for _, end in ends if isinstance(end, Resolution))
            held = any(not end.runs and not side.stance.stops for end in won)
            state = ClaimState.HELD if held else ClaimState.GRANTED
            claim = claim.model_copy(update={"state": state, "resolutions": won})
        if not outdated:
            for other, end in ends:
                self._tell(entity, other, end, changes, at=at, only=lost)
        changes.put(claim)
        return claim, changes

    def _tell(
        self,
        entity: Entity,
        other: Claim,
        end: Resolution | Stale | None,
        changes: _Changes,
        *,
        at: datetime,
        only: Sequence[Resolution],
    ) -> None:
        """What a conflict means for the claim that was there. One that lost elsewhere takes nothing from anybody."""
        if isinstance(end, Stale):
            if not only:
                changes.put(other.model_copy(update={"state": ClaimState.STALE, "stale": end}))
                changes.events.append(_stale_event(entity, end, at=at))
            return
        if end is None or (only and end not in only):
            return
        changes.events.append(_conflict_event(entity, end, at=at))
        state = other.state
        if state is not ClaimState.BEGUN:
            if end.loser.decision_id == other.side.decision_id:
                state = ClaimState.LOST
            elif not end.runs and not other.side.stance.stops:
                state = ClaimState.HELD
        changes.put(other.model_copy(update={"state": state, "resolutions": (*other.resolutions, end)[-SHOWN:]}))

    async def begin(self, entity: Entity, side: Side, *, at: datetime) -> None:
        """Say that the effect starts now; from here on nobody can take the claim away.

        Raises:
            NotFound: there is no such claim.
            Conflict: it is not granted any more; the message says why.
        """

        def begun(claim: Claim) -> Claim | None:
            if claim.state is ClaimState.BEGUN:
                return None
            if claim.state is not ClaimState.GRANTED or not claim.counts(at):
                state = "expired" if claim.state is ClaimState.GRANTED else claim.state.value
                raise Conflict(
                    f"{side.agent} may not {side.action} {entity.entity_id}: {claim.why or f'it is {state}'}"
                )
            return claim.model_copy(update={"state": ClaimState.BEGUN})

        if not await self._change(entity, side, begun, at=at):
            raise NotFound(f"{side.agent} has no claim on {side.facet} of {entity.entity_type} {entity.entity_id}")

    async def release(self, entity: Entity, side: Side, *, at: datetime) -> None:
        """Give a claim up: the effect was not brought about, was undone, or no longer matters. Twice is the same as once."""
        await self._change(entity, side, lambda claim: None, at=at, drop=True)

    async def of(self, entity: Entity) -> list[Claim]:
        """Every claim that is remembered, oldest first."""
        _, kept = _read(await self._redis.execute("HGETALL", self._keys.claims(entity.thread)))
        return sorted(kept.values(), key=lambda claim: (claim.at, claim.side.decision_id))

    async def _change(
        self, entity: Entity, side: Side, change: Callable[[Claim], Claim | None], *, at: datetime, drop: bool = False
    ) -> bool:
        """Rewrite or drop one claim; False when there is none."""
        key = _key(side.decision_id, side.facet)
        rev, kept = _read(await self._redis.execute("HGETALL", self._keys.claims(entity.thread)))
        for _ in range(ATTEMPTS):
            claim = kept.get(key)
            if claim is None:
                return False
            new = change(claim)
            if new is None and not drop:
                return True
            moved = await self._write(entity, rev, _Changes({key: "" if new is None else new.to_json()}), at=at)
            if moved is None:
                return True
            rev, kept = moved
        raise StoreUnavailable(f"{entity.entity_type} {entity.entity_id} is claimed by too many at once; try again")

    async def _write(
        self, entity: Entity, rev: str, changes: _Changes, *, at: datetime
    ) -> tuple[str, dict[str, Claim]] | None:
        """Write unless somebody else has written since ``rev``; then what there is now."""
        thread = entity.thread
        args = [rev, thread, millis(at), str(len(changes.fields))]
        for name, value in changes.fields.items():
            args += [name, value]
        for event in changes.events:
            args += [event.event_type, event.to_json()]
        stream = self._keys.stream(JOURNAL, self._keys.shard_of(thread))
        status, found = await self._redis.script(
            _WRITE, [self._keys.claims(thread), self._keys.entity(thread).document, stream], args
        )
        return None if text(status) == "written" else _read(found)


def _key(decision_id: str, facet: str) -> str:
    return f"{facet}|{decision_id}"


def _read(reply: object) -> tuple[str, dict[str, Claim]]:
    fields = pairs(reply)
    rev = fields.pop("rev", "0")
    return rev, {key: Claim.from_json(value) for key, value in fields.items()}


def _forgotten(claim: Claim, at: datetime) -> bool:
    return not claim.counts(at) and at - claim.at > REMEMBERED


def _conflict_event(entity: Entity, end: Resolution, *, at: datetime) -> Event:
    ids = sorted((end.winner.decision_id, end.loser.decision_id))
    return _event(entity, "conflict.recorded", end.facts(), at=at, part=(*ids, end.winner.facet))


def _stale_event(entity: Entity, end: Stale, *, at: datetime) -> Event:
    facts: dict[str, Plain] = {
        "facet": end.side.facet,
        "agent": end.side.agent,
        "decision_id": end.side.decision_id,
        "decided_on": end.side.state_version,
        "newer_id": end.newer.decision_id,
        "newer": end.newer.state_version,
        "detail": end.sentence,
    }
    return _event(entity, "decision.stale", facts, at=at, part=(end.side.decision_id, end.newer.decision_id))


def _event(entity: Entity, happening: str, facts: dict[str, Plain], *, at: datetime, part: Sequence[str]) -> Event:
    kind = f"{entity.entity_type}.{happening}"
    return Event(
        event_id=EventId(stable_id(entity.thread, kind, *part)),
        event_type=kind,
        entity_type=entity.entity_type,
        entity_id=entity.entity_id,
        agent_name="signalbox",
        timestamp=at,
        result=dict(facts),
        tenant=entity.tenant,
        sequence=0,
        correlation_id=entity.correlation_id,
        currency=entity.currency,
        locale=entity.locale,
    )
