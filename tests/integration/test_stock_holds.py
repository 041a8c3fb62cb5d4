"""Holds under many hands: exactly the units there are, all lines or none, expired or confirmed and never both."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from domain.effect import Effect, EffectKind, Receipt
from domain.errors import Ambiguous, Conflict, ConnectorRejected, InsufficientStock
from domain.ids import EffectKey, OrderId, Sku, ThreadId, WarehouseId
from domain.inventory import HoldState
from domain.ports import EffectPort
from domain.values import Plain
from graph.effects import Effects, Holder
from graph.runtime.clock import SystemClock
from graph.runtime.connection import Batcher
from graph.runtime.keys import Keyspace
from graph.runtime.ledger import EffectLedger
from graph.runtime.orders import thread_of
from tests.support.outside import START, TENANT, TOKEN, SettableClock, confirm, hold, line, release, served
from tools.connectors.directory import Systems
from tools.sandbox import Fault, FaultMode, Sandbox
from tools.sandbox.http import create_app

SKU, OTHER, NEW = Sku("SB-00001"), Sku("SB-00002"), Sku("NEW-1")
AT_HKG, AT_SIN, AT_TPE = WarehouseId("HKG"), WarehouseId("SIN"), WarehouseId("TPE")
WORKERS, ATTEMPTS, UNITS = 16, 50, 100


@asynccontextmanager
async def shelves(path: Path, clock: SettableClock | None = None, *, units: int = UNITS) -> AsyncIterator[Sandbox]:
    async with Sandbox(path / "stock.sqlite3", clock=clock or SettableClock()) as sandbox:
        for sku, on_hand in {SKU: units, OTHER: UNITS}.items():
            for site in sandbox.world.warehouses:
                await sandbox.wms.count_stock(site.warehouse, sku, on_hand if site.warehouse == "HKG" else 0)
        yield sandbox


async def balanced(sandbox: Sandbox) -> bool:
    totals = await sandbox.stock_totals()
    return totals.balanced


async def held(sandbox: Sandbox) -> int:
    return sum(level.held for level in await sandbox.wms.stock([SKU]))


async def attempt(sandbox: Sandbox, effect: Effect) -> Receipt | None:
    try:
        return await sandbox.wms.apply(effect)
    except InsufficientStock:
        return None


async def test_sixteen_threads_hold_exactly_what_there_is(tmp_path: Path) -> None:
    """I1: 16 threads x 50 attempts, each key twice, stock 100: exactly 100 holds, the same answer per key."""

    async def work(sandbox: Sandbox, worker: int) -> list[tuple[str, Receipt | None]]:
        given: list[tuple[str, Receipt | None]] = []
        for number in range(ATTEMPTS):
            taken = hold([line(SKU, "HKG")], order=f"o-{worker}-{number}")
            given += [(taken.key, await attempt(sandbox, taken)), (taken.key, await attempt(sandbox, taken))]
        return given

    async with shelves(tmp_path) as sandbox:
        found = await asyncio.gather(*(asyncio.to_thread(asyncio.run, work(sandbox, w)) for w in range(WORKERS)))
        answers = [answer for given in found for answer in given]
        taken = {key for key, receipt in answers if receipt is not None}
        assert len(answers) == WORKERS * ATTEMPTS * 2
        assert len(taken) == UNITS
        receipts = {key: {r.reference for k, r in answers if k == key and r is not None} for key in taken}
        assert all(len(references) == 1 for references in receipts.values())
        (level,) = [at for at in await sandbox.wms.stock([SKU]) if at.warehouse == "HKG"]
        assert (level.held, level.available) == (UNITS, 0)
        assert await balanced(sandbox)


class Outside:
    """Only the warehouse."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def effect_port(self, kind: EffectKind, args: Mapping[str, Plain]) -> EffectPort:
        return self._sandbox.wms

    async def scanned(self, service: str, label_key: EffectKey) -> bool:
        return False


def holder(order: str) -> Holder:
    return Holder(
        thread=ThreadId(thread_of(TENANT, order)), tenant=TENANT, order_id=OrderId(order), external_id=order, shop="web",
        token=1, correlation_id="c", currency="USD", locale="en",
    )  # fmt: skip


@pytest.fixture
def ledger(batcher: Batcher, keyspace: Keyspace) -> EffectLedger:
    return EffectLedger(batcher, keyspace)


def effects(sandbox: Sandbox, ledger: EffectLedger) -> Effects:
    async def keeps_up() -> None:
        return None

    return Effects(Outside(sandbox), ledger, SystemClock(), audit_keeps_up=keeps_up, backoff_s=0.001)


async def test_the_ledger_holds_exactly_what_there_is(tmp_path: Path, ledger: EffectLedger) -> None:
    """I1: the same through the effect ledger on Redis: every key begun once, settled once, 100 holds."""
    async with shelves(tmp_path) as sandbox:
        apply = effects(sandbox, ledger).apply

        async def work(worker: int) -> list[str]:
            done: list[str] = []
            for number in range(ATTEMPTS):
                order = f"o-{worker}-{number}"
                taken = hold([line(SKU, "HKG")], order=order)
                for _ in range(2):
                    try:
                        done.append((await apply(holder(order), taken, heed_cancel=False)).key)
                    except (InsufficientStock, ConnectorRejected):
                        continue
            return done

        found = [key for done in await asyncio.gather(*(work(w) for w in range(WORKERS))) for key in done]
        assert len(set(found)) == UNITS
        assert set(Counter(found).values()) == {2}
        assert len(await sandbox.applied()) == UNITS
        assert await balanced(sandbox)


async def test_the_last_unit_is_sold_once(tmp_path: Path) -> None:
    """T02, F12: 20 rounds of 100 at once for one unit: one has it, and the loser of one line holds nothing of the other."""
    async with shelves(tmp_path, units=1) as sandbox:
        for round_ in range(20):
            wanted = [
                hold([line(OTHER, "HKG", line_id="1"), line(SKU, "HKG", line_id="2")], order=f"o-{round_}-{n}")
                for n in range(100)
            ]
            answers = await asyncio.gather(*(attempt(sandbox, each) for each in wanted))
            (winner,) = [each for each, receipt in zip(wanted, answers, strict=True) if receipt is not None]
            totals = await sandbox.stock_totals()
            assert (totals.held, totals.balanced) == (2, True)
            await sandbox.wms.apply(release(winner))
        assert (await sandbox.stock_totals()).held == 0


async def test_a_death_between_hold_and_publish_leaks_nothing(tmp_path: Path, ledger: EffectLedger) -> None:
    """I2: begun, held outside, never settled: after the hold's time and one look its units are back, once."""
    clock = SettableClock()
    async with shelves(tmp_path, clock) as sandbox:
        taken = hold([line(SKU, "HKG", 7)], expires_at=START + timedelta(minutes=15))
        await ledger.begin(holder("o-1").thread, taken, token=1, at=START, heed_cancel=False)
        await sandbox.wms.apply(taken)
        clock.advance(minutes=14, seconds=59)
        assert (await sandbox.stock_totals()).held == 7
        clock.advance(seconds=1)
        (level,) = [at for at in await sandbox.wms.stock([SKU]) if at.warehouse == "HKG"]
        assert (level.held, level.available) == (0, UNITS)
        assert await sandbox.wms.sweep() == 0
        assert (await sandbox.wms.hold(taken.key, tenant=TENANT)).state is HoldState.EXPIRED
        assert await balanced(sandbox)


async def test_a_hold_is_confirmed_or_expired_never_both(tmp_path: Path) -> None:
    """I3: a thousand races of confirm, expiry and a rival for the unit: one of the two has it, and the books agree."""
    clock, rng = SettableClock(), random.Random(3)  # noqa: S311 - a repeatable schedule
    won: Counter[str] = Counter()
    async with shelves(tmp_path, clock, units=1) as sandbox:
        for number in range(1000):
            taken = hold([line(SKU, "HKG")], order=f"a-{number}", expires_at=clock() + timedelta(seconds=1))
            rival = hold([line(SKU, "HKG")], order=f"b-{number}")
            await sandbox.wms.apply(taken)
            racers = [attempt(sandbox, confirm(taken)), attempt(sandbox, rival), sandbox.wms.sweep()]
            names = ["confirm", "rival", "sweep"]
            order = rng.sample(range(3), 3)
            clock.advance(seconds=rng.choice((0.999, 1.0, 1.001)))
            results = dict(
                zip([names[i] for i in order], await asyncio.gather(*(racers[i] for i in order)), strict=True)
            )
            state = (await sandbox.wms.hold(taken.key, tenant=TENANT)).state
            confirmed, sold = results["confirm"] is not None, results["rival"] is not None
            assert (confirmed, sold) in {(True, False), (False, True)}
            assert state is (HoldState.CONFIRMED if confirmed else HoldState.EXPIRED)
            assert await held(sandbox) == 1
            won["confirmed" if confirmed else "sold"] += 1
            await sandbox.wms.apply(release(taken if confirmed else rival))
        assert min(won["confirmed"], won["sold"]) > 100
        assert await balanced(sandbox)


async def test_a_hold_moves_in_one_transaction(tmp_path: Path) -> None:
    """P13, I3: a move that cannot be made leaves everything as it was; a confirmed hold no longer expires."""
    clock = SettableClock()
    async with shelves(tmp_path, clock) as sandbox:
        await sandbox.wms.count_stock("SIN", SKU, 3)
        taken = hold([line(SKU, "HKG", 4)], expires_at=START + timedelta(seconds=10))
        await sandbox.wms.apply(taken)
        with pytest.raises(InsufficientStock):
            await sandbox.wms.apply(confirm(taken, [line(SKU, "SIN", 4)], part="too-much"))
        assert (await sandbox.wms.hold(taken.key, tenant=TENANT)).state is HoldState.HELD
        moved = await sandbox.wms.apply(confirm(taken, [line(SKU, "SIN", 3), line(SKU, "HKG", 1, line_id="2")]))
        assert moved.detail["moved"] is True
        clock.advance(days=9)
        levels = {at.warehouse: at.held for at in await sandbox.wms.stock([SKU])}
        assert (levels[AT_SIN], levels[AT_HKG]) == (3, 1)
        assert await balanced(sandbox)


async def test_a_lost_answer_adjusts_stock_once(tmp_path: Path, ledger: EffectLedger) -> None:
    """I6, O03: applied but not answered, then sent again with the same key: one hold; given back twice is once."""
    async with shelves(tmp_path) as sandbox:
        await sandbox.faults.set(Fault(system="wms", call="hold_stock", mode=FaultMode.NO_REPLY, times=1))
        taken = hold([line(SKU, "HKG", 2)])
        receipt = await effects(sandbox, ledger).apply(holder("o-1"), taken, heed_cancel=False)
        assert receipt.key == taken.key
        assert (await sandbox.stock_totals()).held == 2
        await sandbox.faults.set(Fault(system="wms", call="release_hold", mode=FaultMode.NO_REPLY, times=1))
        with pytest.raises(Ambiguous):
            await sandbox.wms.apply(release(taken))
        await sandbox.wms.apply(release(taken))
        await sandbox.wms.apply(release(taken, part="again"))
        assert (await sandbox.stock_totals()).held == 0
        assert await balanced(sandbox)


async def test_a_hold_leaves_what_is_kept_for_others(tmp_path: Path) -> None:
    """P13: the floor holds under many hands too; the refusal counts it as missing."""
    async with shelves(tmp_path, units=10) as sandbox:
        wanted = [hold([line(SKU, "HKG") | {"leave": 4}], order=f"o-{n}") for n in range(20)]
        answers = await asyncio.gather(*(attempt(sandbox, each) for each in wanted))
        assert sum(receipt is not None for receipt in answers) == 6
        with pytest.raises(InsufficientStock) as refused:
            await sandbox.wms.apply(hold([line(SKU, "HKG", 2) | {"leave": 4}], order="late"))
        assert refused.value.short == {SKU: 2}
        assert await attempt(sandbox, hold([line(SKU, "HKG", 4)], order="protected")) is not None
        assert await balanced(sandbox)


async def test_arrivals_and_feed_delays_can_be_played(tmp_path: Path) -> None:
    """P13, T04: goods arrive, also of a SKU new to a site; one warehouse's counts may be behind or ahead."""
    clock = SettableClock(datetime(2026, 11, 11, tzinfo=UTC))
    async with shelves(tmp_path, clock) as sandbox:
        await sandbox.wms.receive(SKU, "HKG", 5)
        await sandbox.wms.receive(NEW, "HKG", 2)
        with pytest.raises(Conflict):
            await sandbox.wms.receive(SKU, "HKG", 0)
        await sandbox.wms.set_feed_delay("HKG", 121)
        await sandbox.wms.set_feed_delay("SIN", -6.5)
        levels = {at.warehouse: at for at in await sandbox.wms.stock([SKU])}
        assert levels[AT_HKG].on_hand == UNITS + 5
        ages = {site: (clock() - levels[site].as_of).total_seconds() for site in (AT_HKG, AT_SIN, AT_TPE)}
        assert ages == {"HKG": 121, "SIN": -6.5, "TPE": 0}
        await sandbox.wms.set_feed_delay("HKG", 0)
        (fresh,) = await sandbox.wms.stock([NEW])
        assert (fresh.warehouse, fresh.as_of, fresh.on_hand) == (AT_HKG, clock(), 2)
        assert await balanced(sandbox)


async def test_arrivals_and_feed_delays_over_http(tmp_path: Path) -> None:
    """P13, T04: the same levers on a served sandbox, seen through the real connector."""
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    async with shelves(tmp_path) as sandbox, served(create_app(sandbox, TOKEN)) as url:
        systems = Systems.over_http(url, TOKEN, timeout_s=10)
        async with httpx2.AsyncClient(base_url=url, trust_env=False, headers=bearer) as client:
            arrival: dict[str, Plain] = {"warehouse": "HKG", "sku": SKU, "quantity": 5}
            assert (await client.post("/_arrivals", json=arrival)).status_code == 204
            assert (await client.post("/_arrivals", json=arrival | {"quantity": 0})).status_code == 422
            late = {"warehouse": "HKG", "seconds": 121}
            assert (await client.put("/_feed_delays", json=late)).status_code == 204
        levels = {level.warehouse: level for level in await systems.wms.stock([SKU])}
        assert levels[AT_HKG].on_hand == UNITS + 5
        assert START - levels[AT_HKG].as_of == timedelta(seconds=121)
        assert levels[AT_SIN].as_of == START
        await systems.aclose()
