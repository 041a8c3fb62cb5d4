"""Pick-up and arrival dates: cut-offs, weekends, holidays, time zones."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from agents.delivery_calendar import DeliveryCalendar, zone
from domain.errors import ConfigError
from tests.support.agent_world import HKG, TPE, site

CALENDAR = DeliveryCalendar()
TAIPEI = ZoneInfo("Asia/Taipei")


def taipei(month: int, day: int, hour: int, minute: int = 0, second: int = 0, year: int = 2026) -> datetime:
    return datetime(year, month, day, hour, minute, second, tzinfo=TAIPEI)


@pytest.mark.parametrize(
    ("at", "day"),
    [(taipei(11, 11, 16, 59, 59), 11), (taipei(11, 11, 17, 0, 0), 11), (taipei(11, 11, 17, 0, 1), 12)],
)
def test_cutoff_is_exact_in_the_warehouses_zone(at: datetime, day: int) -> None:
    """domain/R4: released at the cut-off makes the pick-up, a second later waits for the next."""
    picked = CALENDAR.pickup(TPE, at.astimezone(UTC))
    assert picked is not None
    assert picked.astimezone(TAIPEI) == taipei(11, day, 17)


def test_day_before_lunar_new_year_waits_until_after_it() -> None:
    """domain/R4: missing the last cut-off before the holiday means the first working day after it."""
    eve = taipei(2, 5, 17, 0, 1, year=2027)
    picked = CALENDAR.pickup(TPE, eve)
    assert picked is not None
    assert picked.astimezone(TAIPEI).date() > taipei(2, 8, 0, year=2027).date()
    assert CALENDAR.working_day("TW", picked.astimezone(TAIPEI).date())


def test_transit_counts_working_days_of_the_destination() -> None:
    """F13: a Friday pick-up with one working day arrives on Monday, or later over a holiday there."""
    friday = datetime(2026, 11, 13, 9, tzinfo=UTC)
    hong_kong = ZoneInfo("Asia/Hong_Kong")
    assert CALENDAR.arrival(friday, "HK", 1).astimezone(hong_kong) == datetime(2026, 11, 16, 20, tzinfo=hong_kong)
    christmas = datetime(2026, 12, 24, 9, tzinfo=UTC)
    assert CALENDAR.arrival(christmas, "HK", 1).astimezone(hong_kong).day == 28
    assert CALENDAR.arrival(friday, "HK", 0).astimezone(hong_kong).day == 13


def test_unknown_country_has_weekends_only() -> None:
    """F13: no holiday table is no reason to fail."""
    friday = datetime(2026, 11, 13, 9, tzinfo=UTC)
    assert CALENDAR.arrival(friday, "XX", 1).date().day == 16


def test_a_site_that_never_ships_has_no_pickup() -> None:
    """F13: no pick-up day within the horizon is said, not searched for for ever."""
    closed = site("X", "HK", "Asia/Hong_Kong", pickup_weekdays=())
    assert CALENDAR.pickup(closed, datetime(2026, 11, 11, tzinfo=UTC)) is None
    assert CALENDAR.pickup(HKG, datetime(2026, 11, 11, tzinfo=UTC)) is not None
    assert HKG.cutoff == time(17)


def test_a_wrong_zone_is_the_operators_to_mend() -> None:
    """F13: a warehouse with an unknown zone names itself as a configuration error."""
    with pytest.raises(ConfigError, match="IANA"):
        zone("Mars/Olympus")
