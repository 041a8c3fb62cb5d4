"""Dated import duties by destination and tariff code: the longest prefix in force wins, else the tax row's default."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from domain.errors import ConfigError

DUTY_FILE = Path(__file__).with_name("tax_duties.yaml")


@dataclass(frozen=True, kw_only=True)
class Duty:
    """The duty on goods whose tariff code starts with a prefix, between two days (the last included)."""

    duty_id: str
    prefix: str
    duty_bp: int
    valid_from: date
    valid_to: date | None
    source: str

    def in_force(self, day: date) -> bool:
        """Whether the row applies on a day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, kw_only=True)
class DutyTable:
    """All duties of one version, by destination."""

    version: str
    by_country: Mapping[str, Sequence[Duty]]
    """Longest prefix first."""

    def duty(self, country: str, hs_code: str, day: date) -> Duty | None:
        """The row for a tariff code (dots do not matter), or None when the default applies."""
        code = hs_code.replace(".", "").replace(" ", "")
        if not code:
            return None
        rows = self.by_country.get(country, ())
        return next((row for row in rows if code.startswith(row.prefix) and row.in_force(day)), None)


def parse_duties(raw: Mapping[str, Any]) -> DutyTable:
    """The table from its YAML form.

    Raises:
        ConfigError: a row lacks a part, or has no tariff code.
    """
    by_country: dict[str, list[Duty]] = {}
    try:
        for entry in raw["rows"]:
            prefix = str(entry["prefix"]).replace(".", "")
            if not prefix.isdigit():
                raise ConfigError(f"duty {entry['id']}: {entry['prefix']!r} is no tariff code; quote the digits")
            duty = Duty(
                duty_id=entry["id"],
                prefix=prefix,
                duty_bp=entry["duty_bp"],
                valid_from=entry["from"],
                valid_to=entry.get("to"),
                source=entry["source"],
            )
            for country in entry["countries"]:
                by_country.setdefault(country, []).append(duty)
        version = raw["version"]
    except KeyError as missing:
        raise ConfigError(f"tax duties: {missing.args[0]!r} is missing; mend the duties file") from None
    ordered = {country: sorted(rows, key=lambda row: -len(row.prefix)) for country, rows in by_country.items()}
    return DutyTable(version=version, by_country=ordered)


@cache
def shipped_duties() -> DutyTable:
    """The duties that ship with this version of the agent."""
    return parse_duties(yaml.safe_load(DUTY_FILE.read_text(encoding="utf-8")))
