"""Labelled cases as files: a tape, the decisions it names, and what an expert would have done with it."""

import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from domain.decision import Decision
from domain.errors import ConfigError
from domain.tape import Tape
from domain.values import Document

CASES = Path(__file__).with_name("cases")
"""The case files that ship."""


class Segment(Document):
    """The part of the business a case belongs to."""

    market: str
    channel: str
    band: str
    """Of the order's value in US dollars."""

    @property
    def name(self) -> str:
        """As reports name it (``HK/shopify/100-500``)."""
        return f"{self.market}/{self.channel}/{self.band}"


class Labelled(Document):
    """One case."""

    case_id: str
    segment: Segment
    label: str
    """What it really was (``fraud:stolen_card``)."""
    right: tuple[str, ...]
    """Decisions or outcomes that are right."""
    severe: bool = False
    """A wrong approval is a confirmed loss or a severity-1 incident."""
    tape: Tape
    facts: dict[str, Any] = {}
    """Facts the decision must state, where that is known."""


@dataclass(frozen=True, kw_only=True)
class CaseSet:
    """A set of cases for one agent, frozen in a file."""

    name: str
    agent: str
    cases: tuple[Labelled, ...]
    values: dict[str, str]
    decisions: dict[str, Decision]
    digest: str
    """SHA-256 of its content."""


def read_cases(path: Path) -> CaseSet:
    """The set in a file.

    Raises:
        ConfigError: there is no such file, or it is no case set.
    """
    try:
        lines = gzip.decompress(path.read_bytes()).splitlines()
        head = orjson.loads(lines[0])
        return CaseSet(
            name=head["name"],
            agent=head["agent"],
            cases=tuple(Labelled.from_json(line) for line in lines[1:]),
            values=head["values"],
            decisions={one["decision_id"]: Decision.model_validate(one) for one in head["decisions"]},
            digest=sha256(b"\n".join(lines)).hexdigest(),
        )
    except OSError as missing:
        raise ConfigError(f"the case set {path} cannot be read: {missing.strerror or missing}") from None
    except (ValueError, KeyError, IndexError, TypeError, EOFError, ValidationError) as bad:
        raise ConfigError(f"{path} is not a case set (gzipped JSON lines, a head first): {bad}") from None


def write_cases(
    path: Path, *, name: str, agent: str, cases: Sequence[Labelled], decisions: Iterable[Decision] = ()
) -> None:
    """Write a set; values go into its head once. The same cases give the same bytes."""
    values: dict[str, str] = {}
    for case in cases:
        values |= case.tape.values
    bare = [case.model_copy(update={"tape": case.tape.model_copy(update={"values": {}})}) for case in cases]
    shown = [orjson.loads(one.to_json()) for one in sorted(decisions, key=lambda one: one.decision_id)]
    head = {"name": name, "agent": agent, "values": dict(sorted(values.items())), "decisions": shown}
    lines = [orjson.dumps(head), *(case.to_json().encode() for case in bare)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(b"\n".join(lines), compresslevel=9, mtime=0))
