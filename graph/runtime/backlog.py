"""What a consumer group has not finished, and whether anybody works for it: read without taking anything."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from domain.errors import MalformedPayload
from domain.ports import Message
from graph.runtime.bus_entries import message_of, text_of
from graph.runtime.connection import Batcher
from graph.runtime.keys import Keyspace
from graph.runtime.scripts import Script

_PAGE = 500

_STANDING = Script(
    """
local stream, group = KEYS[1], ARGV[1]
if redis.call('EXISTS', stream) == 0 then return {'', {}} end
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local facts = {}
  for i = 1, #flat, 2 do facts[flat[i]] = flat[i + 1] end
  if facts['name'] == group then
    local ids = {}
    if facts['pending'] > 0 then
      for _, held in ipairs(redis.call('XPENDING', stream, group, '-', '+', facts['pending'])) do ids[#ids + 1] = held[1] end
    end
    return {facts['last-delivered-id'], ids}
  end
end
return {'0-0', {}}
"""
)

_IDLE = Script(
    """
if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if consumers.err then return -1 end
local least = -1
for _, flat in ipairs(consumers) do
  for i = 1, #flat, 2 do
    if flat[i] == 'idle' and (least < 0 or flat[i + 1] < least) then least = flat[i + 1] end
  end
end
return least
"""
)


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One message that a group has not acknowledged."""

    entry_id: str
    message: Message
    in_hand: bool
    """A consumer has it; otherwise nobody has taken it yet."""


class Backlog:
    """Looks at topics."""

    def __init__(self, batcher: Batcher, keys: Keyspace) -> None:
        """Both are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys

    async def unfinished(self, topic: str, group: str) -> list[Waiting]:
        """Every message of the topic the group has not acknowledged, oldest first in each shard.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        found: list[Waiting] = []
        for shard in range(self._keys.shards):
            stream = self._keys.stream(topic, shard)
            last, held = await self._redis.script(_STANDING, [stream], [group])
            if not last:
                continue
            in_hand = {text_of(entry) for entry in held}
            first = min([*map(_order, in_hand), _order(text_of(last))])
            async for entry_id, message in self._from(stream, f"{first[0]}-{first[1]}"):
                if entry_id in in_hand or _order(entry_id) > _order(text_of(last)):
                    found.append(Waiting(entry_id=entry_id, message=message, in_hand=entry_id in in_hand))
        return found

    async def worked(self, topic: str, group: str, *, within_ms: int) -> bool:
        """Whether a consumer has asked for work of the group lately.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        for shard in range(self._keys.shards):
            idle_ms = int(await self._redis.script(_IDLE, [self._keys.stream(topic, shard)], [group]))
            if 0 <= idle_ms <= within_ms:
                return True
        return False

    async def _from(self, stream: str, start: str) -> AsyncIterator[tuple[str, Message]]:
        """The messages of a stream from an id on; what is no message is the bus's to bury."""
        while True:
            page = await self._redis.execute("XRANGE", stream, start, "+", "COUNT", _PAGE)
            for entry, fields in page:
                try:
                    yield text_of(entry), message_of(fields)
                except MalformedPayload:
                    continue
            if len(page) < _PAGE:
                return
            start = f"({text_of(page[-1][0])}"


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)
