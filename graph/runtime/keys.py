"""Every Redis key there is. Each carries its shard's hash tag, so what belongs to one entity shares a slot.

An entity is addressed by its thread id, a hash of tenant, workflow and entity id (``domain.ids.thread_id``): the tenant
is part of every entity key by construction, and literal wherever the key is not an entity's.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

STATE_TTL_S = 72 * 3600
"""Shared state lives 72 h after its last write."""


@dataclass(frozen=True)
class EntityKeys:
    """The keys of one entity (an order): all in one slot."""

    state: str
    """Hash: decisions of every agent, side by side. 72 h after the last write."""
    document: str
    """Hash: the canonical order, its version, progress and requests. 72 h after the last write, kept while a review is open."""
    lease: str
    """String: who works on the entity now. Lease time."""
    fence: str
    """Counter: fencing tokens. Lives with the document."""
    effects: str
    """Hash: the effect ledger. Lives with the document."""
    effects_order: str
    """List: the ledger's keys in the order they were begun. Lives with the document."""
    checkpoint: str
    """Prefix of the checkpointer's keys. Pruned at terminal state; kept while a review is open."""


@lru_cache(maxsize=4096)
def _entity(base: str) -> EntityKeys:
    return EntityKeys(
        state=f"{base}:state",
        document=f"{base}:doc",
        lease=f"{base}:lease",
        fence=f"{base}:fence",
        effects=f"{base}:effects",
        effects_order=f"{base}:effects:order",
        checkpoint=f"{base}:cp",
    )


@dataclass(frozen=True)
class ParkedKeys:
    """The index of parked orders in one shard. Owner: parking, which removes what no longer waits."""

    entries: str
    """Hash by thread: what an order waits for, since when and until when."""
    due: str
    """Sorted set of threads by when they are looked at next."""
    by_sku: str
    """Sorted set of ``<sku> NUL <thread>``, in lexical order."""
    skus: str
    """Hash: how many parked orders wait for each SKU."""


@dataclass(frozen=True)
class ConsigneeKeys:
    """What one consignee was sent. Half a year after the last parcel."""

    times: str
    """Sorted set of orders by when they were released."""
    parcels: str
    """Hash by order: parcels, value, currency."""


@dataclass(frozen=True)
class HoldKeys:
    """Money set aside for model calls, and what is to be written down of them."""

    ends: str
    """Sorted set of calls by when they must be over."""
    held: str
    """Hash by call: its record as it would be if nobody told how it ended."""
    unbooked: str
    """Hash by call: finished records the SQL ledger does not have yet."""
    alerts: str
    """Hash: alerts that are not in the journal yet."""


class Keyspace:
    """Makes keys for one installation."""

    def __init__(self, *, prefix: str = "sb", shards: int = 1) -> None:
        """``shards`` is fixed for the life of the data: changing it moves entities to other slots."""
        self.prefix = prefix
        self.shards = shards

    def shard_of(self, thread_id: str) -> int:
        """The shard of an entity, by hash of its thread id."""
        return crc32(thread_id.encode()) % self.shards

    def _shard(self, shard: int) -> str:
        return f"{self.prefix}:{{s{shard}}}"

    def entity(self, thread_id: str) -> EntityKeys:
        """The keys of the entity behind a thread."""
        return _entity(f"{self._shard(self.shard_of(thread_id))}:e:{thread_id}")

    def claims(self, thread_id: str) -> str:
        """Hash: who claims which facet of an entity. State's life after the last write."""
        return f"{self._shard(self.shard_of(thread_id))}:e:{thread_id}:claims"

    def stream(self, topic: str, shard: int = 0) -> str:
        """A topic's stream. Owner: the bus, which trims what every group has acknowledged."""
        return f"{self._shard(shard)}:stream:{topic}"

    def dead_letters(self, shard: int = 0) -> str:
        """The dead-letter stream. Owner: the operator (``dlq``)."""
        return f"{self._shard(shard)}:dead"

    def dedupe(self, name: str, shard: int = 0) -> str:
        """Marks a delivery as seen (TTL)."""
        return f"{self._shard(shard)}:seen:{hashlib.sha256(name.encode()).hexdigest()[:32]}"

    def raw(self, ref: str, shard: int = 0) -> str:
        """A raw payload as text (TTL)."""
        return f"{self._shard(shard)}:raw:{ref}"

    def review(self, tenant: str, review_id: str, shard: int = 0) -> str:
        """Hash: one review. No TTL while open; owner: the review desk."""
        return f"{self._shard(shard)}:t:{tenant}:review:{review_id}"

    def open_reviews(self, tenant: str, shard: int = 0) -> str:
        """Sorted set of open reviews by deadline. Owner: the review desk."""
        return f"{self._shard(shard)}:t:{tenant}:reviews"

    def reviews_due(self, shard: int = 0) -> str:
        """Sorted set of open reviews of all tenants by when the desk looks at them next. Owner: the review desk."""
        return f"{self._shard(shard)}:reviews:due"

    def cards_due(self) -> str:
        """Sorted set: messages of reviews in chat products that must be posted or changed, by when. Owner: the card poster."""
        return f"{self._shard(0)}:cards:due"

    def card(self, tenant: str, name: str) -> str:
        """Hash: one message of a review in a chat product. No TTL while its review is open. Owner: the card poster."""
        return f"{self._shard(0)}:t:{tenant}:card:{name}"

    def orders(self, tenant: str, shard: int = 0) -> str:
        """Sorted set of recent orders by last change. Owner: the controller, which trims it to the state's life."""
        return f"{self._shard(shard)}:t:{tenant}:orders"

    def idempotency(self, tenant: str, name: str) -> str:
        """One HTTP idempotency record (TTL)."""
        return f"{self._shard(0)}:t:{tenant}:idem:{hashlib.sha256(name.encode()).hexdigest()[:32]}"

    def activity(self, tenant: str, name: str, value: str) -> str:
        """Sorted set of recent orders under one card, device or address (TTL)."""
        return f"{self._shard(0)}:t:{tenant}:act:{name}:{hashlib.sha256(value.encode()).hexdigest()[:24]}"

    def feeds(self) -> str:
        """Hash: what is known of each warehouse's stock feed. A week after the last sample."""
        return f"{self._shard(0)}:stock:feeds"

    def counts(self, warehouse: str) -> str:
        """Hash: the newest pushed count of each SKU in one warehouse. State's life after the last push."""
        return f"{self._shard(0)}:stock:counts:{warehouse}"

    def sales(self, warehouse: str, sku: str) -> str:
        """Sorted set: what we hold of one SKU in one warehouse since its count, by time (TTL)."""
        return f"{self._shard(0)}:stock:sales:{warehouse}:{sku}"

    def demand(self, bucket: int) -> str:
        """Hash by place (warehouse and SKU): units sold in one span of five minutes (TTL)."""
        return f"{self._shard(0)}:stock:demand:{bucket}"

    def demand_sold(self) -> str:
        """Sorted set of places by when they last sold. A week after the last sale."""
        return f"{self._shard(0)}:stock:demand:sold"

    def demand_watched(self) -> str:
        """Hash: since when sales are watched without a gap, and the last look. A week after the last one."""
        return f"{self._shard(0)}:stock:demand:watched"

    def notices_due(self) -> str:
        """Sorted set of threads by when their held-back notice is due. Owner: the watch that tells them."""
        return f"{self._shard(0)}:notices:due"

    def notices(self) -> str:
        """Hash by thread: what is to be told. Owner: the watch that tells them."""
        return f"{self._shard(0)}:notices:held"

    def parked(self, shard: int = 0) -> "ParkedKeys":
        """The orders of one shard that wait for stock."""
        base = f"{self._shard(shard)}:parked"
        return ParkedKeys(entries=f"{base}:entries", due=f"{base}:due", by_sku=f"{base}:by_sku", skus=f"{base}:skus")

    def released(self, shard: int = 0) -> str:
        """Sorted set of threads by when they were released, until their pick wave. State's life after the last one."""
        return f"{self._shard(shard)}:released"

    def unit_prices(self, tenant: str) -> str:
        """What scarce units were worth to one tenant's last batch, as JSON (TTL)."""
        return f"{self._shard(0)}:t:{tenant}:unit_prices"

    def exceptions(self, tenant: str, customer_id: str) -> str:
        """Hash: the exceptions of one customer by id. No TTL, each record has its own end. Owner: the risk desk."""
        return f"{self._shard(0)}:t:{tenant}:exceptions:{hashlib.sha256(customer_id.encode()).hexdigest()[:24]}"

    def confirmed_fraud(self, tenant: str) -> str:
        """Set of hashes of cards, devices, addresses and phones of confirmed fraud. No TTL. Owner: the risk desk."""
        return f"{self._shard(0)}:t:{tenant}:confirmed_fraud"

    def consignee(self, tenant: str, consignee: str) -> "ConsigneeKeys":
        """The book of one consignee, named by its digest."""
        base = f"{self._shard(0)}:t:{tenant}:consignee:{consignee}"
        return ConsigneeKeys(times=f"{base}:times", parcels=f"{base}:parcels")

    def consigned_to(self, tenant: str, order: str) -> str:
        """The digest of the consignee an order is counted for (TTL)."""
        return f"{self._shard(0)}:t:{tenant}:consigned_to:{order}"

    def session(self, tenant: str, digest: str) -> str:
        """One console session (TTL). Owner: the console."""
        return f"{self._shard(0)}:t:{tenant}:session:{digest}"

    def session_notice(self, tenant: str, digest: str) -> str:
        """What a session is told on its next page (TTL)."""
        return f"{self._shard(0)}:t:{tenant}:session_notice:{digest}"

    def sign_in_link(self, tenant: str, digest: str) -> str:
        """A one-time sign-in link (TTL)."""
        return f"{self._shard(0)}:t:{tenant}:sign_in_link:{digest}"

    def autonomy(self, thread_id: str) -> str:
        """Hash: what one agent has earned, by segment, and its calibration. No TTL. Owner: earned autonomy."""
        return f"{self._shard(self.shard_of(thread_id))}:autonomy:{thread_id}"

    def autonomy_counts(self, thread_id: str, window: str) -> str:
        """Hash: what one agent was asked and decided on in one minute or day (TTL)."""
        return f"{self._shard(self.shard_of(thread_id))}:autonomy:{thread_id}:{window}"

    def spend(self, tenant: str, day: str) -> str:
        """Hash: what each agent spent and has set aside on one of the tenant's days, and which alerts were made (TTL)."""
        return f"{self._shard(0)}:t:{tenant}:spend:{day}"

    def model_calls(self, tenant: str, entity_type: str, entity_id: str) -> str:
        """Hash: how many model calls one entity has caused and what they cost (TTL)."""
        name = hashlib.sha256(f"{entity_type}\x00{entity_id}".encode()).hexdigest()[:32]
        return f"{self._shard(0)}:t:{tenant}:model_calls:{name}"

    def holds(self) -> "HoldKeys":
        """Model calls under way and not yet in the ledger. Owner: the purse, which books what its caller forgot."""
        base = f"{self._shard(0)}:model_calls"
        return HoldKeys(ends=f"{base}:ends", held=f"{base}:held", unbooked=f"{base}:unbooked", alerts=f"{base}:alerts")

    def slowed(self) -> str:
        """Sorted set of SKUs of all tenants whose sales are slowed, by when that ends. Owner: the slowing of sales."""
        return f"{self._shard(0)}:slowed"

    def supply_need(self, tenant: str, sku: str) -> str:
        """Which chain of the supplier workflow works on an SKU, until its order is drafted (TTL). Owner: that chain."""
        return f"{self._shard(0)}:t:{tenant}:supply_need:{hashlib.sha256(sku.encode()).hexdigest()[:24]}"

    def flag(self, name: str) -> str:
        """An installation-wide value of any type with a named owner (``relay:lease``, ``audit:confirmed``)."""
        return f"{self._shard(0)}:flag:{name}"
