"""Exchange rates with dates, and the US-dollar equivalent that value rules are judged by."""

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal

from pydantic import Field

from domain.errors import MissingRate
from domain.money import Money
from domain.values import Document

FRESH_FOR = timedelta(days=5)
"""A rate older than this is stale: weekends and holidays fit inside it."""
STALE_MARGIN = Decimal("1.02")
LOOK_BACK = timedelta(days=30)


class Rate(Document):
    """Units of ``quote`` for one unit of ``base`` on ``day``, as published by ``source``."""

    base: str
    quote: str
    day: date
    value: Decimal = Field(gt=0)
    source: str

    @property
    def rate_id(self) -> str:
        """Names the rate in a decision's record."""
        return f"{self.source}:{self.base}{self.quote}:{self.day.isoformat()}"


class UsdEquivalent(Document):
    """An amount in US dollars, unrounded, with the rate it came from."""

    amount: Decimal
    rate_id: str
    stale: bool
    """No fresh rate existed: the amount is the highest of the last 30 days' rates plus 2 %, so limits err to caution."""


class RateTable:
    """Rates per US dollar by currency and day."""

    def __init__(self, rates: Iterable[Rate]) -> None:
        """Keep the rates whose base is USD; others are ignored."""
        self._days: dict[str, dict[date, Rate]] = {}
        for rate in rates:
            if rate.base == "USD":
                self._days.setdefault(rate.quote, {})[rate.day] = rate

    def usd_equivalent(self, money: Money, *, on: date) -> UsdEquivalent:
        """``money`` in US dollars by the newest rate not after ``on``.

        Raises:
            MissingRate: no rate for the currency in the 30 days before ``on``.
        """
        if money.currency == "USD":
            return UsdEquivalent(amount=money.decimal, rate_id="USD", stale=False)
        known = [r for day, r in self._days.get(money.currency, {}).items() if on - LOOK_BACK <= day <= on]
        if not known:
            raise MissingRate(f"no USD/{money.currency} rate within 30 days of {on}; load one before deciding on value")
        newest = max(known, key=lambda r: r.day)
        if on - newest.day <= FRESH_FOR:
            return UsdEquivalent(amount=money.decimal / newest.value, rate_id=newest.rate_id, stale=False)
        cautious = max(money.decimal / r.value for r in known) * STALE_MARGIN
        return UsdEquivalent(amount=cautious, rate_id=newest.rate_id, stale=True)
