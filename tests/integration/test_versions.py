"""Policies from draft to force and back: what an order is judged by, who may publish what, and what stays explained."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.policies import SUBJECTS, shipped_text, version_in
from api.shadow import Trial, run_test
from api.versions import Candidate, NotProven, VersionDesk
from domain.errors import ConfigError, Conflict, InputError, NotFound
from domain.ids import TenantId
from graph.bootstrap.settings import ORDER_TOPOLOGY
from graph.order.candidates import code_digest, topology_with
from graph.order.replaying import Replays
from graph.runtime.shadow_reports import ReportRecord
from tests.support.command_line import CommandLine
from tests.support.system import TENANT, Rig, fast_settings, native_order, opened, submission, working

WHY = {"by": "mei", "reason": "fewer false alarms"}


def thresholds(version: str, *, review: int = 40) -> str:
    raw = yaml.safe_load(shipped_text("fraud_thresholds"))
    entry: dict[str, Any] = raw[-1] | {"version": version, "thresholds": raw[-1]["thresholds"] | {"review": review}}
    return yaml.safe_dump([entry])


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with opened(fast_settings(tmp_path)) as found:
        yield found


async def proven(rig: Rig, version: str, *, agent: str = "fraud_detection", base: str = "fd-1.0") -> bool:
    """Run the shadow test a publication asks for."""
    trial = Trial(
        tenant=TENANT,
        agent=agent,
        old_version=base,
        new_version=f"{base}+fraud_thresholds@{version}",
        last=10,
        made_by="mei",
    )
    return (await run_test(rig.box, trial, lambda _done, _total: None)).passed


async def passing(rig: Rig, candidate: Candidate) -> None:
    """Keep a passing report on a candidate."""
    await keep(rig, candidate.agent, candidate.label)


def trial(version: str) -> Trial:
    return Trial(
        tenant=TENANT, agent="fraud_detection", old_version="fd-1.0", new_version=version, last=10, made_by="mei"
    )


async def keep(rig: Rig, agent: str, version: str) -> None:
    await rig.box.governance.reports.keep(
        ReportRecord(
            report_id="st-kept", tenant=TENANT, agent=agent, old_version="fd-1.0",
            new_version=version, topology=topology_with(rig.box.workflow, agent, version),
            code=code_digest(), compared=1, passed=True, made_at=datetime.now(UTC), made_by="mei", report="{}",
        )
    )  # fmt: skip


async def decided_by(rig: Rig, order_id: str) -> str:
    """The thresholds the order was judged by, as its decision says."""
    record = await rig.settled(order_id)
    decisions = await rig.box.store.journal.decisions(record.thread)
    return next(d.versions.thresholds for d in decisions if d.agent == "fraud_detection")


async def submitted(rig: Rig, at: datetime) -> str:
    """An order that came in at this instant."""
    taken = await rig.desk.submit(replace(submission(native_order()), received_at=at))
    return taken.handle


async def test_a_draft_is_proven_published_rolled_back_and_old_decisions_stay_explained(tmp_path: Path) -> None:
    """P10, F48: an order is judged by what was in force when it came in, and says so for ever."""
    async with opened(fast_settings(tmp_path)) as rig:
        async with working(rig):
            desk = VersionDesk(rig.box)
            before = await rig.submit(native_order())
            assert await decided_by(rig, before) == "ft-2026-01"
            await desk.draft(TENANT, "fraud_thresholds", thresholds("ft-2026-12", review=35), **WHY)
            with pytest.raises(NotProven, match=r"no shadow report.*fd-1.0\+fraud_thresholds@ft-2026-12"):
                await desk.publish(TENANT, "fraud_thresholds", "ft-2026-12", **WHY)
            assert await proven(rig, "ft-2026-12")
            made = await desk.publish(TENANT, "fraud_thresholds", "ft-2026-12", **WHY)
            assert made.reports.startswith("st-")
            early = await submitted(rig, made.in_force_from - timedelta(seconds=1))
            assert await decided_by(rig, early) == "ft-2026-01"
            after = await submitted(rig, made.in_force_from)
            assert await decided_by(rig, after) == "ft-2026-12"
            with pytest.raises(Conflict, match="never changes"):
                await desk.draft(TENANT, "fraud_thresholds", thresholds("ft-2026-12", review=30), **WHY)
            back = await desk.rollback(TENANT, "fraud_thresholds", None, by="ops", reason="too many reviews")
            again = await submitted(rig, back.in_force_from)
            assert await decided_by(rig, again) == "ft-2026-01"
            await rig.idle()
            await rig.history(again)
        await rig.box.governance.keeper.drain()
        for order_id in (before, early, after, again):
            replayed = await Replays(rig.box.governance.tapes).order(TENANT, order_id)
            assert not [(one.agent, one.differences) for one in replayed if not one.same]
        explained = await rig.desk.audit(TENANT, after)
        said = next(entry for entry in explained["entries"] if entry["actor"] == "fraud_detection")
        assert said["versions"]["thresholds"] == "ft-2026-12"
        history = await rig.box.audit.entity(TENANT, "policy", "fraud_thresholds")
        assert [(row.event_type.rpartition(".")[2], row.actor) for row in history] == [
            ("drafted", "mei"), ("published", "mei"), ("published", "ops"),
        ]  # fmt: skip


async def test_a_report_on_another_text_of_the_same_name_proves_nothing(rig: Rig) -> None:
    """F48: the draft was written again after its shadow test."""
    desk = VersionDesk(rig.box)
    await desk.draft(TENANT, "fraud_thresholds", thresholds("ft-x", review=35), **WHY)
    await passing(rig, await desk.candidate(TENANT, "fraud_detection", "fraud_thresholds", "ft-x", "fd-1.0"))
    await desk.draft(TENANT, "fraud_thresholds", thresholds("ft-x", review=36), **WHY)
    with pytest.raises(NotProven, match="no shadow report on exactly this text"):
        await desk.publish(TENANT, "fraud_thresholds", "ft-x", **WHY)
    await desk.draft(TENANT, "fraud_thresholds", thresholds("ft-x", review=35), **WHY)
    assert (await desk.publish(TENANT, "fraud_thresholds", "ft-x", **WHY)).version == "ft-x"


async def test_thresholds_that_let_frauds_through_are_refused(rig: Rig) -> None:
    """F48, domain/A3: a looser review line approves frauds of the hard set, so it is not published."""
    desk = VersionDesk(rig.box)
    raw = yaml.safe_load(thresholds("ft-loose"))
    raw[0]["thresholds"] = {"review": 80, "hold": 85, "decline": 90}
    raw[0]["costs"] |= {"review": 5000}
    await desk.draft(TENANT, "fraud_thresholds", yaml.safe_dump(raw), **WHY)
    assert not await proven(rig, "ft-loose")
    with pytest.raises(NotProven, match="was refused by its shadow test"):
        await desk.publish(TENANT, "fraud_thresholds", "ft-loose", **WHY)


async def test_what_cannot_be_a_table_is_refused_in_a_sentence(rig: Rig) -> None:
    """P10: every table checks its drafts; other tenants' drafts do not exist."""
    desk = VersionDesk(rig.box)
    for name in SUBJECTS:
        for text in ("", "[]", "{}", "version: x", "- 1", ": :", "version: [1]\nthresholds: 3"):
            with pytest.raises(InputError):
                await desk.draft(TENANT, name, text, **WHY)
        with pytest.raises(InputError, match="version that ships"):
            await desk.draft(TENANT, name, shipped_text(name), **WHY)
        assert version_in(name, shipped_text(name))
    for version in ("a b", "a@b", "x" * 3 + "\n", "#"):
        with pytest.raises(InputError):
            await desk.draft(TENANT, "fraud_thresholds", thresholds(version), **WHY)
    with pytest.raises(InputError, match="no table"):
        await desk.draft(TENANT, "nothing", "version: x", **WHY)
    await desk.draft(TENANT, "fraud_thresholds", thresholds("ft-mine"), **WHY)
    with pytest.raises(NotFound):
        await desk.publish(TenantId("somebody_else"), "fraud_thresholds", "ft-mine", **WHY)
    with pytest.raises(Conflict, match="never published"):
        await desk.rollback(TENANT, "fraud_thresholds", None, **WHY)


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """P10: list, show, draft, diff, publish, rollback at a terminal."""
    signalbox = CommandLine(tmp_path / "home", monkeypatch, capsys)
    file, who = tmp_path / "thresholds.yaml", ("--as", "mei", "--reason", "busy season")
    file.write_text(thresholds("ft-cli", review=39))
    made = signalbox.good("versions", "draft", "fraud_thresholds", str(file), *who)
    assert (made["version"], made["author"]) == ("ft-cli", "mei")
    assert "review: 39" in signalbox("versions", "diff", "fraud_thresholds", "shipped", "ft-cli").out
    assert "shadow-test --agent fraud_detection" in signalbox.refused(
        "versions", "publish", "fraud_thresholds", "ft-cli", *who
    )
    tested = signalbox(
        "shadow-test", "--agent", "fraud_detection", "--old-version", "fd-1.0",
        "--new-version", "fd-1.0+fraud_thresholds@ft-cli", "--json",
    )  # fmt: skip
    assert tested.code == 0, tested.json["gates"]
    assert signalbox.good("versions", "publish", "fraud_thresholds", "ft-cli", *who)["action"] == "publish"
    assert signalbox.good("versions", "rollback", "fraud_thresholds", *who)["version"] == "shipped"
    listed = next(one for one in signalbox.good("versions", "list") if one["subject"] == "fraud_thresholds")
    assert [one["action"] for one in listed["publications"]] == ["publish", "rollback"]
    assert listed["versions"][0]["state"] == "published"


async def test_an_agents_version_is_released_only_with_its_own_report(rig: Rig, tmp_path: Path) -> None:
    """F48: exactly that version and topology; a system that asks for proof does not start without it."""
    desk = VersionDesk(rig.box)
    with pytest.raises(NotProven, match=r"no shadow report.*--new-version fd-1.1"):
        await desk.release(TENANT, "fraud_detection", "fd-1.1", **WHY)
    with pytest.raises(InputError, match="asks already"):
        await desk.release(TENANT, "fraud_detection", "fd-1.0", **WHY)
    with pytest.raises(InputError, match="no agent nobody"):
        await desk.release(TENANT, "nobody", "v", **WHY)
    refused = await run_test(rig.box, trial("fd-1.1"), lambda _done, _total: None)
    assert not refused.passed
    with pytest.raises(NotProven, match="was refused"):
        await desk.release(TENANT, "fraud_detection", "fd-1.1", **WHY)
    unproven = tmp_path / "unproven.yaml"
    unproven.write_text(ORDER_TOPOLOGY.read_text().replace("version: fd-1.0", "version: fd-1.1"))
    asked = {"require_shadow_report": True, "topology_file": unproven}
    with pytest.raises(ConfigError, match=r"unproven.yaml:\d+: fraud_detection fd-1.1 has no passing shadow report"):
        async with opened(fast_settings(tmp_path / "other", **asked)):
            pass
    await keep(rig, "fraud_detection", "fd-1.1")
    text = await desk.release(TENANT, "fraud_detection", "fd-1.1", **WHY)
    assert text == unproven.read_text()
    async with opened(fast_settings(tmp_path, **asked)) as released:
        assert released.box.workflow.agent("fraud_detection").version == "fd-1.1"
