"""The command line without a system: help that costs nothing, exit codes, topology files, pictures, demo homes."""

import fcntl
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from api.cli.demo_run import MARKER, make_fresh
from api.cli.demo_summary import percentile
from api.cli.terminal import plain, print_json
from domain.errors import ConfigError
from graph.bootstrap.settings import ORDER_TOPOLOGY
from tests.support.command_line import CommandLine

COMMANDS = (
    "demo", "serve", "worker", "sandbox serve", "orders submit", "orders show", "orders list", "orders cancel",
    "reviews list", "reviews show", "reviews decide", "reviews claim", "reviews release", "reviews assign",
    "reviews snooze", "reviews comment", "reviews ask", "reviews bulk", "reviews measures", "why", "topology check", "topology show", "topology diagram",
    "doctor", "registry", "agents unregistered", "agents latency", "orders stuck", "orders funnel", "agents list", "agents conflicts", "examples list", "examples show", "examples undo", "examples restore", "dlq list", "dlq show", "dlq replay", "dlq drop", "reconcile", "audit verify", "keys",
)  # fmt: skip


@pytest.fixture
def signalbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(tmp_path / "home", monkeypatch, capsys)


def test_help_loads_nothing_heavy() -> None:
    """Help answers at once: neither the graph library nor the database library is imported for it."""
    program = (
        "import sys; sys.argv = ['signalbox', 'orders', '--help']\n"
        "import api.cli\n"
        "try: api.cli.main()\n"
        "except SystemExit as left: assert left.code == 0\n"
        "heavy = {'langgraph', 'sqlalchemy', 'fastapi', 'redis', 'langchain_core'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "import os; assert os.environ['LANGGRAPH_STRICT_MSGPACK'] == 'true'\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "submit" in ran.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(signalbox: CommandLine, command: str) -> None:
    """P29: each command of the contract exists and explains itself."""
    answer = signalbox(*command.split(), "--help")
    assert answer.code == 0
    assert "Usage: signalbox" in answer.out


def test_usage_errors_exit_with_two(signalbox: CommandLine) -> None:
    """A command that does not exist or lacks an argument is a usage error, not a refusal."""
    for arguments in (
        ["orders", "submit"],
        ["nothing"],
        ["why"],
        ["orders", "submit", "no-such-file", "--channel", "shopify"],
    ):
        assert signalbox(*arguments).code == 2


def test_a_sound_topology_is_shown_and_drawn(signalbox: CommandLine, tmp_path: Path) -> None:
    """F5, F7: the file in force is valid; table, Mermaid and SVG name its agents."""
    assert signalbox.good("topology", "check") == {"ok": True, "problems": [], "workflows": ["order_workflow"]}
    assert "fraud_detection" in signalbox("topology", "show").out
    assert signalbox("topology", "diagram").out.startswith("flowchart")
    picture = tmp_path / "flow.svg"
    assert signalbox("topology", "diagram", "--format", "svg", "-o", str(picture)).code == 0
    assert picture.read_text().startswith("<svg")


def test_a_wrong_topology_names_every_line(signalbox: CommandLine, tmp_path: Path) -> None:
    """F5, F7: two writers without a rule and an unknown key are refused with file and line, as text and as JSON."""
    wrong = tmp_path / "order.yaml"
    text = ORDER_TOPOLOGY.read_text(encoding="utf-8")
    text = text[: text.index("    conflict_rules:")].replace("fallback: backorder_flag", "fallbak: backorder_flag")
    wrong.write_text(text, encoding="utf-8")
    said = signalbox.refused("topology", "check", str(wrong))
    assert f"{wrong}:" in said
    assert "fallbak" in said
    answer = signalbox("topology", "check", str(wrong), "--json")
    assert answer.code == 1
    assert any("fallbak" in problem["text"] for problem in answer.json["problems"])
    unruled = tmp_path / "unruled.yaml"
    whole = ORDER_TOPOLOGY.read_text(encoding="utf-8")
    unruled.write_text(whole[: whole.index("    # How two agents")], encoding="utf-8")
    said = signalbox.refused("topology", "check", str(unruled))
    assert "fraud_detection" in said
    assert "compliance" in said


def test_agents_and_their_conflicts_are_listed(signalbox: CommandLine) -> None:
    """F5: who reads and writes what, with the rule where two write the same."""
    agents = {agent["name"] for agent in signalbox.good("agents", "list") if agent["active"]}
    assert len(agents) == 9
    data = {each["data"]: each for each in signalbox.good("agents", "conflicts")["data"]}
    assert data["order.release"]["writers"] == ["fraud_detection", "compliance"]
    assert data["order.release"]["rule"] == "most_severe"
    assert "order.release" in signalbox("agents", "conflicts").out
    assert signalbox("agents", "conflicts", "--format", "svg").out.startswith("<svg")


def test_keys_say_where_they_are_and_show_only_when_asked(signalbox: CommandLine) -> None:
    """P29: the first start makes keys; their place is told, their text only on request."""
    listed = signalbox.good("keys")
    assert Path(listed["keys_file"]).exists()
    secret = signalbox.good("keys", "--show")["plaintext"]["ops"]
    assert secret.startswith("sbk_ops_")
    assert secret not in signalbox("keys").out
    assert secret in signalbox("keys", "--show").out


def test_a_wrong_setting_is_one_sentence(signalbox: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that does not fit is named."""
    monkeypatch.setenv("SIGNALBOX_WORKER_CONCURRENCY", "many")
    assert "SIGNALBOX_WORKER_CONCURRENCY" in signalbox.refused("orders", "list")


def test_a_taken_port_is_one_sentence(signalbox: CommandLine) -> None:
    """An address that cannot be had says how to choose another."""
    assert "--port" in signalbox.refused("serve", "--host", "203.0.113.1", "--port", "1")


def test_a_demo_home_is_made_afresh_and_nothing_else_is_touched(tmp_path: Path) -> None:
    """P29: a second demo of a seed starts anew; a folder that is no demo's, or one in use, is left alone."""
    home = tmp_path / "demo-1"
    make_fresh(home)
    (home / "old").write_text("left over")
    make_fresh(home)
    assert [path.name for path in home.iterdir()] == [MARKER]
    (home / "redis").mkdir()
    with (home / "redis" / "users.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        with pytest.raises(ConfigError, match="still running"):
            make_fresh(home)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letters.txt").write_text("keep")
    with pytest.raises(ConfigError, match="not a demo's"):
        make_fresh(mine)
    assert (mine / "letters.txt").exists()


def test_text_from_outside_cannot_drive_the_terminal() -> None:
    """S08: control and direction characters are shown as replacement characters."""
    assert plain("a\x1b[2Jb\u202ec\r\nd") == "a\ufffd[2Jb\ufffdc\ufffd\nd"


def test_amounts_in_json_are_exact(capsys: pytest.CaptureFixture[str]) -> None:
    """F49: a decimal is printed digit by digit."""
    print_json({"cost_usd": Decimal(1).scaleb(-6)})
    assert '"cost_usd": 0.000001' in capsys.readouterr().out


@pytest.mark.parametrize(("percent", "expected"), [(50, 2.0), (95, 4.0), (99, 4.0)])
def test_percentiles_are_nearest_rank(percent: int, expected: float) -> None:
    """The value that so many do not exceed, never one between two values."""
    assert percentile([4, 1, 3, 2], percent) == expected
    assert percentile([], percent) == 0.0
