"""Exchange rates with dates: how fresh one is, what an amount is worth in US dollars, and conversion between any two.

Every result is an unrounded Decimal. A rate is fresh for 26 hours of its publisher's working time (a weekend uses
Friday's), late after that, and stale once what it observed is more than five days old.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache

from pydantic import AwareDatetime, Field

from domain.errors import MissingRate
from domain.money import Money
from domain.values import Document

FRESH_FOR = timedelta(hours=26)
"""Working time after publication within which the next rate is not overdue: a day, and two hours of grace."""
STALE_AFTER = timedelta(days=5)
"""What is older was not seen through a weekend or a holiday: it was forgotten."""
STALE_MARGIN = Decimal("1.02")
LOOK_BACK = timedelta(days=30)
_UNSTATED_HOUR = time(16)
"""Publication (UTC) of a rate that says no more than its day."""
_SATURDAY = 5
_DAY = timedelta(days=1)


class Freshness(StrEnum):
    """How far a rate may be relied on."""

    FRESH = "fresh"
    LATE = "late"
    """A publication is overdue: the rate is used, and the decision says so."""
    STALE = "stale"
    """Limits are judged by the dearest rate of the last 30 days plus 2 %."""


_ORDER = tuple(Freshness)


class Rate(Document):
    """Units of ``quote`` for one unit of ``base`` on ``day``, as published by ``source``."""

    base: str
    quote: str
    day: date
    value: Decimal = Field(gt=0)
    source: str
    observed: date | None = None
    """The market day the value is from, when the publisher repeated it over a closure; None: ``day`` itself."""
    fresh_until: AwareDatetime | None = None
    """When the next publication is overdue by the publisher's calendar; None: weekdays, published at 16:00 UTC."""

    @property
    def rate_id(self) -> str:
        """Names the rate in a decision's record."""
        return f"{self.source}:{self.base}{self.quote}:{self.day.isoformat()}"

    @property
    def market_day(self) -> date:
        """The day the value was last seen in a market: an unchanged rate is no proof of a fresh one."""
        return self.observed or self.day

    def freshness(self, at: datetime) -> Freshness:
        """How fresh the rate is at an instant not before its day."""
        if at.astimezone(UTC).date() - self.market_day > STALE_AFTER:
            return Freshness.STALE
        return Freshness.FRESH if at <= (self.fresh_until or _unstated_limit(self.market_day)) else Freshness.LATE


class UsdEquivalent(Document):
    """An amount in US dollars, unrounded, with the rate it came from."""

    amount: Decimal
    rate_id: str
    freshness: Freshness = Freshness.FRESH

    @property
    def stale(self) -> bool:
        """No usable rate was young enough: the amount errs upwards, so that limits err to caution."""
        return self.freshness is Freshness.STALE


class Conversion(Document):
    """An amount in another currency, in major units, unrounded."""

    amount: Decimal
    low: Decimal
    """The least it can be, by the last 30 days' rates; equal to ``amount`` unless a rate is stale."""
    high: Decimal
    rate_ids: tuple[str, ...]
    freshness: Freshness


def fresh_limit(published: datetime, *, closed: frozenset[date] = frozenset(), zone: tzinfo = UTC) -> datetime:
    """The instant at which ``FRESH_FOR`` of working time has passed since publication.

    Hours of Saturdays, Sundays and ``closed`` days of the zone do not count.
    """
    moment, left = published.astimezone(zone), FRESH_FOR
    while True:
        midnight = datetime.combine(moment.date() + timedelta(days=1), time(0), zone)
        if moment.weekday() < _SATURDAY and moment.date() not in closed:
            open_for = midnight.astimezone(UTC) - moment.astimezone(UTC)
            if open_for >= left:
                return (moment.astimezone(UTC) + left).astimezone(zone)
            left -= open_for
        moment = midnight


@lru_cache(maxsize=256)
def _unstated_limit(day: date) -> datetime:
    return fresh_limit(datetime.combine(day, _UNSTATED_HOUR, UTC))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Leg:
    """One currency's part of a conversion, in units per US dollar."""

    newest: Decimal
    least: Decimal
    most: Decimal
    rate_ids: tuple[str, ...]
    freshness: Freshness


class RateTable:
    """Rates per US dollar by currency and day."""

    def __init__(self, rates: Iterable[Rate]) -> None:
        """Keep the rates whose base is USD, the last given of a day; others are ignored."""
        by_day: dict[str, dict[date, Rate]] = {}
        for rate in rates:
            if rate.base == "USD":
                by_day.setdefault(rate.quote, {})[rate.day] = rate
        self._rates = {quote: [days[day] for day in sorted(days)] for quote, days in by_day.items()}
        self._days = {quote: [rate.day for rate in rates] for quote, rates in self._rates.items()}

    @property
    def rates(self) -> tuple[Rate, ...]:
        """Every rate in the table, by currency and day; a table made of them is equal."""
        return tuple(rate for _, rates in sorted(self._rates.items()) for rate in rates)

    def usd_equivalent(self, money: Money, *, at: datetime) -> UsdEquivalent:
        """``money`` in US dollars by the newest rate not dated after ``at`` (its day in UTC).

        Raises:
            MissingRate: no rate for the currency in the 30 days before.
        """
        if money.currency == "USD":
            return UsdEquivalent(amount=money.decimal, rate_id="USD")
        known = self._known(money.currency, at)
        newest = known[-1]
        freshness = newest.freshness(at)
        if freshness is not Freshness.STALE:
            return UsdEquivalent(amount=money.decimal / newest.value, rate_id=newest.rate_id, freshness=freshness)
        # Multiplied before it is divided: one rounding, so that an amount exactly at a limit stays exactly there.
        cautious = money.decimal * STALE_MARGIN / min(rate.value for rate in known)
        return UsdEquivalent(amount=cautious, rate_id=newest.rate_id, freshness=freshness)

    def convert(self, money: Money, currency: str, *, at: datetime) -> Conversion:
        """``money`` in another currency by way of the US dollar.

        Raises:
            MissingRate: one of the two currencies has no rate in the 30 days before.
        """
        if money.currency == currency:
            same = money.decimal
            return Conversion(amount=same, low=same, high=same, rate_ids=(), freshness=Freshness.FRESH)
        sold, bought = self._leg(money.currency, at), self._leg(currency, at)
        value = money.decimal
        return Conversion(
            amount=value * bought.newest / sold.newest,
            low=min(value * bought.least / sold.most, value * bought.newest / sold.newest),
            high=max(value * bought.most / sold.least, value * bought.newest / sold.newest),
            rate_ids=(*sold.rate_ids, *bought.rate_ids),
            freshness=max(sold.freshness, bought.freshness, key=_ORDER.index),
        )

    def _known(self, currency: str, at: datetime) -> list[Rate]:
        """The currency's rates of the last 30 days, oldest first."""
        today = at.astimezone(UTC).date()
        days = self._days.get(currency, [])
        known = self._rates.get(currency, [])[bisect_right(days, today - LOOK_BACK - _DAY) : bisect_right(days, today)]
        if not known:
            raise MissingRate(
                f"no USD/{currency} rate within 30 days of {today}; load one before deciding on value in {currency}"
            )
        return known

    def _leg(self, currency: str, at: datetime) -> "_Leg":
        if currency == "USD":
            return _Leg(newest=Decimal(1), least=Decimal(1), most=Decimal(1), rate_ids=(), freshness=Freshness.FRESH)
        known = self._known(currency, at)
        newest = known[-1]
        freshness = newest.freshness(at)
        values = [rate.value for rate in known] if freshness is Freshness.STALE else [newest.value]
        return _Leg(
            newest=newest.value,
            least=min(values),
            most=max(values),
            rate_ids=(newest.rate_id,),
            freshness=freshness,
        )
