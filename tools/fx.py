"""Exchange rates from the ERP, kept for an hour, as one dated table per US dollar."""

from collections.abc import Callable
from datetime import datetime, timedelta

from domain.errors import MissingRate, Transient
from domain.fx import RateTable, UsdEquivalent
from domain.money import Money
from domain.ports import CataloguePort

KEEP = timedelta(hours=1)


class Rates:
    """Answers what an amount is worth in US dollars on a day."""

    def __init__(self, erp: CataloguePort, now: Callable[[], datetime]) -> None:
        """Rates are read per currency when first asked for, and again after an hour."""
        self._erp = erp
        self._now = now
        self._tables: dict[str, tuple[datetime, RateTable]] = {}

    async def usd_equivalent(self, money: Money) -> UsdEquivalent:
        """``money`` in US dollars today.

        Raises:
            MissingRate: there is no usable rate, or the ERP cannot say and none was kept.
        """
        now = self._now()
        if money.currency == "USD":
            return RateTable(()).usd_equivalent(money, on=now.date())
        kept = self._tables.get(money.currency)
        if kept is None or now - kept[0] > KEEP:
            kept = await self._read(money.currency, now, kept)
        return kept[1].usd_equivalent(money, on=now.date())

    async def _read(
        self, currency: str, now: datetime, kept: tuple[datetime, RateTable] | None
    ) -> tuple[datetime, RateTable]:
        try:
            table = RateTable(await self._erp.rates([currency]))
        except Transient as down:
            # The table judges its own age: an old one errs to caution by itself.
            if kept is not None:
                return kept
            raise MissingRate(f"no USD/{currency} rate: the ERP cannot be read ({down})") from down
        self._tables[currency] = (now, table)
        return self._tables[currency]
