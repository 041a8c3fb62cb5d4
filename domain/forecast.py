"""What is expected to sell and when it runs out: values of the demand side."""

from datetime import date
from enum import StrEnum

from pydantic import Field

from domain.values import Document


class SeriesClass(StrEnum):
    """How a SKU sells (Syntetos and Boylan): how often there is demand, and how much its size varies."""

    SMOOTH = "smooth"
    ERRATIC = "erratic"
    INTERMITTENT = "intermittent"
    LUMPY = "lumpy"
    NEW = "new"
    """Sold in fewer than two periods: nothing can be learnt from it yet."""


class DemandForecast(Document):
    """Expected demand of one SKU per period."""

    sku: str
    series_class: SeriesClass
    method: str
    """``ses``, ``imapa``, ... or ``prior`` for a new SKU."""
    per_period: float = Field(ge=0)
    """Units a period, before campaigns."""
    deviation: float = Field(ge=0)
    """Standard deviation of one period's demand, units."""
    error: float | None
    """Share of the demand of a horizon the method missed in the back-test of the SKU's class; None for a prior."""
    confidence: float = Field(ge=0, le=1)
    reasons: tuple[str, ...]


class StockoutEstimate(Document):
    """When stock runs out, as a range, and what drives it."""

    sku: str
    p10: date | None
    """With one chance in ten it runs out before this day; None when not within the horizon."""
    p50: date | None
    p90: date | None
    horizon_end: date
    probability_before_arrival: float = Field(ge=0, le=1)
    """Chance of being out of stock before the earliest possible arrival of a new order."""
    earliest_arrival: date
    expected_short: float = Field(ge=0)
    """Units that cannot be sold before the earliest arrival."""
    drivers: tuple[str, ...]
    """What moves the date, one sentence each, strongest first."""
