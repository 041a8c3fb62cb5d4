"""Live shadow: a candidate answers what production was asked, on the same tapes, out of every order's way."""

from pathlib import Path

import pytest

from api.shadow_live import LiveDesk
from domain.decision import Mode
from domain.errors import Conflict, InputError, NotFound
from domain.ids import TenantId
from domain.order import OrderProgress
from graph.order.shadow_live import LiveShadow
from tests.support.system import TENANT, Rig, fast_settings, native_order, opened, working
from tests.support.waiting import wait_until

AGENT, CANDIDATE = "fraud_detection", "fd-1.1"


async def answered(rig: Rig, count: int) -> None:
    async def look() -> bool:
        return len(await rig.box.governance.candidates.answers(TENANT, AGENT, CANDIDATE, limit=100)) >= count

    await wait_until(look, f"{count} answers of the candidate", within_s=20)


async def test_a_candidate_answers_beside_production_and_is_compared(tmp_path: Path) -> None:
    """F47: the same inputs, decisions kept in mode shadow, the report in the same form; no order is touched by it."""
    async with opened(fast_settings(tmp_path)) as rig:
        desk = LiveDesk(rig.box)
        with pytest.raises(Conflict, match="production runs"):
            await desk.start(TENANT, AGENT, "fd-1.0", by="mei")
        with pytest.raises(InputError, match="known are"):
            await desk.start(TENANT, AGENT, "fd-9", by="mei")
        with pytest.raises(NotFound):
            await desk.stop(TENANT, AGENT, CANDIDATE, by="mei")
        await desk.start(TENANT, AGENT, CANDIDATE, by="mei")
        with pytest.raises(Conflict, match="already"):
            await desk.start(TENANT, AGENT, CANDIDATE, by="ben")
        await rig.box.governance.live.look()
        async with working(rig):
            records = [await rig.run(native_order(), at=OrderProgress.FULFILLED) for _ in range(4)]
            await answered(rig, 4)
            await rig.idle()
            await rig.history(records[0].order_id)
            journaled = await rig.box.store.journal.decisions(records[0].thread)
        await rig.box.governance.keeper.drain()
        assert not [one for one in journaled if one.mode is Mode.SHADOW or one.versions.agent == CANDIDATE]
        standing = (await desk.status(TENANT))[0]
        assert (standing["asked"], standing["answered"], standing["running"]) == (4, 4, True)
        report = await desk.report(TENANT, AGENT, CANDIDATE, by="mei", last=100)
        assert (report.compared, report.old_version, report.new_version) == (4, "fd-1.0", CANDIDATE)
        assert report.hard is None
        passed = rig.box.governance.reports.passed
        assert not await passed(agent=AGENT, version=CANDIDATE, topology=report.topology)
        assert await desk.status(TenantId("somebody_else")) == []
        await desk.stop(TENANT, AGENT, CANDIDATE, by="mei")
        await rig.box.governance.live.look()
        async with working(rig):
            await rig.run(native_order(), at=OrderProgress.FULFILLED)
            await rig.idle()
        assert len(await rig.box.governance.candidates.answers(TENANT, AGENT, CANDIDATE, limit=100)) == 4


async def test_a_candidate_that_fails_harms_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F47: what the candidate cannot answer is kept as such; the order is done."""

    class Failing:
        name, version, fallbacks = AGENT, CANDIDATE, ()

        async def decide(self, case: object) -> object:
            raise ZeroDivisionError("planted")

    monkeypatch.setattr(LiveShadow, "_agent", lambda *_: Failing())
    async with opened(fast_settings(tmp_path)) as rig:
        await LiveDesk(rig.box).start(TENANT, AGENT, CANDIDATE, by="mei")
        await rig.box.governance.live.look()
        async with working(rig):
            await rig.run(native_order(), at=OrderProgress.FULFILLED)
            await answered(rig, 1)
        (answer,) = await rig.box.governance.candidates.answers(TENANT, AGENT, CANDIDATE, limit=10)
        assert answer.verdict is None
        assert "planted" in answer.failure
