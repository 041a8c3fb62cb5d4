"""The routing problem in plain integers: what travels together, what each lane can carry at which price and date."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.ids import ServiceId, Sku, WarehouseId

UNKNOWN_VALUE = 1 << 50
"""The value of goods without a usable rate: above every limit, so that no limit is passed by guessing."""
HOUR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Units of one order line."""

    line_id: str
    sku: Sku
    units: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Goods that are never separated: a line, a piece of a line, or a kit."""

    parts: tuple[Part, ...]
    grams: int
    volume_mm3: int
    value_minor: int
    hazards: int
    """Bit per dangerous-goods class present."""

    def units(self) -> dict[Sku, int]:
        """Units per SKU."""
        counted: dict[Sku, int] = {}
        for part in self.parts:
            counted[part.sku] = counted.get(part.sku, 0) + part.units
        return counted


def merged(blocks: Iterable[Block]) -> Block:
    """One block of several."""
    whole = list(blocks)
    hazards = 0
    for block in whole:
        hazards |= block.hazards
    return Block(
        parts=tuple(part for block in whole for part in block.parts),
        grams=sum(block.grams for block in whole),
        volume_mm3=sum(block.volume_mm3 for block in whole),
        value_minor=sum(block.value_minor for block in whole),
        hazards=hazards,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """One lane for one order: price steps with picking included, limits, and dates."""

    warehouse: WarehouseId
    service: ServiceId
    carrier: str
    limits_g: tuple[int, ...]
    prices_minor: tuple[int, ...]
    divisor: int
    accepts: int
    """Bit per dangerous-goods class accepted."""
    max_value_minor: int | None
    ready_at: datetime
    arrives_p50: datetime
    arrives_p80: datetime
    ships_late: bool = False
    """Picked up after the marketplace's hand-over deadline."""

    def billable_g(self, block: Block) -> int:
        """Billable grams: the larger of mass and volume by the carrier's divisor (cm3 per kg is mm3 per g)."""
        return max(block.grams, -(-block.volume_mm3 // self.divisor))

    def price_minor(self, block: Block) -> int | None:
        """The price of the block as one parcel; None when the lane does not carry it."""
        if block.hazards & ~self.accepts:
            return None
        if self.max_value_minor is not None and block.value_minor > self.max_value_minor:
            return None
        step = bisect_left(self.limits_g, self.billable_g(block))
        return self.prices_minor[step] if step < len(self.limits_g) else None


Stock = Mapping[tuple[WarehouseId, Sku], int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """Penalties in minor units of the settlement currency."""

    late_hour_minor: int
    split_minor: int
    """Per parcel beyond the first."""
    ship_by_minor: int
    """Once, when any parcel is picked up after the marketplace's deadline."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One order to route."""

    blocks: tuple[Block, ...]
    offers: tuple[Offer, ...]
    stock: Stock
    due: datetime | None
    weights: Weights

    def in_stock(self, warehouse: WarehouseId, block: Block) -> bool:
        """Whether the site has the block's units, taken alone."""
        return all(self.stock.get((warehouse, sku), 0) >= units for sku, units in block.units().items())

    def late_hours(self, arrives: datetime) -> int:
        """Hours after the promise, rounded up; 0 without a promise."""
        if self.due is None or arrives <= self.due:
            return 0
        return -(-(arrives - self.due) // HOUR)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shipment:
    """One parcel of a solution."""

    offer: Offer
    content: Block
    price_minor: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Solution:
    """Parcels for the whole order and what they amount to."""

    shipments: tuple[Shipment, ...]
    cost_minor: int
    objective_minor: int
    arrives: datetime
    late_hours: int
    ship_by_missed: bool


def appraise(problem: Problem, shipments: Iterable[Shipment]) -> Solution:
    """A solution's figures from its parcels: cost + lateness + splits + a missed hand-over."""
    chosen = tuple(shipments)
    cost = sum(shipment.price_minor for shipment in chosen)
    arrives = max(shipment.offer.arrives_p80 for shipment in chosen)
    late = problem.late_hours(arrives)
    missed = any(shipment.offer.ships_late for shipment in chosen)
    weights = problem.weights
    penalty = weights.late_hour_minor * late + weights.split_minor * (len(chosen) - 1)
    return Solution(
        shipments=chosen,
        cost_minor=cost,
        objective_minor=cost + penalty + (weights.ship_by_minor if missed else 0),
        arrives=arrives,
        late_hours=late,
        ship_by_missed=missed,
    )
