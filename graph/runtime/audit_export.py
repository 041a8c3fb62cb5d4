"""Exporting a month of the audit to files that anybody can check later, with or without this program's database."""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import Conflict
from domain.event import Event
from domain.ids import EventId, TenantId, stable_id
from domain.values import Plain
from graph.runtime.audit import AuditStore
from graph.runtime.audit_chain import ERASED, ChainKey, attested, payload_digest, row_hash
from graph.runtime.audit_files import Format, bigquery_schema, require, write_rows
from graph.runtime.audit_manifest import (
    HEADS,
    MANIFEST,
    SCHEMA_FILE,
    SEAL,
    ExportedFile,
    Manifest,
    Span,
    described,
    month_bounds,
    widened,
    write_spans,
)
from graph.runtime.audit_schema import audit_events
from graph.runtime.audit_verify import rows_of, stored_text
from graph.runtime.sql import transaction

INSTALLATION = "installation"
"""The tenant of acts on the audit as a whole."""
ROWS_PER_FILE = 100_000
_PAGE = 2000


@dataclass(frozen=True, kw_only=True)
class Export:
    """An exported month."""

    manifest: Manifest
    folder: Path
    sha256: str
    """Of the manifest; the audit records it."""


class AuditExport:
    """Writes months of the audit to folders, one folder a month."""

    def __init__(self, engine: AsyncEngine, audit: AuditStore) -> None:
        """Both are the installation's."""
        self._engine = engine
        self._audit = audit

    async def month(self, month: str, to: Path, *, form: Format, by: str, at: datetime) -> Export:
        """Export the rows recorded in a month, and record in the audit that this was done.

        Raises:
            InputError: ``month`` is no month.
            ConfigError: the format needs a library that is not installed.
            Conflict: a row does not hold; nothing was exported.
            StoreUnavailable: the database cannot be read.
        """
        start, end = month_bounds(month)
        require(form)
        partial = to / f".{month}.partial"
        await asyncio.to_thread(_empty, partial)
        spans: dict[ChainKey, Span] = {}
        files: list[ExportedFile] = []
        async for rows in self._parts(start, end):
            path = partial / f"part-{len(files) + 1:04}.{form}"
            await asyncio.to_thread(write_rows, path, rows, form)
            files.append(described(path, len(rows)))
            for row in rows:
                widened(spans, row)
        write_spans(partial / HEADS, (spans[key] for key in sorted(spans)))
        (partial / SCHEMA_FILE).write_bytes(orjson.dumps(bigquery_schema(), option=orjson.OPT_INDENT_2))
        manifest = Manifest(
            month=month, complete=at >= end, format=form, made_at=at, made_by=by, rows=sum(f.rows for f in files),
            chains=len(spans), files=tuple(files), heads=described(partial / HEADS, len(spans)),
        )  # fmt: skip
        sealed = _seal(partial, manifest)
        folder = _replace(partial, to / month)
        facts: dict[str, Plain] = {"month": month, "rows": manifest.rows, "manifest": sealed, "format": form.value}
        await self._audit.append([audit_act("exported", facts, by=by, at=at)])
        return Export(manifest=manifest, folder=folder, sha256=sealed)

    async def recorded(self) -> dict[str, list[str]]:
        """Month to the manifests the audit says were made of it, oldest first."""
        rows = await self._audit.entity(INSTALLATION, "audit", "exports")
        found: dict[str, list[str]] = {}
        for row in rows:
            if row.event_type == "audit.exported":
                found.setdefault(row.event.result["month"], []).append(row.event.result["manifest"])
        return found

    async def _parts(self, start: datetime, end: datetime) -> AsyncIterator[list[dict[str, Any]]]:
        """The rows recorded between two instants, in files' portions, each checked against its hash."""
        within = (audit_events.c.recorded_at >= start, audit_events.c.recorded_at < end)
        part: list[dict[str, Any]] = []
        last_id = -1
        async with transaction(self._engine, "the audit") as connection:
            while True:
                wanted = select(*stored_text()).where(*within, audit_events.c.id > last_id)
                page = (await connection.execute(wanted.order_by(audit_events.c.id).limit(_PAGE))).mappings().all()
                part += [await _exported(connection, dict(row)) for row in page]
                last_id = page[-1]["id"] if page else last_id
                if part and (len(page) < _PAGE or len(part) >= ROWS_PER_FILE):
                    yield part
                    part = []
                if len(page) < _PAGE:
                    return


def audit_act(what: str, facts: Mapping[str, Plain], *, by: str, at: datetime, of: str = "exports") -> Event:
    """Something that was done to the audit as a whole."""
    return Event(
        event_id=EventId(stable_id(what, at.isoformat(), orjson.dumps(facts, option=orjson.OPT_SORT_KEYS).decode())),
        event_type=f"audit.{what}",
        entity_type="audit",
        entity_id=of,
        agent_name=f"person:{by}",
        timestamp=at,
        result=dict(facts),
        metadata={"actor": by},
        tenant=TenantId(INSTALLATION),
        sequence=0,
        correlation_id=of,
        currency="",
        locale="",
    )


async def _exported(connection: AsyncConnection, row: Mapping[str, Any]) -> dict[str, Any]:
    now = payload_digest(row)
    first, left = now, now
    if row["salt"] == "" and row_hash(row) != row["hash"]:
        first, left = (await _attested(connection, row)).get(row["event_id"], (now, now))
    if now != left or row_hash(row, first) != row["hash"]:
        raise Conflict(
            f"row {row['position']} of {row['entity_type']} {row['entity_id']} (tenant {row['tenant']}) does not hold; "
            "nothing was exported; run audit verify"
        )
    return {**row, "payload_digest": first, "erased": first != now, "recorded_date": row["recorded_at"][:10]}


async def _attested(connection: AsyncConnection, row: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """What the row's chain says of its erased rows, whatever month that was said in."""
    key = row["tenant"], row["entity_type"], row["entity_id"]
    wanted = select(*stored_text()).where(*rows_of(key), audit_events.c.event_type.endswith(ERASED))
    found: dict[str, tuple[str, str]] = {}
    for said in map(dict, (await connection.execute(wanted.order_by(audit_events.c.position))).mappings()):
        if row_hash(said) == said["hash"]:
            found |= attested(said)
    return found


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _seal(folder: Path, manifest: Manifest) -> str:
    text = orjson.dumps(manifest.model_dump(mode="json"), option=orjson.OPT_INDENT_2)
    sealed = hashlib.sha256(text).hexdigest()
    (folder / MANIFEST).write_bytes(text)
    (folder / SEAL).write_text(f"{sealed}  {MANIFEST}\n", encoding="ascii")
    return sealed


def _replace(made: Path, at: Path) -> Path:
    """Let a finished folder take the place of an earlier export of the month."""
    gone = at.with_name(f".{at.name}.replaced")
    shutil.rmtree(gone, ignore_errors=True)
    if at.exists():
        at.replace(gone)
    made.replace(at)
    shutil.rmtree(gone, ignore_errors=True)
    return at
