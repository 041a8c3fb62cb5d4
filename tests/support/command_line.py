"""The command line as a user meets it: arguments in, exit code and the two streams out."""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from api.cli import main


@dataclass(frozen=True)
class Answer:
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The JSON on stdout."""
        return orjson.loads(self.out)


class CommandLine:
    """Runs ``signalbox`` in this process, in one home."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Answer:
        """Run one command to its end."""
        self._monkeypatch.setattr(sys, "argv", ["signalbox", "--home", str(self.home), *arguments])
        self._capsys.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as left:
            code = left.code
        finally:
            # The command logged to a stream that only this test captures.
            structlog.reset_defaults()
            logging.basicConfig(force=True)
        out, err = self._capsys.readouterr()
        return Answer(int(code or 0), out, err)

    def good(self, *arguments: str) -> Any:
        """Run a command that must succeed; its JSON."""
        answer = self(*arguments, "--json")
        assert answer.code == 0, answer.err
        return answer.json

    def refused(self, *arguments: str) -> str:
        """Run a command that must be refused: exit code 1, one sentence on stderr, nothing on stdout."""
        answer = self(*arguments)
        assert answer.code == 1, (answer.code, answer.out, answer.err)
        assert answer.out == ""
        assert "Traceback" not in answer.err
        return answer.err.strip()
