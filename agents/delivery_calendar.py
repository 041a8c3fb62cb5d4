"""Dates of pick-up and delivery: cut-offs in the warehouse's zone, its own closures, working days and holidays.

A country the holiday tables do not know has weekends only. Lunar and Islamic dates in the tables are estimates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import holidays

from domain.errors import ConfigError
from domain.shipment import Warehouse

MARKETS = ("HK", "SG", "TW", "AU", "MY", "VN", "TH", "JP", "CN")
"""Countries whose tables are loaded when a calendar is built, so that no order waits for the import."""
HORIZON_DAYS = 60
"""No pick-up within this many days means the site is closed."""


@dataclass(frozen=True, kw_only=True)
class CalendarPolicy:
    """Conventions of delivery by country."""

    version: str
    delivered_by: time
    """Local time by which a parcel promised for a day is at the door."""
    working_weekdays: tuple[int, ...]
    """Monday is 0."""
    zones: dict[str, str]
    """The zone a country's deliveries are timed in; UTC when absent."""


POLICY = CalendarPolicy(
    version="calendar-2026-11-01",
    delivered_by=time(20, 0),
    working_weekdays=(0, 1, 2, 3, 4),
    zones={
        "HK": "Asia/Hong_Kong", "MO": "Asia/Macau", "CN": "Asia/Shanghai", "TW": "Asia/Taipei", "SG": "Asia/Singapore",
        "MY": "Asia/Kuala_Lumpur", "AU": "Australia/Sydney", "NZ": "Pacific/Auckland", "VN": "Asia/Ho_Chi_Minh",
        "TH": "Asia/Bangkok", "JP": "Asia/Tokyo", "KR": "Asia/Seoul", "PH": "Asia/Manila", "ID": "Asia/Jakarta",
        "US": "America/New_York", "GB": "Europe/London", "CA": "America/Toronto",
    },
)  # fmt: skip


class DeliveryCalendar:
    """Answers when a parcel is picked up and when it arrives."""

    def __init__(self, policy: CalendarPolicy = POLICY, *, prepare: Sequence[str] = MARKETS) -> None:
        """Load the holiday tables of the usual markets."""
        self.policy = policy
        self._arrivals: dict[tuple[date, str, int], datetime] = {}
        for country in prepare:
            _load(country)

    def working_day(self, country: str, day: date) -> bool:
        """Whether carriers deliver in the country on the day."""
        return day.weekday() in self.policy.working_weekdays and day not in closed_days(country, day.year)

    def pickup(self, site: Warehouse, released_at: datetime) -> datetime | None:
        """The instant of the first pick-up an order released then can make; None when the site stays closed.

        Released exactly at the cut-off still makes it.
        """
        local = released_at.astimezone(zone(site.timezone))
        first = 0 if local.time() <= site.cutoff else 1
        for ahead in range(first, HORIZON_DAYS):
            day = local.date() + timedelta(days=ahead)
            if day.weekday() not in site.pickup_weekdays or day in site.closed_on:
                continue
            if day not in closed_days(site.country, day.year):
                return datetime.combine(day, site.cutoff, tzinfo=local.tzinfo).astimezone(UTC)
        return None

    def arrival(self, picked_up: datetime, country: str, working_days: int) -> datetime:
        """When a parcel picked up then, after so many working days in the destination, is at the door (UTC)."""
        there = zone(self.policy.zones.get(country, "UTC"))
        start = picked_up.astimezone(there).date()
        key = (start, country, working_days)
        known = self._arrivals.get(key)
        if known is None:
            day = self._after(start, country, working_days)
            known = datetime.combine(day, self.policy.delivered_by, tzinfo=there).astimezone(UTC)
            if len(self._arrivals) >= 10_000:
                self._arrivals.clear()
            self._arrivals[key] = known
        return known

    def _after(self, start: date, country: str, working_days: int) -> date:
        day = start
        while working_days > 0 or not self.working_day(country, day):
            day += timedelta(days=1)
            if working_days > 0 and self.working_day(country, day):
                working_days -= 1
        return day


@lru_cache(maxsize=1024)
def closed_days(country: str, year: int) -> frozenset[date]:
    """The public holidays of a country in a year; none for a country the tables do not know."""
    try:
        return frozenset(holidays.country_holidays(country, years=year))
    except NotImplementedError:
        return frozenset()


@cache
def _load(country: str) -> None:
    """Import the country's table, which takes longer than an order may."""
    holidays.country_holidays(country)


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """The zone of an IANA name.

    Raises:
        ConfigError: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigError(f"time zone {name!r} is not an IANA name; mend the warehouse's record") from None
