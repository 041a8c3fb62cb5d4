"""The order book: the canonical document of each order, its version, and where Signalbox stands with it."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from domain.event import Event
from domain.ids import EventId, OrderId, TenantId, ThreadId, stable_id, thread_id
from domain.order import Order, OrderProgress
from domain.values import Plain, canonical_json
from graph.runtime.connection import Batcher
from graph.runtime.journal import pairs, text
from graph.runtime.keys import STATE_TTL_S, Keyspace

WORKFLOW = "order"


def thread_of(tenant: str, order_id: str) -> ThreadId:
    """The thread of an order."""
    return thread_id(tenant, WORKFLOW, order_id)


class Arrival(StrEnum):
    """What a newly arrived version of an order is, compared with what we have."""

    FIRST = "first"
    NEWER = "newer"
    """Newer, and something a person approves or an agent judges is different."""
    REFRESH = "refresh"
    """Newer, with nothing in it that matters."""
    SAME = "same"
    STALE = "stale"
    """Older than what we have: kept in history, applied nowhere."""


@dataclass(frozen=True, kw_only=True)
class OrderRecord:
    """One order as stored."""

    thread: ThreadId
    tenant: TenantId
    order_id: OrderId
    progress: OrderProgress
    order: Order | None
    """None until the first payload has been normalised."""
    version: int
    attempt_group: int
    graph_version: str
    review_id: str
    cancel: str
    """JSON of the cancellation request, empty when there is none."""
    correlation_id: str
    accepted_at: str
    changed_at: str
    detail: str
    """One sentence on why the order stands where it stands."""
    content_version: int
    """The last version that changed something a person approves or an agent judges."""
    judged_version: int
    """The version the current attempt group is about."""
    judged_order: str
    """JSON of the order the current attempt group is about, kept when a changed one has taken its place; else empty."""
    recheck: str
    """JSON of the resumption a voided or edited review leads to; it survives a crash before the graph has it."""
    wave: str = ""
    """JSON of a better plan found before the pick wave, until it is carried out or dropped."""
    late: str = ""
    """JSON of what the customer changed outside its window, until a person has answered."""
    currency: str = ""
    """The order's currency; the tenant's settlement currency until the order has been read."""
    locale: str = ""
    """The customer's locale; the tenant's until the order has been read."""

    @property
    def came_in(self) -> datetime | None:
        """When the order was accepted; None when that was not written down."""
        return datetime.fromisoformat(self.accepted_at) if self.accepted_at else None

    @property
    def changed(self) -> bool:
        """Whether the order has changed since the current attempt group began."""
        return self.content_version > self.judged_version > 0

    def as_judged(self) -> "OrderRecord":
        """The record with the order the current attempt group is about: what a release begun for it must go on with."""
        return replace(self, order=Order.from_json(self.judged_order), late="") if self.judged_order else self

    def arrival(self, order: Order) -> Arrival:
        """How ``order`` compares with the stored version, by the channel's own time."""
        if self.order is None:
            return Arrival.FIRST
        if order.updated_at < self.order.updated_at:
            return Arrival.STALE
        same_content = order.content_digest() == self.order.content_digest() and order.state == self.order.state
        if order.updated_at == self.order.updated_at:
            return Arrival.SAME if same_content else Arrival.NEWER
        return Arrival.REFRESH if same_content else Arrival.NEWER


def happening(record: OrderRecord, kind: str, facts: dict[str, Plain], *, at: datetime) -> Event:
    """Something that happened to a recorded order.

    Its id follows from record, kind and facts, so that a step repeated after a crash repeats no event.
    """
    return Event(
        event_id=EventId(stable_id(record.thread, kind, canonical_json(facts))),
        event_type=kind,
        entity_type=WORKFLOW,
        entity_id=record.order_id,
        agent_name="signalbox",
        timestamp=at,
        result=dict(facts),
        tenant=record.tenant,
        sequence=0,
        correlation_id=record.correlation_id,
        currency=record.currency,
        locale=record.locale,
    )


def order_fields(order: Order, *, version: int) -> dict[str, str]:
    """The document fields a new version changes."""
    return {"order": order.to_json(), "version": str(version)}


class OrderBook:
    """Reads orders. Writes go through the journal, which checks the fencing token."""

    def __init__(self, batcher: Batcher, keys: Keyspace) -> None:
        """Both are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys

    async def find(self, tenant: str, order_id: str) -> OrderRecord | None:
        """The order, or None when this tenant has none under that id in working state."""
        return await self.at(thread_of(tenant, order_id))

    async def at(self, thread: ThreadId) -> OrderRecord | None:
        """The order of a thread."""
        fields = pairs(await self._redis.execute("HGETALL", self._keys.entity(thread).document))
        return _record(thread, fields) if "order_id" in fields else None

    async def cancel_request(self, thread: ThreadId) -> str:
        """The cancellation asked for, as JSON; empty when there is none."""
        asked = await self._redis.execute("HGET", self._keys.entity(thread).document, "cancel")
        return "" if asked is None else text(asked)

    async def recent(self, tenant: str, *, limit: int = 100, since: datetime | None = None) -> list[OrderRecord]:
        """The tenant's orders, last changed first."""
        threads: list[ThreadId] = []
        lowest = "-inf" if since is None else str(int(since.timestamp() * 1000))
        for shard in range(self._keys.shards):
            found = await self._redis.execute(
                "ZREVRANGEBYSCORE", self._keys.orders(tenant, shard), "+inf", lowest, "LIMIT", 0, limit
            )
            threads += [thread_of(tenant, text(order_id)) for order_id in found]
        records = [await self.at(thread) for thread in threads]
        present = [record for record in records if record is not None]
        return sorted(present, key=lambda r: r.changed_at, reverse=True)[:limit]

    async def forget_expired(self, tenant: str, *, now: datetime) -> None:
        """Drop list entries older than any order's working state."""
        oldest = int(now.timestamp() * 1000) - STATE_TTL_S * 1000
        for shard in range(self._keys.shards):
            index = self._keys.orders(tenant, shard)
            for member in await self._redis.execute("ZRANGEBYSCORE", index, "-inf", oldest):
                if await self.at(thread_of(tenant, text(member))) is None:
                    await self._redis.execute("ZREM", index, member)


def _record(thread: ThreadId, fields: dict[str, str]) -> OrderRecord:
    raw = fields.get("order", "")
    order = Order.from_json(raw) if raw else None
    return OrderRecord(
        thread=thread,
        tenant=TenantId(fields["tenant"]),
        order_id=OrderId(fields["order_id"]),
        progress=OrderProgress(fields.get("progress", OrderProgress.ACCEPTED)),
        order=order,
        version=int(fields.get("version", "0")),
        attempt_group=int(fields.get("attempt_group", "0")),
        graph_version=fields.get("graph_version", ""),
        review_id=fields.get("review", ""),
        cancel=fields.get("cancel", ""),
        correlation_id=fields.get("correlation_id", ""),
        accepted_at=fields.get("accepted_at", ""),
        changed_at=fields.get("changed_at", ""),
        detail=fields.get("detail", ""),
        recheck=fields.get("recheck", ""),
        wave=fields.get("wave", ""),
        late=fields.get("late", ""),
        currency=order.currency if order else fields.get("currency", ""),
        locale=order.locale if order else fields.get("locale", ""),
        judged_order=fields.get("judged_order", ""),
        content_version=int(fields.get("content_version", "0")),
        judged_version=int(fields.get("judged_version", "0")),
    )
