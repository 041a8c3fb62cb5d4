"""What is wrong with a topology file: each problem one sentence with file and line, all of them at once."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches

from domain.errors import ConfigError
from domain.values import Document


class Problem(Document):
    """One thing an operator must mend."""

    source: str
    line: int
    """1 is the first line."""
    text: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.text}"


class TopologyError(ConfigError):
    """A topology file that cannot be used, with everything that is wrong with it."""

    code = "config.topology"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda found: (found.source, found.line, found.text)))
        super().__init__("\n".join(map(str, self.problems)))


class Report:
    """Collects the problems of one file."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []

    def add(self, line: int, text: str) -> None:
        """Note a problem at a line (counted from 1)."""
        self.problems.append(Problem(source=self.source, line=line, text=text))


def suggestion(word: str, known: Collection[str]) -> str:
    """``did you mean 'x'?`` when something close is known, else what is known."""
    close = get_close_matches(word, sorted(known), n=1)
    return f"did you mean {close[0]!r}?" if close else f"use one of: {', '.join(sorted(known)) or '(none)'}"
