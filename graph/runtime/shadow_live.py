"""Candidates beside production: which versions run, and what they said about the decisions production made."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.decision import Mode, Verdict
from domain.errors import Conflict, NotFound
from graph.runtime.audit_reviews import insert_into
from graph.runtime.shadow_schema import shadow_answers, shadow_candidates
from graph.runtime.sql import transaction

_WHAT = "the book of candidates"


@dataclass(frozen=True, kw_only=True)
class CandidateRecord:
    """One version that runs, or ran, beside production."""

    tenant: str
    agent: str
    version: str
    started_at: datetime
    started_by: str
    stopped_at: datetime | None = None
    stopped_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class ShadowAnswer:
    """What a candidate said about one decision of production."""

    tenant: str
    decision_id: str
    version: str
    entity_id: str
    agent: str
    verdict: Verdict | None
    failure: str
    missing: tuple[str, ...]
    took_ms: float
    answered_at: datetime


class CandidateBook:
    """Reads and writes candidates and their answers."""

    def __init__(self, engine: AsyncEngine) -> None:
        """The engine's schema is up to date."""
        self._engine = engine

    async def start(self, record: CandidateRecord) -> None:
        """Let a version run beside production; one that was stopped runs again.

        Raises:
            Conflict: it runs already.
        """
        mine = _mine(record.tenant, record.agent, record.version)
        async with transaction(self._engine, _WHAT) as connection:
            made = await connection.execute(
                insert_into(shadow_candidates, connection).on_conflict_do_nothing(), [vars(record)]
            )
            if made.rowcount == 1:
                return
            again = {
                "started_at": record.started_at,
                "started_by": record.started_by,
                "stopped_at": None,
                "stopped_by": None,
            }
            stopped = (
                update(shadow_candidates).where(*mine, shadow_candidates.c.stopped_at.is_not(None)).values(**again)
            )
            if (await connection.execute(stopped)).rowcount == 0:
                raise Conflict(f"{record.agent} {record.version} runs beside production already")

    async def stop(self, tenant: str, agent: str, version: str, *, by: str, at: datetime) -> None:
        """Stop a version; what it said is kept.

        Raises:
            NotFound: it does not run.
        """
        runs = (*_mine(tenant, agent, version), shadow_candidates.c.stopped_at.is_(None))
        async with transaction(self._engine, _WHAT) as connection:
            done = await connection.execute(update(shadow_candidates).where(*runs).values(stopped_at=at, stopped_by=by))
        if done.rowcount == 0:
            raise NotFound(f"{agent} {version} does not run beside production")

    async def listed(self, tenant: str | None = None, *, running: bool = False) -> list[CandidateRecord]:
        """The candidates of one tenant or of all, in the order they were started."""
        wanted = select(shadow_candidates).order_by(shadow_candidates.c.started_at)
        if tenant is not None:
            wanted = wanted.where(shadow_candidates.c.tenant == tenant)
        if running:
            wanted = wanted.where(shadow_candidates.c.stopped_at.is_(None))
        async with transaction(self._engine, _WHAT) as connection:
            return [CandidateRecord(**row) for row in (await connection.execute(wanted)).mappings()]

    async def note(self, answer: ShadowAnswer) -> None:
        """Keep an answer, once a decision and version."""
        row = vars(answer) | {
            "verdict": answer.verdict.to_json() if answer.verdict else None,
            "missing": ",".join(answer.missing),
            "mode": Mode.SHADOW.value,
        }
        async with transaction(self._engine, _WHAT) as connection:
            await connection.execute(insert_into(shadow_answers, connection).on_conflict_do_nothing(), [row])

    async def answers(self, tenant: str, agent: str, version: str, *, limit: int) -> list[ShadowAnswer]:
        """The last answers of a candidate, newest first."""
        rows = shadow_answers.c
        wanted = (
            select(shadow_answers)
            .where(rows.tenant == tenant, rows.agent == agent, rows.version == version)
            .order_by(rows.answered_at.desc(), rows.decision_id)
            .limit(limit)
        )
        async with transaction(self._engine, _WHAT) as connection:
            found = (await connection.execute(wanted)).mappings().all()
        return [
            ShadowAnswer(
                **{name: row[name] for name in row if name not in {"verdict", "missing", "mode"}},
                verdict=Verdict.from_json(row["verdict"]) if row["verdict"] else None,
                missing=tuple(part for part in row["missing"].split(",") if part),
            )
            for row in found
        ]


def _mine(tenant: str, agent: str, version: str) -> tuple[ColumnElement[bool], ...]:
    rows = shadow_candidates.c
    return rows.tenant == tenant, rows.agent == agent, rows.version == version
