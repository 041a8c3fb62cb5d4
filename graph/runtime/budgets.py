"""Budgets as data: what each agent of a tenant may spend a day, kept in SQL, read by every worker within two seconds."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.cost import EVERY_AGENT, Budget
from domain.errors import StoreUnavailable
from domain.ids import TenantId
from graph.runtime.cost_schema import budgets

log = structlog.get_logger(__name__)

FRESH_S = 2.0
"""A changed budget is in force everywhere after this."""


@dataclass(frozen=True)
class Allowance:
    """The limits a call is held against."""

    agent_usd_micro: int
    total_usd_micro: int
    calls_per_entity: int


class BudgetBook:
    """Reads and sets budgets. Where none is set the installation's default holds."""

    def __init__(self, engine: AsyncEngine, *, default_usd_micro: int, default_calls: int) -> None:
        """The default is each agent's; all agents of a tenant together get four times as much."""
        self._engine = engine
        self._default_usd_micro = default_usd_micro
        self._default_calls = default_calls
        self._known: dict[tuple[str, str], Budget] = {}
        self._read_at_s: float | None = None

    async def allowance(self, tenant: str, agent: str) -> Allowance:
        """The limits in force for one agent; with the database away the last ones known."""
        if self._read_at_s is None or time.monotonic() - self._read_at_s > FRESH_S:
            try:
                self._known = {(each.tenant, each.agent): each for each in await self.listed()}
            except StoreUnavailable as away:
                log.warning("budgets.not_read", why=str(away))
            self._read_at_s = time.monotonic()
        own, total = self.of(tenant, agent), self.of(tenant, EVERY_AGENT)
        return Allowance(own.usd_micro_per_day, total.usd_micro_per_day, own.calls_per_entity)

    def of(self, tenant: str, agent: str) -> Budget:
        """An agent's budget as last read, or the default."""
        factor = 4 if agent == EVERY_AGENT else 1
        default = Budget(
            tenant=TenantId(tenant),
            agent=agent,
            usd_micro_per_day=self._default_usd_micro * factor,
            calls_per_entity=self._default_calls,
        )
        return self._known.get((tenant, agent), default)

    async def listed(self, tenant: str | None = None) -> Sequence[Budget]:
        """Every budget that was set, of one tenant when named.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        query = select(budgets).order_by(budgets.c.tenant, budgets.c.agent)
        if tenant is not None:
            query = query.where(budgets.c.tenant == tenant)
        try:
            async with self._engine.connect() as connection:
                rows = (await connection.execute(query)).mappings().all()
        except (SQLAlchemyError, OSError) as failure:
            raise StoreUnavailable(f"the budgets cannot be read: {failure}") from failure
        return [Budget.model_validate({name: row[name] for name in Budget.model_fields}) for row in rows]

    async def set(self, budget: Budget, *, by: str, at: datetime) -> None:
        """Put a budget in force.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        sqlite = self._engine.dialect.name == "sqlite"
        values = {**budget.model_dump(), "set_by": by, "set_at": at}
        insert = sqlite_insert(budgets) if sqlite else postgres_insert(budgets)
        changed = {name: value for name, value in values.items() if name not in {"tenant", "agent"}}
        statement = insert.values(values).on_conflict_do_update(index_elements=["tenant", "agent"], set_=changed)
        try:
            async with self._engine.begin() as connection:
                await connection.execute(statement)
        except (DBAPIError, OSError) as failure:
            raise StoreUnavailable(f"the budget cannot be set: {failure}") from failure
        self._read_at_s = None
