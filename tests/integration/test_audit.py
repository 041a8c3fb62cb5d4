"""The SQL audit on a real database: append-only, chained, all or nothing, and honest when the disk is not there."""

import asyncio
import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import ConfigError, MalformedPayload, StoreUnavailable
from domain.review import ReviewState
from graph.runtime.audit import AuditQuery, AuditStore
from graph.runtime.audit_schema import metadata
from graph.runtime.audit_verify import Tampering
from graph.runtime.database import open_database, upgrade
from tests.support.audited import AT, POSTGRES_URL, an_event, database

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["sqlite", "postgres"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    if request.param == "postgres" and not POSTGRES_URL:
        pytest.skip("SIGNALBOX_TEST_POSTGRES_URL names no server")
    async with database(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def store(engine: AsyncEngine) -> AuditStore:
    return AuditStore(engine)


async def execute(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def unguard(engine: AsyncEngine) -> None:
    """What somebody with the database's password can do: take the triggers away."""
    if engine.dialect.name == "sqlite":
        guards = ("no_update", "no_delete", "no_replace")
        await execute(engine, *(f"DROP TRIGGER audit_events_{guard}" for guard in guards))
    else:
        await execute(engine, "ALTER TABLE audit_events DISABLE TRIGGER ALL")


async def test_an_entity_s_events_come_back_in_order_and_complete(store: AuditStore) -> None:
    events = [an_event(sequence=n) for n in range(1, 6)]
    assert await store.append(events) == 5
    rows = await store.entity("acme", "order", "shopify-1001")
    assert [row.event for row in rows] == events
    assert [row.position for row in rows] == [1, 2, 3, 4, 5]
    first = rows[0]
    assert (first.agent, first.agent_version, first.decision, first.confidence, first.mode) == (
        "fraud_detection",
        "fd-1.0",
        "approve",
        0.93,
        "normal",
    )
    assert first.at_utc == events[0].timestamp
    assert first.at_utc.tzinfo is not None


async def test_rows_can_be_neither_changed_nor_removed_nor_replaced(store: AuditStore, engine: AsyncEngine) -> None:
    """A02: the database itself refuses, whoever asks."""
    await store.append([an_event()])
    attempts = ["UPDATE audit_events SET decision = 'reject'", "DELETE FROM audit_events"]
    if engine.dialect.name == "sqlite":
        names = "event_id,tenant,entity_type,entity_id,position,sequence,event_type,agent,actor,at_utc,payload,"
        names += "recorded_at,prev_hash,hash"
        attempts.append(f"INSERT OR REPLACE INTO audit_events ({names}) SELECT {names} FROM audit_events")  # noqa: S608
        attempts.append("INSERT OR REPLACE INTO audit_events SELECT * FROM audit_events")
    else:
        attempts.append("TRUNCATE audit_events")
    for attempt in attempts:
        with pytest.raises(DBAPIError, match="audit is append-only"):
            await execute(engine, attempt)
    assert (await store.verify()).intact
    assert len(await store.entity("acme", "order", "shopify-1001")) == 1


async def test_an_event_is_written_once_however_often_it_is_offered(store: AuditStore) -> None:
    batch = [an_event(sequence=n) for n in range(1, 4)]
    assert await store.append([*batch, batch[0]]) == 3
    assert await store.append(batch) == 0
    assert await store.append([*batch, an_event(sequence=4)]) == 1
    assert (await store.verify()).rows == 4
    assert await store.append([]) == 0


async def test_a_batch_larger_than_a_statement_s_parameters(store: AuditStore) -> None:
    batch = [an_event(f"shopify-{n % 1500}", n // 1500 + 1) for n in range(3000)]
    assert await store.append(batch) == 3000
    report = await store.verify()
    assert (report.chains, report.rows, report.intact) == (1500, 3000, True)


async def test_throughput_in_the_relay_s_batches(
    store: AuditStore, record_property: Callable[[str, object], None]
) -> None:
    """reliability/P8: the audit must not be what slows orders down; asserted only far below the 9,000/s measured."""
    batches = [[an_event(f"shopify-{b}-{n % 40}", n // 40 + 1) for n in range(500)] for b in range(6)]
    started = time.perf_counter()
    for batch in batches:
        await store.append(batch)
    rate = 3000 / (time.perf_counter() - started)
    record_property("rows_per_s", round(rate))
    assert rate > 300


async def test_writers_at_once_never_fork_a_chain(engine: AsyncEngine) -> None:
    """Four writers extend the same orders, with overlapping events; every event is written once."""
    writers = [AuditStore(engine) for _ in range(4)]
    events = [an_event(f"shopify-{n % 3}", n // 3 + 1) for n in range(60)]

    async def write(number: int, writer: AuditStore) -> int:
        mine = events[number * 10 : number * 10 + 30]
        return sum([await writer.append(mine[at : at + 5]) for at in range(0, len(mine), 5)])

    added = await asyncio.gather(*(write(number, writer) for number, writer in enumerate(writers)))
    report = await writers[0].verify()
    assert sum(added) == report.rows == 60
    assert report.intact, report.broken


async def test_verifying_while_others_write_raises_no_alarm(engine: AsyncEngine) -> None:
    writer, checker = AuditStore(engine), AuditStore(engine)

    async def write() -> None:
        for number in range(1, 40):
            await writer.append([an_event(f"shopify-{n}", number) for n in range(5)])

    writing = asyncio.create_task(write())
    checks = 0
    while not writing.done():
        report = await checker.verify()
        assert report.intact, report.broken
        checks += 1
    await writing
    assert checks > 1


TAMPERED = {
    "edited": (
        ["UPDATE audit_events SET decision = 'reject' WHERE position = 2 AND entity_id = 'shopify-1'"],
        (Tampering.EDITED, 2),
    ),
    "edited payload": (
        ["UPDATE audit_events SET payload = replace(payload, '0.93', '0.99') WHERE position = 3"],
        (Tampering.EDITED, 3),
    ),
    "time that is no time": (["UPDATE audit_events SET at_utc = 'noon' WHERE position = 4"], (Tampering.EDITED, 4)),
    "edited with a new hash": (
        ["UPDATE audit_events SET hash = 'f0' || substr(hash, 3), payload = '{}' WHERE position = 2"],
        (Tampering.EDITED, 2),
    ),
    "first deleted": (["DELETE FROM audit_events WHERE position = 1"], (Tampering.MISSING, 1)),
    "middle deleted": (["DELETE FROM audit_events WHERE position IN (2, 3)"], (Tampering.MISSING, 2)),
    "tail deleted": (["DELETE FROM audit_events WHERE position = 5"], (Tampering.MISSING, 5)),
    "all deleted": (["DELETE FROM audit_events"], (Tampering.MISSING, 1)),
    "head deleted": (["DELETE FROM audit_heads"], (Tampering.UNEXPECTED, 1)),
    "head set back": (["UPDATE audit_heads SET length = 4"], (Tampering.UNEXPECTED, 5)),
    "reordered": (
        [
            "UPDATE audit_events SET position = 99 WHERE position = 2",
            "UPDATE audit_events SET position = 2 WHERE position = 3",
            "UPDATE audit_events SET position = 3 WHERE position = 99",
        ],
        (Tampering.REORDERED, 2),
    ),
    "renumbered": (["UPDATE audit_events SET position = 7 WHERE position = 5"], (Tampering.REORDERED, 5)),
    "moved to another order": (
        ["UPDATE audit_events SET entity_id = 'shopify-2' WHERE position = 5"],
        (Tampering.MISSING, 5),
    ),
}


@pytest.mark.parametrize("how", list(TAMPERED))
async def test_each_kind_of_tampering_is_found_and_names_the_first_bad_row(
    store: AuditStore, engine: AsyncEngine, how: str
) -> None:
    """reliability/A02: edited, deleted and reordered rows are noticed; one bad order does not hide or accuse another."""
    await store.append([an_event("shopify-1", n) for n in range(1, 6)])
    statements, (tampering, position) = TAMPERED[how]
    await unguard(engine)
    await execute(engine, *statements)
    await store.append([an_event("shopify-9", n, tenant="other") for n in range(1, 4)])
    report = await store.verify()
    found = {bad.entity_id: bad for bad in report.broken}
    assert (found["shopify-1"].tampering, found["shopify-1"].position) == (tampering, position), found
    assert "shopify-9" not in found
    assert (await store.verify(tenant="other")).intact
    alone = await store.verify(tenant="acme", entity=("order", "shopify-1"))
    assert [bad.tampering for bad in alone.broken] == [tampering]
    written = [an_event("shopify-1", n).event_id for n in range(1, 6)]
    named = None if tampering is Tampering.MISSING else written[2 if how == "reordered" else position - 1]
    assert found["shopify-1"].event_id == named


async def test_a_chain_without_its_head_is_not_started_a_second_time(store: AuditStore, engine: AsyncEngine) -> None:
    """reliability/A02: writing on would hide what was done; it stops and says what to run."""
    await store.append([an_event("shopify-1")])
    await execute(engine, "DELETE FROM audit_heads")
    with pytest.raises(StoreUnavailable, match="audit verify"):
        await store.append([an_event("shopify-1", 2)])
    assert [chain.tampering for chain in (await store.verify()).broken] == [Tampering.UNEXPECTED]


async def test_broken_chains_are_found_on_every_page(store: AuditStore, engine: AsyncEngine) -> None:
    await store.append([an_event(f"shopify-{n:04}", 1) for n in range(450)])
    await unguard(engine)
    bad = ["shopify-0000", "shopify-0199", "shopify-0200", "shopify-0449"]
    for name in bad:
        await execute(engine, f"UPDATE audit_events SET mode = 'shadow' WHERE entity_id = '{name}'")  # noqa: S608
    report = await store.verify()
    assert sorted(chain.entity_id for chain in report.broken) == bad
    assert (report.chains, report.rows) == (450, 450)


async def test_one_tenant_never_sees_another_s_rows(store: AuditStore) -> None:
    await store.append([an_event(), an_event(tenant="rival"), an_event(tenant="rival", sequence=2)])
    assert len(await store.entity("acme", "order", "shopify-1001")) == 1
    assert len(await store.entity("rival", "order", "shopify-1001")) == 2
    assert {row.tenant for row in await store.find(AuditQuery(tenant="rival"))} == {"rival"}
    assert await store.entity("acme", "order", "SHOPIFY-1001") == []
    assert await store.count_by_version("fraud_detection", tenant="rival") == {"fd-1.0": 2}


async def test_decisions_are_counted_by_version(store: AuditStore) -> None:
    """F22: a query counts decisions by version, and one that named none would show."""
    newer = {"model_version": "fd-1.1"}
    await store.append(
        [
            *(an_event(sequence=n) for n in range(1, 4)),
            *(an_event(sequence=n, metadata=newer) for n in range(4, 6)),
            an_event(sequence=6, metadata={}),
            an_event(sequence=7, event_type="order.accepted", result={}, metadata={}),
        ]
    )
    assert await store.count_by_version("fraud_detection") == {"": 1, "fd-1.0": 3, "fd-1.1": 2}
    assert await store.count_by_version("nobody") == {}


async def test_rows_are_found_by_agent_type_and_time_newest_first(store: AuditStore) -> None:
    await store.append([an_event(sequence=n) for n in range(1, 8)])
    await store.append([an_event(sequence=8, event_type="order.tax.completed", agent_name="tax")])
    by_agent = await store.find(AuditQuery(tenant="acme", agent="fraud_detection", limit=3))
    assert [row.sequence for row in by_agent] == [7, 6, 5]
    rest = await store.find(AuditQuery(tenant="acme", agent="fraud_detection", before_id=by_agent[-1].id))
    assert [row.sequence for row in rest] == [4, 3, 2, 1]
    assert [row.sequence for row in await store.find(AuditQuery(tenant="acme", event_type="order.tax.completed"))] == [
        8
    ]
    since = AT.replace(second=6)
    assert [row.sequence for row in await store.find(AuditQuery(tenant="acme", since=since))] == [8, 7, 6]


UNSTORABLE: dict[str, dict[str, Any]] = {
    "empty name": {"tenant": ""},
    "endless name": {"entity_id": "x" * 501},
    "NUL in a name": {"agent_name": "fraud\x00"},
    "endless decision": {"result": {"decision": "no" * 300}},
    "sequence past 64 bits": {"sequence": 2**63},
    "half a character": {"correlation_id": "\ud800"},
}


@pytest.mark.parametrize("what", list(UNSTORABLE))
async def test_an_event_no_database_takes_is_refused_and_nothing_of_its_batch_written(
    store: AuditStore, what: str
) -> None:
    bad = an_event().model_copy(update=UNSTORABLE[what])
    with pytest.raises(MalformedPayload, match="cannot be audited"):
        await store.append([an_event("shopify-2"), bad])
    assert (await store.verify()).rows == 0


async def test_strange_but_valid_events_are_kept_exactly(store: AuditStore) -> None:
    odd = an_event(
        "shopee-訂單-'; DROP TABLE audit_events;--",
        result={"decision": 7, "confidence": 10**400, "text": "Đơn hàng \x00 \u2028", "deep": {"a": [None, True, 1.5]}},
        metadata={"model_version": None, "mode": ["x"]},
    )
    assert await store.append([odd]) == 1
    [row] = await store.entity("acme", "order", odd.entity_id)
    assert row.event == odd
    assert (row.decision, row.confidence, row.agent_version, row.mode) == (None, None, None, None)
    assert (await store.verify()).intact


async def test_review_history_follows_its_events_in_whatever_order_they_arrive(store: AuditStore) -> None:
    def review(number: int, happening: str, **result: Any) -> Any:
        name = f"order.review.{happening}"
        return an_event(sequence=number, event_type=name, agent_name="person:mei", result=result, metadata={})

    asked = review(
        1, "requested", review_id="rv0-1", stage="tier_1", recommendation="look", deadline="2026-11-12T08:00:00Z"
    )
    answered = review(2, "decided", review_id="rv0-1", action="approve", decided_by="user:mei", via="cli", reason="ok")
    voided = review(3, "voided", review_id="rv0-2", reason="order changed")
    await store.append([answered, voided])
    await store.append([asked])
    await store.append([review(4, "requested", review_id="rv0-3", stage="tier_2")])
    [done] = await store.reviews("acme", state=ReviewState.DECIDED)
    assert (done.review_id, done.stage, done.action, done.decided_by) == ("rv0-1", "tier_1", "approve", "user:mei")
    assert done.requested_at == asked.timestamp
    assert done.deadline is not None
    assert [r.review_id for r in await store.reviews("acme", state=ReviewState.OPEN)] == ["rv0-3"]
    assert len(await store.reviews("acme")) == 3
    assert await store.reviews("rival") == []


async def test_the_migrations_make_exactly_the_tables_the_code_uses(engine: AsyncEngine) -> None:
    for schema in sorted((ROOT / "graph/runtime").glob("*_schema.py")):  # every area brings its own
        importlib.import_module(f"graph.runtime.{schema.stem}")
    async with engine.connect() as connection:
        drift = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts={"compare_type": True}), metadata)
        )
    assert drift == []


async def test_upgrading_again_changes_nothing(engine: AsyncEngine, store: AuditStore) -> None:
    await store.append([an_event()])
    await upgrade(engine)
    assert (await store.verify()).rows == 1


def python(code: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *args], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


UPGRADE = """
import asyncio, sys
from graph.runtime.audit import AuditStore
from graph.runtime.database import open_database, upgrade
from tests.support.audited import an_event
async def main():
    engine = open_database(sys.argv[1])
    await upgrade(engine)
    await AuditStore(engine).append([an_event("shopify-1", int(sys.argv[2]))])
    await engine.dispose()
asyncio.run(main())
"""


async def test_processes_that_start_together_upgrade_once(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'audit.sqlite3'}"
    started = [python(UPGRADE, url, str(number)) for number in range(1, 5)]
    for process in started:
        _, errors = await asyncio.to_thread(process.communicate, timeout=40)
        assert process.returncode == 0, errors
    engine = open_database(url)
    report = await AuditStore(engine).verify()
    await engine.dispose()
    assert (report.rows, report.intact) == (4, True)


APPEND_FOR_EVER = """
import asyncio, sys
from graph.runtime.audit import AuditStore
from graph.runtime.database import open_database
from tests.support.audited import an_event
async def main():
    store = AuditStore(open_database(sys.argv[1]))
    for number in range(1, 100000):
        await store.append([an_event(f"shopify-{n}", number) for n in range(50)])
        print(number, flush=True)
asyncio.run(main())
"""


async def test_a_writer_killed_in_the_middle_leaves_whole_batches_only(tmp_path: Path) -> None:
    """reliability/A02: kill -9 while appending; what was confirmed is there, no part of a batch, and the chain holds."""
    async with database("sqlite", tmp_path) as engine:
        store = AuditStore(engine)
        for round_ in range(3):
            before = (await store.verify()).rows
            writer = python(APPEND_FOR_EVER.replace("range(1,", f"range({before // 50 + 1},"), str(engine.url))
            assert writer.stdout is not None
            lines = writer.stdout
            confirmed = 0
            for _ in range(3 + 4 * round_):
                confirmed = int(await asyncio.to_thread(lines.readline))
            await asyncio.sleep(0.0013 * round_)
            os.kill(writer.pid, signal.SIGKILL)
            confirmed = max([confirmed, *map(int, (await asyncio.to_thread(writer.communicate))[0].split())])
            report = await store.verify()
            assert report.intact, report.broken
            assert report.rows % 50 == 0
            assert report.rows >= confirmed * 50
        assert await store.append([an_event("shopify-0", 10**6)]) == 1
        assert (await store.verify()).intact


async def fill(store: AuditStore, written: list[int]) -> None:
    for number in range(1, 200):
        written.append(await store.append([an_event(f"shopify-{n}", number) for n in range(20)]))


def limit_pages(engine: AsyncEngine, pages: Callable[[], int]) -> None:
    """Every use of a connection first sets how large the file may grow, as a small disk does."""

    @event.listens_for(engine.sync_engine, "begin")
    def _limit(connection: Any) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages()}")


async def test_a_full_disk_refuses_whole_batches_and_heals(tmp_path: Path) -> None:
    """reliability/A01: no torn row, nothing half written, and it goes on once there is room."""
    async with database("sqlite", tmp_path) as engine:
        store = AuditStore(engine)
        room = 120
        limit_pages(engine, lambda: room)
        written: list[int] = []
        with pytest.raises(StoreUnavailable, match=r"The audit store .*full"):
            await fill(store, written)
        report = await store.verify()
        assert (report.rows, report.intact) == (sum(written), True)
        room = 100000
        assert await store.append([an_event("shopify-0", 500)]) == 1
        assert (await store.verify()).intact


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A 1 MB file system, where the machine lets us mount one."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_real_one_megabyte_disk(tmp_path: Path) -> None:
    """reliability/A01 on a real file system that fills up and is freed."""
    disk = tmp_path / "disk"
    with small_disk(disk):
        async with database("sqlite", disk) as engine:
            store = AuditStore(engine)
            ballast = disk / "ballast"
            ballast.write_bytes(b"x" * 300_000)
            written: list[int] = []
            with pytest.raises(StoreUnavailable):
                await fill(store, written)
            ballast.unlink()
            report = await store.verify()
            assert (report.rows, report.intact) == (sum(written), True)
            await store.ready()
            assert await store.append([an_event("shopify-0", 500)]) == 1
            assert (await store.verify()).intact


async def test_a_store_that_cannot_be_reached_says_so(tmp_path: Path) -> None:
    engine = open_database(f"sqlite+aiosqlite:///{tmp_path / 'missing' / 'audit.sqlite3'}")
    store = AuditStore(engine)
    with pytest.raises(StoreUnavailable, match="The audit store"):
        await store.append([an_event()])
    with pytest.raises(StoreUnavailable, match="The audit store"):
        await store.ready()
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await upgrade(engine)
    await engine.dispose()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "audit.sqlite3").write_bytes(b"not a database at all" * 400)
    engine = open_database(f"sqlite+aiosqlite:///{tmp_path / 'audit.sqlite3'}")
    with pytest.raises(StoreUnavailable, match="not a database"):
        await AuditStore(engine).append([an_event()])
    await engine.dispose()


@pytest.mark.parametrize("url", ["", "mysql://x", "nonsense", "postgresql+nodriver://x/y"])
def test_an_address_that_is_no_database_we_know_is_a_setting_to_mend(url: str) -> None:
    with pytest.raises(ConfigError, match="database address"):
        open_database(url)


async def test_an_entity_is_found_by_its_name_alone(store: AuditStore) -> None:
    """F45: why takes an order, a purchase order or a review; another tenant's are not there."""
    asked = {"review_id": "rv0-1", "stage": "tier_1"}
    await store.append(
        [
            an_event("PO-7", 1, entity_type="purchase_order", event_type="purchase_order.drafted"),
            an_event("shopify-1", 1),
            an_event("shopify-1", 2, event_type="order.review.requested", result=asked),
            an_event("twin", 1),
            an_event("twin", 1, entity_type="customer", event_type="customer.seen"),
        ]
    )
    assert await store.named("acme", "PO-7") == [("purchase_order", "PO-7")]
    assert await store.named("acme", "rv0-1") == [("order", "shopify-1")]
    assert await store.named("acme", "twin") == [("order", "twin"), ("customer", "twin")]
    assert await store.named("rival", "PO-7") == []
    assert await store.named("acme", "nobody") == []
