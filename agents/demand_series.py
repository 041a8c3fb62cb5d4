"""Demand histories side by side: one row a SKU, one column a period; periods nobody could buy in are masked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domain.errors import InputError
from domain.forecast import SeriesClass

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]
ADI_CUT = 1.32
CV2_CUT = 0.49
"""Cuts of Syntetos and Boylan between frequent and rare demand, and between even and uneven sizes."""


@dataclass(frozen=True)
class DemandMatrix:
    """Units sold: ``units[i, t]`` of ``skus[i]`` in period ``t``, newest last; not a number where it is unknown.

    Unknown are the periods before a SKU was launched and those it was out of stock in: demand was there and could not
    be seen, so they are left out instead of counted as nothing.
    """

    skus: tuple[str, ...]
    units: Matrix

    def until(self, period: int) -> "DemandMatrix":
        """What was known before ``period`` began."""
        return DemandMatrix(self.skus, self.units[:, :period])

    def rows(self, chosen: NDArray[np.intp]) -> "DemandMatrix":
        """Some of the SKUs."""
        return DemandMatrix(tuple(self.skus[i] for i in chosen), self.units[chosen])

    @property
    def periods(self) -> int:
        """Number of columns."""
        return int(self.units.shape[1])


def demand_matrix(
    skus: Sequence[str],
    units: Sequence[Sequence[float | None]],
    *,
    out_of_stock: Sequence[Sequence[bool]] | None = None,
) -> DemandMatrix:
    """Histories as a matrix; shorter ones are taken to end now and to be unknown before they begin.

    Returns (units negative after returns) count as no demand.

    Raises:
        InputError: the lists do not fit together, or a number is infinite.
    """
    if len(skus) != len(units) or (out_of_stock is not None and len(out_of_stock) != len(units)):
        raise InputError("every SKU needs one demand history, and one row of stock-outs if there are any")
    width = max((len(row) for row in units), default=0)
    matrix = np.full((len(units), width), np.nan)
    for i, row in enumerate(units):
        if row:
            matrix[i, width - len(row) :] = [np.nan if value is None else value for value in row]
        if out_of_stock is not None and out_of_stock[i]:
            gone = np.asarray(out_of_stock[i], dtype=bool)
            if len(gone) != len(row):
                raise InputError(f"{skus[i]} has {len(row)} periods of demand and {len(gone)} of stock-outs")
            matrix[i, width - len(row) :][gone] = np.nan
    if np.isinf(matrix).any():
        raise InputError("a demand history holds an infinite number")
    return DemandMatrix(tuple(skus), np.maximum(matrix, 0, where=~np.isnan(matrix), out=matrix))


def classify(history: DemandMatrix) -> list[SeriesClass]:
    """The class of each SKU, by mean interval between demands and squared variation of their sizes."""
    known = ~np.isnan(history.units)
    sold = known & (np.nan_to_num(history.units) > 0)
    sales = sold.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        interval = known.sum(axis=1) / sales
        sizes = np.where(sold, history.units, np.nan)
        mean = np.nansum(sizes, axis=1) / sales
        spread = np.nansum((sizes - mean[:, None]) ** 2, axis=1) / np.maximum(sales - 1, 1)
        cv2 = spread / mean**2
    return [_class(int(n), float(a), float(c)) for n, a, c in zip(sales, interval, cv2, strict=True)]


def _class(sales: int, interval: float, cv2: float) -> SeriesClass:
    if sales < 2:
        return SeriesClass.NEW
    if interval < ADI_CUT:
        return SeriesClass.SMOOTH if cv2 < CV2_CUT else SeriesClass.ERRATIC
    return SeriesClass.INTERMITTENT if cv2 < CV2_CUT else SeriesClass.LUMPY
