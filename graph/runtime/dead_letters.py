"""Dead letters one by one: look at a letter with its payload, or drop it for good, which the audit then shows."""

from datetime import datetime

import orjson

from domain.errors import NotFound
from domain.event import Event
from domain.ids import EventId, TenantId, stable_id
from domain.ports import DeadLetter
from graph.runtime.atomics import PRELUDE
from graph.runtime.bus_entries import letter_of, text_of
from graph.runtime.connection import Batcher
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.journal import millis
from graph.runtime.keys import Keyspace
from graph.runtime.scripts import Script

DROPPED = "order.dead_letter.dropped"
_PAGE = 500

_DROP = Script(
    PRELUDE
    + """
local dead, doc, journal = KEYS[1], KEYS[2], KEYS[3]
local id, thread, now, kind, event = unpack(ARGV)
if redis.call('XDEL', dead, id) == 0 then return 0 end
if event ~= '' then publish(doc, journal, thread, now, kind, event); keep(doc, doc) end
return 1
"""
)


class DeadLetters:
    """The operator's view of the dead letters."""

    def __init__(self, batcher: Batcher, keys: Keyspace) -> None:
        """Both are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys

    async def all(self) -> list[DeadLetter]:
        """Every dead letter, oldest first.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        found: list[DeadLetter] = []
        for shard in range(self._keys.shards):
            start, page = "-", [None] * _PAGE
            while len(page) == _PAGE:
                page = await self._redis.execute("XRANGE", self._keys.dead_letters(shard), start, "+", "COUNT", _PAGE)
                found += [letter_of(f"{shard}:{text_of(entry)}", fields) for entry, fields in page]
                start = f"({text_of(page[-1][0])}" if page else start
        return sorted(found, key=lambda letter: letter.at)

    async def find(self, letter_id: str) -> DeadLetter:
        """One dead letter.

        Raises:
            NotFound: there is none of that id.
        """
        for letter in await self.all():
            if letter.letter_id == letter_id:
                return letter
        raise NotFound(f"there is no dead letter {letter_id!r}; 'signalbox dlq list' shows those there are")

    async def drop(self, letter: DeadLetter, *, by: str, reason: str, at: datetime) -> None:
        """Give a letter up for good and say so in the audit of its order, in one step.

        Raises:
            NotFound: somebody has replayed or dropped it since.
        """
        shard, _, entry = letter.letter_id.partition(":")
        thread = letter.message.key
        event = _dropped(letter, by=by, reason=reason, at=at) if thread else None
        gone = await self._redis.script(
            _DROP,
            [
                self._keys.dead_letters(int(shard)),
                self._keys.entity(thread).document,
                self._keys.stream(JOURNAL, int(shard)),
            ],
            [entry, thread, millis(at), DROPPED, event.to_json() if event else ""],
        )
        if not int(gone):
            raise NotFound(f"dead letter {letter.letter_id} is gone: it was replayed or dropped meanwhile")


def order_of(letter: DeadLetter) -> tuple[str, str]:
    """Tenant and order id a letter is about; empty where it does not say."""
    headers = letter.message.headers
    if headers.get("tenant"):
        return headers["tenant"], headers.get("order_id", "")
    try:
        body = orjson.loads(letter.message.body)
    except orjson.JSONDecodeError:
        return "", ""
    if not isinstance(body, dict) or not isinstance(body.get("tenant"), str):
        return "", ""
    return body["tenant"], str(body.get("entity_id", ""))


def _dropped(letter: DeadLetter, *, by: str, reason: str, at: datetime) -> Event:
    tenant, order_id = order_of(letter)
    return Event(
        event_id=EventId(stable_id(letter.message.key, DROPPED, letter.letter_id)),
        event_type=DROPPED,
        entity_type="order",
        entity_id=order_id or letter.message.key,
        agent_name=f"person:{by}",
        timestamp=at,
        result={
            "letter": letter.letter_id,
            "topic": letter.topic,
            "was": letter.reason,
            "decided_by": by,
            "reason": reason,
        },
        metadata={"actor": by},
        tenant=TenantId(tenant or "unknown"),
        sequence=0,
        correlation_id=letter.message.headers.get("correlation_id", "") or letter.letter_id,
        currency=letter.message.headers.get("currency", ""),
        locale=letter.message.headers.get("locale", ""),
    )
