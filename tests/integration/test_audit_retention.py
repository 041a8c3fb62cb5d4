"""Exports of the audit that can be checked, and pruning that refuses more than it does."""

import hashlib
import json
import re
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import ConfigError, Conflict, Forbidden, NotFound
from domain.spreadsheet import cell_text, safe_cell
from graph.runtime import audit_files
from graph.runtime.audit import AuditStore
from graph.runtime.audit_export import AuditExport
from graph.runtime.audit_export_check import check_export
from graph.runtime.audit_files import Format, read_rows, write_rows
from graph.runtime.audit_manifest import described
from graph.runtime.audit_retention import AuditRetention, PruneOrder
from tests.support.audited import POSTGRES_URL, an_event, database
from tests.support.fake_clock import FakeClock

NOW = datetime.now(UTC)
FORMATS = list(Format)
CELLS = ["=cmd|' /C calc'!A0", "+1", "-1", "@x", "\tt", "\rr", '"q"', "a,b;c", "'='", "plain", "＝1", "", "中文\n2"]


@pytest.fixture(params=["sqlite", "postgres"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    if request.param == "postgres" and not POSTGRES_URL:
        pytest.skip("SIGNALBOX_TEST_POSTGRES_URL names no server")
    async with database(request.param, tmp_path) as opened:
        yield opened


async def lived(engine: AsyncEngine, *ages_days: int, orders: int = 3) -> AuditStore:
    """An audit whose orders had one event each so many days ago."""
    clock = FakeClock()
    for sequence, age in enumerate(ages_days, start=1):
        clock.ahead = -timedelta(days=age)
        events = [an_event(f"shopify-{n}", sequence) for n in range(orders)]
        await AuditStore(engine, clock=clock).append(events)
    return AuditStore(engine)


async def permitted(engine: AsyncEngine, act: str, statement: str, *, subject: str = "") -> None:
    """What somebody with the database's password tries who knows of the permits."""
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO audit_permits VALUES (:act, :subject)"), {"act": act, "subject": subject}
        )
        await connection.execute(text(statement))


def month_of(age_days: int) -> str:
    return (NOW - timedelta(days=age_days)).strftime("%Y-%m")


def order(folder: Path, months: int = 36, *, dry_run: bool = False) -> PruneOrder:
    return PruneOrder(months=months, export=folder, by="mei", reason="retention", dry_run=dry_run)


@pytest.mark.parametrize("form", FORMATS)
async def test_what_was_exported_is_pruned_and_the_chain_still_holds(
    engine: AsyncEngine, tmp_path: Path, form: Format
) -> None:
    """F46: only what is older than asked and safe in its export goes; the chain is checked and written on as before."""
    store = await lived(engine, 1300, 1200, 100, 0)
    exports, retention = AuditExport(engine, store), AuditRetention(engine, store)
    folder = tmp_path / "exports"
    await exports.month(month_of(1300), folder, form=form, by="mei", at=NOW)
    with pytest.raises(Conflict, match=f"month {month_of(1200)} is not in the export"):
        await retention.prune(order(folder), at=NOW)
    await exports.month(month_of(1200), folder, form=form, by="mei", at=NOW)
    dry = await retention.prune(order(folder, dry_run=True), at=NOW)
    assert (dry.rows, dry.chains) == (6, 3)
    assert (await store.verify()).rows == 12 + 2, "a dry run removes nothing"
    report = await retention.prune(order(folder), at=NOW)
    assert (report.rows, report.chains, report.months) == (6, 3, (month_of(1300), month_of(1200)))
    assert [row.position for row in await store.entity("acme", "order", "shopify-1")] == [3, 4]
    await store.append([an_event("shopify-1", 9)])
    checked = await store.verify()
    assert checked.intact, checked.broken
    again = await retention.prune(order(folder), at=NOW)
    assert again.rows == 0
    acts = await store.entity("installation", "audit", "retention")
    assert [(act.event_type, act.actor, act.event.result["rows"]) for act in acts] == [("audit.pruned", "mei", 6)]


async def test_rows_younger_than_24_months_never_go(engine: AsyncEngine, tmp_path: Path) -> None:
    """F46: not when asked, and not by a permit in the database itself."""
    store = await lived(engine, 900, 700, 0)
    with pytest.raises(Forbidden, match="at least 24 months"):
        await AuditRetention(engine, store).prune(order(tmp_path, months=23), at=NOW)
    with pytest.raises(DBAPIError, match="append-only"):
        await permitted(engine, "prune", "DELETE FROM audit_events WHERE position = 2")
    assert (await store.verify()).rows == 9


@pytest.mark.parametrize("statement", ["UPDATE audit_events SET decision = 'x', salt = ''", "DELETE FROM audit_events"])
async def test_a_permit_of_one_kind_opens_nothing_else(engine: AsyncEngine, statement: str) -> None:
    store = await lived(engine, 900)
    for act in ("erase", "nothing"):
        with pytest.raises(DBAPIError, match="append-only"):
            await permitted(engine, act, statement, subject=an_event("shopify-0", 1).event_id)
    assert (await store.verify()).intact


async def test_a_pruned_chain_that_loses_another_row_is_noticed(engine: AsyncEngine, tmp_path: Path) -> None:
    store = await lived(engine, 1300, 1200, 1000, 0)
    for age in (1300, 1200):
        await AuditExport(engine, store).month(month_of(age), tmp_path / "e", form=Format.CSV, by="m", at=NOW)
    await AuditRetention(engine, store).prune(order(tmp_path / "e"), at=NOW)
    await permitted(engine, "prune", "DELETE FROM audit_events WHERE position = 3 AND entity_id = 'shopify-2'")
    found = (await store.verify()).broken
    assert [(bad.entity_id, bad.tampering, bad.position) for bad in found] == [("shopify-2", "missing", 3)]


def edit_file(path: Path, change: str) -> None:
    raw = path.read_bytes()
    if change == "missing":
        path.unlink()
    elif change == "torn":
        path.write_bytes(raw[: len(raw) // 2])
    else:
        path.write_bytes(raw[:200] + bytes([raw[200] ^ 1]) + raw[201:])


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["part-0001", "heads.jsonl", "manifest.json"])
@pytest.mark.parametrize("change", ["missing", "torn", "flipped"])
async def test_a_file_that_is_not_what_was_written_is_named(
    tmp_path: Path, form: Format, name: str, change: str
) -> None:
    """F46: whatever was done to a file of an export, the check names the file."""
    async with database("sqlite", tmp_path) as engine:
        store = await lived(engine, 1300, orders=20)
        exports = AuditExport(engine, store)
        made = await exports.month(month_of(1300), tmp_path / "e", form=form, by="m", at=NOW)
        recorded = await exports.recorded()
    assert check_export(tmp_path / "e", recorded).problems == ()
    file = next(made.folder.glob(f"{name}*"))
    edit_file(file, change)
    problems = check_export(tmp_path / "e", recorded).problems
    assert any(file.name in problem for problem in problems), problems


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("change", "said"),
    [("edited", "does not match its hash"), ("swapped", "begins|order"), ("dropped", "missing|rows")],
)
async def test_rows_changed_together_with_every_digest_are_still_named(
    tmp_path: Path, form: Format, change: str, said: str
) -> None:
    """F46: a forger who rewrites file and manifest is betrayed by the rows' own hashes and by the audit's record."""
    async with database("sqlite", tmp_path) as engine:
        store = await lived(engine, 1300, 1299, 1298, orders=2)
        exports = AuditExport(engine, store)
        months = sorted({month_of(age) for age in (1300, 1299, 1298)})
        made = [await exports.month(month, tmp_path / "e", form=form, by="m", at=NOW) for month in months][-1]
        recorded = await exports.recorded()
    part = next(made.folder.glob("part-*"))
    rows = list(read_rows(part, form))
    if change == "edited":
        rows[1]["decision"] = "reject"
    elif change == "swapped":
        rows = rows[::-1]
    else:
        del rows[-1]
    write_rows(part, rows, form)
    manifest = made.manifest.model_copy(update={"files": (described(part, len(rows)),), "rows": len(rows)})
    raw = json.dumps(manifest.model_dump(mode="json")).encode()
    (made.folder / "manifest.json").write_bytes(raw)
    (made.folder / "manifest.sha256").write_text(f"{hashlib.sha256(raw).hexdigest()}  manifest.json\n")
    problems = check_export(tmp_path / "e").problems
    assert len(problems) == 1
    assert re.search(said, problems[0]), problems
    assert any("knows of no export" in one for one in check_export(tmp_path / "e", recorded).problems)


async def test_a_damaged_export_is_no_ground_to_prune_on(tmp_path: Path) -> None:
    async with database("sqlite", tmp_path) as engine:
        store = await lived(engine, 1300)
        exports, retention = AuditExport(engine, store), AuditRetention(engine, store)
        with pytest.raises(NotFound, match="no export"):
            await retention.prune(order(tmp_path / "none"), at=NOW)
        made = await exports.month(month_of(1300), tmp_path / "e", form=Format.PARQUET, by="m", at=NOW)
        shutil.copytree(made.folder, tmp_path / "whole")
        edit_file(made.folder / "part-0001.parquet", "flipped")
        with pytest.raises(Conflict, match="does not hold"):
            await retention.prune(order(tmp_path / "e"), at=NOW)
        assert (await store.verify()).rows == 3 + 1


async def test_an_edited_row_is_not_exported(tmp_path: Path) -> None:
    async with database("sqlite", tmp_path) as engine:
        store = await lived(engine, 1300)
        async with engine.begin() as connection:
            await connection.execute(text("DROP TRIGGER audit_events_no_update"))
            await connection.execute(text("UPDATE audit_events SET decision = 'x' WHERE entity_id = 'shopify-1'"))
        with pytest.raises(Conflict, match=r"row 1 of order shopify-1 .* audit verify"):
            await AuditExport(engine, store).month(month_of(1300), tmp_path / "e", form=Format.CSV, by="m", at=NOW)


@pytest.mark.parametrize("form", FORMATS)
async def test_cells_come_back_as_they_were_and_run_nowhere(tmp_path: Path, form: Format) -> None:
    """reliability/S08: formulas are inert, every text comes back, numbers stay numbers."""
    async with database("sqlite", tmp_path) as engine:
        store = AuditStore(engine)
        events = [
            an_event(f"o-{n}", result={"decision": cell or None, "confidence": 0.5, "note": cell})
            for n, cell in enumerate(CELLS)
        ]
        await store.append(events)
        made = await AuditExport(engine, store).month(f"{NOW:%Y-%m}", tmp_path / "e", form=form, by="m", at=NOW)
    part = next(made.folder.glob("part-*"))
    assert [row["decision"] for row in read_rows(part, form)] == [cell or None for cell in CELLS]
    assert not made.manifest.complete
    if form is Format.CSV:
        lines = part.read_text(encoding="utf-8")
        assert "\"'=cmd" in lines
        assert ",0.5," in lines
        assert check_export(tmp_path / "e").intact


def test_a_cell_is_inert_exactly_when_it_could_run() -> None:
    """reliability/S08"""
    for cell in CELLS:
        assert cell_text(safe_cell(cell)) == cell
    assert [safe_cell(cell) == cell for cell in CELLS].count(True) == 5


async def test_without_pyarrow_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_files.importlib.util, "find_spec", lambda _name: None)
    async with database("sqlite", tmp_path) as engine:
        exports = AuditExport(engine, AuditStore(engine))
        with pytest.raises(ConfigError, match=r"signalbox\[export\]"):
            await exports.month("2026-10", tmp_path / "e", form=Format.PARQUET, by="m", at=NOW)
