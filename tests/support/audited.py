"""Events to audit, and audit databases of every kind at hand."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.event import Event
from domain.ids import EventId, TenantId, uuid7
from graph.runtime.database import open_database, upgrade

POSTGRES_URL = os.environ.get("SIGNALBOX_TEST_POSTGRES_URL", "")
AT = datetime(2026, 11, 11, 8, 0, tzinfo=UTC)


def an_event(entity_id: str = "shopify-1001", sequence: int = 1, **changes: Any) -> Event:
    """The ``sequence``-th event of an order: the same arguments give the same event."""
    tenant = changes.get("tenant", "acme")
    at = AT + timedelta(seconds=sequence)
    entropy = sha256(f"{tenant}|{entity_id}|{sequence}|{changes.get('event_type')}".encode()).digest()[:10]
    plain: dict[str, Any] = {
        "event_id": EventId(uuid7(at, entropy)),
        "event_type": "order.fraud_check.completed",
        "entity_type": "order",
        "entity_id": entity_id,
        "agent_name": "fraud_detection",
        "timestamp": at,
        "result": {
            "decision": "approve",
            "outcome": "proceed",
            "confidence": 0.93,
            "flags": ["NEW_DEVICE"],
            "reasons": [{"code": "VELOCITY_LOW", "text": "2 orders in 24 h", "value": "2", "threshold": "5"}],
        },
        "metadata": {
            "model_version": "fd-1.0",
            "versions": {"agent": "fd-1.0", "thresholds": "th-3"},
            "mode": "normal",
            "inputs_digest": "ab" * 32,
            "cost": {"usd_micro": 0},
        },
        "tenant": TenantId(tenant),
        "sequence": sequence,
        "correlation_id": "c-1",
        "currency": "HKD",
        "locale": "en",
    }
    return Event.model_validate(plain | changes)


@asynccontextmanager
async def database(kind: str, folder: Path) -> AsyncIterator[AsyncEngine]:
    """An empty audit database, upgraded, gone afterwards."""
    schema = f"signalbox_test_{os.getpid()}"
    if kind == "sqlite":
        engine = open_database(f"sqlite+aiosqlite:///{folder / 'audit.sqlite3'}")
    else:
        engine = open_database(POSTGRES_URL)

        @event.listens_for(engine.sync_engine, "connect")
        def _inside(connection: Any, _record: Any) -> None:
            cursor = connection.cursor()
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            cursor.execute(f"SET search_path TO {schema}")
            cursor.close()
            connection.commit()

    try:
        await upgrade(engine)
        yield engine
    finally:
        if kind == "postgres":
            async with engine.begin() as connection:
                await connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
        await engine.dispose()
