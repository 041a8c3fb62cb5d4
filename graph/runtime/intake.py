"""Intake: one script takes the dedupe key, keeps the raw payload and appends the work, before anything is answered.

Whatever a sender was told is accepted is on disk as far as the store promises; a repeated delivery changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

import orjson

from domain.event import Event
from domain.ids import EventId, TenantId, ThreadId
from graph.runtime import tracing
from graph.runtime.atomics import PRELUDE
from graph.runtime.clock import Clock
from graph.runtime.connection import Batcher
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.journal import millis, text
from graph.runtime.keys import Keyspace
from graph.runtime.orders import thread_of
from graph.runtime.scripts import Script

TOPIC = "intake"
CONTROLLER = "controller"
"""The consumer group that carries orders."""
DEDUPE_TTL_S = 30 * 24 * 3600
"""Platforms repeat a webhook for hours and people for days; a month covers both."""
RAW_TTL_S = 14 * 24 * 3600

_ACCEPT = Script(
    PRELUDE
    + f"""
local seen, raw, intake, journal, doc, index = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local thread, now, handle, headers, payload, order_id, tenant, iso, correlation, accepted, duplicate,
  currency, locale = unpack(ARGV)
local known = redis.call('GET', seen)
if known then
  if order_id ~= '' then publish(doc, journal, thread, now, 'order.duplicate', duplicate); keep(doc, doc) end
  return {{'duplicate', known}}
end
redis.call('SET', seen, handle, 'EX', {DEDUPE_TTL_S})
redis.call('SET', raw, payload, 'EX', {RAW_TTL_S})
if order_id ~= '' and redis.call('HSETNX', doc, 'order_id', order_id) == 1 then
  redis.call('HSET', doc, 'tenant', tenant, 'progress', 'accepted', 'accepted_at', iso, 'changed_at', iso,
    'correlation_id', correlation, 'currency', currency, 'locale', locale)
  redis.call('ZADD', index, now, order_id)
  publish(doc, journal, thread, now, 'order.accepted', accepted)
  keep(doc, doc)
end
redis.call('XADD', intake, '*', 'k', thread, 'h', headers, 'b', '', 'ts', now)
return {{'accepted', handle}}
"""
)

_PUSH = Script(
    PRELUDE
    + """
local doc, intake, journal = KEYS[1], KEYS[2], KEYS[3]
local thread, now, headers, field, value, kind, event = unpack(ARGV)
if redis.call('HEXISTS', doc, 'order_id') == 0 then return 'unknown' end
if field ~= '' and redis.call('HSETNX', doc, field, value) == 0 then return 'repeated' end
redis.call('XADD', intake, '*', 'k', thread, 'h', headers, 'b', '', 'ts', now)
if kind ~= '' then publish(doc, journal, thread, now, kind, event) end
keep(doc, doc)
return 'queued'
"""
)


class Work(StrEnum):
    """Kinds of work on the intake topic."""

    ORDER = "order"
    """A raw payload to normalise and run."""
    FETCH = "fetch"
    """A push that only names an order: fetch it from the channel first."""
    CANCEL = "cancel"
    RESUME = "resume"
    """A review was answered."""
    RETRY = "retry"
    """Look at the order again, with nothing new from outside."""
    REWAVE = "rewave"
    """Give a released order the better plan found before its pick wave."""
    UNREADABLE = "unreadable"
    """An authentic delivery nobody can read: it goes to the dead letters with its reason."""


@dataclass(frozen=True, kw_only=True)
class Parcelled:
    """One verified delivery on its way in."""

    tenant: str
    channel: str
    shop: str
    raw: str
    dedupe_id: str
    order_id: str
    """Empty when only the payload can tell."""
    work: Work = Work.ORDER
    external_id: str = ""
    source: str = "webhook"
    currency: str = ""
    """What its events carry until the order has been read: the order's own where it is known, else the tenant's."""
    locale: str = ""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The answer of intake."""

    handle: str
    """The order id when it is known, else the delivery's own id."""
    duplicate: bool


class Intake:
    """Takes deliveries in."""

    def __init__(self, batcher: Batcher, keys: Keyspace, clock: Clock) -> None:
        """All are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys
        self._clock = clock

    async def accept(self, delivery: Parcelled, *, at: datetime) -> Accepted:
        """Make the delivery durable, once per dedupe id.

        Raises:
            StoreUnavailable: nothing was accepted; the sender should repeat.
        """
        ref = self._clock.new_id()
        handle = delivery.order_id or f"delivery-{sha256(delivery.dedupe_id.encode()).hexdigest()[:24]}"
        thread = thread_of(delivery.tenant, handle)
        shard = self._keys.shard_of(thread)
        headers = {
            "work": delivery.work.value,
            "tenant": delivery.tenant,
            "channel": delivery.channel,
            "shop": delivery.shop,
            "order_id": delivery.order_id,
            "external_id": delivery.external_id,
            "raw": ref,
            "shard": str(shard),
            "source": delivery.source,
            "correlation_id": ref,
            "currency": delivery.currency,
            "locale": delivery.locale,
        }
        tracing.carry(headers)
        facts = {"channel": delivery.channel, "shop": delivery.shop, "source": delivery.source, "raw": ref}
        accepted = self._event("order.accepted", delivery, handle, facts, at, ref)
        duplicate = self._event("order.duplicate", delivery, handle, facts, at, ref)
        status, known = await self._redis.script(
            _ACCEPT,
            [
                self._keys.dedupe(f"{delivery.tenant}\x00{delivery.channel}\x00{delivery.dedupe_id}", shard),
                self._keys.raw(ref, shard),
                self._keys.stream(TOPIC, shard),
                self._keys.stream(JOURNAL, shard),
                self._keys.entity(thread).document,
                self._keys.orders(delivery.tenant, shard),
            ],
            [
                thread,
                millis(at),
                handle,
                orjson.dumps(headers).decode(),
                delivery.raw,
                delivery.order_id,
                delivery.tenant,
                at.isoformat(),
                ref,
                accepted.to_json(),
                duplicate.to_json(),
                delivery.currency,
                delivery.locale,
            ],
        )
        return Accepted(handle=text(known), duplicate=text(status) == "duplicate")

    async def push(
        self,
        thread: ThreadId,
        headers: dict[str, str],
        *,
        at: datetime,
        once: tuple[str, str] | None = None,
        event: Event | None = None,
    ) -> str:
        """Queue work on an order that exists; ``once`` names a document field that may be set only once.

        Returns ``queued``, ``repeated`` (the field was set before) or ``unknown`` (no such order).
        """
        shard = self._keys.shard_of(thread)
        tracing.carry(headers)
        field, value = once or ("", "")
        status = await self._redis.script(
            _PUSH,
            [self._keys.entity(thread).document, self._keys.stream(TOPIC, shard), self._keys.stream(JOURNAL, shard)],
            [
                thread,
                millis(at),
                orjson.dumps(headers).decode(),
                field,
                value,
                event.event_type if event else "",
                event.to_json() if event else "",
            ],
        )
        return text(status)

    async def raw(self, ref: str, shard: int) -> str | None:
        """A raw payload, or None when its time is over."""
        value = await self._redis.execute("GET", self._keys.raw(ref, shard))
        return None if value is None else text(value)

    def _event(
        self, kind: str, delivery: Parcelled, handle: str, facts: dict[str, str], at: datetime, ref: str
    ) -> Event:
        return Event(
            event_id=EventId(self._clock.new_id()),
            event_type=kind,
            entity_type="order",
            entity_id=handle,
            agent_name="signalbox",
            timestamp=at,
            result=dict(facts),
            tenant=TenantId(delivery.tenant),
            sequence=0,
            correlation_id=ref,
            currency=delivery.currency,
            locale=delivery.locale,
        )
