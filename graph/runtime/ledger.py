"""The effect ledger: ``begin(key) -> call with the key -> settle(receipt)``. A key is begun once, settled once.

A key found begun and not settled means a crash between the two: the caller looks it up at the connector and never
repeats it blindly. The record keeps a digest of the arguments, because they may name a person.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.effect import Effect, EffectRecord, EffectState, Receipt
from domain.errors import Conflict, StaleFence
from domain.event import Event
from domain.ids import ThreadId
from domain.values import digest
from graph.runtime.atomics import PRELUDE
from graph.runtime.connection import Batcher
from graph.runtime.journal import TOPIC, millis, pairs, text
from graph.runtime.keys import Keyspace
from graph.runtime.scripts import Script

_BEGIN = Script(
    PRELUDE
    + """
local doc, effects, fence, order = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local token, key, record, heed = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if not fresh(fence, token) then return {'stale', ''} end
local found = redis.call('HGET', effects, key)
if found then return {'found', found} end
if heed == '1' and redis.call('HEXISTS', doc, 'cancel') == 1 then return {'cancelled', ''} end
redis.call('HSET', effects, key, record)
redis.call('RPUSH', order, key)
keep(doc, effects); keep(doc, order)
return {'begun', ''}
"""
)

_SETTLE = Script(
    PRELUDE
    + """
local doc, effects, stream = KEYS[1], KEYS[2], KEYS[3]
local key, record, thread, now, kind, event = unpack(ARGV)
local found = redis.call('HGET', effects, key)
if found and not string.find(found, '"state":"begun"', 1, true) then return {'kept', found} end
redis.call('HSET', effects, key, record)
publish(doc, stream, thread, now, kind, event)
keep(doc, effects); keep(doc, doc)
return {'settled', ''}
"""
)

_FORGET = Script(
    PRELUDE
    + """
local effects, order, fence = KEYS[1], KEYS[2], KEYS[3]
local token, key = ARGV[1], ARGV[2]
if not fresh(fence, token) then return 'stale' end
local found = redis.call('HGET', effects, key)
if found and string.find(found, '"state":"begun"', 1, true) then
  redis.call('HDEL', effects, key)
  redis.call('LREM', order, 0, key)
end
return 'ok'
"""
)


class Begun(StrEnum):
    """What ``begin`` found."""

    NEW = "new"
    """Go ahead and call."""
    UNSETTLED = "unsettled"
    """Begun before and never settled: look it up."""
    DONE = "done"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    """The order was asked to be cancelled; a new release effect may not begin."""


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """The answer of ``begin``."""

    state: Begun
    record: EffectRecord


class EffectLedger:
    """Keeps what was begun and settled, per entity, in the order it was begun."""

    def __init__(self, batcher: Batcher, keys: Keyspace) -> None:
        """Both are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys

    async def begin(
        self, thread: ThreadId, effect: Effect, *, token: int, at: datetime, heed_cancel: bool
    ) -> Beginning:
        """Take the key before the call.

        Raises:
            StaleFence: a newer worker holds the entity.
            Conflict: the key was used before with other arguments.
        """
        keys = self._keys.entity(thread)
        record = EffectRecord(
            key=effect.key,
            kind=effect.kind,
            args_digest=_intention(effect),
            service=str(effect.args.get("service", "")),
            decision_id=effect.decision_id,
            state=EffectState.BEGUN,
            fence=token,
            begun_at=at,
        )
        status, value = await self._redis.script(
            _BEGIN,
            [keys.document, keys.effects, keys.fence, keys.effects_order],
            [str(token), effect.key, record.to_json(), str(int(heed_cancel))],
        )
        if text(status) == "stale":
            raise StaleFence(f"order {effect.entity_id} is held by a newer worker; this one must stop")
        if text(status) in {"begun", "cancelled"}:
            return Beginning(state=Begun.NEW if text(status) == "begun" else Begun.CANCELLED, record=record)
        found = EffectRecord.from_json(value)
        if found.args_digest != record.args_digest:
            raise Conflict(f"effect {effect.key} was begun before with other arguments; it is not repeated")
        state = {
            EffectState.BEGUN: Begun.UNSETTLED,
            EffectState.DONE: Begun.DONE,
            EffectState.REFUSED: Begun.REFUSED,
        }[found.state]
        return Beginning(state=state, record=found)

    async def settle(
        self, thread: ThreadId, record: EffectRecord, outcome: Receipt | str, event: Event
    ) -> EffectRecord:
        """Write the receipt, or the sentence with which the other system refused, and publish it.

        Settling twice keeps the first.
        """
        keys = self._keys.entity(thread)
        settled = record.model_copy(
            update={"state": EffectState.DONE, "receipt": outcome}
            if isinstance(outcome, Receipt)
            else {"state": EffectState.REFUSED, "refusal": outcome}
        )
        stream = self._keys.stream(TOPIC, self._keys.shard_of(thread))
        status, value = await self._redis.script(
            _SETTLE,
            [keys.document, keys.effects, stream],
            [record.key, settled.to_json(), thread, millis(event.timestamp), event.event_type, event.to_json()],
        )
        return settled if text(status) == "settled" else EffectRecord.from_json(value)

    async def forget(self, thread: ThreadId, key: str, *, token: int) -> None:
        """Drop a begun key that the connector says was never applied, so that it may begin again.

        Raises:
            StaleFence: a newer worker holds the entity, and may have begun the key itself.
        """
        keys = self._keys.entity(thread)
        status = await self._redis.script(_FORGET, [keys.effects, keys.effects_order, keys.fence], [str(token), key])
        if text(status) != "ok":
            raise StaleFence(f"entity {thread} is held by a newer worker; this one must stop")

    async def records(self, thread: ThreadId) -> list[EffectRecord]:
        """Every effect of the entity in the order it was begun."""
        keys = self._keys.entity(thread)
        raw = pairs(await self._redis.execute("HGETALL", keys.effects))
        order = [text(key) for key in await self._redis.execute("LRANGE", keys.effects_order, 0, -1)]
        return [EffectRecord.from_json(raw[key]) for key in order if key in raw]


def _intention(effect: Effect) -> str:
    """Digest of what is to happen. Why is left out: whoever takes over after a crash may give another reason."""
    return digest({name: value for name, value in effect.args.items() if name != "reason"})
