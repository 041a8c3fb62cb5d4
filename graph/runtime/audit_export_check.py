"""Checking exported months: every file against the manifest, every row against its hash, every chain against its span.

It needs no database; with what the audit recorded of its exports, a manifest rewritten together with its files is
noticed too.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from domain.errors import MalformedPayload, NotFound
from domain.values import Document
from graph.runtime.audit_chain import ChainKey, payload_digest, row_hash
from graph.runtime.audit_files import Format, read_rows
from graph.runtime.audit_manifest import HEADS, MANIFEST, SCHEMA_FILE, SEAL, Manifest, Span, read_spans, sha256_of


class ExportReport(Document):
    """What a check of exported months found."""

    months: tuple[str, ...]
    rows: int
    problems: tuple[str, ...]
    """A sentence for each thing that is not as it was written; rows are named by the first bad one of a month."""

    @property
    def intact(self) -> bool:
        """Whether everything is as it was written."""
        return not self.problems


def check_export(folder: Path, recorded: Mapping[str, Sequence[str]] | None = None) -> ExportReport:
    """Check the months in a folder; ``recorded`` is what the audit says of them, None without a database.

    Raises:
        NotFound: there is no export in the folder.
        ConfigError: the files need a library that is not installed.
    """
    places = [folder] if (folder / MANIFEST).exists() else sorted(p.parent for p in folder.glob(f"[0-9]*/{MANIFEST}"))
    empty = [p for p in sorted(folder.glob("[0-9][0-9][0-9][0-9]-[0-9][0-9]")) if p.is_dir() and p not in places]
    if not places and not empty:
        raise NotFound(f"there is no export in {folder}: no {MANIFEST}, and no month with one")
    tails: dict[ChainKey, Span] = {}
    problems = [f"{place.name}: {MANIFEST} is missing" for place in empty]
    months, rows = [], 0
    for place in places:
        check = _MonthCheck(place, tails)
        problems += check.run(None if recorded is None else recorded)
        months.append(check.month)
        rows += check.rows
    return ExportReport(months=tuple(months), rows=rows, problems=tuple(problems))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an exported month.

    Raises:
        MalformedPayload: it is torn or no manifest.
    """
    try:
        return Manifest.from_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError) as bad:
        raise MalformedPayload(f"{folder.name}/{MANIFEST} cannot be read: it is torn or no manifest") from bad


class _MonthCheck:
    def __init__(self, folder: Path, tails: dict[ChainKey, Span]) -> None:
        self._folder = folder
        self._tails = tails
        self._chains: dict[ChainKey, tuple[int, str]] = {}
        self._spans: dict[ChainKey, Span] = {}
        self._last_id = -1
        self.month = folder.name
        self.rows = 0

    def run(self, recorded: Mapping[str, Sequence[str]] | None) -> Iterator[str]:
        try:
            manifest = read_manifest(self._folder)
        except MalformedPayload as torn:
            yield str(torn)
            return
        self.month = manifest.month
        yield from self._seal(manifest, recorded)
        for named in (manifest.heads, *manifest.files):
            yield from self._file(named.name, named.sha256)
        known = {MANIFEST, SEAL, SCHEMA_FILE, HEADS, *(f.name for f in manifest.files)}
        yield from (f"{self.month}/{p.name}: is not in the manifest" for p in self._others(known))
        first = self._first_bad_row(manifest)
        if first:
            yield first

    def _others(self, known: set[str]) -> list[Path]:
        return [path for path in sorted(self._folder.iterdir()) if path.name not in known]

    def _seal(self, manifest: Manifest, recorded: Mapping[str, Sequence[str]] | None) -> Iterator[str]:
        digest = hashlib.sha256((self._folder / MANIFEST).read_bytes()).hexdigest()
        seal = self._folder / SEAL
        if not seal.exists():
            yield f"{self.month}/{SEAL}: is missing"
        elif seal.read_text(encoding="ascii", errors="replace").split(" ")[0] != digest:
            yield f"{self.month}/{MANIFEST}: was changed since it was written"
        if recorded is not None and digest not in recorded.get(manifest.month, ()):
            yield f"{self.month}/{MANIFEST}: the audit knows of no export with this manifest"

    def _file(self, name: str, sha256: str) -> Iterator[str]:
        path = self._folder / name
        if not path.is_file():
            yield f"{self.month}/{name}: is missing"
        elif sha256_of(path) != sha256:
            yield f"{self.month}/{name}: was changed since it was written"

    def _first_bad_row(self, manifest: Manifest) -> str:
        spans = self._folder / HEADS
        if not spans.is_file() or not all((self._folder / f.name).is_file() for f in manifest.files):
            return ""
        try:
            self._spans = {span.key: span for span in read_spans(spans)}
        except ValidationError:
            return f"{self.month}/{HEADS}: is torn"
        for named in manifest.files:
            before = self.rows
            try:
                for row in read_rows(self._folder / named.name, manifest.format):
                    if wrong := self._wrong(row):
                        return f"{self.month}/{named.name}: {_name(row)} {wrong}"
                    self.rows += 1
            except MalformedPayload as torn:
                return f"{self.month}/{named.name}: is torn: {torn}"
            if self.rows - before != named.rows:
                return f"{self.month}/{named.name}: has {self.rows - before} rows; {named.rows} were written"
        return self._ends()

    def _wrong(self, row: Mapping[str, Any]) -> str:
        """What is wrong with the next row; empty when it fits."""
        key = row["tenant"], row["entity_type"], row["entity_id"]
        if row_hash(row, row["payload_digest"]) != row["hash"]:
            return "does not match its hash"
        if payload_digest(row) != row["payload_digest"] and not (row["erased"] and row["salt"] == ""):
            return "has another payload than was written"
        if key not in self._chains:
            span = self._spans.get(key)
            if span is None or (span.first, span.prev_hash) != (row["position"], row["prev_hash"]):
                return "is not where its chain begins in this month"
            tail = self._tails.get(key)
            if tail and (tail.last + 1, tail.last_hash) != (row["position"], row["prev_hash"]):
                return f"does not follow row {tail.last}, where the exported month before left its chain"
        elif (row["position"] - 1, row["prev_hash"]) != self._chains[key]:
            return f"does not follow row {self._chains[key][0]} of its chain: rows are missing or in another order"
        if row["id"] <= self._last_id:
            return "stands behind a row that was recorded later"
        self._last_id = row["id"]
        self._chains[key] = row["position"], row["hash"]
        return ""

    def _ends(self) -> str:
        for key, span in self._spans.items():
            if self._chains.get(key) != (span.last, span.last_hash):
                return f"{self.month}: rows up to {span.last} of {key[1]} {key[2]} (tenant {key[0]}) are missing"
        self._tails |= self._spans
        return ""


def _name(row: Mapping[str, Any]) -> str:
    who = f"{row['entity_type']} {row['entity_id']} (tenant {row['tenant']})"
    return f"row {row['position']} of {who}, event {row['event_id']},"


def exported_hashes(folder: Path, form: Format, names: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Id and hash of every row in the files, in their order."""
    for name in names:
        for row in read_rows(folder / name, form):
            yield row["id"], row["hash"]
