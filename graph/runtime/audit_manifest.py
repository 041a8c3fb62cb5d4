"""What an exported month is made of: its files with their digests, and where each chain stood."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import AwareDatetime

from domain.errors import InputError
from domain.values import Document
from graph.runtime.audit_chain import ChainKey
from graph.runtime.audit_files import Format

MANIFEST = "manifest.json"
SEAL = "manifest.sha256"
HEADS = "heads.jsonl"
SCHEMA_FILE = "bigquery.schema.json"
SCHEMA_VERSION = 1


class ExportedFile(Document):
    """One file of an export."""

    name: str
    rows: int
    bytes: int
    sha256: str


class Manifest(Document):
    """What was exported, by whom, and how to tell whether it is still that."""

    schema_version: int = SCHEMA_VERSION
    month: str
    """Of recording, UTC: ``2026-11``. A month that is over never changes, but by erasures."""
    complete: bool
    """False when the month was not over yet."""
    format: Format
    made_at: AwareDatetime
    made_by: str
    rows: int
    chains: int
    files: tuple[ExportedFile, ...]
    heads: ExportedFile
    """One line a chain: where it stood before the month's first row of it and after the last."""


class Span(Document):
    """The part of one chain that a month holds."""

    tenant: str
    entity_type: str
    entity_id: str
    first: int
    """Position of its first row."""
    prev_hash: str
    last: int
    last_hash: str

    @property
    def key(self) -> ChainKey:
        """The chain."""
        return self.tenant, self.entity_type, self.entity_id


def month_bounds(month: str) -> tuple[datetime, datetime]:
    """First instant of a month in UTC and of the next one.

    Raises:
        InputError: the text is no month.
    """
    try:
        start = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise InputError(f"{month!r} is no month; write it like 2026-11") from None
    return start, add_months(start, 1)


def add_months(at: datetime, months: int) -> datetime:
    """The first instant of the month that lies so many months from the one of ``at``."""
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC)


def widened(spans: dict[ChainKey, Span], row: Mapping[str, Any]) -> None:
    """Take a row into its chain's span."""
    key = row["tenant"], row["entity_type"], row["entity_id"]
    end = {"last": row["position"], "last_hash": row["hash"]}
    if key in spans:
        spans[key] = spans[key].model_copy(update=end)
        return
    tenant, entity_type, entity_id = key
    spans[key] = Span(
        tenant=tenant, entity_type=entity_type, entity_id=entity_id, first=row["position"], prev_hash=row["prev_hash"],
        **end,
    )  # fmt: skip


def write_spans(path: Path, spans: Iterable[Span]) -> None:
    """Write a line for each chain."""
    path.write_bytes(b"".join(orjson.dumps(span.model_dump()) + b"\n" for span in spans))


def read_spans(path: Path) -> Iterator[Span]:
    """The lines of ``write_spans``."""
    with path.open("rb") as lines:
        for line in lines:
            yield Span.from_json(line)


def sha256_of(path: Path) -> str:
    """Digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def described(path: Path, rows: int) -> ExportedFile:
    """A file as the manifest names it."""
    return ExportedFile(name=path.name, rows=rows, bytes=path.stat().st_size, sha256=sha256_of(path))
