"""The sandbox file: shared by processes, append-only where it must be, and clear about what is wrong with it."""

import asyncio
import sqlite3
import sys
from pathlib import Path

import pytest

from domain.effect import EffectKind
from domain.errors import ConfigError, Conflict, ConnectorUnavailable, MalformedPayload, NotFound
from domain.ids import EffectKey, Sku
from domain.inventory import HoldState
from domain.ports import CustomerHistory
from tests.support.outside import START, TENANT, SettableClock, confirm, effect, hold, line, story
from tools.sandbox import Fault, FaultMode, Sandbox
from tools.sandbox.faults import REFRESH_S

SKU = Sku("SB-00001")


async def test_what_was_done_survives_a_restart(tmp_path: Path) -> None:
    """P2: a key applied before a restart is still applied after it; the opening stock is put up once."""
    path = tmp_path / "var" / "sandbox.sqlite3"
    held = hold([line(SKU, "HKG")])
    async with Sandbox(path, clock=SettableClock()) as sandbox:
        await sandbox.wms.count_stock("HKG", SKU, 10)
        receipt = await sandbox.wms.apply(held)
        totals = await sandbox.stock_totals()
    async with Sandbox(path, clock=SettableClock()) as sandbox:
        assert await sandbox.wms.apply(held) == receipt
        assert await sandbox.stock_totals() == totals
        found = await sandbox.wms.hold(held.key, tenant=TENANT)
        assert (found.state, found.lines[0].sku, found.expires_at) == (HoldState.HELD, SKU, None)
        with pytest.raises(NotFound):
            await sandbox.wms.hold(EffectKey("never"), tenant=TENANT)


async def test_a_file_keeps_its_seed(tmp_path: Path) -> None:
    """Opening a file with another seed is refused and names both."""
    async with Sandbox(tmp_path / "s.sqlite3", seed=1):
        pass
    with pytest.raises(ConfigError, match="seed 1, not 2"):
        async with Sandbox(tmp_path / "s.sqlite3", seed=2):
            pass


async def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    """A damaged or foreign file is named, not overwritten."""
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes, not a database " * 50)
    with pytest.raises(ConfigError, match=r"notes\.txt"):
        async with Sandbox(path):
            pass
    assert path.read_text().startswith("these are my notes")


async def test_a_sandbox_that_is_not_open_says_so(tmp_path: Path) -> None:
    """A call before opening or after closing is refused at once instead of hanging."""
    sandbox = Sandbox(tmp_path / "s.sqlite3")
    with pytest.raises(ConnectorUnavailable, match="not open"):
        await sandbox.wms.stock([SKU])
    async with sandbox:
        await sandbox.wms.stock([SKU])
    with pytest.raises(ConnectorUnavailable, match="not open"):
        await sandbox.wms.stock([SKU])
    async with sandbox:
        await sandbox.wms.stock([SKU])


async def test_the_ledger_of_applied_effects_cannot_be_changed(tmp_path: Path) -> None:
    """reliability section 5: the effect ledger is append-only, whoever opens the file."""
    path = tmp_path / "s.sqlite3"
    async with Sandbox(path, clock=SettableClock()) as sandbox:
        await sandbox.oms.apply(effect(EffectKind.CANCEL_OMS, {"reason": "x"}))
        with sqlite3.connect(path) as connection:
            for statement in ("DELETE FROM applied_effects", "UPDATE applied_effects SET kind = 'x'"):
                with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                    connection.execute(statement)
        connection.close()
        assert len(await sandbox.applied()) == 1


async def test_a_cancelled_call_leaves_no_half_effect(tmp_path: Path) -> None:
    """P2: a caller that gives up early finds its effect done completely or not at all."""
    async with Sandbox(tmp_path / "s.sqlite3", clock=SettableClock()) as sandbox:
        await sandbox.wms.count_stock("HKG", SKU, 1_000)
        tries = [asyncio.create_task(sandbox.wms.apply(hold([line(SKU, "HKG")], order=f"o-{n}"))) for n in range(100)]
        for turn in range(5):
            await asyncio.sleep(0)
            for one in tries[turn::5]:
                one.cancel()
        await asyncio.gather(*tries, return_exceptions=True)
        totals = await sandbox.stock_totals()
        assert totals.balanced
        assert totals.held == len(await sandbox.applied())


async def test_a_busy_file_is_waited_for_and_then_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """O01: when another program keeps the file locked, nothing is done and the caller may try again."""
    monkeypatch.setattr("tools.sandbox.store.BUSY_TIMEOUT_MS", 50)
    path = tmp_path / "s.sqlite3"
    async with Sandbox(path, clock=SettableClock()) as sandbox:
        await sandbox.wms.count_stock("HKG", SKU, 10)
        rival = sqlite3.connect(path, isolation_level=None)
        rival.execute("BEGIN IMMEDIATE")
        with pytest.raises(ConnectorUnavailable, match="try again"):
            await sandbox.wms.apply(hold([line(SKU, "HKG")]))
        assert await sandbox.wms.stock([SKU])
        rival.execute("ROLLBACK")
        rival.close()
        await sandbox.wms.apply(hold([line(SKU, "HKG")]))


async def test_two_processes_may_create_the_file_at_once(tmp_path: Path) -> None:
    """A worker and an API starting together share one world."""
    script = (
        "import asyncio, sys\n"
        "from tools.sandbox import Sandbox\n"
        "async def main(path):\n"
        "    async with Sandbox(path) as sandbox:\n"
        "        print((await sandbox.stock_totals()).opening)\n"
        "asyncio.run(main(sys.argv[1]))\n"
    )
    path = str(tmp_path / "s.sqlite3")
    started = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", script, path, stdout=asyncio.subprocess.PIPE)
        for _ in range(3)
    ]
    said = await asyncio.gather(*(one.communicate() for one in started))
    assert [one.returncode for one in started] == [0, 0, 0]
    assert len({out for out, _ in said}) == 1


async def test_faults_reach_other_holders_of_the_file(tmp_path: Path) -> None:
    """O01: a fault set through one sandbox hits another on the same file, as many times as it says, then no more."""
    path = tmp_path / "s.sqlite3"
    async with Sandbox(path) as ours, Sandbox(path) as theirs:
        assert list(await theirs.carriers["kite"].lanes("HK"))
        await ours.faults.set(Fault(system="carriers/kite", call="lanes", mode=FaultMode.ERROR, times=2))
        failures = 0
        async with asyncio.timeout(5):
            while failures < 2:
                try:
                    await theirs.carriers["kite"].lanes("HK")
                    await asyncio.sleep(REFRESH_S / 10)
                except ConnectorUnavailable:
                    failures += 1
        assert await theirs.carriers["kite"].lanes("HK")
        assert await theirs.carriers["lotus"].lanes("HK")
        assert await ours.faults.active() == []


async def test_faults_are_met_in_the_order_they_were_set(tmp_path: Path) -> None:
    """A script of faults plays like a script: first this, then that, then nothing."""
    async with Sandbox(tmp_path / "s.sqlite3") as sandbox:
        await sandbox.faults.set(Fault(system="oms", mode=FaultMode.RATE_LIMITED, times=1, retry_after_s=3))
        await sandbox.faults.set(Fault(system="*", call="update_oms", mode=FaultMode.UNAVAILABLE, times=1))
        wanted = effect(EffectKind.UPDATE_OMS, {"state": "ready_to_ship"})
        for asked in (3, None):
            with pytest.raises(ConnectorUnavailable) as failed:
                await sandbox.oms.apply(wanted)
            assert failed.value.retry_after_s == asked
        await sandbox.oms.apply(wanted)
        record = await sandbox.oms.record("o-1", tenant=TENANT)
        assert record.state == "ready_to_ship"


async def test_counts_and_histories_can_be_staged(tmp_path: Path) -> None:
    """The levers of the stand-ins: physical counts, customer histories, platform orders."""
    async with Sandbox(tmp_path / "s.sqlite3", clock=SettableClock()) as sandbox:
        await sandbox.wms.count_stock("HKG", "SB-NEW", 5, safety=1, quarantine=1)
        assert [level.available for level in await sandbox.wms.stock([Sku("SB-NEW")])] == [3]
        await sandbox.wms.apply(hold([line("SB-NEW", "HKG", 3)]))
        with pytest.raises(Conflict):
            await sandbox.wms.count_stock("HKG", "SB-NEW", 2)
        assert (await sandbox.stock_totals()).balanced
        known = CustomerHistory(customer_id="C-00001", orders_delivered=4, last_profile_change_at=START, known_bad=True)
        await sandbox.crm.put_history(known)
        assert await sandbox.crm.history("C-00001") == known
        with pytest.raises(MalformedPayload):
            await sandbox.channels.put_platform_order("shopee", "1", "{not json")


async def test_the_records_show_what_was_told(tmp_path: Path) -> None:
    """F18: after an order's whole story, each system's own record can be read."""
    async with Sandbox(tmp_path / "s.sqlite3", clock=SettableClock()) as sandbox:
        await sandbox.wms.count_stock("HKG", SKU, 10)
        for wanted in story(SKU)[:10]:
            ports = [sandbox.wms, sandbox.payment, sandbox.oms, sandbox.crm, sandbox.channels, sandbox.messages]
            await next(port for port in [*ports, sandbox.carriers["kite"]] if wanted.kind in port.kinds).apply(wanted)
        assert await sandbox.crm.points("C-00001", tenant=TENANT) == 12
        assert await sandbox.crm.tags("o-1", tenant=TENANT) == ("gift", "first")
        assert (await sandbox.oms.record("o-1", tenant=TENANT)).tracking == ("T-1",)
        assert (await sandbox.channels.record("o-1", tenant=TENANT)).carrier == "kite"
        assert [one.message.template for one in await sandbox.messages.outbox("o-1", tenant=TENANT)] == ["shipped"]
        held = story(SKU)[0]
        assert (await sandbox.wms.hold(held.key, tenant=TENANT)).state is HoldState.CONSUMED
        assert confirm(held).key in {entry.key for entry in await sandbox.applied("o-1")}
        for missing in (sandbox.oms.record("o-2", tenant=TENANT), sandbox.channels.record("o-2", tenant=TENANT)):
            with pytest.raises(NotFound):
                await missing
