"""Denied parties as dated data: an identifier or a name with its country blocks, a name alone or a similar one asks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from agents.compliance_names import NameIndex
from domain.errors import ConfigError

PARTY_FILE = Path(__file__).with_name("compliance_parties.yaml")
MASK = "*"
"""Marketplaces hide names behind it; a hidden name cannot be compared."""


class IdentifierKind(StrEnum):
    """What identifies a party beyond doubt."""

    EMAIL = "email"
    PHONE = "phone"
    CUSTOMER_ID = "customer_id"


def comparable(kind: IdentifierKind, value: str) -> str:
    """An identifier for comparison: letters without case, telephone numbers as digits without leading zeros."""
    if kind is IdentifierKind.PHONE:
        return "".join(sign for sign in value if sign.isdigit()).lstrip("0")
    return value.strip().casefold()


@dataclass(frozen=True, kw_only=True)
class Party:
    """One listed party."""

    party_id: str
    programme: str
    names: tuple[str, ...]
    countries: frozenset[str]
    """Where the list places it; a name elsewhere may be a namesake."""
    identifiers: frozenset[tuple[IdentifierKind, str]]
    text: str
    source: str
    valid_from: date
    valid_to: date | None

    def in_force(self, day: date) -> bool:
        """Whether the entry applies on a day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, kw_only=True)
class Clearance:
    """A person's decision that a customer is not the listed party, for a time."""

    party_id: str
    customer_id: str
    by: str
    valid_from: date
    valid_to: date


class Match(StrEnum):
    """How an order's party agrees with a listed one."""

    IDENTIFIER = "identifier"
    NAME_AND_COUNTRY = "name and country"
    NAME = "name only"
    SIMILAR = "similar name"

    @property
    def blocks(self) -> bool:
        """Whether the agreement leaves no doubt."""
        return self in {Match.IDENTIFIER, Match.NAME_AND_COUNTRY}


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A listed party found on an order."""

    party: Party
    match: Match
    field: str
    """Where on the order; the name itself is not repeated."""


@dataclass(frozen=True, kw_only=True)
class Screened:
    """What of an order is compared."""

    names: Sequence[tuple[str, str]]
    """Field and name."""
    identifiers: Sequence[tuple[str, IdentifierKind, str]]
    """Field, kind and value."""
    countries: frozenset[str]
    customer_id: str


@dataclass(frozen=True, kw_only=True)
class PartyList:
    """All entries of one version."""

    version: str
    parties: Mapping[str, Party]
    cleared: tuple[Clearance, ...]

    @cached_property
    def _names(self) -> NameIndex:
        return NameIndex({party.party_id: party.names for party in self.parties.values()})

    @cached_property
    def _identified(self) -> dict[tuple[IdentifierKind, str], list[str]]:
        found: dict[tuple[IdentifierKind, str], list[str]] = {}
        for party in self.parties.values():
            for identifier in party.identifiers:
                found.setdefault(identifier, []).append(party.party_id)
        return found

    def hits(self, screened: Screened, day: date) -> tuple[Hit, ...]:
        """Every listed party in force that the order names, once each at its surest, surest first."""
        best: dict[str, Hit] = {}
        for hit in self._found(screened):
            known = best.get(hit.party.party_id)
            if hit.party.in_force(day) and (known is None or _ORDER.index(hit.match) < _ORDER.index(known.match)):
                best[hit.party.party_id] = hit
        kept = [hit for hit in best.values() if hit.match.blocks or not self._is_cleared(hit, screened, day)]
        return tuple(sorted(kept, key=lambda hit: (_ORDER.index(hit.match), hit.party.party_id)))

    def clearances(self, screened: Screened, day: date) -> tuple[Clearance, ...]:
        """The clearances of the order's customer that are in force."""
        return tuple(
            given
            for given in self.cleared
            if given.customer_id == screened.customer_id and given.valid_from <= day <= given.valid_to
        )

    def _is_cleared(self, hit: Hit, screened: Screened, day: date) -> bool:
        given = self.clearances(screened, day) if screened.customer_id else ()
        return any(clearance.party_id == hit.party.party_id for clearance in given)

    def _found(self, screened: Screened) -> Iterable[Hit]:
        for field, kind, value in screened.identifiers:
            for party_id in self._identified.get((kind, comparable(kind, value)), ()):
                yield Hit(party=self.parties[party_id], match=Match.IDENTIFIER, field=field)
        for field, name in screened.names:
            exact = self._names.exact(name)
            for party_id in exact:
                party = self.parties[party_id]
                placed = bool(party.countries & screened.countries)
                yield Hit(party=party, match=Match.NAME_AND_COUNTRY if placed else Match.NAME, field=field)
            for party_id in self._names.similar(name) - exact:
                yield Hit(party=self.parties[party_id], match=Match.SIMILAR, field=field)


_ORDER = tuple(Match)


def parse_parties(raw: Mapping[str, Any]) -> PartyList:
    """The list from its YAML form.

    Raises:
        ConfigError: an entry lacks a part, has an unknown kind of identifier, or names a programme that is not there.
    """
    try:
        sources = {entry["id"]: f"{entry['authority']}, {entry['source']}" for entry in raw["programmes"]}
        parties = {entry["id"]: _party(entry, sources) for entry in raw["parties"]}
        cleared = tuple(
            Clearance(
                party_id=entry["party"],
                customer_id=entry["customer_id"],
                by=entry["by"],
                valid_from=entry["from"],
                valid_to=entry["to"],
            )
            for entry in raw["cleared"]
        )
        return PartyList(version=raw["version"], parties=parties, cleared=cleared)
    except (KeyError, ValueError) as wrong:
        raise ConfigError(f"compliance parties: {wrong} is missing or unknown; mend the party file") from None


def _party(entry: Mapping[str, Any], sources: Mapping[str, str]) -> Party:
    identifiers = ((IdentifierKind(item["kind"]), str(item["value"])) for item in entry.get("identifiers", ()))
    return Party(
        party_id=entry["id"],
        programme=entry["programme"],
        names=tuple(entry["names"]),
        countries=frozenset(entry.get("countries", ())),
        identifiers=frozenset((kind, comparable(kind, value)) for kind, value in identifiers),
        text=entry["text"],
        source=sources[entry["programme"]],
        valid_from=entry["from"],
        valid_to=entry.get("to"),
    )


@cache
def shipped_parties() -> PartyList:
    """The example list that ships with this version of the agent."""
    return parse_parties(yaml.safe_load(PARTY_FILE.read_text(encoding="utf-8")))
