"""The decision journal: one script writes an agent's field of the shared state and appends the event.

The first decision per (agent, attempt group, attempt) wins; a repeated node gets back what was decided before.
"""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from domain.decision import Decision
from domain.errors import StaleFence
from domain.event import EncodedEvent, Event
from domain.ids import EventId, ThreadId, stable_id, thread_id
from domain.risk import CustomerException
from graph.runtime import tracing
from graph.runtime.atomics import PRELUDE, UNFENCED
from graph.runtime.connection import Batcher
from graph.runtime.keys import Keyspace
from graph.runtime.scripts import Script

TOPIC = "journal"
OCCASIONS = "occasions"
"""Where an entity got to, published with the journal: what tier 3 follows, without reading everything else."""
TAPES = "tapes"
"""What each decision rested on, published with it: what replays and shadow tests are made of."""

_RECORD = Script(
    PRELUDE
    + """
local doc, state, fence, stream, tapes = unpack(KEYS)
local token, field, decision, event, kind, thread, now, tape = unpack(ARGV)
if not fresh(fence, token) then return {'stale', redis.call('GET', fence)} end
local kept = redis.call('HGET', state, field)
if kept then return {'kept', kept} end
redis.call('HSET', state, field, decision)
local seq = publish(doc, stream, thread, now, kind, event)
if tape ~= '' then redis.call('XADD', tapes, '*', 'k', thread, 'b', tape, 'ts', now) end
keep(doc, state); keep(doc, doc)
return {'won', tostring(seq)}
"""
)

_ADVANCE = Script(
    PRELUDE
    + """
local doc, state, fence, stream, index, effects, order, occasions = unpack(KEYS)
local token, thread, now, member, fields, pin, trace = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6], ARGV[7]
if not fresh(fence, token) then return {'stale', redis.call('GET', fence)} end
local at = 8
for _ = 1, fields do
  if ARGV[at + 1] == '' then redis.call('HDEL', doc, ARGV[at]) else redis.call('HSET', doc, ARGV[at], ARGV[at + 1]) end
  at = at + 2
end
if pin == '1' then redis.call('HSET', doc, 'pinned', '1') elseif pin == '0' then redis.call('HDEL', doc, 'pinned') end
while at < #ARGV do
  local seq = publish(doc, stream, thread, now, ARGV[at], ARGV[at + 1])
  if string.find(ARGV[at], '.progress.', 1, true) then
    local told = {'k', thread, 'b', ARGV[at + 1], 'ts', now, 't', ARGV[at], 'seq', seq}
    if trace ~= '' then told[11], told[12] = 'traceparent', trace end
    redis.call('XADD', occasions, '*', unpack(told))
  end
  at = at + 2
end
if member ~= '' then redis.call('ZADD', index, now, member) end
keep(doc, doc); keep(doc, state); keep(doc, effects); keep(doc, order)
return {'ok', ''}
"""
)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What the journal holds after a decision was offered."""

    decision: Decision
    won: bool
    """False when an earlier decision of the same attempt was there already; it is the one returned."""


def millis(at: datetime) -> str:
    """Milliseconds since 1970 as the scripts take them."""
    return str(int(at.timestamp() * 1000))


def field_of(decision: Decision) -> str:
    """The decision's field in the shared state."""
    return f"{decision.agent}@{decision.attempt_group}.{decision.attempt}"


class Journal:
    """Writes decisions and happenings of entities, in order, at most once per attempt."""

    def __init__(self, batcher: Batcher, keys: Keyspace) -> None:
        """Both are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys

    def _stream(self, thread: ThreadId) -> str:
        return self._keys.stream(TOPIC, self._keys.shard_of(thread))

    def _tapes(self, thread: ThreadId) -> str:
        return self._keys.stream(TAPES, self._keys.shard_of(thread))

    async def record(
        self, thread: ThreadId, decision: Decision, event: EncodedEvent, *, token: int, tape: str = ""
    ) -> Recorded:
        """Write a decision and publish its event and its tape, unless this attempt was decided before.

        Raises:
            StaleFence: a newer worker holds the entity; nothing was written.
        """
        keys = self._keys.entity(thread)
        status, value = await self._redis.script(
            _RECORD,
            [keys.document, keys.state, keys.fence, self._stream(thread), self._tapes(thread)],
            [
                str(token),
                field_of(decision),
                event.decision,
                event.text,
                event.event_type,
                thread,
                millis(event.timestamp),
                tape,
            ],
        )
        if text(status) == "won":
            return Recorded(decision=decision, won=True)
        if text(status) == "kept":
            return Recorded(decision=Decision.from_json(value), won=False)
        raise StaleFence(f"order {decision.entity_id} is held by a newer worker; this one must stop")

    async def advance(
        self,
        thread: ThreadId,
        fields: Mapping[str, str],
        events: Sequence[Event],
        *,
        token: int,
        at: datetime,
        tenant: str = "",
        entity_id: str = "",
        pin: bool | None = None,
    ) -> None:
        """Set document fields (an empty text deletes) and publish happenings, all or nothing.

        ``pin`` True keeps the entity from expiring, False lets it expire again. With ``tenant`` and ``entity_id`` the
        entity moves to the front of the tenant's list of recent orders.

        Raises:
            StaleFence: a newer worker holds the entity; nothing was written.
        """
        keys = self._keys.entity(thread)
        shard = self._keys.shard_of(thread)
        args = [str(token), thread, millis(at), entity_id, str(len(fields)), "" if pin is None else str(int(pin))]
        args.append(tracing.current())
        for name, value in fields.items():
            args += [name, value]
        for event in events:
            args += [event.event_type, event.to_json()]
        index = self._keys.orders(tenant, shard)
        touched = [
            keys.document,
            keys.state,
            keys.fence,
            self._stream(thread),
            index,
            keys.effects,
            keys.effects_order,
            self._keys.stream(OCCASIONS, self._keys.shard_of(thread)),
        ]
        status, _ = await self._redis.script(_ADVANCE, touched, args)
        if text(status) != "ok":
            raise StaleFence(f"entity {thread} is held by a newer worker; this one must stop")

    async def publish(self, thread: ThreadId, events: Sequence[Event], *, at: datetime) -> None:
        """Publish happenings from outside the entity's run."""
        await self.advance(thread, {}, events, token=UNFENCED, at=at)

    async def note_customer(
        self, made: CustomerException, what: str, reference: str, *, by: str, reason: str, at: datetime
    ) -> None:
        """Publish that an exception for a customer was ``made`` or ``ended``, and by whom.

        ``reference`` stands for the customer: the audit can never change what an event is about.
        """
        event = Event(
            event_id=EventId(stable_id(made.tenant, reference, made.exception_id, what)),
            event_type=f"customer.exception.{what}",
            entity_type="customer",
            entity_id=reference,
            agent_name=f"person:{by}",
            timestamp=at,
            result={"exception_id": made.exception_id, "kind": made.kind.value, "rule": made.rule, "reason": reason}
            | {"ends_at": made.ends_at.isoformat()},
            tenant=made.tenant,
            sequence=0,
            correlation_id=made.exception_id,
            currency="",
            locale="",
        )
        await self.publish(thread_id(made.tenant, "customer", reference), [event], at=at)

    async def decisions(self, thread: ThreadId) -> list[Decision]:
        """Every decision taken on the entity, oldest attempt first."""
        raw = await self._redis.execute("HGETALL", self._keys.entity(thread).state)
        found = [Decision.from_json(value) for value in pairs(raw).values()]
        return sorted(found, key=lambda d: (d.attempt_group, d.attempt, d.decided_at))

    async def latest(self, thread: ThreadId, *, attempt_group: int | None = None) -> "Latest":
        """Each agent's last decision, in one attempt group when named; read from JSON only when looked at."""
        raw = pairs(await self._redis.execute("HGETALL", self._keys.entity(thread).state))
        newest: dict[str, tuple[int, int]] = {}
        for field in raw:
            agent, _, place = field.rpartition("@")
            group, _, attempt = place.partition(".")
            at = (int(group), int(attempt))
            if (attempt_group is None or at[0] == attempt_group) and at > newest.get(agent, (0, 0)):
                newest[agent] = at
        return Latest({agent: raw[f"{agent}@{g}.{a}"] for agent, (g, a) in newest.items()})


class Latest(MutableMapping[str, Decision]):
    """Decisions by agent, kept as JSON until somebody looks."""

    def __init__(self, raw: Mapping[str, str]) -> None:
        """``raw`` is each agent's decision as JSON."""
        self._kept: dict[str, Decision | str] = dict(raw)

    def __getitem__(self, agent: str) -> Decision:
        found = self._kept[agent]
        if isinstance(found, str):
            found = self._kept[agent] = Decision.from_json(found)
        return found

    def __setitem__(self, agent: str, decision: Decision) -> None:
        self._kept[agent] = decision

    def as_now(self) -> "Latest":
        """What is known at this moment: later decisions do not appear in it."""
        now = Latest({})
        now._kept = dict(self._kept)
        return now

    def ids(self) -> dict[str, str]:
        """Agent to the id of its decision, without reading the rest."""
        return {
            agent: str(orjson.loads(kept)["decision_id"]) if isinstance(kept, str) else kept.decision_id
            for agent, kept in sorted(self._kept.items())
        }

    def __delitem__(self, agent: str) -> None:
        del self._kept[agent]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def text(value: bytes | str) -> str:
    """A reply as text, whether or not the client decodes."""
    return value.decode() if isinstance(value, bytes) else value


def pairs(reply: object) -> dict[str, str]:
    """A hash reply as text pairs, whichever shape the protocol version gives."""
    if isinstance(reply, dict):
        return {text(k): text(v) for k, v in reply.items()}
    if isinstance(reply, list):
        return {text(k): text(v) for k, v in zip(reply[::2], reply[1::2], strict=True)}
    raise TypeError(f"not a hash reply: {type(reply).__name__}")
