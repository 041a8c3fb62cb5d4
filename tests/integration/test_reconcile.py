"""Reconcile on a real system: the books add up, and a row taken from any one source is noticed and named."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from api.reconcile.check import reconcile
from api.reconcile.report import Report
from api.serving import listen, served, url_of
from domain.order import OrderProgress
from domain.review import ReviewAction
from graph.runtime.dead_letters import DeadLetters
from graph.runtime.intake import TOPIC as INTAKE
from graph.runtime.journal import text
from graph.runtime.orders import thread_of
from tests.support.system import (
    SKU,
    TENANT,
    Rig,
    fast_settings,
    for_review,
    line,
    native_order,
    opened,
    running,
    submission,
    to_capture,
    working,
)
from tests.support.waiting import wait_until
from tools.sandbox import Sandbox
from tools.sandbox.http import create_app as create_sandbox_app

SCARCE = "SB-00024"


async def look(rig: Rig) -> Report:
    """The report, without waiting between looks: nothing moves here."""
    return await reconcile(rig.box, pause_s=0.0)


@dataclass(frozen=True)
class Known:
    """Orders at rest in every place an order can rest."""

    fulfilled: str
    cancelled: str
    in_review: str
    review: str
    backordered: str
    dead: str
    in_flight: str


async def everything(rig: Rig) -> Known:
    """One order in each part of the equation; the last one is accepted when no worker is left."""
    async with working(rig):
        fulfilled = (await rig.run(to_capture(), at=OrderProgress.FULFILLED)).order_id
        cancelled = (await rig.run(to_capture(), at=OrderProgress.FULFILLED)).order_id
        await rig.cancel(cancelled)
        await rig.settled(cancelled, at=[OrderProgress.CANCELLED])
        waiting = await rig.reviewed(for_review())
        await rig.stock(SCARCE, 0)
        backordered = (await rig.run(native_order(lines=[line(SCARCE)]), at=OrderProgress.BACKORDERED)).order_id
        await rig.desk.submit(submission(b'{"no": "order"}', order_hint="BAD-1"))
        await rig.settled("storefront-BAD-1", at=[OrderProgress.DEAD_LETTER])
        await rig.idle()
    in_flight = await rig.submit(native_order())
    return Known(fulfilled, cancelled, waiting.order_id, waiting.review_id, backordered, "storefront-BAD-1", in_flight)


@asynccontextmanager
async def without_row(file: Path, table: str, where: str) -> AsyncIterator[None]:
    """A database without one row, its triggers set aside; everything is put back at the end."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=5)) as database:
        of_table = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?"
        triggers = database.execute(of_table, (table,)).fetchall()
        (row,) = database.execute(f"SELECT * FROM {table} WHERE {where} LIMIT 1").fetchall()  # noqa: S608
        for name, _ in triggers:
            database.execute(f"DROP TRIGGER {name}")
        assert database.execute(f"DELETE FROM {table} WHERE {where}").rowcount == 1  # noqa: S608
        try:
            yield
        finally:
            places = ", ".join("?" * len(row))
            database.execute(f"INSERT INTO {table} VALUES ({places})", row)  # noqa: S608
            for _, sql in triggers:
                database.execute(sql)


@asynccontextmanager
async def without(rig: Rig, key: str, *command: str) -> AsyncIterator[None]:
    """The store after ``command`` has taken something from ``key``; the key is put back at the end."""
    redis = rig.box.redis
    dump, ttl_ms = await redis.dump(key), await redis.pttl(key)
    assert dump is not None
    assert await rig.box.store.batcher.execute(*command) == 1
    try:
        yield
    finally:
        await redis.restore(key, max(0, ttl_ms), dump, replace=True)


async def removals(rig: Rig, known: Known) -> list[tuple[str, AbstractAsyncContextManager[None], str]]:
    """A name, a removal from one source, and the id that must be named."""
    keys, audit, sandbox = (
        rig.box.keys,
        rig.box.settings.home / "signalbox.sqlite3",
        rig.box.settings.home / "sandbox.sqlite3",
    )
    of = keys.entity(thread_of(TENANT, known.fulfilled))
    (capture,) = [e.key for e in await rig.applied(known.fulfilled) if e.kind == "capture_payment"]
    (hold,) = [e.key for e in await rig.applied(known.fulfilled) if e.kind == "hold_stock"]
    (letter,) = await DeadLetters(rig.box.store.batcher, keys).all()
    intake = keys.stream(INTAKE)
    ((entry, _),) = await rig.box.store.batcher.execute("XREVRANGE", intake, "+", "-", "COUNT", 1)
    dead, entry_id = keys.dead_letters(), letter.letter_id.partition(":")[2]

    def row(kind: str, more: str = "") -> AbstractAsyncContextManager[None]:
        where = f"entity_id = '{known.fulfilled}' AND event_type = '{kind}'{more}"
        return without_row(audit, "audit_events", where)

    def booked(table: str, where: str) -> AbstractAsyncContextManager[None]:
        return without_row(sandbox, table, where)

    review, reviews = keys.review(TENANT, known.review), keys.open_reviews(TENANT)
    return [
        ("audit: acceptance", row("order.accepted"), known.fulfilled),
        ("audit: end", row("order.progress.fulfilled"), known.fulfilled),
        ("audit: effect", row("order.effect.applied", f" AND payload LIKE '%{capture}%'"), capture),
        ("audit: decision", row("order.routing.completed"), capture),
        ("review: record", without(rig, review, "DEL", review), known.review),
        ("review: list", without(rig, reviews, "ZREM", reviews, known.review), known.in_review),
        ("dead letters", without(rig, dead, "XDEL", dead, entry_id), known.dead),
        ("intake", without(rig, intake, "XDEL", intake, text(entry)), known.in_flight),
        ("order book", without(rig, of.document, "DEL", of.document), known.fulfilled),
        ("effect ledger", without(rig, of.effects, "HDEL", of.effects, capture), capture),
        ("applied effects", booked("applied_effects", f"effect_key = '{capture}'"), capture),
        ("holds", booked("holds", f"hold_key = '{hold}'"), hold),
        ("payments", booked("payments", f"order_id = '{known.fulfilled}'"), known.fulfilled),
        ("stock", booked("stock", f"sku = '{SKU}' AND warehouse = 'HKG'"), f"{SKU} in HKG"),
    ]


async def test_a_row_missing_from_any_source_is_noticed(tmp_path: Path) -> None:
    """reliability 6.2: A = T + R + D (+ in flight), effects, holds, stock and money; each deleted row is named, once put back all is well."""
    async with opened(fast_settings(tmp_path)) as rig:
        known = await everything(rig)
        report = await look(rig)
        assert report.ok, report.mismatches
        assert (report.accepted, report.in_review, report.dead_letter, report.in_flight) == (6, 1, 1, 1)
        assert report.terminal == {"backordered": 1, "cancelled": 1, "fulfilled": 1}
        paid = report.money["USD"]
        assert paid.captured_minor == 2 * paid.fulfilled_minor == 2 * paid.refunded_minor > 0
        assert report.effects.applied == report.effects.recorded == report.effects.audited > 15
        for name, removal, named in await removals(rig, known):
            async with removal:
                found = await look(rig)
            assert named in {one.id for one in found.mismatches}, f"{name}: {named} is not among {found.mismatches}"
            assert not found.ok
        after = await look(rig)
        assert after.ok, after.mismatches


async def test_orders_that_go_on_still_add_up(tmp_path: Path) -> None:
    """reliability 6.2: decided, dropped and replayed orders move between the parts of the equation and stay one each."""
    async with running(fast_settings(tmp_path)) as rig:
        waiting = await rig.reviewed(for_review())
        await rig.decide(waiting.review_id, ReviewAction.REJECT)
        await rig.settled(waiting.order_id, at=[OrderProgress.CANCELLED])
        await rig.desk.submit(submission(b"[]", order_hint="BAD-2"))
        await rig.settled("storefront-BAD-2", at=[OrderProgress.DEAD_LETTER])
        desk = DeadLetters(rig.box.store.batcher, rig.box.keys)
        (letter,) = await desk.all()
        await rig.box.bus.replay(letter.letter_id)
        letter = (await wait_until(desk.all, "the letter is back"))[0]
        await desk.drop(letter, by="user:mei", reason="a test of the sender", at=rig.box.clock.now())
        await rig.idle()
        report = await reconcile(rig.box, tenant=TENANT)
        assert report.ok, report.mismatches
        assert (report.given_up, report.dead_letter, report.terminal) == (1, 0, {"cancelled": 1})
        assert (await reconcile(rig.box, tenant="nobody")).accepted == 0


async def test_over_http_what_can_be_read_is_compared(tmp_path: Path) -> None:
    """reliability 6.2 with back ends over HTTP: effects are looked up one by one, and the report says what was not compared."""
    token = "a-token-for-this-test"
    async with Sandbox(tmp_path / "there.sqlite3") as sandbox:
        with listen("127.0.0.1", 0) as listener:
            async with served(create_sandbox_app(sandbox, token), listener):
                settings = fast_settings(tmp_path / "here", backends_url=url_of(listener), backends_token=token)
                async with running(settings) as rig:
                    order_id = (await rig.run(to_capture(), at=OrderProgress.FULFILLED)).order_id
                    await rig.idle()
                    report = await reconcile(rig.box)
                    assert report.ok, report.mismatches
                    assert len(report.not_checked) == 2
                    assert report.stock_balanced is None
                    (capture,) = [e.key for e in await sandbox.applied(order_id) if e.kind == "capture_payment"]
                    async with without_row(tmp_path / "there.sqlite3", "applied_effects", f"effect_key = '{capture}'"):
                        found = await look(rig)
                    assert [one.id for one in found.mismatches] == [capture]


@pytest.mark.parametrize("tenant", [None, TENANT])
async def test_an_empty_system_reconciles(tmp_path: Path, tenant: str | None) -> None:
    """reliability 6.2: nothing accepted is nothing lost."""
    async with opened(fast_settings(tmp_path)) as rig:
        report = await reconcile(rig.box, tenant=tenant)
        assert report.ok
        assert report.accepted == 0
