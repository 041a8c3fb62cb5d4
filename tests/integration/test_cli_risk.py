"""Exceptions for single customers from the command line: made, listed, ended, refused, and in the audit."""

import json
import os
import subprocess
import sys
from pathlib import Path


def signalbox(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api.cli", "--home", str(home), *words],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_snooze_is_made_listed_and_ended(tmp_path: Path) -> None:
    """P27: one rule is silent for one customer until its end date, or until somebody ends it."""
    said = ("--as", "mei", "--reason", "the whole office buys here")
    made = signalbox(tmp_path, "risk", "snooze", "c-1", "IP_VELOCITY", *said, "--days", "10", "--json")
    assert made.returncode == 0, made.stderr
    exception = json.loads(made.stdout)[0]
    assert (exception["kind"], exception["rule"], exception["made_by"]) == ("snooze", "IP_VELOCITY", "user:mei")
    ended = signalbox(tmp_path, "risk", "end", "c-1", exception["exception_id"], *said)
    assert ended.returncode == 0, ended.stderr
    listed = json.loads(signalbox(tmp_path, "risk", "list", "c-1", "--json").stdout)
    assert [one["exception_id"] for one in listed] == [exception["exception_id"]]
    assert listed[0]["ends_at"] < exception["ends_at"]


def test_what_may_not_be_snoozed_is_refused_with_a_reason(tmp_path: Path) -> None:
    said = ("--as", "mei", "--reason", "please")
    for rule, told in (("KNOWN_BAD", "cannot be snoozed"), ("NO_SUCH_RULE", "there is no rule")):
        refused = signalbox(tmp_path, "risk", "snooze", "c-1", rule, *said)
        assert refused.returncode == 1
        assert told in refused.stderr
        assert "Traceback" not in refused.stderr
