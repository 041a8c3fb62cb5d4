"""The whole assortment's sales and forecasts: read and computed once for a while, shared by everybody who asks."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agents.demand_forecast import Forecasts, forecast_demand
from agents.demand_series import DemandMatrix, Matrix, demand_matrix
from domain.errors import InputError
from domain.ids import Sku
from domain.supply_ports import SalesHistory, SupplyPort

WEEKS = 104
HORIZON_WEEKS = 4
FRESH_FOR = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class Demands:
    """Histories and what they lead one to expect."""

    histories: dict[Sku, SalesHistory]
    matrix: DemandMatrix
    forecasts: Forecasts

    def units(self, sku: Sku) -> Matrix:
        """The weeks of one SKU, newest last; not a number where unknown.

        Raises:
            InputError: the SKU was never sold.
        """
        if sku not in self.histories:
            raise InputError(f"{sku} has no sales history in the ERP; it cannot be forecast")
        units: Matrix = self.matrix.units[self.matrix.skus.index(sku)]
        return units


def expect(histories: Sequence[SalesHistory], *, horizon: int = HORIZON_WEEKS) -> Demands:
    """Forecast everything at once: the method is chosen per class over the whole assortment."""
    by_sku = {one.sku: one for one in histories}
    matrix = demand_matrix(list(by_sku), [one.weeks for one in by_sku.values()])
    found = forecast_demand(matrix, horizon=horizon, categories={sku: one.category for sku, one in by_sku.items()})
    return Demands(histories=by_sku, matrix=matrix, forecasts=found)


class Assortment:
    """Forecasts behind a short-lived cache; time is an argument."""

    def __init__(self, supply: SupplyPort, *, fresh_for: timedelta = FRESH_FOR) -> None:
        """``fresh_for`` zero reads and computes anew every time."""
        self._supply = supply
        self._fresh_for = fresh_for
        self._kept: tuple[datetime, Demands] | None = None
        self._turn = asyncio.Lock()

    async def demands(self, now: datetime) -> Demands:
        """What is expected to sell.

        Raises:
            Transient: the history could not be read.
        """
        async with self._turn:
            if self._kept is None or abs(now - self._kept[0]) >= self._fresh_for:
                read = await self._supply.sales((), weeks=WEEKS)
                self._kept = (now, await asyncio.to_thread(expect, read))
            return self._kept[1]

    def forget(self) -> None:
        """Read anew next time."""
        self._kept = None
