"""Taking personal data out of audited payloads: rows stay, decision facts stay, and the chain itself records it.

An erased row keeps its hash. A row appended to the same chain, in the same transaction, names the digest of the payload
as it was and of what is left, so the check still tells an erasure from tampering; the salt that would allow guessing
the erased text goes with it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.event import Event
from domain.ids import EventId, TenantId, stable_id
from domain.values import Document
from graph.runtime.audit_append import extend, lock_heads
from graph.runtime.audit_chain import ERASED, ChainKey, attested, columns_of, payload_digest
from graph.runtime.audit_schema import audit_events, audit_permits
from graph.runtime.audit_verify import rows_of, stored_text
from graph.runtime.sql import transaction

Redact = Callable[[str], str]
"""A payload without the person; the same text when it says nothing of them."""

_OVERWRITE = (
    update(audit_events)
    .where(audit_events.c.event_id == bindparam("of"))
    .values(payload=bindparam("left"), salt=bindparam("none"))
)


class ErasedBy(Document):
    """Who had personal data erased, and why."""

    erasure_id: str
    by: str
    reason: str
    at: datetime


class AuditErasure:
    """The one way to change an audited row."""

    def __init__(self, engine: AsyncEngine) -> None:
        """The engine of the audit."""
        self._engine = engine

    async def entities(self, tenant: str, values: Sequence[str]) -> list[ChainKey]:
        """Entities of a tenant with a payload that holds one of the values, whatever its case; reads every row."""
        if not values:
            return []
        rows = audit_events.c
        holds = or_(*(rows.payload.icontains(value, autoescape=True) for value in values))
        wanted = select(rows.tenant, rows.entity_type, rows.entity_id).where(rows.tenant == tenant, holds).distinct()
        async with transaction(self._engine, "the audit") as connection:
            return [(row.tenant, row.entity_type, row.entity_id) for row in await connection.execute(wanted)]

    async def erase(self, key: ChainKey, redact: Redact, said: ErasedBy) -> int:
        """Redact an entity's payloads, all or none, and return how many changed; what is redacted already stays.

        Raises:
            StoreUnavailable: the database cannot be written; nothing was changed.
        """
        wanted = select(*stored_text()).where(*rows_of(key)).order_by(audit_events.c.position)
        async with transaction(self._engine, "the audit") as connection:
            heads = await lock_heads(connection, [key])
            first: dict[str, tuple[str, str]] = {}
            changed: dict[str, tuple[str, str, str]] = {}
            for row in map(dict, (await connection.execute(wanted)).mappings()):
                first |= attested(row)
                left = redact(row["payload"])
                if left != row["payload"] and not row["event_type"].endswith(ERASED):
                    digest_left = payload_digest({"salt": "", "payload": left})
                    changed[row["event_id"]] = payload_digest(row), digest_left, left
            if not changed:
                return 0
            permits = [{"act": "erase", "subject": event_id} for event_id in changed]
            await connection.execute(insert(audit_permits), permits)
            texts = [{"of": event_id, "left": left, "none": ""} for event_id, (_, _, left) in changed.items()]
            await connection.execute(_OVERWRITE, texts)
            await connection.execute(delete(audit_permits))
            # A row erased before keeps the digest it was hashed with.
            rows = {one: [first.get(one, (was, ""))[0], now] for one, (was, now, _) in changed.items()}
            await extend(connection, heads, [columns_of(_recorded(key, rows, said))], at=said.at)
        return len(changed)


def _recorded(key: ChainKey, rows: dict[str, list[str]], said: ErasedBy) -> Event:
    tenant, entity_type, entity_id = key
    return Event(
        event_id=EventId(stable_id(*key, said.erasure_id, *(f"{one}={left}" for one, (_, left) in rows.items()))),
        event_type=f"{entity_type}.{ERASED}",
        entity_type=entity_type,
        entity_id=entity_id,
        agent_name=f"person:{said.by}",
        timestamp=said.at,
        result={"erasure_id": said.erasure_id, "reason": said.reason, "rows": rows},
        metadata={"actor": said.by},
        tenant=TenantId(tenant),
        sequence=0,
        correlation_id=said.erasure_id,
        currency="",
        locale="",
    )
