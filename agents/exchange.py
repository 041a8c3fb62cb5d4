"""Dated exchange rates as last read, so that a rate is fetched once in ten minutes and not once per order."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from domain.fx import Rate, RateTable
from domain.money import Money
from domain.ports import RatePort

FRESH_FOR = timedelta(minutes=10)


class Exchange:
    """Rates per US dollar behind a short-lived cache; time is an argument."""

    def __init__(self, source: RatePort, *, fresh_for: timedelta = FRESH_FOR) -> None:
        """``fresh_for`` zero reads anew every time."""
        self._source = source
        self._fresh_for = fresh_for
        self._rates: dict[str, tuple[datetime, tuple[Rate, ...]]] = {}
        self._table = RateTable(())

    async def table(self, currencies: Iterable[str], now: datetime) -> RateTable:
        """The rates of at least these currencies; a currency without rates is simply absent.

        Raises:
            Transient: the rates could not be read.
        """
        missing = sorted(
            currency
            for currency in set(currencies) - {"USD"}
            if currency not in self._rates or abs(now - self._rates[currency][0]) >= self._fresh_for
        )
        if missing:
            read = await self._source.rates(missing)
            for currency in missing:
                self._rates[currency] = (now, tuple(rate for rate in read if rate.quote == currency))
            self._table = RateTable(rate for _, rates in self._rates.values() for rate in rates)
        return self._table

    def last_table(self) -> RateTable:
        """The last reading, however old; empty before the first."""
        return self._table


def converted(money: Money, currency: str, rates: RateTable, now: datetime) -> Decimal:
    """The amount in major units of another currency, unrounded, by way of the US dollar.

    Raises:
        MissingRate: one of the two currencies has no usable rate.
    """
    return rates.convert(money, currency, at=now).amount
