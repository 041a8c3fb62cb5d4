"""Files of audited rows: Parquet for warehouses, CSV for people; a row comes back exactly as it was stored."""

import csv
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from domain.errors import ConfigError, MalformedPayload
from domain.spreadsheet import cell_text, safe_cell
from graph.runtime.audit_schema import utc_text

Row = Mapping[str, Any]


class Format(StrEnum):
    """How exported rows are kept."""

    PARQUET = "parquet"
    CSV = "csv"


@dataclass(frozen=True)
class Field:
    """One column of an export, with its type in BigQuery."""

    name: str
    kind: str
    """``STRING``, ``INT64``, ``FLOAT64``, ``BOOL``, ``TIMESTAMP`` or ``DATE``."""
    about: str
    nullable: bool = False


FIELDS = (
    Field("id", "INT64", "Order of recording over all entities"),
    Field("event_id", "STRING", "UUID of the event"),
    Field("tenant", "STRING", "Shop"),
    Field("entity_type", "STRING", "order, review, purchase_order and so on"),
    Field("entity_id", "STRING", "What the event is about"),
    Field("position", "INT64", "Place in the entity's chain, from 1"),
    Field("sequence", "INT64", "The journal's number"),
    Field("event_type", "STRING", "What happened"),
    Field("agent", "STRING", "Agent, person or automation"),
    Field("agent_version", "STRING", "Version of the agent", nullable=True),
    Field("decision", "STRING", "What it decided", nullable=True),
    Field("confidence", "FLOAT64", "0 to 1", nullable=True),
    Field("mode", "STRING", "normal, degraded, human and so on", nullable=True),
    Field("actor", "STRING", "Who is answerable"),
    Field("at_utc", "TIMESTAMP", "When it happened"),
    Field("inputs_digest", "STRING", "Digest of what the decision rested on", nullable=True),
    Field("payload", "STRING", "The event as JSON"),
    Field("recorded_at", "TIMESTAMP", "When the audit wrote it"),
    Field("prev_hash", "STRING", "Hash of the row before it in the chain"),
    Field("hash", "STRING", "SHA-256 over the row"),
    Field("salt", "STRING", "Hashed in front of the payload; empty once personal data was erased"),
    Field("payload_digest", "STRING", "SHA-256 of salt and payload as first written"),
    Field("erased", "BOOL", "Whether personal data was erased from the payload"),
    Field("recorded_date", "DATE", "UTC day of recorded_at: the partitioning column"),
)
_TIMES = frozenset(field.name for field in FIELDS if field.kind == "TIMESTAMP")


def bigquery_schema() -> list[dict[str, str]]:
    """The schema file ``bq load --schema`` takes."""
    return [
        {"name": f.name, "type": f.kind, "mode": "NULLABLE" if f.nullable else "REQUIRED", "description": f.about}
        for f in FIELDS
    ]


def require(form: Format) -> None:
    """Check that files of this format can be handled here.

    Raises:
        ConfigError: a library is missing; the message says how to get it.
    """
    if form is Format.PARQUET and importlib.util.find_spec("pyarrow") is None:
        raise ConfigError(
            "Parquet needs the library pyarrow: install the extra with pip install 'signalbox[export]', or use --format csv"
        )


def write_rows(path: Path, rows: Sequence[Row], form: Format) -> None:
    """Write rows to a new file and on to the disk."""
    {Format.PARQUET: _write_parquet, Format.CSV: _write_csv}[form](path, rows)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_rows(path: Path, form: Format) -> Iterator[dict[str, Any]]:
    """The rows of a file, one by one, as they were stored.

    Raises:
        MalformedPayload: the file is torn, or no file of this format.
        ConfigError: see ``require``.
    """
    require(form)
    reader = {Format.PARQUET: _read_parquet, Format.CSV: _read_csv}[form]
    count = 0
    try:
        for row in reader(path):
            count += 1
            yield row
    except (OSError, ValueError, KeyError, csv.Error) as torn:  # pyarrow's errors are ValueErrors and OSErrors
        raise MalformedPayload(f"it cannot be read beyond row {count}: {torn}") from torn


def _write_parquet(path: Path, rows: Sequence[Row]) -> None:
    import pyarrow as pa  # noqa: PLC0415  # an extra: only who exports has it
    import pyarrow.parquet as pq  # noqa: PLC0415

    kinds = {
        "STRING": pa.string(), "INT64": pa.int64(), "FLOAT64": pa.float64(), "BOOL": pa.bool_(), "DATE": pa.date32(),
        "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    }  # fmt: skip
    schema = pa.schema([pa.field(f.name, kinds[f.kind], nullable=f.nullable) for f in FIELDS])
    columns = {f.name: [_typed(f, row[f.name]) for row in rows] for f in FIELDS}
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd")


def _read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq  # noqa: PLC0415  # an extra: only who exports has it

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=5000):
            for row in batch.to_pylist():
                yield (
                    row | {name: utc_text(row[name]) for name in _TIMES} | {"recorded_date": str(row["recorded_date"])}
                )


def _typed(field: Field, value: Any) -> Any:
    if field.kind == "TIMESTAMP":
        return datetime.fromisoformat(value)
    return date.fromisoformat(value) if field.kind == "DATE" else value


def _write_csv(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow([f.name for f in FIELDS])
        for row in rows:
            writer.writerow([_cell(f, row[f.name]) for f in FIELDS])


def _cell(field: Field, value: Any) -> Any:
    if value is None:
        return ""
    if field.kind == "BOOL":
        return "true" if value else "false"
    return value if field.kind in ("INT64", "FLOAT64") else safe_cell(value)


_PARSED: dict[str, Callable[[str], Any]] = {
    "INT64": int,
    "FLOAT64": float,
    "BOOL": lambda cell: {"true": True, "false": False}[cell],
    "STRING": cell_text,
    "TIMESTAMP": lambda cell: utc_text(datetime.fromisoformat(cell).astimezone(UTC)),
    "DATE": str,
}


def _read_csv(path: Path) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(2**31 - 1)
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        if next(reader, None) != [f.name for f in FIELDS]:
            raise ValueError("its first line does not name the columns of an export")
        for cells in reader:
            if len(cells) != len(FIELDS):
                raise ValueError(f"a line has {len(cells)} cells instead of {len(FIELDS)}")
            yield {
                f.name: None if f.nullable and cell == "" else _PARSED[f.kind](cell)
                for f, cell in zip(FIELDS, cells, strict=True)
            }
