"""What the carriers' lanes mean for one order: prices in settlement currency, surcharges, and dates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.delivery_calendar import DeliveryCalendar, zone
from agents.exchange import converted
from agents.routing_blocks import HAZARD_BITS
from agents.routing_problem import UNPRICED, Offer, Share
from domain.errors import ConfigError, MissingRate
from domain.fx import RateTable
from domain.ids import WarehouseId
from domain.money import Money
from domain.shipment import Lane, Surcharge, SurchargeKind, Warehouse, plain_postcode

_KEPT = 512
"""Lists of offers remembered per destination."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tariff:
    """One lane in integers, independent of any order."""

    lane: Lane
    limits_g: tuple[int, ...]
    prices_minor: tuple[int, ...]
    """Settlement currency, without picking and surcharges; ``UNPRICED`` up to the limit that ends a gap."""
    accepts: int
    max_value_minor: int | None
    fees: tuple[tuple[Surcharge, Share], ...]


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
    limits: list[int] = []
    prices: list[int] = []
    for step in sorted(lane.steps, key=lambda step: step.up_to_g):
        if step.over_g is not None and step.over_g > (limits[-1] if limits else 0):
            limits.append(step.over_g)
            prices.append(UNPRICED)
        limits.append(step.up_to_g)
        prices.append(minor_units(step.price, currency, rates, now))
    accepts = 0
    for goods in lane.accepts:
        accepts |= HAZARD_BITS.get(goods, 0)
    fees = tuple(
        (
            fee,
            Share(
                per_mille=fee.per_mille,
                at_least_minor=minor_units(fee.at_least, currency, rates, now) if fee.at_least else 0,
            ),
        )
        for fee in lane.surcharges
    )
    return Tariff(
        lane=lane,
        limits_g=tuple(limits),
        prices_minor=tuple(prices),
        accepts=accepts,
        max_value_minor=minor_units(lane.max_value, currency, rates, now) if lane.max_value else None,
        fees=fees,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What of an order decides which lanes may be offered."""

    country: str
    postcode: str
    cash_on_delivery: bool
    duty_paid: bool
    """The sender pays duty and import tax on what crosses the border."""
    released_at: datetime
    ship_by: datetime | None

    def imports_to_pay(self, site: Warehouse) -> bool:
        """Whether a parcel from the site crosses a border duty paid."""
        return self.duty_paid and site.country != self.country


@dataclass(frozen=True, slots=True)
class _Departure:
    """When parcels leave a site, and whether that is too late for the marketplace."""

    ready: datetime
    late: bool


class OfferDesk:
    """Turns the tariffs to one country into dated offers, and names the constraint of every site that falls out."""

    def __init__(
        self,
        calendar: DeliveryCalendar,
        sites: Sequence[Warehouse],
        priced: Sequence[Tariff],
        *,
        unpriced: frozenset[WarehouseId],
        picking_minor: Callable[[Warehouse], int | None],
    ) -> None:
        """``unpriced`` are sites with lanes that have no exchange rate; ``picking_minor`` is None without one."""
        self.calendar = calendar
        self._sites = [(site, picking_minor(site)) for site in sites]
        self._unpriced = unpriced
        self._by_site: dict[WarehouseId, list[Tariff]] = {}
        for tariff in priced:
            self._by_site.setdefault(tariff.lane.warehouse, []).append(tariff)
        fees = [fee for tariff in priced for fee, _ in tariff.fees]
        self._prefixes = sorted({prefix for fee in fees for prefix in fee.postcode_prefixes})
        self._kept: dict[object, tuple[tuple[Offer, ...], dict[WarehouseId, str]]] = {}

    def offers(self, terms: Terms) -> tuple[tuple[Offer, ...], Mapping[WarehouseId, str]]:
        """Every lane the order may use, and the constraint that killed each site without one."""
        leaving: list[_Departure | str] = [self._departure(site, terms) for site, _ in self._sites]
        code = plain_postcode(terms.postcode) if self._prefixes else ""
        areas = (bool(code), *(prefix for prefix in self._prefixes if code.startswith(prefix)))
        key = (terms.cash_on_delivery, terms.duty_paid, areas, *leaving)
        known = self._kept.get(key)
        if known is None:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            known = self._kept[key] = self._build(leaving, terms)
        return known

    def _departure(self, site: Warehouse, terms: Terms) -> _Departure | str:
        """When the order could leave the site, or the constraint that keeps it there."""
        if site.parcels_left is not None and site.parcels_left <= 0:
            return "SITE_FULL"
        try:
            ready = self.calendar.pickup(site, terms.released_at)
        except ConfigError:
            return "BAD_TIME_ZONE"
        if ready is None:
            return "NO_PICKUP"
        return _Departure(ready, terms.ship_by is not None and ready > terms.ship_by)

    def _build(
        self, leaving: Sequence[_Departure | str], terms: Terms
    ) -> tuple[tuple[Offer, ...], dict[WarehouseId, str]]:
        offers: list[Offer] = []
        killed: dict[WarehouseId, str] = {}
        for (site, picking), departure in zip(self._sites, leaving, strict=True):
            usable = self._usable(site, picking, departure, terms)
            if isinstance(usable, str):
                killed[site.warehouse] = usable
            elif picking is not None and not isinstance(departure, str):
                offers += [self._offer(tariff, site, departure, picking, terms) for tariff in usable]
        return tuple(offers), killed

    def _usable(
        self, site: Warehouse, picking: int | None, departure: _Departure | str, terms: Terms
    ) -> list[Tariff] | str:
        """The site's lanes that fit the order, or the constraint that left none."""
        sold = self._by_site.get(site.warehouse, [])
        if not sold:
            return "NO_RATE" if site.warehouse in self._unpriced else "NO_LANE"
        if isinstance(departure, str):
            return departure
        if picking is None:
            return "NO_RATE"
        day = departure.ready.astimezone(zone(site.timezone)).date()
        sold = [tariff for tariff in sold if tariff.lane.in_force(day)]
        if not sold:
            return "RATE_TABLE_EXPIRED"
        if terms.cash_on_delivery:
            sold = [tariff for tariff in sold if tariff.lane.cod]
            if not sold:
                return "COD_NOT_OFFERED"
        if terms.imports_to_pay(site):
            sold = [tariff for tariff in sold if tariff.lane.ddp]
        return sold or "DDP_NOT_OFFERED"

    def _offer(self, tariff: Tariff, site: Warehouse, departure: _Departure, picking_minor: int, terms: Terms) -> Offer:
        lane, ready = tariff.lane, departure.ready
        day = ready.astimezone(zone(site.timezone)).date()
        fees = [(fee.kind, share) for fee, share in tariff.fees if fee.in_force(day, terms.postcode)]
        always = [share for kind, share in fees if kind in _ON_EVERY_PARCEL]
        hazardous = [share for kind, share in fees if kind is SurchargeKind.DANGEROUS_GOODS]
        imports = terms.imports_to_pay(site)
        median, safe = lane.transit_days
        return Offer(
            warehouse=lane.warehouse,
            service=lane.service,
            carrier=lane.carrier,
            limits_g=tariff.limits_g,
            prices_minor=_with_fees(tariff.prices_minor, picking_minor, always),
            hazard_prices_minor=(
                _with_fees(tariff.prices_minor, picking_minor, [*always, *hazardous]) if hazardous else ()
            ),
            divisor=lane.dim_divisor,
            accepts=tariff.accepts,
            max_value_minor=tariff.max_value_minor,
            collecting=_fee(fees, SurchargeKind.CASH_ON_DELIVERY) if terms.cash_on_delivery else None,
            pays_duty=imports,
            disbursement=_fee(fees, SurchargeKind.DUTY_DISBURSEMENT) if imports else None,
            ready_at=ready,
            arrives_p50=self.calendar.arrival(ready, terms.country, median),
            arrives_p80=self.calendar.arrival(ready, terms.country, safe),
            ships_late=departure.late,
            transit=lane.transit,
        )


_ON_EVERY_PARCEL = frozenset({SurchargeKind.FUEL, SurchargeKind.REMOTE_AREA, SurchargeKind.PEAK})


def _with_fees(prices_minor: Sequence[int], picking_minor: int, fees: Sequence[Share]) -> tuple[int, ...]:
    """Table prices with picking and fees; each fee is a share of the table price alone. Gaps stay gaps."""
    return tuple(
        price if price >= UNPRICED else price + picking_minor + sum(fee.of(price) for fee in fees)
        for price in prices_minor
    )


def _fee(fees: Sequence[tuple[SurchargeKind, Share]], kind: SurchargeKind) -> Share | None:
    """The one fee of a kind that rests on values; several add up share by share."""
    found = [share for known, share in fees if known is kind]
    if not found:
        return None
    return Share(
        per_mille=sum(share.per_mille for share in found), at_least_minor=sum(share.at_least_minor for share in found)
    )
