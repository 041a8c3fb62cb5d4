"""The tables agents decide by, as subjects that can be published anew without a release: file, form, and who uses it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from agents.compliance_clauses import CLAUSE_FILE, parse_clauses
from agents.fraud_thresholds import THRESHOLDS_FILE, ThresholdSchedule, parse_thresholds
from agents.message_templates import MESSAGE_FILE, parse_messages
from agents.stock_policy import POLICY_FILE, parse_policy
from agents.tax_rules import TAX_FILE, parse_rules
from domain.errors import ConfigError

MOST_CHARS = 400_000
"""A longer text is no table of ours."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One table that can be published."""

    name: str
    file: Path
    """The version that ships."""
    parse: Callable[[Any], Any]
    version: Callable[[Any], str]
    """Of the parsed table."""
    agents: tuple[str, ...]
    """Who decides by it."""


def _schedule(raw: Any) -> ThresholdSchedule:
    if not isinstance(raw, list):
        raise ConfigError("fraud thresholds: the file is a list of dated versions")
    return ThresholdSchedule([parse_thresholds(entry) for entry in raw])


SUBJECTS: Mapping[str, Subject] = {
    subject.name: subject
    for subject in (
        Subject(
            name="fraud_thresholds",
            file=THRESHOLDS_FILE,
            parse=_schedule,
            version=lambda table: str(table.versions[-1].version),
            agents=("fraud_detection",),
        ),
        Subject(
            name="stock_policy",
            file=POLICY_FILE,
            parse=parse_policy,
            version=lambda table: str(table.version),
            agents=("inventory_reservation", "order_routing"),
        ),
        Subject(
            name="tax_rules",
            file=TAX_FILE,
            parse=parse_rules,
            version=lambda table: str(table.version),
            agents=("tax", "order_routing"),
        ),
        Subject(
            name="compliance_clauses",
            file=CLAUSE_FILE,
            parse=parse_clauses,
            version=lambda table: str(table.version),
            agents=("compliance",),
        ),
        Subject(
            name="messages",
            file=MESSAGE_FILE,
            parse=parse_messages,
            version=lambda table: str(table.version),
            agents=("customer_notification",),
        ),
    )
}
"""Every table that can be published, by name."""


def subject(name: str) -> Subject:
    """The subject of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in SUBJECTS:
        raise ConfigError(f"there is no table {name!r} to publish; there are {', '.join(SUBJECTS)}")
    return SUBJECTS[name]


def shipped_text(name: str) -> str:
    """The text of the version that ships."""
    return subject(name).file.read_text(encoding="utf-8")


@lru_cache(maxsize=64)
def parsed(name: str, text: str) -> Any:
    """The table a text describes.

    Raises:
        ConfigError: it is no such table; the message says what is wrong with it.
    """
    if len(text) > MOST_CHARS:
        raise ConfigError(f"{name}: the text is longer than {MOST_CHARS} characters; it is no table of this kind")
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as bad:
        raise ConfigError(f"{name}: not YAML: {' '.join(str(bad).split())}") from None
    try:
        return subject(name).parse(raw)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as wrong:
        raise ConfigError(f"{name}: {wrong} is missing or does not fit; compare with the shipped table") from None


def version_in(name: str, text: str) -> str:
    """The version a text names for itself.

    Raises:
        ConfigError: it is no such table.
    """
    return subject(name).version(parsed(name, text))


def tables_of(agent: str) -> tuple[str, ...]:
    """The tables an agent decides by."""
    return tuple(name for name, one in SUBJECTS.items() if agent in one.agents)
