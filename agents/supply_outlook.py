"""One SKU's supply as it stands: what sells, what is free, what is coming, when it runs out, who could deliver how many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import ceil, sqrt

import numpy as np

from agents.assortment import Demands
from agents.stockout import PERIOD_DAYS, Inbound, Outlook, StockPosition, estimate_stockout
from agents.supplier_choice import Requirement, SupplyChoice, choose_supply
from agents.supply_case import SupplyPorts
from domain.errors import MissingRate
from domain.forecast import DemandForecast, StockoutEstimate
from domain.ids import Sku
from domain.money import Money
from domain.supply import SupplierOffer
from domain.supply_ports import InboundSupply

HORIZON_WEEKS = 26


@dataclass(frozen=True, kw_only=True)
class SupplyNow:
    """What was read of some SKUs at one moment."""

    today: date
    demands: Demands
    free: Mapping[Sku, int]
    inbound: Mapping[Sku, tuple[InboundSupply, ...]]
    offers: Mapping[Sku, tuple[SupplierOffer, ...]]
    closures: Mapping[str, str]
    """Why a supplier's lead time is longer now, by supplier."""
    rates: Mapping[str, Decimal]
    quoted_at: datetime


async def read_supply(
    ports: SupplyPorts, skus: Sequence[Sku], *, tenant: str, now: datetime, besides: str = ""
) -> SupplyNow:
    """Read everything a reorder rests on; the order ``besides`` is not counted as goods under way.

    Raises:
        Transient: something could not be read.
    """
    today = now.date()
    demands = await ports.assortment.demands(now)
    free = dict.fromkeys(skus, 0)
    for level in await ports.wms.stock(skus):
        free[level.sku] = free.get(level.sku, 0) + level.available
    inbound = await _inbound(ports, skus, tenant=tenant, besides=besides)
    read = [one for one in await ports.supply.offers(skus) if one.valid_until is None or one.valid_until >= today]
    vendors = {one.vendor_id: one for one in await ports.supply.vendors(sorted({one.supplier_id for one in read}))}
    closures: dict[str, str] = {}
    offers: dict[Sku, tuple[SupplierOffer, ...]] = {}
    for offer in read:
        vendor = vendors.get(offer.supplier_id)
        if vendor is None or not vendor.active:
            continue
        added, name = ports.calendar.closed_days(today, offer.lead_days, vendor.country)
        if added:
            closures[vendor.vendor_id] = f"{name} closes factories in {vendor.country}: {added} days longer"
            offer = offer.model_copy(update={"lead_days": offer.lead_days + added})
        offers[Sku(offer.sku)] = (*offers.get(Sku(offer.sku), ()), offer)
    rates = await _rates(ports, read, now)
    return SupplyNow(
        today=today, demands=demands, free=free, inbound=inbound, offers=offers, closures=closures, rates=rates,
        quoted_at=now,
    )  # fmt: skip


async def _inbound(
    ports: SupplyPorts, skus: Sequence[Sku], *, tenant: str, besides: str
) -> dict[Sku, tuple[InboundSupply, ...]]:
    """Goods under way from the ERP and from our own orders; an order both know counts once, as the ERP has it."""
    erp = [one for one in await ports.supply.inbound(skus) if one.reference != besides]
    known = {one.reference for one in erp}
    ours = [one for one in await ports.coming.coming(tenant, skus, besides=besides) if one.reference not in known]
    found: dict[Sku, tuple[InboundSupply, ...]] = {}
    for one in (*erp, *ours):
        found[one.sku] = (*found.get(one.sku, ()), one)
    return found


async def _rates(ports: SupplyPorts, offers: Sequence[SupplierOffer], now: datetime) -> dict[str, Decimal]:
    """Units of each currency per US dollar; a currency without a usable rate is absent."""
    wanted = {offer.currency for offer in offers} | {offer.freight_currency for offer in offers}
    table = await ports.exchange.table(wanted, now)
    found = {}
    for currency in wanted:
        try:
            found[currency] = table.convert(Money(amount_minor=100_000_000, currency="USD"), currency, at=now).amount
        except MissingRate:
            continue
    return {currency: amount / 1_000_000 for currency, amount in found.items()}


def forecast_of(supply: SupplyNow, sku: Sku) -> DemandForecast:
    """What is expected of one SKU.

    Raises:
        InputError: the SKU was never sold.
    """
    supply.demands.units(sku)
    return supply.demands.forecasts.by_sku[sku]


def stockout_of(ports: SupplyPorts, supply: SupplyNow, sku: Sku) -> StockoutEstimate:
    """When one SKU runs out, campaigns and goods under way counted.

    Raises:
        InputError: the SKU was never sold.
    """
    units = supply.demands.units(sku)
    forecast = forecast_of(supply, sku)
    if np.isnan(units).all() or forecast.error is None:
        # What nobody has seen sell is drawn around its prior, evenly.
        units = np.array([max(0.0, forecast.per_period + s * forecast.deviation) for s in (-1.0, -0.5, 0.0, 0.5, 1.0)])
    leads = [offer.lead_days for offer in supply.offers.get(sku, ())]
    arrival = supply.today + timedelta(days=ceil(min(leads, default=PERIOD_DAYS * 4)))
    inbound = tuple(
        Inbound(units=one.units, due=one.due, on_time=one.on_time, reference=one.reference)
        for one in supply.inbound.get(sku, ())
    )
    position = StockPosition(sku=sku, on_hand=supply.free.get(sku, 0), inbound=inbound)
    outlook = Outlook(today=supply.today, earliest_arrival=arrival, periods=HORIZON_WEEKS)
    category = supply.demands.histories[sku].category
    lifts = ports.calendar.lifts(supply.today, HORIZON_WEEKS, ports.country, category=category)
    return estimate_stockout(position, units, outlook, future=lifts)


def choice_of(ports: SupplyPorts, supply: SupplyNow, sku: Sku, *, only: str = "") -> SupplyChoice | None:
    """Supplier and quantity for one SKU, or None when nothing needs ordering; ``only`` leaves no other supplier.

    Raises:
        InputError: nobody offers it, or it was never sold.
        MissingRate: a currency of an offer has no rate.
    """
    forecast = forecast_of(supply, sku)
    offers = [one for one in supply.offers.get(sku, ()) if only in ("", one.supplier_id)]
    margin = Decimal(supply.demands.histories[sku].margin_usd_minor) / 100
    requirement = Requirement(
        sku=sku,
        daily_mean=forecast.per_period / PERIOD_DAYS,
        daily_sd=forecast.deviation / sqrt(PERIOD_DAYS),
        on_hand=supply.free.get(sku, 0),
        inbound=sum(one.units for one in supply.inbound.get(sku, ())),
        margin=margin,
    )
    horizon = max((one.lead_days for one in offers), default=0.0) + ports.terms.review_days
    late = sum(one.units for one in supply.inbound.get(sku, ()) if (one.due - supply.today).days > horizon)
    requirement = replace(requirement, inbound=requirement.inbound - late)
    return choose_supply(requirement, offers, supply.rates, today=supply.today, terms=ports.terms)
