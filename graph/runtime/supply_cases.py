"""The chains of the supplier workflow in the working store: what started each, where it stands; and who works on which SKU."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from domain.event import Event
from domain.ids import EventId, ThreadId, stable_id, thread_id
from domain.supply_case import SupplyProgress, SupplyTrigger
from domain.values import Plain
from graph.runtime.connection import Batcher
from graph.runtime.journal import pairs, text
from graph.runtime.keys import Keyspace
from graph.runtime.scripts import Script

WORKFLOW = "supplier"
ENTITY = "purchase_order"
NEED_TTL_S = 3600
"""A need is claimed only until the order is drafted: from then on its units count as coming."""

_LET_GO = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0")


def thread_of(tenant: str, number: str) -> ThreadId:
    """The thread of a purchase order."""
    return thread_id(tenant, ENTITY, number)


@dataclass(frozen=True, kw_only=True)
class SupplyRecord:
    """One chain as stored."""

    thread: ThreadId
    number: str
    trigger: SupplyTrigger
    chain: str
    """The key under which it took its number."""
    progress: SupplyProgress
    version: int
    """Of the order drafted in the present attempt group."""
    attempt_group: int
    graph_version: str
    review_id: str
    recheck: str
    """JSON of the answer that started the present attempt group."""
    edits: dict[str, Plain]
    correlation_id: str
    changed_at: str
    detail: str

    def event(self, kind: str, facts: dict[str, Plain], *, at: datetime, part: str, actor: str = "signalbox") -> Event:
        """A happening of this chain; its id follows from the chain and ``part``, so a repeated step repeats no event."""
        return Event(
            event_id=EventId(stable_id(self.thread, str(self.attempt_group), kind, part)),
            event_type=f"{ENTITY}.{kind}",
            entity_type=ENTITY,
            entity_id=self.number,
            agent_name=actor,
            timestamp=at,
            result=dict(facts),
            tenant=self.trigger.tenant,
            sequence=0,
            correlation_id=self.correlation_id,
            currency="",
            locale="",
        )


class SupplyCases:
    """Finds chains; they are written through the journal."""

    def __init__(self, batcher: Batcher, keys: Keyspace) -> None:
        """Both are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys

    async def find(self, tenant: str, number: str) -> SupplyRecord | None:
        """The chain behind a number, or None when it is not in the working state."""
        thread = thread_of(tenant, number)
        fields = pairs(await self._redis.execute("HGETALL", self._keys.entity(thread).document))
        return None if "trigger" not in fields else _record(thread, fields)

    async def claim(self, tenant: str, sku: str, chain: str) -> str:
        """Take an SKU for a chain; gives the chain that has it, which may be another."""
        key = self._keys.supply_need(tenant, sku)
        taken = await self._redis.execute("SET", key, chain, "NX", "EX", NEED_TTL_S)
        if taken:
            return chain
        held = await self._redis.execute("GET", key)
        return chain if held is None else text(held)

    async def let_go(self, tenant: str, sku: str, chain: str) -> None:
        """Free an SKU the chain had taken."""
        await self._redis.script(_LET_GO, [self._keys.supply_need(tenant, sku)], [chain])


def fields_of(trigger: SupplyTrigger, *, number: str, chain: str, correlation_id: str) -> dict[str, str]:
    """The document fields of a chain that begins."""
    return {
        "order_id": number,
        "trigger": trigger.to_json(),
        "chain": chain,
        "progress": SupplyProgress.RUNNING.value,
        "correlation_id": correlation_id,
        "changed_at": trigger.at.isoformat(),
    }


def _record(thread: ThreadId, fields: dict[str, str]) -> SupplyRecord:
    edits: Any = orjson.loads(fields.get("edits") or "{}")
    return SupplyRecord(
        thread=thread,
        number=fields["order_id"],
        trigger=SupplyTrigger.from_json(fields["trigger"]),
        chain=fields.get("chain", ""),
        progress=SupplyProgress(fields.get("progress", SupplyProgress.RUNNING.value)),
        version=int(fields.get("version", "1")),
        attempt_group=int(fields.get("attempt_group", "1")),
        graph_version=fields.get("graph_version", ""),
        review_id=fields.get("review", ""),
        recheck=fields.get("recheck", ""),
        edits=edits,
        correlation_id=fields.get("correlation_id", ""),
        changed_at=fields.get("changed_at", ""),
        detail=fields.get("detail", ""),
    )
