"""Identifiers as distinct types, and the time-ordered id every event carries."""

import hashlib
from datetime import datetime
from typing import NewType
from uuid import UUID

TenantId = NewType("TenantId", str)
OrderId = NewType("OrderId", str)
"""``<channel>-<id the channel gave>``: unique inside one tenant."""
Sku = NewType("Sku", str)
WarehouseId = NewType("WarehouseId", str)
ServiceId = NewType("ServiceId", str)
"""``<carrier>:<service code>``."""
ReviewId = NewType("ReviewId", str)
EventId = NewType("EventId", str)
ThreadId = NewType("ThreadId", str)
EffectKey = NewType("EffectKey", str)


def uuid7(at: datetime, entropy: bytes) -> str:
    """A UUIDv7 (RFC 9562) for the instant ``at`` (zone-aware, millisecond precision) from 10 bytes of entropy.

    Raises:
        ValueError: ``entropy`` is not 10 bytes.
    """
    if len(entropy) != 10:
        raise ValueError("uuid7 needs exactly 10 bytes of entropy")
    raw = bytearray(int(at.timestamp() * 1000).to_bytes(6, "big") + entropy)
    raw[6] = (raw[6] & 0x0F) | 0x70
    raw[8] = (raw[8] & 0x3F) | 0x80
    return str(UUID(bytes=bytes(raw)))


def thread_id(tenant: str, workflow: str, entity_id: str) -> ThreadId:
    """The LangGraph thread of one entity: 40 lower-case hex characters, so ids cannot collide by case or separator."""
    joined = "\x00".join((tenant, workflow, entity_id))
    return ThreadId(hashlib.sha256(joined.encode()).hexdigest()[:40])


def stable_id(*parts: str) -> str:
    """A UUID (version 8, RFC 9562) that is the same for the same parts: what is repeated after a crash stays one thing."""
    raw = bytearray(hashlib.sha256("\x00".join(parts).encode()).digest()[:16])
    raw[6] = (raw[6] & 0x0F) | 0x80
    raw[8] = (raw[8] & 0x3F) | 0x80
    return str(UUID(bytes=bytes(raw)))
