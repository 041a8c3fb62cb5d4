"""The routing problem in plain integers: what travels together, what each lane can carry at which price and date."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from domain.ids import ServiceId, Sku, WarehouseId
from domain.shipment import PER_MILLE, TransitShare

UNKNOWN_VALUE = 1 << 50
"""The value of goods without a usable rate: above every limit, so that no limit is passed by guessing."""
UNPRICED = 1 << 60
"""The price of a weight in a gap of a price table: more than anything costs."""
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
    duty_minor: int = 0
    """Duty and import tax the sender pays when the goods cross a border duty paid."""

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
        duty_minor=sum(block.duty_minor for block in whole),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A fee that is so many per mille of an amount, or the least amount when that is more."""

    per_mille: int
    at_least_minor: int

    def of(self, amount_minor: int) -> int:
        """The fee on an amount, rounded half up."""
        return max(self.at_least_minor, (amount_minor * self.per_mille + PER_MILLE // 2) // PER_MILLE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """One lane for one order: price steps with picking and surcharges included, limits, and dates."""

    warehouse: WarehouseId
    service: ServiceId
    carrier: str
    limits_g: tuple[int, ...]
    prices_minor: tuple[int, ...]
    """By step; ``UNPRICED`` where the table has a gap."""
    hazard_prices_minor: tuple[int, ...] = ()
    """The same for parcels with dangerous goods; empty when they cost no more."""
    divisor: int
    accepts: int
    """Bit per dangerous-goods class accepted."""
    max_value_minor: int | None
    collecting: Share | None = None
    """Fee for collecting the value of the goods at the door; None when nothing is collected or it costs nothing."""
    pays_duty: bool = False
    """The parcel crosses a border and travels duty paid."""
    disbursement: Share | None = None
    """Fee for advancing duty and tax."""
    ready_at: datetime
    arrives_p50: datetime
    arrives_p80: datetime
    ships_late: bool = False
    """Picked up after the marketplace's hand-over deadline."""
    transit: tuple[TransitShare, ...] = ()

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
        if step >= len(self.limits_g):
            return None
        extra = self.extra_minor(block.value_minor, block.duty_minor)
        table = self.hazard_prices_minor if block.hazards and self.hazard_prices_minor else self.prices_minor
        price = table[step] + extra
        return price if price < UNPRICED else None

    def extra_minor(self, value_minor: int, duty_minor: int) -> int:
        """What depends on the value of the goods: collecting it, and duty with the fee for advancing it."""
        extra = 0
        if self.collecting is not None:
            extra = UNPRICED if value_minor >= UNKNOWN_VALUE else self.collecting.of(value_minor)
        return extra + self.duty_paid_minor(duty_minor) + self.advancing_minor(duty_minor)

    def duty_paid_minor(self, duty_minor: int) -> int:
        """Duty and import tax the sender pays for a parcel."""
        return duty_minor if self.pays_duty else 0

    def advancing_minor(self, duty_minor: int) -> int:
        """The carrier's fee for advancing duty and tax; nothing when there is nothing to advance."""
        advanced = self.duty_paid_minor(duty_minor)
        return self.disbursement.of(advanced) if advanced and self.disbursement is not None else 0


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
    scarcity: Mapping[tuple[WarehouseId, Sku], int] = field(default_factory=dict)
    """Opportunity cost of one unit in minor units: what later orders would pay to have it. Absent is 0."""
    parcels_left: Mapping[WarehouseId, int] = field(default_factory=dict)
    """How many parcels a site can still take; absent is no limit."""

    def in_stock(self, warehouse: WarehouseId, block: Block) -> bool:
        """Whether the site has the block's units, taken alone."""
        return all(self.stock.get((warehouse, sku), 0) >= units for sku, units in block.units().items())

    def scarcity_minor(self, warehouse: WarehouseId, block: Block) -> int:
        """What the block's units are worth to later orders at the site."""
        if not self.scarcity:
            return 0
        return sum(self.scarcity.get((warehouse, sku), 0) * units for sku, units in block.units().items())

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
    """Parcels alone."""
    handling_minor: int
    """For every parcel beyond the first."""
    objective_minor: int
    arrives: datetime
    late_hours: int
    ship_by_missed: bool

    @property
    def charged_minor(self) -> int:
        """What plans are compared by beside time: parcels and the handling of extra ones."""
        return self.cost_minor + self.handling_minor


def appraise(problem: Problem, shipments: Iterable[Shipment]) -> Solution:
    """A solution's figures from its parcels: cost + handling + lateness + a missed hand-over + scarce units used."""
    chosen = tuple(shipments)
    cost = sum(shipment.price_minor for shipment in chosen)
    arrives = max(shipment.offer.arrives_p80 for shipment in chosen)
    late = problem.late_hours(arrives)
    missed = any(shipment.offer.ships_late for shipment in chosen)
    weights = problem.weights
    handling = weights.split_minor * (len(chosen) - 1)
    scarce = sum(problem.scarcity_minor(shipment.offer.warehouse, shipment.content) for shipment in chosen)
    penalty = weights.late_hour_minor * late + (weights.ship_by_minor if missed else 0) + scarce
    return Solution(
        shipments=chosen,
        cost_minor=cost,
        handling_minor=handling,
        objective_minor=cost + handling + penalty,
        arrives=arrives,
        late_hours=late,
        ship_by_missed=missed,
    )
