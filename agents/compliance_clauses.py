"""Dated trade clauses: restricted goods, closed destinations, denied parties, and conditions on dangerous goods."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from domain.catalogue import DangerousGoods, Product
from domain.errors import ConfigError

CLAUSE_FILE = Path(__file__).with_name("compliance_clauses.yaml")


class ClauseKind(StrEnum):
    """What a clause looks at."""

    DESTINATION = "destination"
    GOODS = "goods"
    PARTY = "party"


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One prohibition and the days it is in force (the last day included)."""

    clause_id: str
    kind: ClauseKind
    countries: frozenset[str]
    text: str
    valid_from: date
    valid_to: date | None = None
    hs_prefixes: tuple[str, ...] = ()
    categories: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    def in_force(self, day: date) -> bool:
        """Whether the clause applies on a day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    def forbids(self, product: Product) -> bool:
        """Whether a goods clause covers the product, by tariff code or category."""
        code = product.hs_code.replace(".", "")
        by_code = bool(code) and any(code.startswith(prefix) for prefix in self.hs_prefixes)
        return by_code or product.category in self.categories


@dataclass(frozen=True, kw_only=True)
class ClauseTable:
    """All clauses of one version."""

    version: str
    clauses: tuple[Clause, ...]
    conditions: Mapping[DangerousGoods, str]

    def current(self, kind: ClauseKind, day: date) -> tuple[Clause, ...]:
        """The clauses of a kind in force on a day."""
        return tuple(clause for clause in self.clauses if clause.kind is kind and clause.in_force(day))


def normalised_name(name: str) -> str:
    """A party's name for comparison: compatibility forms, case, punctuation and company suffixes removed."""
    text = unicodedata.normalize("NFKC", name).casefold()
    words = "".join(ch if ch.isalnum() else " " for ch in text).split()
    return " ".join(word for word in words if word not in {"co", "ltd", "limited", "inc", "llc", "company"})


def parse_clauses(raw: Mapping[str, Any]) -> ClauseTable:
    """The table from its YAML form.

    Raises:
        ConfigError: a clause lacks a part or has an unknown kind.
    """
    try:
        clauses = tuple(
            Clause(
                clause_id=entry["id"],
                kind=ClauseKind(entry["kind"]),
                countries=frozenset(entry.get("countries", ())),
                text=entry["text"],
                valid_from=entry["from"],
                valid_to=entry.get("to"),
                hs_prefixes=tuple(entry.get("hs_prefixes", ())),
                categories=frozenset(entry.get("categories", ())),
                names=frozenset(normalised_name(name) for name in entry.get("names", ())),
            )
            for entry in raw["clauses"]
        )
        conditions = {DangerousGoods(name): text for name, text in raw["conditions"].items()}
        return ClauseTable(version=raw["version"], clauses=clauses, conditions=conditions)
    except (KeyError, ValueError) as wrong:
        raise ConfigError(f"compliance clauses: {wrong} is missing or unknown; mend the clause file") from None


@cache
def shipped_clauses() -> ClauseTable:
    """The clauses that ship with this version of the agent."""
    return parse_clauses(yaml.safe_load(CLAUSE_FILE.read_text(encoding="utf-8")))
