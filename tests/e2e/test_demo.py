"""The demo end to end: orders over HTTP through everything, the contract of its JSON, the same result for the same seed."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from api.cli import demo_run
from tests.support.command_line import CommandLine

KEYS = [
    "accepted", "outcomes", "in_review", "dead_letter", "effects", "latency_ms", "agents", "reconciled", "seed", "versions",
]  # fmt: skip
AGENT_KEYS = ["decisions", "p50_ms", "p95_ms", "cost_usd", "overrides"]
ORDERS = 60


@pytest.fixture
def signalbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    monkeypatch.setattr(demo_run, "RATE_PER_S", 200.0)
    return CommandLine(tmp_path / "home", monkeypatch, capsys)


def stable(summary: dict[str, Any]) -> dict[str, Any]:
    """What a seed decides: everything but times."""
    agents = {name: (of["decisions"], of["cost_usd"], of["overrides"]) for name, of in summary["agents"].items()}
    return {name: summary[name] for name in KEYS if name not in ("latency_ms", "agents")} | {"agents": agents}


@pytest.mark.timeout(180)
def test_the_same_seed_gives_the_same_result(signalbox: CommandLine) -> None:
    """P29, 5.2: the JSON has exactly the contract's keys, everything reconciles, and a second run with the seed agrees."""
    first = signalbox.good("demo", "--orders", str(ORDERS), "--seed", "7", "--no-serve")
    assert list(first) == KEYS
    assert first["accepted"] == ORDERS == sum(first["outcomes"].values()) + first["in_review"] + first["dead_letter"]
    assert (first["reconciled"], first["seed"]) == (True, 7)
    assert first["outcomes"]["fulfilled"] > ORDERS / 2
    assert first["in_review"] > 0
    assert first["effects"]["book_label"] >= first["effects"]["confirm_hold"] == first["outcomes"]["fulfilled"]
    assert list(first["latency_ms"]) == ["accept", "routed"]
    assert all(0 < spread["p50"] <= spread["p95"] <= spread["p99"] for spread in first["latency_ms"].values())
    assert len(first["agents"]) == 9
    assert all(list(of) == AGENT_KEYS for of in first["agents"].values())
    assert first["agents"]["fraud_detection"]["decisions"] == ORDERS
    assert set(first["agents"]) < set(first["versions"])
    second = signalbox.good("demo", "--orders", str(ORDERS), "--seed", "7", "--no-serve")
    assert stable(second) == stable(first)


@pytest.mark.timeout(120)
def test_it_stays_up_to_be_tried(tmp_path: Path) -> None:
    """P29: the summary is followed by addresses that answer and commands that work; Ctrl-C ends it cleanly."""
    command = [sys.executable, "-m", "api.cli", "--home", str(tmp_path), "demo", "--orders", "15", "--port", "0"]
    environment = os.environ | {"COLUMNS": "150"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as running:
        assert running.stdout is not None
        try:
            shown: list[str] = []
            for line in running.stdout:
                shown.append(line)
                if line.rstrip().endswith(" reconcile"):
                    break
            text = "".join(shown)
            assert "15 orders accepted" in text
            assert "\nreconciled\n" in text
            url = str(re.search(r"API (http://\S+)", text)[1])  # type: ignore[index]
            assert httpx2.get(f"{url}/healthz").status_code == 200
            assert "signalbox_orders_total" in httpx2.get(f"{url}/metrics").text
            tried = text.splitlines()[-1].split()[1:]
            beside = subprocess.run(
                [sys.executable, "-m", "api.cli", *tried, "--json"], capture_output=True, check=True, env=environment
            )
            assert orjson.loads(beside.stdout)["ok"] is True
        finally:
            running.send_signal(signal.SIGINT)
            assert running.wait(20) == 0
