"""Earned autonomy from the command line: shown, refused, taken back, calibrated and adopted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from graph.bootstrap.settings import Settings
from graph.bootstrap.system import open_signalbox
from tests.support.autonomy import AGENT, answered, earning_settings

SAID = ("--as", "mei", "--reason", "campaign day")
PLACE = ("--action", "approve", "--market", "HK", "--band", "under_50")


@pytest.fixture
async def shop(tmp_path: Path) -> Settings:
    settings = earning_settings(tmp_path)
    async with open_signalbox(settings) as box:
        await box.autonomy.ledger.record(answered(500, wrong=15))
    return settings


def signalbox(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api.cli", "--home", str(settings.home), "agents", *words],
        env={**os.environ, "SIGNALBOX_TOPOLOGY_FILE": str(settings.topology_file)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_where_an_agent_stands_and_who_may_change_it(shop: Settings) -> None:
    """F30, F54, P30: sample, interval, blind against visible, what is missing; no promotion against the record."""
    shown = json.loads(signalbox(shop, "autonomy", "--agent", AGENT, "--json").stdout)
    [accuracy], [where] = shown["agents"], shown["segments"]
    assert (accuracy["answers"], accuracy["disagreements"]) == (500, 15)
    assert accuracy["interval"][0] < 0.97 < accuracy["interval"][1]
    assert (accuracy["blind"]["answers"], accuracy["visible"]["answers"]) == (50, 450)
    assert where["level"] == "suggestion"
    assert any("14 are allowed" in sentence for sentence in where["needs"])
    refused = signalbox(shop, "promote", AGENT, *PLACE, *SAID)
    assert refused.returncode == 1
    assert "15 disagreements in 500 answers" in refused.stderr
    assert "Traceback" not in refused.stderr
    done = signalbox(shop, "demote", AGENT, *PLACE, *SAID)
    assert done.returncode == 0, done.stderr
    [after] = json.loads(signalbox(shop, "autonomy", "--json").stdout)["segments"]
    assert (after["answers"], after["why"], after["by"]) == (0, "campaign day", "person:mei")


def test_a_calibration_is_proposed_and_adopted_by_name(shop: Settings) -> None:
    """P22: a draft, in force only once somebody says so and why."""
    [draft] = json.loads(signalbox(shop, "calibration", "--json").stdout)
    assert draft["in_force"] is None
    nobody = signalbox(shop, "calibration", "--adopt", draft["draft"])
    assert nobody.returncode == 1
    assert "--as and --reason" in nobody.stderr
    adopted = signalbox(shop, "calibration", "--adopt", draft["draft"], *SAID)
    assert adopted.returncode == 0, adopted.stderr
    [again] = json.loads(signalbox(shop, "calibration", "--json").stdout)
    assert again["in_force"] == draft["draft"]
