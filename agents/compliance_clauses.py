"""Dated trade clauses: closed destinations, restricted goods, and what dangerous goods may travel on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from agents.compliance_names import name_words
from domain.catalogue import DangerousGoods, Product
from domain.errors import ConfigError

CLAUSE_FILE = Path(__file__).with_name("compliance_clauses.yaml")


class ClauseKind(StrEnum):
    """What a clause looks at."""

    DESTINATION = "destination"
    GOODS = "goods"


class ClauseEffect(StrEnum):
    """What follows where a clause applies."""

    BLOCK = "block"
    ASK = "ask"
    """Allowed with a licence or within a limit: a person looks."""


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One prohibition and the days it is in force (the last day included)."""

    clause_id: str
    kind: ClauseKind
    effect: ClauseEffect
    countries: frozenset[str]
    """Destinations; empty for a clause on goods means every destination."""
    text: str
    source: str
    valid_from: date
    valid_to: date | None = None
    hs_prefixes: tuple[str, ...] = ()
    categories: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    """Countries of origin; goods made there are covered whatever their code."""
    regions: frozenset[str] = frozenset()
    """Names of regions, normalised; only those parts of the countries are closed."""

    def in_force(self, day: date) -> bool:
        """Whether the clause applies on a day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    def covers_place(self, country: str, names: frozenset[str]) -> bool:
        """Whether a destination clause covers a country, or the region of it that the words of an address name."""
        return country in self.countries and (not self.regions or bool(self.regions & names))

    def covers_goods(self, product: Product) -> bool:
        """Whether a goods clause covers the product, by origin, tariff code or category."""
        code = product.hs_code.replace(".", "")
        by_code = bool(code) and any(code.startswith(prefix) for prefix in self.hs_prefixes)
        return by_code or product.category in self.categories or product.origin in self.origins

    @property
    def citation(self) -> str:
        """The clause as a reason states it."""
        return f"{self.text} [{self.source}; in force since {self.valid_from}]"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What a class of dangerous goods may not travel on, between two days (the last included)."""

    condition_id: str
    goods: DangerousGoods
    charge_declared: bool | None
    """Whether it is for batteries whose charge is documented (30 % or less); None: for all of the class."""
    un: tuple[str, ...]
    forbidden: tuple[str, ...]
    """Means of transport: ``passenger_aircraft``, ``cargo_aircraft``; empty: any service that accepts the class."""
    text: str
    source: str
    valid_from: date
    valid_to: date | None = None

    def covers(self, product: Product, day: date) -> bool:
        """Whether the condition is for the product on a day."""
        dated = self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)
        charge = self.charge_declared is None or self.charge_declared is product.charge_declared
        return dated and charge and self.goods is product.dangerous


@dataclass(frozen=True, kw_only=True)
class ClauseTable:
    """All clauses of one version."""

    version: str
    clauses: tuple[Clause, ...]
    conditions: tuple[Condition, ...]
    battery_hs_prefixes: tuple[str, ...]
    """Tariff codes of lithium cells and batteries: goods under them have a dangerous-goods class."""

    def current(self, kind: ClauseKind, day: date) -> tuple[Clause, ...]:
        """The clauses of a kind in force on a day."""
        return tuple(clause for clause in self.clauses if clause.kind is kind and clause.in_force(day))

    def undeclared_battery(self, product: Product) -> bool:
        """Whether the tariff code says battery and the product master says harmless."""
        code = product.hs_code.replace(".", "")
        return product.dangerous is DangerousGoods.NONE and code.startswith(self.battery_hs_prefixes)


def parse_clauses(raw: Mapping[str, Any]) -> ClauseTable:
    """The table from its YAML form.

    Raises:
        ConfigError: a clause lacks a part or has an unknown kind.
    """
    try:
        return ClauseTable(
            version=raw["version"],
            clauses=tuple(_clause(entry) for entry in raw["clauses"]),
            conditions=tuple(_condition(entry) for entry in raw["conditions"]),
            battery_hs_prefixes=tuple(raw["battery_hs_prefixes"]),
        )
    except (KeyError, ValueError) as wrong:
        raise ConfigError(f"compliance clauses: {wrong} is missing or unknown; mend the clause file") from None


def _clause(entry: Mapping[str, Any]) -> Clause:
    return Clause(
        clause_id=entry["id"],
        kind=ClauseKind(entry["kind"]),
        effect=ClauseEffect(entry.get("effect", "block")),
        countries=frozenset(entry.get("countries", ())),
        text=entry["text"],
        source=entry["source"],
        valid_from=entry["from"],
        valid_to=entry.get("to"),
        hs_prefixes=tuple(entry.get("hs_prefixes", ())),
        categories=frozenset(entry.get("categories", ())),
        origins=frozenset(entry.get("origins", ())),
        regions=frozenset(word for name in entry.get("regions", ()) for word in name_words(name)),
    )


def _condition(entry: Mapping[str, Any]) -> Condition:
    return Condition(
        condition_id=entry["id"],
        goods=DangerousGoods(entry["goods"]),
        charge_declared=entry.get("charge_declared"),
        un=tuple(entry.get("un", ())),
        forbidden=tuple(entry.get("forbidden", ())),
        text=entry["text"],
        source=entry["source"],
        valid_from=entry["from"],
        valid_to=entry.get("to"),
    )


@cache
def shipped_clauses() -> ClauseTable:
    """The clauses that ship with this version of the agent."""
    return parse_clauses(yaml.safe_load(CLAUSE_FILE.read_text(encoding="utf-8")))
