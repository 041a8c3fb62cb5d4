"""``what-if`` and ``replay`` at a terminal, and over HTTP."""

from pathlib import Path

import orjson
import pytest

from tests.support.command_line import CommandLine
from tests.support.system import native_order


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """P11, P28: ``what-if`` and ``replay`` at a terminal."""
    signalbox, file = CommandLine(tmp_path / "home", monkeypatch, capsys), tmp_path / "order.json"
    file.write_bytes(orjson.dumps(native_order()))
    order_id = signalbox.good("orders", "submit", str(file), "--channel", "storefront")["order_id"]
    assert signalbox.good("what-if", order_id)["progress"] == "fulfilled"
    said = signalbox("what-if", order_id, "--set", "ship_to.country=SG").out
    assert "would be" in said
    assert "order_routing" in said
    again = signalbox.good("replay", order_id)
    assert all(one["same"] for one in again)
    assert len(again) >= 6
    assert signalbox.good("replay", again[0]["decision_id"])[0]["order_id"] == order_id
    assert "path=value" in signalbox.refused("what-if", order_id, "--set", "nonsense")
    assert "no tape" in signalbox.refused("replay", "nothing")
