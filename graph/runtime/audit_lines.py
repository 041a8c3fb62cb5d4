"""The audit as a bookkeeper reads it: one light line per event, all tenants or one, in the order it was recorded."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple

import orjson
from sqlalchemy import case, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import StoreUnavailable
from domain.event import Event
from graph.runtime.audit_schema import audit_events

_EFFECTS = "order.effect."
_PAGE = 1000


class AuditLine(NamedTuple):
    """What of one event counts when the books are compared."""

    tenant: str
    order_id: str
    event_type: str
    event_id: str
    at: datetime
    effect_key: str
    """Of effect events, else empty."""

    @property
    def about(self) -> tuple[str, str]:
        """The order the line is about."""
        return self.tenant, self.order_id


def line_of(event: Event) -> AuditLine:
    """The line an event will be once it is audited."""
    key = event.result.get("key", "") if event.event_type.startswith(_EFFECTS) else ""
    return AuditLine(event.tenant, event.entity_id, event.event_type, event.event_id, event.timestamp, str(key))


async def audit_lines(engine: AsyncEngine, *, tenant: str | None = None) -> AsyncIterator[AuditLine]:
    """Every order event of a tenant, or of all tenants.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    rows = audit_events.c
    payload = case((rows.event_type.startswith(_EFFECTS), rows.payload), else_="")
    wanted = select(rows.tenant, rows.entity_id, rows.event_type, rows.event_id, rows.at_utc, payload)
    wanted = wanted.where(rows.entity_type == "order").order_by(rows.id)
    if tenant is not None:
        wanted = wanted.where(rows.tenant == tenant)
    try:
        async with engine.connect() as connection, connection.stream(wanted) as streamed:
            async for page in streamed.partitions(_PAGE):
                for of_tenant, order_id, event_type, event_id, at, text in page:
                    yield AuditLine(of_tenant, order_id, event_type, event_id, at, _key(text))
    except (DBAPIError, OSError) as failure:
        raise StoreUnavailable(f"the audit cannot be read now: {failure}") from failure


def _key(payload: str) -> str:
    return str(orjson.loads(payload)["result"].get("key", "")) if payload else ""
