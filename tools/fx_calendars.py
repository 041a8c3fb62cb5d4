"""When the publishers of exchange rates publish, and when the markets they look at are closed.

Holidays come from the ``holidays`` library: TARGET closing days for the ECB, federal holidays for the Federal Reserve,
Taiwan's public holidays for its market. Lunar dates and typhoon days are revisable; ``extra`` takes what it lacks.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays

from domain.fx import fresh_limit

_SATURDAY = 5
_LONGEST_CLOSURE = 21


@lru_cache(maxsize=32)
def target_days(year: int) -> frozenset[date]:
    """Days on which the ECB publishes no reference rates."""
    return frozenset(holidays.financial_holidays("ECB", years=[year]))


@lru_cache(maxsize=32)
def federal_days(year: int) -> frozenset[date]:
    """Days on which the Federal Reserve publishes no rates (blank in its tables)."""
    return frozenset(holidays.country_holidays("US", years=[year]))


@lru_cache(maxsize=32)
def taiwan_days(year: int) -> frozenset[date]:
    """Days on which Taipei's foreign-exchange market is closed, whatever is printed abroad."""
    return frozenset(holidays.country_holidays("TW", years=[year]))


def _never(_: int) -> frozenset[date]:
    return frozenset()


@dataclass(frozen=True, kw_only=True)
class Publisher:
    """One publisher of daily rates."""

    name: str
    zone: ZoneInfo
    at: time
    """Local time of publication."""
    closed: Callable[[int], frozenset[date]]
    """Its holidays of a year: no rate is due, so none is late."""
    market_closed: Callable[[int], frozenset[date]] = _never
    """Days its market does not trade: a value printed then is an old one repeated."""
    extra: frozenset[date] = field(default=frozenset())
    """Further days without a market, such as typhoon days."""

    def observed(self, day: date) -> date:
        """The last day up to ``day`` on which the market traded."""
        for back in range(_LONGEST_CLOSURE):
            seen = day - timedelta(days=back)
            if seen.weekday() < _SATURDAY and seen not in self.market_closed(seen.year) and seen not in self.extra:
                return seen
        return day

    def fresh_until(self, observed: date) -> datetime:
        """When the rate that follows the one observed on a day is overdue."""
        published = datetime.combine(observed, self.at, self.zone)
        closed = frozenset(_union(self.closed(year) for year in (observed.year, observed.year + 1)))
        return fresh_limit(published, closed=closed, zone=self.zone)


def _union(sets: Iterable[frozenset[date]]) -> set[date]:
    return {day for days in sets for day in days}


ECB = Publisher(name="ecb", zone=ZoneInfo("Europe/Berlin"), at=time(16), closed=target_days)
"""Euro reference rates, set at 14:10 and published about 16:00 Frankfurt time on TARGET working days."""

FED_TAIWAN = Publisher(
    name="fed-h10",
    zone=ZoneInfo("America/New_York"),
    at=time(12),
    closed=federal_days,
    market_closed=taiwan_days,
)
"""Noon buying rates in New York (H.10). It prints on Taiwan's holidays too, repeating the last rate."""
