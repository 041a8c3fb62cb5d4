"""Notices to customers that peak mode holds back: one entry per order, whatever comes in is merged into it."""

from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from domain.event import Event
from domain.ids import ThreadId
from graph.runtime.connection import Batcher
from graph.runtime.journal import millis, text
from graph.runtime.keys import Keyspace
from graph.runtime.scripts import Script

_HOLD = Script(
    """
local due, entries = unpack(KEYS)
local thread, at, new = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local kept = redis.call('HGET', entries, thread)
if kept then
  local old = cjson.decode(kept)
  for _, known in ipairs(old.merged) do if known == new.merged[1] then return 0 end end
  local first, last = old, new
  if tonumber(old.at) > tonumber(new.at) then first, last = new, old end
  -- Who has not been told yet does not know it, even if it happens again.
  if first.progress == last.progress then last.again = first.again and last.again end
  local merged = {}
  for _, part in ipairs(first.merged) do merged[#merged + 1] = part end
  for _, part in ipairs(last.merged) do merged[#merged + 1] = part end
  last.merged = merged
  new = last
end
redis.call('HSET', entries, thread, cjson.encode(new))
redis.call('ZADD', due, 'NX', at, thread)
return 1
"""
)
_DONE = Script(
    """
local due, entries = unpack(KEYS)
local thread, entry = ARGV[1], ARGV[2]
if redis.call('HGET', entries, thread) ~= entry then return 0 end
redis.call('HDEL', entries, thread)
return redis.call('ZREM', due, thread)
"""
)


@dataclass(frozen=True, kw_only=True)
class Held:
    """What waits to be told about one order."""

    thread: ThreadId
    due: datetime
    event: Event
    """The newest happening."""
    merged: tuple[str, ...]
    """Ids of all happenings in it, oldest first."""
    raw: str


class Notices:
    """The notices that wait; nothing expires, the watch that sends them owns them."""

    def __init__(self, batcher: Batcher, keys: Keyspace) -> None:
        """Both are shared with the rest of the runtime."""
        self._redis = batcher
        self._places = [keys.notices_due(), keys.notices()]

    async def hold(self, thread: ThreadId, event: Event, *, due: datetime) -> None:
        """Hold a happening back; the first of an order says when it is due. The same one again changes nothing."""
        entry = {
            "progress": event.event_type,
            "again": event.result.get("again") is True,
            "at": millis(event.timestamp),
            "merged": [event.event_id],
            "body": event.to_json(),
        }
        await self._redis.script(_HOLD, self._places, [thread, millis(due), orjson.dumps(entry).decode()])

    async def waiting(self) -> list[Held]:
        """Everything that waits, what is due first foremost."""
        due, entries = self._places
        flat = await self._redis.execute("ZRANGE", due, 0, -1, "WITHSCORES")
        rows = flat if flat and isinstance(flat[0], list | tuple) else zip(flat[::2], flat[1::2], strict=True)
        times = {ThreadId(text(thread)): float(score) / 1000 for thread, score in rows}
        raws = await self._redis.execute("HMGET", entries, *times) if times else []
        return [
            _held(thread, datetime.fromtimestamp(at, UTC), text(raw))
            for (thread, at), raw in zip(times.items(), raws, strict=True)
            if raw is not None
        ]

    async def done(self, held: Held) -> None:
        """It was told; what has been merged in since stays."""
        await self._redis.script(_DONE, self._places, [held.thread, held.raw])


def _held(thread: ThreadId, due: datetime, raw: str) -> Held:
    entry = orjson.loads(raw)
    event = Event.from_json(entry["body"])
    event = event.model_copy(update={"result": event.result | {"again": entry["again"]}})
    return Held(thread=thread, due=due, event=event, merged=tuple(entry["merged"]), raw=raw)
