"""Shadow reports as releases rest on them: one a test, never changed, the newest on a version decides."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import NotFound
from graph.runtime.shadow_schema import shadow_reports
from graph.runtime.sql import transaction

_WHAT = "the shadow reports"


@dataclass(frozen=True, kw_only=True)
class ReportRecord:
    """One report as it is kept."""

    report_id: str
    tenant: str
    agent: str
    old_version: str
    new_version: str
    topology: str
    """The graph version that would run the new version."""
    code: str
    """Digest of the agents' code and data that were tested."""
    compared: int
    passed: bool
    made_at: datetime
    made_by: str
    report: str
    """The whole report as JSON."""


class ShadowReports:
    """Keeps reports, and answers whether a version has passed."""

    def __init__(self, engine: AsyncEngine, *, code: str) -> None:
        """``code`` is the digest of the agents' code and data that run here: a report on other code proves nothing."""
        self._engine = engine
        self._code = code

    async def keep(self, record: ReportRecord) -> None:
        """Keep a report.

        Raises:
            StoreUnavailable: the database cannot be written.
        """
        async with transaction(self._engine, _WHAT) as connection:
            await connection.execute(insert(shadow_reports), [vars(record)])

    async def passed(self, *, agent: str, version: str, topology: str) -> bool:
        """Whether exactly this version passed in exactly this topology, by its newest report on the code that runs."""
        newest = await self.newest(agent=agent, version=version, topology=topology)
        return newest is not None and newest.passed

    async def newest(self, *, agent: str, version: str, topology: str) -> ReportRecord | None:
        """The newest report on this version, topology and code."""
        rows = shadow_reports.c
        wanted = (
            select(shadow_reports)
            .where(rows.agent == agent, rows.new_version == version, rows.topology == topology, rows.code == self._code)
            .order_by(rows.made_at.desc(), rows.report_id.desc())
            .limit(1)
        )
        async with transaction(self._engine, _WHAT) as connection:
            found = (await connection.execute(wanted)).mappings().first()
        return None if found is None else ReportRecord(**found)

    async def listed(self, tenant: str, *, agent: str | None = None, limit: int = 50) -> list[ReportRecord]:
        """A tenant's reports, newest first."""
        wanted = select(shadow_reports).where(shadow_reports.c.tenant == tenant)
        if agent is not None:
            wanted = wanted.where(shadow_reports.c.agent == agent)
        wanted = wanted.order_by(shadow_reports.c.made_at.desc(), shadow_reports.c.report_id.desc()).limit(limit)
        async with transaction(self._engine, _WHAT) as connection:
            return [ReportRecord(**row) for row in (await connection.execute(wanted)).mappings()]

    async def find(self, tenant: str, report_id: str) -> ReportRecord:
        """One report.

        Raises:
            NotFound: there is none of this id in this tenant.
        """
        wanted = select(shadow_reports).where(
            shadow_reports.c.tenant == tenant, shadow_reports.c.report_id == report_id
        )
        async with transaction(self._engine, _WHAT) as connection:
            found = (await connection.execute(wanted)).mappings().first()
        if found is None:
            raise NotFound(f"there is no shadow report {report_id!r}")
        return ReportRecord(**found)
