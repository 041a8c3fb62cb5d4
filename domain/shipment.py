"""Warehouses, carrier services, lanes, and the joint route plan that picks both."""

from datetime import time

from pydantic import AwareDatetime, Field

from domain.catalogue import DangerousGoods
from domain.ids import ServiceId, Sku, WarehouseId
from domain.money import Money
from domain.values import Document


class Warehouse(Document):
    """A site goods leave from. Costs are per parcel, in the tenant's settlement currency."""

    warehouse: WarehouseId
    country: str
    timezone: str
    """IANA name; cut-offs are local time here."""
    cutoff: time
    """Orders ready after this wait for the next pick-up."""
    pickup_weekdays: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Monday is 0."""
    pick_pack: Money
    daily_parcels: int | None = None


class PriceStep(Document):
    """The price of a parcel of up to ``up_to_g`` billable grams."""

    up_to_g: int
    price: Money


class Lane(Document):
    """What one carrier service sells from one warehouse to one country."""

    warehouse: WarehouseId
    service: ServiceId
    carrier: str
    country: str
    steps: tuple[PriceStep, ...] = Field(min_length=1)
    """Ascending by weight; heavier parcels are refused."""
    transit_days: tuple[int, int]
    """Working days in the destination at P50 and P80."""
    dim_divisor: int = 5000
    """Cubic centimetres per billable kilogram."""
    accepts: tuple[DangerousGoods, ...] = (DangerousGoods.NONE,)
    cod: bool = False
    ddp: bool = False
    """Duties can be paid by the sender."""
    max_value: Money | None = None


class Parcel(Document):
    """Order lines that travel together from one warehouse by one service."""

    number: int
    warehouse: WarehouseId
    service: ServiceId
    carrier: str
    lines: dict[str, int]
    """Units per line id."""
    skus: dict[Sku, int]
    billable_g: int
    dangerous: tuple[DangerousGoods, ...] = ()
    """Classes the carrier must be told of."""
    cost: Money
    arrives_p50: AwareDatetime
    arrives_p80: AwareDatetime
    ready_at: AwareDatetime


class RoutePlan(Document):
    """Parcels that together carry the whole order, and what they cost."""

    parcels: tuple[Parcel, ...]
    cost: Money
    """Parcels, without penalties."""
    objective_minor: int
    """What was minimised: cost plus lateness and split penalties, in minor units of ``cost``'s currency."""
    late_hours: int
    ship_by_missed: bool = False
