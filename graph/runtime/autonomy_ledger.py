"""The ledger of suggestions in SQL: what was recommended, what the person did, and what came of it. Each counts once."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime
from sqlalchemy import Select, and_, case, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.autonomy import Band, Segment
from domain.decision import Outcome
from domain.errors import StoreUnavailable
from domain.promotion import Case
from domain.values import Document
from graph.runtime.audit_reviews import insert_into
from graph.runtime.autonomy_schema import outcomes, suggestions

AGREED = "agree"
"""What ``answer`` says of a recommendation the person followed; ``edit`` and ``override`` are the two ways not to."""
_SEGMENT = ("tenant", "agent", "version", "action", "outcome", "market", "band")
_TENTHS = 10


class Suggestion(Document):
    """One answered recommendation."""

    tenant: str
    review_id: str
    agent: str
    decision_id: str
    entity_type: str
    entity_id: str
    version: str
    action: str
    outcome: Outcome
    market: str
    band: Band
    channel: str
    usd_minor: int | None
    stated: float | None
    confidence: float | None
    eligible: bool
    sampled: bool
    blind: bool
    answer: str
    edit_distance: int
    """Fields the person changed."""
    seconds: int
    """From the claim, or where nobody claimed it from the question, to the answer."""
    decided_by: str
    decided_at: AwareDatetime
    corrected: bool | None = None
    severe: bool = False

    @property
    def segment(self) -> Segment:
        """The segment it counts for."""
        return Segment(**{name: getattr(self, name) for name in _SEGMENT})


@dataclass(frozen=True, kw_only=True)
class Label:
    """One answer as calibration sees it."""

    segment: Segment
    stated: float
    agreed: bool
    decided_at: datetime


class SuggestionLedger:
    """Reads and writes the ledger."""

    def __init__(self, engine: AsyncEngine) -> None:
        """``engine`` is the database of the audit."""
        self._engine = engine

    async def record(self, made: Sequence[Suggestion]) -> int:
        """Keep answered suggestions; those already there stay as they are. Gives how many were new.

        Raises:
            StoreUnavailable: nothing was kept.
        """
        try:
            async with self._engine.begin() as connection:
                return sum([await _insert(connection, one) for one in made])
        except DBAPIError as away:
            raise StoreUnavailable(f"the suggestion ledger does not answer: {away.orig}") from away

    async def cases(self, segment: Segment, since: datetime) -> list[Case]:
        """The answers of a segment since an instant, oldest first."""
        rows = await self._rows(_of(segment, since).order_by(suggestions.c.decided_at, suggestions.c.review_id))
        return [
            Case(
                decided_at=row.decided_at,
                agreed=_right(row),
                blind=row.blind,
                channel=row.channel,
                confidence=row.confidence,
                eligible=row.eligible,
                severe=row.severe,
            )
            for row in rows
        ]

    async def features(self, segment: Segment, since: datetime) -> dict[str, dict[str, int]]:
        """Histograms of what the segment's recommendations were about."""
        rows = await self._rows(_of(segment, since))
        return histograms((row.stated, row.usd_minor, row.channel) for row in rows)

    async def segments(self, tenant: str | None = None, agent: str | None = None) -> list[Segment]:
        """Every segment anybody has answered in."""
        columns = [suggestions.c[name] for name in _SEGMENT]
        wanted = select(*columns).distinct()
        if tenant is not None:
            wanted = wanted.where(suggestions.c.tenant == tenant)
        if agent is not None:
            wanted = wanted.where(suggestions.c.agent == agent)
        return [Segment(**row._mapping) for row in await self._rows(wanted.order_by(*columns))]

    async def labels(self, tenant: str, agent: str, since: datetime) -> list[Label]:
        """What calibration may learn from: answers by people that carried a stated confidence, oldest first."""
        wanted = select(suggestions).where(
            suggestions.c.tenant == tenant,
            suggestions.c.agent == agent,
            suggestions.c.decided_at >= since,
            suggestions.c.stated.is_not(None),
        )
        rows = await self._rows(wanted.order_by(suggestions.c.decided_at, suggestions.c.review_id))
        return [
            Label(
                segment=Segment(**{name: row._mapping[name] for name in _SEGMENT}),
                stated=row.stated,
                agreed=_right(row),
                decided_at=row.decided_at,
            )
            for row in rows
        ]

    async def answered(self, tenant: str, entity_id: str) -> list[Suggestion]:
        """The answered suggestions about one entity."""
        wanted = select(suggestions).where(suggestions.c.tenant == tenant, suggestions.c.entity_id == entity_id)
        return [Suggestion.model_validate(dict(row._mapping)) for row in await self._rows(wanted)]

    async def correct(self, event_id: str, *, tenant: str, entity_id: str, agent: str, kind: str, wrong: bool,
                      severe: bool, at: datetime) -> bool:  # fmt: skip
        """Take an outcome into account, once; False when it was before.

        Raises:
            StoreUnavailable: nothing was changed.
        """
        seen = {
            "tenant": tenant, "event_id": event_id, "entity_id": entity_id, "agent": agent, "kind": kind,
            "wrong": wrong, "at_utc": at,
        }  # fmt: skip
        try:
            async with self._engine.begin() as connection:
                first = insert_into(outcomes, connection).values(**seen).on_conflict_do_nothing()
                if not (await connection.execute(first)).rowcount:
                    return False
                about = and_(
                    suggestions.c.tenant == tenant, suggestions.c.entity_id == entity_id, suggestions.c.agent == agent
                )
                # An outcome that proves the agent right once does not undo one that proved it wrong.
                now = case((suggestions.c.corrected.is_(False), False), else_=not wrong)
                made = {"corrected": now, "severe": suggestions.c.severe | severe} if severe else {"corrected": now}
                await connection.execute(update(suggestions).where(about).values(**made))
                return True
        except DBAPIError as away:
            raise StoreUnavailable(f"the suggestion ledger does not answer: {away.orig}") from away

    async def _rows(self, wanted: Select[Any]) -> list[Any]:
        try:
            async with self._engine.connect() as connection:
                return list((await connection.execute(wanted)).all())
        except DBAPIError as away:
            raise StoreUnavailable(f"the suggestion ledger does not answer: {away.orig}") from away


async def _insert(connection: AsyncConnection, one: Suggestion) -> int:
    statement = insert_into(suggestions, connection).values(**one.model_dump())
    return max(0, (await connection.execute(statement.on_conflict_do_nothing())).rowcount)


def _of(segment: Segment, since: datetime) -> Select[Any]:
    same = [suggestions.c[name] == getattr(segment, name) for name in _SEGMENT]
    return select(suggestions).where(*same, suggestions.c.decided_at >= since)


def _right(row: Any) -> bool:
    """What the outcome says, else what the person did."""
    return bool(row.corrected) if row.corrected is not None else row.answer == AGREED


def histograms(seen: Iterable[tuple[float | None, int | None, str]]) -> dict[str, dict[str, int]]:
    """Confidence, amount and channel of decisions as histograms."""
    made: dict[str, Counter[str]] = {"confidence": Counter(), "amount": Counter(), "channel": Counter()}
    for stated, usd_minor, channel in seen:
        for name, where in bins_of(stated, usd_minor, channel).items():
            made[name][where] += 1
    return {name: dict(bins) for name, bins in made.items()}


def bins_of(stated: float | None, usd_minor: int | None, channel: str) -> dict[str, str]:
    """The bin of one decision in each histogram."""
    confidence = "none" if stated is None else f"{min(_TENTHS - 1, int(stated * _TENTHS))}"
    # Doubling classes of dollars: an amount of 100 and one of 150 are alike, 100 and 1,000 are not.
    amount = "unknown" if usd_minor is None else str((max(0, usd_minor) // 100).bit_length())
    return {"confidence": confidence, "amount": amount, "channel": channel}
