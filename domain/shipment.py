"""Warehouses, carrier services, lanes, and the joint route plan that picks both."""

import unicodedata
from collections.abc import Iterable
from datetime import date, time
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, Field, model_validator

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
    parcels_left: int | None = None
    """What the site can still take for its next pick-up; None when it knows no limit."""
    closed_on: tuple[date, ...] = ()
    """Local days without pick-up beyond weekends and public holidays: stock-taking, a move, a typhoon."""
    pick_waves: tuple[time, ...] = ()
    """Local times at which picking begins, every day of pick-up; empty where the site names none."""


class PriceStep(Document):
    """The price of a parcel of up to ``up_to_g`` billable grams."""

    up_to_g: int
    price: Money
    over_g: int | None = None
    """Only parcels heavier than this; None continues the step before. Weights between two steps have no price."""

    def prices(self, billable_g: int, after_g: int) -> bool:
        """Whether the step names the price, the step before ending at ``after_g``."""
        return max(after_g, self.over_g or 0) < billable_g <= self.up_to_g


PER_MILLE = 1_000


class TransitShare(Document):
    """How many of a thousand parcels take so many working days."""

    days: int = Field(ge=0)
    per_mille: int = Field(gt=0, le=PER_MILLE)


def transit_quantile(shares: Iterable[TransitShare], per_mille: int) -> int:
    """The fewest working days within which so many of a thousand parcels have arrived."""
    arrived, days = 0, 0
    for share in sorted(shares, key=lambda share: share.days):
        arrived, days = arrived + share.per_mille, share.days
        if arrived >= per_mille:
            break
    return days


class SurchargeKind(StrEnum):
    """What a carrier adds to the price of its table."""

    FUEL = "fuel"
    REMOTE_AREA = "remote_area"
    PEAK = "peak"
    DANGEROUS_GOODS = "dangerous_goods"
    """On parcels with dangerous goods only."""
    CASH_ON_DELIVERY = "cash_on_delivery"
    """On parcels that collect; the share is of what is collected."""
    DUTY_DISBURSEMENT = "duty_disbursement"
    """On parcels sent duty paid; the share is of the duty and tax the carrier advances."""


class Surcharge(Document):
    """An addition per parcel between two days: a share of its base, or a least amount when that is more."""

    kind: SurchargeKind
    per_mille: int = Field(default=0, ge=0)
    """Of the table price, unless the kind names another base."""
    at_least: Money | None = None
    postcode_prefixes: tuple[str, ...] = ()
    """Only to these; everywhere when empty. An address without postcode is charged: better dear than short."""
    valid_from: date | None = None
    valid_to: date | None = None
    """The last day included."""

    def in_force(self, day: date, postcode: str) -> bool:
        """Whether a parcel picked up on the day for the postcode pays it."""
        begun = self.valid_from is None or self.valid_from <= day
        over = self.valid_to is not None and day > self.valid_to
        code = plain_postcode(postcode)
        here = not self.postcode_prefixes or not code or code.startswith(self.postcode_prefixes)
        return begun and not over and here


def plain_postcode(postcode: str) -> str:
    """The code without spaces and hyphens, in half-width capitals, as prefixes are written."""
    return "".join(sign for sign in unicodedata.normalize("NFKC", postcode).upper() if sign.isalnum())


class Lane(Document):
    """What one carrier service sells from one warehouse to one country."""

    warehouse: WarehouseId
    service: ServiceId
    carrier: str
    country: str
    steps: tuple[PriceStep, ...] = Field(min_length=1)
    """Ascending by weight; heavier parcels are refused."""
    transit_days: tuple[int, int]
    """Working days in the destination at P50 and P80; derived from ``transit`` when that is given."""
    transit: tuple[TransitShare, ...] = ()
    """The whole distribution, a thousand in sum; empty when only the two quantiles are known."""
    dim_divisor: int = 5000
    """Cubic centimetres per billable kilogram."""
    accepts: tuple[DangerousGoods, ...] = (DangerousGoods.NONE,)
    cod: bool = False
    ddp: bool = False
    """Duties can be paid by the sender."""
    max_value: Money | None = None
    surcharges: tuple[Surcharge, ...] = ()
    valid_from: date | None = None
    valid_to: date | None = None
    """The last pick-up day the price table holds for; None while it has no end."""

    @model_validator(mode="before")
    @classmethod
    def _derive_quantiles(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not given.get("transit") or "transit_days" in given:
            return given
        shares = [TransitShare.model_validate(share) for share in given["transit"]]
        return given | {"transit_days": (transit_quantile(shares, 500), transit_quantile(shares, 800))}

    @model_validator(mode="after")
    def _consistent(self) -> "Lane":
        if not self.transit:
            return self
        if sum(share.per_mille for share in self.transit) != PER_MILLE:
            raise ValueError(f"the transit shares of {self.service} from {self.warehouse} do not add up to {PER_MILLE}")
        if self.transit_days != (transit_quantile(self.transit, 500), transit_quantile(self.transit, 800)):
            raise ValueError(f"transit_days of {self.service} from {self.warehouse} are not the quantiles of transit")
        return self

    def in_force(self, day: date) -> bool:
        """Whether the price table holds for a pick-up on the day."""
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day <= self.valid_to)

    def step_for(self, billable_g: int) -> PriceStep | None:
        """The step that prices a parcel; None beyond the last one and in a gap between two."""
        after = 0
        for step in self.steps:
            if step.prices(billable_g, after):
                return step
            after = step.up_to_g
        return None


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
    """Price, surcharges, picking, and what is paid for duty."""
    duty_paid: Money | None = None
    """Duty and import tax the sender pays, part of ``cost``; None when the parcel does not travel duty paid."""
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
