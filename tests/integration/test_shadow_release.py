"""Shadow tests on a system's own orders, and what a release may rest on."""

from pathlib import Path

import orjson
import pytest

from api.shadow import Trial, kept_report, run_test
from domain.errors import InputError, NotFound
from graph.order.candidates import topology_with
from graph.runtime.shadow_reports import ShadowReports
from tests.support.command_line import CommandLine
from tests.support.system import TENANT, Rig, fast_settings, opened, working
from tests.support.world_orders import deliver, world_orders


async def judged(rig: Rig, count: int) -> list[str]:
    """``count`` mixed orders, judged by a worker, their tapes kept."""
    async with working(rig):
        ids = await deliver(rig, world_orders(rig, count))
        for order_id in ids:
            await rig.settled(order_id, within_s=30)
        await rig.idle()
    return ids


def trial(agent: str = "fraud_detection", old: str = "fd-1.0", new: str = "fd-1.0", last: int = 1000) -> Trial:
    return Trial(tenant=TENANT, agent=agent, old_version=old, new_version=new, last=last, made_by="mei")


def quiet(_done: int, _total: int) -> None:
    return None


async def test_every_agent_can_be_tested_on_the_last_orders_and_the_report_is_kept(tmp_path: Path) -> None:
    """F47: point-in-time inputs for every agent; identical versions differ nowhere; too few orders are said."""
    async with opened(fast_settings(tmp_path)) as rig:
        ids = await judged(rig, 12)
        for node in rig.box.workflow.agents:
            report = await run_test(rig.box, trial(node.name, node.version, node.version), quiet)
            assert report.passed, (node.name, report.gates)
            assert report.flips == ()
            assert report.reworded == 0
            assert report.sample.drifted == 0
            assert report.sample.found <= len(ids)
            if node.tier == 1:
                assert report.sample.found == len(ids)
                assert "of the 1000 orders asked for" in report.sample.note
            assert await kept_report(rig.box, TENANT, report.report_id) == report
        newest = await run_test(rig.box, trial(last=5), quiet)
        assert newest.sample.found == 5
        with pytest.raises(NotFound):
            await kept_report(rig.box, "somebody_else", newest.report_id)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"fd-9.*known are fd-1.0, fd-1.1"):
            await run_test(rig.box, trial(new="fd-9"), quiet)


async def test_only_the_newest_report_on_exactly_this_version_topology_and_code_counts(tmp_path: Path) -> None:
    """F48: another version, another topology, other code, or a later refusal is no pass."""
    async with opened(fast_settings(tmp_path)) as rig:
        await judged(rig, 3)
        reports, workflow = rig.box.governance.reports, rig.box.workflow
        here = topology_with(workflow, "fraud_detection", "fd-1.0")
        assert not await reports.passed(agent="fraud_detection", version="fd-1.0", topology=here)
        passing = await run_test(rig.box, trial(), quiet)
        assert passing.passed
        assert passing.topology == here == rig.box.threads.current
        assert await reports.passed(agent="fraud_detection", version="fd-1.0", topology=here)
        assert not await reports.passed(agent="fraud_detection", version="fd-1.1", topology=here)
        assert not await reports.passed(agent="fraud_detection", version="fd-1.0", topology="1/other/0123456789ab")
        elsewhere = ShadowReports(rig.box.engine, code="other code")
        assert not await elsewhere.passed(agent="fraud_detection", version="fd-1.0", topology=here)
        refused = await run_test(rig.box, trial(new="fd-1.1"), quiet)
        assert not refused.passed
        there = topology_with(workflow, "fraud_detection", "fd-1.1")
        assert not await reports.passed(agent="fraud_detection", version="fd-1.1", topology=there)


@pytest.fixture
def signalbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(tmp_path / "home", monkeypatch, capsys)


def test_the_command_writes_both_reports_and_its_exit_code_is_the_verdict(
    signalbox: CommandLine, tmp_path: Path
) -> None:
    """F47: ``shadow-test``: the page, the JSON beside it, exit 1 when refused; bad options are one sentence."""
    file, labels = tmp_path / "report.html", tmp_path / "labels.csv"
    labels.write_text("order_id,label\nshopify-1,good\n")
    ask = ("shadow-test", "--agent", "fraud_detection", "--old-version", "fd-1.0")
    answer = signalbox(
        *ask, "--new-version", "fd-1.1", "--world", "8", "--labels", str(labels), "--output-report", str(file)
    )
    assert answer.code == 1
    assert "refused" in answer.out
    assert "FAILED hard set" in answer.out
    assert "<svg" in file.read_text()
    written = orjson.loads(file.with_suffix(".json").read_bytes())
    assert written["verdict"] == "refused"
    assert written["sample"]["source"] == "generated world"
    assert len(written["matrix"]) == len(written["actions"]) >= 4
    passing = signalbox(*ask, "--new-version", "fd-1.0", "--json")
    assert passing.code == 0
    assert passing.json["passed"]
    assert "holds 0 of the 1000 orders" in passing.json["sample"]["note"]
    assert "last_N" in signalbox.refused(*ask, "--new-version", "fd-1.0", "--order-sample", "all")
    assert "no fraud_detection fd-9" in signalbox.refused(*ask, "--new-version", "fd-9")
    labels.write_text("order_id,label\nshopify-1,perhaps\n")
    assert "labels.csv:2" in signalbox.refused(*ask, "--new-version", "fd-1.0", "--labels", str(labels))
