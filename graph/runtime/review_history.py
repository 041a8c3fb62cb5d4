"""The review desk's figures and its memory of reasons, read from the audit."""

from collections import defaultdict
from datetime import date, datetime

from sqlalchemy import Text, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import StoreUnavailable
from domain.event import Event
from domain.review_measures import ReviewMeasures, measure
from domain.review_policy import ReviewingCosts
from graph.runtime.audit_schema import audit_events


class ReviewHistory:
    """Reads what the audit holds on reviews."""

    def __init__(self, engine: AsyncEngine, costs: ReviewingCosts) -> None:
        """``costs`` are the declared ones of a reviewer's time."""
        self._engine = engine
        self._costs = costs

    async def measures(self, tenant: str, *, since: datetime, until: datetime) -> ReviewMeasures:
        """The figures of a tenant's reviews asked in a period.

        Raises:
            StoreUnavailable: the audit cannot be read.
        """
        rows = audit_events.c
        told = (
            select(rows.payload)
            .where(rows.tenant == tenant, rows.at_utc >= since, rows.at_utc < until)
            .where(rows.event_type.like("%.review.%"))
            .order_by(rows.at_utc, rows.id)
        )
        day = func.substr(rows.at_utc, 1, 10, type_=Text)
        taken = (
            select(rows.agent, day, func.count())
            .where(rows.tenant == tenant, rows.at_utc >= since, rows.at_utc < until)
            .where(rows.decision.is_not(None), rows.event_type.like("%.completed"))
            .group_by(rows.agent, day)
        )
        decisions: dict[tuple[str, date], int] = defaultdict(int)
        try:
            async with self._engine.connect() as connection:
                events = [Event.from_json(text) for text in await connection.scalars(told)]
                for agent, on, count in await connection.execute(taken):
                    decisions[str(agent), date.fromisoformat(on)] += int(count)
        except (DBAPIError, PoolTimeout, OSError) as failure:
            raise StoreUnavailable(f"the audit cannot be read: {type(failure).__name__}") from failure
        return measure(events, decisions, since=since, until=until, costs=self._costs)
