"""Follows the orders of all tenants in the audit: read once over the life of working state, then only what is new."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from sqlalchemy import or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import ConfigError, StoreUnavailable
from domain.event import TOPIC_OF_AGENT
from domain.flow import Expected, Flow, Step
from graph.runtime.audit_schema import audit_events

TIMES_FILE = Path(__file__).with_name("expected_times.yaml")
_AT_ONCE = 5000
_OVERLAP = 200
"""Rows looked at again: of two relays at once by mistake, one may commit a smaller id later."""


def read_expected(path: Path) -> Expected:
    """The expected times of a file.

    Raises:
        ConfigError: the file is missing, unreadable or wrong; says where.
    """
    try:
        expected = Expected.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"the expected times {path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{path}: {where}: {first['msg']}") from None
    if not expected.seconds or min(expected.seconds.values()) <= 0:
        raise ConfigError(f"{path}: seconds: name at least one stage, each with a whole number above 0")
    return expected


@cache
def shipped_expected() -> Expected:
    """The times that ship with this version."""
    return read_expected(TIMES_FILE)


def deciding(agent: str) -> str:
    """The event type of an agent's decision about an order."""
    return f"order.{TOPIC_OF_AGENT.get(agent, agent)}.completed"


class OrderFlow:
    """One process's view of the orders on their way."""

    def __init__(self, engine: AsyncEngine, stages: dict[str, list[str]]) -> None:
        """``stages`` names the agents of each stage, in order."""
        self._engine = engine
        kinds = [(name, frozenset(deciding(agent) for agent in agents)) for name, agents in stages.items()]
        self.flow = Flow(kinds)
        self._decisions = sorted(kind for _, of in kinds for kind in of)
        self._last = 0
        self._seen: list[int] = []

    async def refresh(self, *, since: datetime) -> None:
        """Take in what is new; the first time, everything since an instant.

        Raises:
            StoreUnavailable: the audit does not answer.
        """
        row = audit_events.c
        wanted = (
            select(row.id, row.tenant, row.entity_id, row.event_type, row.at_utc)
            .where(
                row.entity_type == "order",
                or_(
                    row.event_type.in_([*self._decisions, "order.accepted", "order.dead_lettered"]),
                    row.event_type.startswith("order.progress."),
                    row.event_type.startswith("order.review."),
                ),
            )
            .order_by(row.id)
            .limit(_AT_ONCE)
        )
        try:
            async with self._engine.connect() as connection:
                while True:
                    fresh = row.id > max(0, self._last - _OVERLAP) if self._last else row.at_utc >= since
                    found = (await connection.execute(wanted.where(fresh, row.id.not_in(self._seen)))).all()
                    self._take(found)
                    if len(found) < _AT_ONCE:
                        return
        except (SQLAlchemyError, OSError) as failure:
            raise StoreUnavailable(f"the audit cannot be read: {failure}") from failure

    def _take(self, found: Sequence[Any]) -> None:
        for row_id, tenant, order_id, kind, at in found:
            self.flow.take(Step(tenant=tenant, order_id=order_id, event_type=kind, at=at))
            self._last = max(self._last, row_id)
            self._seen.append(row_id)
        self._seen = [row_id for row_id in self._seen if row_id > self._last - _OVERLAP]
