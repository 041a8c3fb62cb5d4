"""What the carriers' lanes mean for one order: prices in settlement currency, dates, and why a site is out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.delivery_calendar import DeliveryCalendar
from agents.exchange import converted
from agents.routing_blocks import HAZARD_BITS
from agents.routing_problem import Block, Offer, Problem
from domain.errors import MissingRate
from domain.fx import RateTable
from domain.ids import ServiceId, WarehouseId
from domain.money import Money
from domain.shipment import Lane, Warehouse


@dataclass(frozen=True, kw_only=True, slots=True)
class Tariff:
    """One lane in integers, independent of any order."""

    warehouse: WarehouseId
    service: ServiceId
    carrier: str
    limits_g: tuple[int, ...]
    prices_minor: tuple[int, ...]
    """Settlement currency, without picking."""
    divisor: int
    accepts: int
    cod: bool
    max_value_minor: int | None
    transit_days: tuple[int, int]


def minor_units(money: Money, currency: str, rates: RateTable, now: datetime) -> int:
    """``money`` in minor units of ``currency``, rounded half up.

    Raises:
        MissingRate: no usable rate.
    """
    if money.currency == currency:
        return money.amount_minor
    return Money.rounded(converted(money, currency, rates, now), currency).amount_minor


def tariffs(lanes: Sequence[Lane], currency: str, rates: RateTable, now: datetime) -> tuple[Tariff, ...]:
    """The lanes that can be priced in the settlement currency; one without a rate is left out."""
    priced = []
    for lane in lanes:
        try:
            priced.append(_tariff(lane, currency, rates, now))
        except MissingRate:
            continue
    return tuple(priced)


def _tariff(lane: Lane, currency: str, rates: RateTable, now: datetime) -> Tariff:
    steps = sorted(lane.steps, key=lambda step: step.up_to_g)
    accepts = 0
    for goods in lane.accepts:
        accepts |= HAZARD_BITS.get(goods, 0)
    return Tariff(
        warehouse=lane.warehouse,
        service=lane.service,
        carrier=lane.carrier,
        limits_g=tuple(step.up_to_g for step in steps),
        prices_minor=tuple(minor_units(step.price, currency, rates, now) for step in steps),
        divisor=lane.dim_divisor,
        accepts=accepts,
        cod=lane.cod,
        max_value_minor=minor_units(lane.max_value, currency, rates, now) if lane.max_value else None,
        transit_days=lane.transit_days,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What of an order decides which lanes may be offered."""

    country: str
    cash_on_delivery: bool
    released_at: datetime
    ship_by: datetime | None


class OfferDesk:
    """Turns tariffs into dated offers for one order, and explains the sites that fall out."""

    def __init__(self, calendar: DeliveryCalendar, pick_pack_minor: Callable[[Warehouse], int | None]) -> None:
        """``pick_pack_minor`` prices a parcel's picking in settlement currency; None when it cannot."""
        self.calendar = calendar
        self._pick_pack_minor = pick_pack_minor

    def offers(
        self, sites: Sequence[Warehouse], priced: Sequence[Tariff], terms: Terms
    ) -> tuple[list[Offer], dict[WarehouseId, str]]:
        """Every lane the order may use, and the constraint that killed each site without one."""
        by_site: dict[WarehouseId, list[Tariff]] = {}
        for tariff in priced:
            by_site.setdefault(tariff.warehouse, []).append(tariff)
        offers: list[Offer] = []
        killed: dict[WarehouseId, str] = {}
        for site in sites:
            sold = by_site.get(site.warehouse, [])
            fit = [tariff for tariff in sold if tariff.cod or not terms.cash_on_delivery]
            ready = self.calendar.pickup(site, terms.released_at)
            picking = self._pick_pack_minor(site)
            if not sold:
                killed[site.warehouse] = "NO_LANE"
            elif not fit:
                killed[site.warehouse] = "COD_NOT_OFFERED"
            elif ready is None:
                killed[site.warehouse] = "NO_PICKUP"
            elif picking is None:
                killed[site.warehouse] = "NO_RATE"
            else:
                offers += [self._offer(tariff, ready, picking, terms) for tariff in fit]
        return offers, killed

    def _offer(self, tariff: Tariff, ready: datetime, picking_minor: int, terms: Terms) -> Offer:
        median, safe = tariff.transit_days
        return Offer(
            warehouse=tariff.warehouse,
            service=tariff.service,
            carrier=tariff.carrier,
            limits_g=tariff.limits_g,
            prices_minor=tuple(price + picking_minor for price in tariff.prices_minor),
            divisor=tariff.divisor,
            accepts=tariff.accepts,
            max_value_minor=tariff.max_value_minor,
            ready_at=ready,
            arrives_p50=self.calendar.arrival(ready, terms.country, median),
            arrives_p80=self.calendar.arrival(ready, terms.country, safe),
            ships_late=terms.ship_by is not None and ready > terms.ship_by,
        )


CONSTRAINTS: Mapping[str, str] = {
    "NO_LANE": "no carrier sells a lane from there to the destination",
    "COD_NOT_OFFERED": "no lane from there collects cash on delivery",
    "NO_PICKUP": "no pick-up from there in the coming weeks",
    "NO_RATE": "its costs have no usable exchange rate",
    "STOCK_SHORT": "it does not hold the units",
    "DANGEROUS_GOODS": "no lane from there accepts the dangerous goods",
    "OVER_WEIGHT": "the goods are heavier or larger than any lane from there takes",
    "OVER_VALUE": "the goods are worth more than any lane from there takes, or their value has no rate",
    "SEVERAL_PARCELS": "the goods do not fit one parcel from there",
    "CONTESTED_STOCK": "its units do not suffice for all lines together",
}
"""What keeps a site from carrying an order, in words."""


def constraints_of(problem: Problem, warehouse: WarehouseId) -> tuple[str, ...]:
    """Which constraints keep a site that has lanes from carrying some of the blocks."""
    lanes = [offer for offer in problem.offers if offer.warehouse == warehouse]
    found = dict.fromkeys(code for block in problem.blocks if (code := _constraint(problem, warehouse, block, lanes)))
    return tuple(found) or ("CONTESTED_STOCK",)


def _constraint(problem: Problem, warehouse: WarehouseId, block: Block, lanes: Sequence[Offer]) -> str | None:
    if not problem.in_stock(warehouse, block):
        return "STOCK_SHORT"
    if any(offer.price_minor(block) is not None for offer in lanes):
        return None
    accepting = [offer for offer in lanes if not block.hazards & ~offer.accepts]
    if not accepting:
        return "DANGEROUS_GOODS"
    return "OVER_VALUE" if any(offer.billable_g(block) <= offer.limits_g[-1] for offer in accepting) else "OVER_WEIGHT"
