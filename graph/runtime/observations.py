"""What automations report: journaled once per sender and id, beside what agents decided, and read by nobody who decides."""

import hashlib
from dataclasses import dataclass

from domain.errors import Conflict
from domain.event import Event
from domain.ids import thread_id
from graph.runtime.atomics import PRELUDE
from graph.runtime.audit_chain import columns_of
from graph.runtime.clock import Clock
from graph.runtime.connection import Batcher
from graph.runtime.journal import TOPIC, millis, text
from graph.runtime.keys import Keyspace
from graph.runtime.scripts import Script

SEEN_TTL_S = 30 * 24 * 3600
"""A report sent again within this time is known at the door; later the audit knows it by its id."""

_OBSERVE = Script(
    PRELUDE
    + f"""
local seen, doc, stream = unpack(KEYS)
local digest, thread, now, kind, event = unpack(ARGV)
local known = redis.call('GET', seen)
if known then return known end
redis.call('SET', seen, digest, 'EX', {SEEN_TTL_S})
publish(doc, stream, thread, now, kind, event)
keep(doc, doc)
return ''
"""
)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A report that is durable."""

    event_id: str
    """Under which it is on the record."""
    duplicate: bool


class Observations:
    """Takes reports in."""

    def __init__(self, batcher: Batcher, keys: Keyspace, clock: Clock) -> None:
        """All are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys
        self._clock = clock

    async def take(self, event: Event) -> Observed:
        """Journal a report, once.

        Raises:
            MalformedPayload: it can never be audited.
            Conflict: the sender used this id for something else.
            StoreUnavailable: nothing was taken; the sender should repeat.
        """
        columns_of(event)
        thread = thread_id(event.tenant, event.entity_type, event.entity_id)
        shard = self._keys.shard_of(thread)
        body = event.to_json()
        digest = hashlib.sha256(body.encode()).hexdigest()
        keys = [
            self._keys.dedupe(f"{event.tenant}\x00report\x00{event.event_id}", shard),
            self._keys.entity(thread).document,
            self._keys.stream(TOPIC, shard),
        ]
        args = [digest, thread, millis(self._clock.now()), event.event_type, body]
        known = text(await self._redis.script(_OBSERVE, keys, args))
        if known not in {"", digest}:
            raise Conflict(
                f"the event id {event.metadata['sent_as']!r} was used for another event; give this one its own"
            )
        return Observed(event_id=event.event_id, duplicate=known == digest)
