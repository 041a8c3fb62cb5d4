"""What an amount is worth in US dollars now, by the rates of one source, kept for an hour."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from domain.errors import MissingRate, Transient
from domain.fx import Rate, RateTable, UsdEquivalent
from domain.money import Money
from domain.ports import RatePort

KEEP = timedelta(hours=1)


class FirstSource:
    """Several sources in order: each currency is the first one's that has it. No source is mixed with another."""

    def __init__(self, *sources: RatePort) -> None:
        """The source most relied on comes first."""
        self._sources = sources

    async def rates(self, currencies: Sequence[str]) -> Sequence[Rate]:
        """Rates per US dollar for the currencies any source has.

        Raises:
            Transient: a source cannot be read now, and no earlier one has every currency.
        """
        found: list[Rate] = []
        left = list(dict.fromkeys(currencies))
        for source in self._sources:
            if left:
                found += await source.rates(left)
                known = {rate.quote for rate in found}
                left = [currency for currency in left if currency not in known]
        return found


class Rates:
    """Answers what an amount is worth in US dollars on a day."""

    def __init__(self, source: RatePort, now: Callable[[], datetime]) -> None:
        """Rates are read per currency when first asked for, and again after an hour."""
        self._source = source
        self._now = now
        self._tables: dict[str, tuple[datetime, RateTable]] = {}

    async def usd_equivalent(self, money: Money) -> UsdEquivalent:
        """``money`` in US dollars today.

        Raises:
            MissingRate: there is no usable rate, or the source cannot say and none was kept.
        """
        now = self._now()
        if money.currency == "USD":
            return RateTable(()).usd_equivalent(money, at=now)
        kept = self._tables.get(money.currency)
        if kept is None or now - kept[0] > KEEP:
            kept = await self._read(money.currency, now, kept)
        return kept[1].usd_equivalent(money, at=now)

    async def _read(
        self, currency: str, now: datetime, kept: tuple[datetime, RateTable] | None
    ) -> tuple[datetime, RateTable]:
        try:
            table = RateTable(await self._source.rates([currency]))
        except Transient as down:
            # The table judges its own age: an old one errs to caution by itself.
            if kept is not None:
                return kept
            raise MissingRate(f"no USD/{currency} rate: the source cannot be read ({down})") from down
        self._tables[currency] = (now, table)
        return self._tables[currency]
