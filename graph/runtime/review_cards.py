"""The record of review messages in chat products: what must be posted or changed, since when, and what is there.

It outlives processes: a message is noted as begun before it is sent and with its receipt after, so that whoever comes
next knows whether to post, to look first, or only to change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from graph.runtime.connection import Batcher
from graph.runtime.journal import millis, pairs, text
from graph.runtime.keys import Keyspace
from graph.runtime.reviews import CLOSED_TTL_S
from graph.runtime.scripts import Script

CARD = "card"
OUTCOME = "outcome"
"""The part that tells the outcome where a posted card cannot be changed."""
_SPLIT = "\x00"

_WANT = Script(
    """
local card, due = unpack(KEYS)
local member, now, nudge = unpack(ARGV)
redis.call('HINCRBY', card, 'wanted', 1)
redis.call('PERSIST', card)
if nudge ~= '' then redis.call('HSETNX', card, 'nudge', nudge) end
redis.call('ZADD', due, 'NX', now, member)
return 'ok'
"""
)
"""One that waits its turn after a failure keeps its place."""

_TAKE = Script(
    """
local due = unpack(KEYS)
local now, until_ms, count = unpack(ARGV)
local found = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, count)
for _, member in ipairs(found) do redis.call('ZADD', due, until_ms, member) end
return found
"""
)

_DONE = Script(
    f"""
local card, due = unpack(KEYS)
local member, wanted, now, closed = unpack(ARGV)
redis.call('HDEL', card, 'attempts')
if redis.call('HGET', card, 'wanted') ~= wanted then redis.call('ZADD', due, now, member) return 'again' end
redis.call('ZREM', due, member)
if closed == '1' then redis.call('EXPIRE', card, {CLOSED_TTL_S}) end
return 'done'
"""
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """One message of one review in one chat product."""

    tenant: str
    review_id: str
    channel: str
    part: str = CARD
    """``card``, ``outcome``, or the event that speaks to somebody."""

    @property
    def member(self) -> str:
        """Its name in the index."""
        return _SPLIT.join((self.tenant, self.review_id, self.channel, self.part))

    @classmethod
    def of_member(cls, member: str) -> "Place":
        """The place an index entry names."""
        tenant, review_id, channel, part = member.split(_SPLIT)
        return cls(tenant=tenant, review_id=review_id, channel=channel, part=part)


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known of a message."""

    wanted: str
    receipt: str
    begun_at: datetime | None
    """When the first attempt that may have succeeded began."""
    shown: str
    """Digest of the review as it was last shown."""
    nudge: str
    attempts: int


class ReviewCards:
    """Reads and writes the record."""

    def __init__(self, batcher: Batcher, keys: Keyspace) -> None:
        """Both are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys

    def _card(self, place: Place) -> str:
        return self._keys.card(place.tenant, f"{place.channel}:{place.review_id}:{place.part}")

    async def want(self, place: Place, *, now: datetime, nudge: str = "") -> None:
        """Ask for the message to be brought up to date; asking again does no harm."""
        await self._redis.script(_WANT, [self._card(place), self._keys.cards_due()], [place.member, millis(now), nudge])

    async def take(self, *, now: datetime, lease: timedelta, count: int) -> Sequence[Place]:
        """Messages that are due; for the length of the lease nobody else is given them."""
        found = await self._redis.script(
            _TAKE, [self._keys.cards_due()], [millis(now), millis(now + lease), str(count)]
        )
        return [Place.of_member(text(member)) for member in found]

    async def keep(self, place: Place, *, until: datetime) -> None:
        """Lengthen the lease of a message in hand; one that is done stays done."""
        await self._redis.execute("ZADD", self._keys.cards_due(), "XX", millis(until), place.member)

    async def find(self, place: Place) -> Card:
        """What is known of the message."""
        fields = pairs(await self._redis.execute("HGETALL", self._card(place)))
        begun = fields.get("begun")
        return Card(
            wanted=fields.get("wanted", ""),
            receipt=fields.get("receipt", ""),
            begun_at=datetime.fromtimestamp(int(begun) / 1000, UTC) if begun else None,
            shown=fields.get("shown", ""),
            nudge=fields.get("nudge", ""),
            attempts=int(fields.get("attempts", "0")),
        )

    async def begin(self, place: Place, *, now: datetime) -> bool:
        """Note that the message is about to be sent; False when an earlier attempt is still unclear."""
        return bool(await self._redis.execute("HSETNX", self._card(place), "begun", millis(now)))

    async def not_begun(self, place: Place) -> None:
        """Note that nothing was sent after all."""
        await self._redis.execute("HDEL", self._card(place), "begun")

    async def posted(self, place: Place, receipt: str, *, shown: str) -> None:
        """Note that the message is there, and what it shows."""
        await self._redis.execute("HSET", self._card(place), "receipt", receipt, "shown", shown)

    async def done(self, place: Place, card: Card, *, now: datetime, closed: bool) -> None:
        """Nothing is left to do, unless something was asked for since ``card`` was read."""
        keys = [self._card(place), self._keys.cards_due()]
        await self._redis.script(_DONE, keys, [place.member, card.wanted, millis(now), str(int(closed))])

    async def later(self, place: Place, *, at: datetime) -> None:
        """Come back to the message then."""
        await self._redis.execute("HINCRBY", self._card(place), "attempts", 1)
        await self._redis.execute("ZADD", self._keys.cards_due(), millis(at), place.member)

    async def forget(self, place: Place) -> None:
        """The review is gone: nothing is kept of its message."""
        await self._redis.execute("ZREM", self._keys.cards_due(), place.member)
        await self._redis.execute("DEL", self._card(place))
