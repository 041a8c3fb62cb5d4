"""Pruning the audit: whole months, never younger than 24 months, only after a verified export, each time recorded.

A pruned chain stays checkable: its head keeps position and hash of the last row that went.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import Conflict, Forbidden
from domain.values import Document, Plain
from graph.runtime.audit import AuditStore
from graph.runtime.audit_append import extend, lock_heads
from graph.runtime.audit_chain import ChainKey, columns_of
from graph.runtime.audit_export import INSTALLATION, AuditExport, audit_act
from graph.runtime.audit_export_check import check_export, exported_hashes, read_manifest
from graph.runtime.audit_manifest import MANIFEST, add_months, month_bounds, sha256_of
from graph.runtime.audit_schema import audit_events, audit_heads, audit_permits
from graph.runtime.sql import transaction

KEEP_MONTHS = 36
"""What is kept when nothing else is said."""
LEAST_MONTHS = 24
"""What is kept whatever is said; the database's own guard holds it too."""
_CHAINS_AT_ONCE = 200
_PAGE = 5000
_EVENT_KEY = (audit_events.c.tenant, audit_events.c.entity_type, audit_events.c.entity_id)


@dataclass(frozen=True, kw_only=True)
class PruneOrder:
    """What somebody wants pruned."""

    months: int
    """Rows recorded in the last so many whole months stay."""
    export: Path
    """Where the exports of the months are that go."""
    by: str
    reason: str
    dry_run: bool = False


class PruneReport(Document):
    """What was pruned, or would be."""

    before: str
    """Rows recorded earlier than this went."""
    months: tuple[str, ...]
    rows: int
    chains: int
    dry_run: bool


class AuditRetention:
    """The one way rows leave the audit."""

    def __init__(self, engine: AsyncEngine, audit: AuditStore) -> None:
        """Both are the installation's."""
        self._engine = engine
        self._exports = AuditExport(engine, audit)

    async def prune(self, order: PruneOrder, *, at: datetime) -> PruneReport:
        """Remove what is older than the order says and safe in its exports.

        Raises:
            Forbidden: rows younger than 24 months were asked for.
            Conflict: a month is not exported, or its export does not hold; nothing was removed.
            NotFound: there is no export in the folder.
            StoreUnavailable: the database does not answer; what went before that is recorded.
        """
        if order.months < LEAST_MONTHS:
            raise Forbidden(
                f"the audit keeps every row for at least {LEAST_MONTHS} months; ask for {LEAST_MONTHS} or more"
            )
        before = add_months(at, -order.months)
        months = await self._months(before)
        sealed = await self._covered(months, order.export) if months else {}
        rows = chains = 0
        async for some in self._prefixes(before):
            chains += len(some)
            rows += sum(upto - first + 1 for first, upto in some.values())
            if not order.dry_run:
                facts: dict[str, Plain] = {"before": before.isoformat(), "reason": order.reason, **_sums(some)}
                await self._remove(some, facts | {"manifests": dict(sealed)}, by=order.by, at=at)
        return PruneReport(
            before=before.isoformat(), months=tuple(months), rows=rows, chains=chains, dry_run=order.dry_run
        )

    async def _months(self, before: datetime) -> list[str]:
        month = func.substr(audit_events.c.recorded_at, 1, len("2026-11"))
        async with transaction(self._engine, "the audit") as connection:
            wanted = select(month).distinct().where(audit_events.c.recorded_at < before)
            return sorted(await connection.scalars(wanted))

    async def _covered(self, months: list[str], folder: Path) -> dict[str, str]:
        """Manifest digests of the months, once each export is checked and says exactly what the database says."""
        recorded = await self._exports.recorded()
        report = await asyncio.to_thread(check_export, folder, recorded)
        if not report.intact:
            raise Conflict(f"the export does not hold, so nothing was pruned: {report.problems[0]}")
        for month in months:
            if month not in report.months:
                raise Conflict(
                    f"month {month} is not in the export, so nothing was pruned; run audit export --month {month}"
                )
            await self._same(month, folder / month if (folder / month).is_dir() else folder)
        places = {month: folder / month if (folder / month).is_dir() else folder for month in months}
        return {month: sha256_of(place / MANIFEST) for month, place in places.items()}

    async def _same(self, month: str, folder: Path) -> None:
        manifest = read_manifest(folder)
        exported = exported_hashes(folder, manifest.format, [file.name for file in manifest.files])
        start, end = month_bounds(month)
        last_id, rows = -1, audit_events.c
        async with transaction(self._engine, "the audit") as connection:
            while True:
                wanted = select(rows.id, rows.hash).where(
                    rows.recorded_at >= start, rows.recorded_at < end, rows.id > last_id
                )
                page = (await connection.execute(wanted.order_by(rows.id).limit(_PAGE))).all()
                there = await asyncio.to_thread(_take, exported, {row.id: row.hash for row in page})
                if not there:
                    raise Conflict(
                        f"the export of {month} does not hold every row of the audit; run audit export --month {month}"
                    )
                if len(page) < _PAGE:
                    return
                last_id = page[-1].id

    async def _prefixes(self, before: datetime) -> AsyncIterator[dict[ChainKey, tuple[int, int]]]:
        """Chains with the positions of their oldest rows that may go, some at a time."""
        after: ChainKey | None = None
        rows = audit_events.c
        while True:
            wanted = select(*_EVENT_KEY, func.min(rows.position), func.max(rows.position))
            wanted = wanted.where(rows.recorded_at < before).group_by(*_EVENT_KEY).order_by(*_EVENT_KEY)
            if after is not None:
                wanted = wanted.where(tuple_(*_EVENT_KEY) > after)
            async with transaction(self._engine, "the audit") as connection:
                found = (await connection.execute(wanted.limit(_CHAINS_AT_ONCE))).all()
                some = {
                    (t, e, i): (first, await _upto(connection, (t, e, i), before, last))
                    for t, e, i, first, last in found
                }
            yield {key: (first, upto) for key, (first, upto) in some.items() if upto >= first}
            if len(found) < _CHAINS_AT_ONCE:
                return
            after = tuple(found[-1][:3])

    async def _remove(
        self, some: dict[ChainKey, tuple[int, int]], facts: dict[str, Plain], *, by: str, at: datetime
    ) -> None:
        if not some:
            return
        act = columns_of(audit_act("pruned", facts, by=by, at=at, of="retention"))
        own = (INSTALLATION, "audit", "retention")
        async with transaction(self._engine, "the audit") as connection:
            heads = await lock_heads(connection, {own, *some})
            await connection.execute(insert(audit_permits), [{"act": "prune", "subject": ""}])
            for key, (_, upto) in some.items():
                chain = [column == value for column, value in zip(_EVENT_KEY, key, strict=True)]
                last = select(audit_events.c.hash).where(*chain, audit_events.c.position == upto).scalar_subquery()
                head = update(audit_heads).where(
                    audit_heads.c.tenant == key[0],
                    audit_heads.c.entity_type == key[1],
                    audit_heads.c.entity_id == key[2],
                )
                await connection.execute(head.values(pruned=upto, pruned_hash=last))
                await connection.execute(delete(audit_events).where(*chain, audit_events.c.position <= upto))
            await connection.execute(delete(audit_permits))
            await extend(connection, heads, [act], at=at)


async def _upto(connection: AsyncConnection, key: ChainKey, before: datetime, last: int) -> int:
    """The last position before the chain's first younger row: clocks that were set back leave no gap."""
    chain = [column == value for column, value in zip(_EVENT_KEY, key, strict=True)]
    younger = select(func.min(audit_events.c.position)).where(*chain, audit_events.c.recorded_at >= before)
    first_young = await connection.scalar(younger)
    return last if first_young is None else min(last, first_young - 1)


def _sums(some: dict[ChainKey, tuple[int, int]]) -> dict[str, Plain]:
    return {"rows": sum(upto - first + 1 for first, upto in some.values()), "chains": len(some)}


def _take(exported: Iterator[tuple[int, str]], wanted: dict[int, str]) -> bool:
    """Whether the next exported rows hold the wanted ones; rows pruned since may stand between them."""
    left: dict[int, Any] = dict(wanted)
    while left:
        one = next(exported, None)
        if one is None:
            return False
        if left.get(one[0]) == one[1]:
            del left[one[0]]
    return True
