"""The campaign calendar: how much demand differs on marked days, and how long factories are closed.

Dates and starting values are data (``campaigns.yaml``); what a shop has seen itself is mixed in by its weight.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from domain.errors import ConfigError
from domain.values import Document

CAMPAIGNS_FILE = Path(__file__).with_name("campaigns.yaml")
PRIOR_WEIGHT = 4
"""Observed campaigns the category's multiplier counts for."""


class Stretch(Document):
    """Days around an event and what they do to demand."""

    from_: int = Field(alias="from")
    to: int
    lift: float = Field(gt=0)


class Closure(Document):
    """Days around an event on which factories of some countries stand still."""

    countries: tuple[str, ...]
    from_: int = Field(alias="from")
    to: int
    adds_days: int = Field(ge=0)
    """Added to a lead time that overlaps."""


class CampaignEvent(Document):
    """One named event and its days."""

    name: str
    dates: tuple[date, ...] = Field(min_length=1)
    countries: tuple[str, ...] = ()
    """Where it counts; everywhere when empty."""
    offsets: tuple[Stretch, ...]
    closure: Closure | None = None

    def lift(self, day: date, country: str) -> float:
        """What the event does to demand on a day."""
        if self.countries and country not in self.countries:
            return 1.0
        for held in self.dates:
            away = (day - held).days
            for stretch in self.offsets:
                if stretch.from_ <= away <= stretch.to:
                    return stretch.lift
        return 1.0


@dataclass(frozen=True)
class Observed:
    """What a shop saw itself: mean multiplier of so many campaigns."""

    mean: float
    count: int


@dataclass(frozen=True)
class Calendar:
    """All events, and what was observed of them by (event, country, category)."""

    version: str
    events: tuple[CampaignEvent, ...]
    observed: Mapping[tuple[str, str, str], Observed]

    def lift(self, day: date, country: str, category: str = "") -> tuple[float, str]:
        """The multiplier of a day and the names of the events behind it; 1 and no name on a common day."""
        total, names = 1.0, []
        for event in self.events:
            lift = event.lift(day, country)
            if lift != 1.0:
                total *= self._shrunk(event.name, country, category, lift)
                names.append(event.name)
        return total, " and ".join(names)

    def lifts(
        self, start: date, periods: int, country: str, *, category: str = "", period_days: int = 7
    ) -> list[tuple[float, str]]:
        """The mean multiplier of each period from ``start`` on, with the names of its events."""
        found = []
        for period in range(periods):
            days = [
                self.lift(start + timedelta(days=period * period_days + d), country, category)
                for d in range(period_days)
            ]
            names = sorted({name for _, name in days if name})
            found.append((sum(lift for lift, _ in days) / period_days, " and ".join(names)))
        return found

    def closed_days(self, ordered: date, lead_days: float, country: str) -> tuple[int, str]:
        """Days a factory closure adds to a lead time, and the event's name; the longest when several overlap."""
        arrives = ordered + timedelta(days=lead_days)
        worst, name = 0, ""
        for event in self.events:
            closure = event.closure
            if closure is None or country not in closure.countries:
                continue
            for held in event.dates:
                begins, ends = held + timedelta(days=closure.from_), held + timedelta(days=closure.to)
                if begins <= arrives and ends >= ordered and closure.adds_days > worst:
                    worst, name = closure.adds_days, event.name
        return worst, name

    def _shrunk(self, event: str, country: str, category: str, lift: float) -> float:
        seen = self.observed.get((event, country, category))
        if seen is None:
            return lift
        return (seen.count * seen.mean + PRIOR_WEIGHT * lift) / (seen.count + PRIOR_WEIGHT)


@cache
def campaigns(file: Path = CAMPAIGNS_FILE) -> Calendar:
    """The calendar of a file.

    Raises:
        ConfigError: the file cannot be read; the message says where and what.
    """
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        events = tuple(CampaignEvent.model_validate(event) for event in content["events"])
        return Calendar(version=str(content["version"]), events=events, observed={})
    except (OSError, yaml.YAMLError, KeyError, TypeError) as bad:
        raise ConfigError(f"{file} is not a campaign calendar: {bad}") from None
    except ValidationError as bad:
        first = bad.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{file}: {where}: {first['msg']}") from None


def with_observed(calendar: Calendar, rows: Sequence[tuple[str, str, str, Observed]]) -> Calendar:
    """The calendar with what a shop has seen itself: rows of event, country, category."""
    seen = {(event, country, category): observed for event, country, category, observed in rows}
    return Calendar(version=calendar.version, events=calendar.events, observed=seen)
