"""How fast the audit is written and asked: batches as the relay writes them, then ``why`` over what was written."""

import random
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from domain.event import Event
from domain.ids import EventId, TenantId, uuid7
from graph.runtime.audit import AuditStore
from graph.runtime.database import open_database, upgrade
from graph.runtime.why import explain

BATCH = 500
"""Events per transaction, as the relay takes them."""
PER_ORDER = 20
"""Rows an order has, about as many as the order workflow writes."""
ASKED = 400
_START = datetime(2024, 11, 22, tzinfo=UTC)
_SPAN = timedelta(days=730)
_STEPS = (
    ("order.accepted", "signalbox", None),
    ("order.fraud_check.completed", "fraud_detection", "approve"),
    ("order.compliance_check.completed", "compliance", "clear"),
    ("order.inventory_reservation.completed", "inventory_reservation", "reserve"),
    ("order.routing.completed", "order_routing", "route"),
    ("order.tax.completed", "tax", "charge"),
)


async def measure(rows: int, *, seed: int) -> AsyncIterator[str]:
    """Write ``rows`` generated rows spread over 24 months to an empty database, ask about orders, tell the figures."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(f"sqlite+aiosqlite:///{Path(folder) / 'audit.sqlite3'}")
        try:
            await upgrade(engine)
            audit = AuditStore(engine)
            yield await _append(audit, rows)
            yield await _why(audit, rows, random.Random(seed))  # noqa: S311  # which orders are asked about
            yield await _verify(audit)
        finally:
            await engine.dispose()


async def _append(audit: AuditStore, rows: int) -> str:
    spent = 0.0
    for start in range(0, rows, BATCH):
        batch = [_event(number, rows) for number in range(start, min(rows, start + BATCH))]
        begun = time.perf_counter()
        await audit.append(batch)
        spent += time.perf_counter() - begun
    return f"append   {rows} rows in batches of {BATCH}: {rows / spent:,.0f} rows/s"


async def _why(audit: AuditStore, rows: int, dice: random.Random) -> str:
    took = []
    for _ in range(ASKED):
        order_id = _order(dice.randrange(rows), rows)
        begun = time.perf_counter()
        explain(await audit.entity("bench", "order", order_id))
        took.append((time.perf_counter() - begun) * 1000)
    took.sort()
    return (
        f"why      over {rows} rows of 24 months: p50 {took[ASKED // 2]:.1f} ms, "
        f"p95 {took[ASKED * 95 // 100]:.1f} ms, longest {took[-1]:.1f} ms"
    )


async def _verify(audit: AuditStore) -> str:
    begun = time.perf_counter()
    report = await audit.verify()
    held = "intact" if report.intact else "NOT INTACT"
    return f"verify   {report.rows} rows in {report.chains} chains: {report.rows / (time.perf_counter() - begun):,.0f} rows/s, {held}"


def _order(number: int, rows: int) -> str:
    """The order a row is about: an order's rows lie apart, as they do when many run at once."""
    return f"shopify-{number % max(1, rows // PER_ORDER)}"


def _event(number: int, rows: int) -> Event:
    at = _START + _SPAN * number / rows
    kind, agent, decision = _STEPS[number // max(1, rows // PER_ORDER) % len(_STEPS)]
    said = {} if decision is None else {"decision": decision, "outcome": "proceed", "confidence": 0.93}
    reasons = [{"code": f"RULE_{n}", "text": "a reason as agents give it", "value": "2", "points": 5} for n in range(6)]
    return Event(
        event_id=EventId(uuid7(at, sha256(str(number).encode()).digest()[:10])),
        event_type=kind,
        entity_type="order",
        entity_id=_order(number, rows),
        agent_name=agent,
        timestamp=at,
        result={**said, "flags": ["NEW_DEVICE"], "reasons": reasons, "facts": {"score": 12}},
        metadata={"model_version": "1.0", "mode": "normal", "inputs_digest": "ab" * 32, "cost": {"usd_micro": 0}},
        tenant=TenantId("bench"),
        sequence=number // max(1, rows // PER_ORDER) + 1,
        correlation_id="bench",
        currency="HKD",
        locale="en",
    )
