"""The situation of one SKU for the merchandising planner, from what purchasing, stock and listings say."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from math import ceil

import numpy as np

from agents.demand_series import Matrix
from agents.merchandising import Situation
from agents.stockout import PERIOD_DAYS
from agents.supply_case import SupplyPorts
from agents.supply_outlook import SupplyNow, forecast_of, read_supply
from domain.ids import Sku
from domain.order import Channel

PATHS = 400
HALF_LIFE_WEEKS = 8.0
EARLIEST_DAYS = 28
"""Taken where nobody offers the SKU and nothing is under way."""


async def situation_of(
    ports: SupplyPorts, sku: Sku, *, tenant: str, now: datetime, raised: Mapping[Channel, float] | None = None
) -> Situation:
    """What is known of an SKU now.

    Raises:
        InputError: the SKU was never sold.
        Transient: something could not be read.
    """
    supply = await read_supply(ports, (sku,), tenant=tenant, now=now)
    report = await ports.listings.listings((sku,), tenant=tenant)
    days, confirmed = _days_to_goods(supply, sku)
    spread = max((offer.lead_sd_days for offer in supply.offers.get(sku, ())), default=3.0)
    channels = [listing.channel for listing in report.listings]
    return Situation(
        sku=sku,
        today=supply.today,
        free=supply.free.get(sku, 0),
        arrival=supply.today + timedelta(days=days),
        arrival_p80=supply.today + timedelta(days=days + ceil(0.85 * spread)),
        daily_draws=demand_until(supply, sku, days),
        report=report,
        shares={channel: 1 / len(channels) for channel in channels},
        unit_margin=supply.demands.histories[sku].margin_usd_minor / 100,
        confirmed=confirmed,
        raised=raised or {},
    )


def with_free(situation: Situation, free: int) -> Situation:
    """The same with another stock."""
    return replace(situation, free=free)


def demand_until(supply: SupplyNow, sku: Sku, days: int) -> Matrix:
    """Total demand over the next days in equally likely futures: recent weeks repeat, more often than old ones.

    Raises:
        InputError: the SKU was never sold.
    """
    units = supply.demands.units(sku)
    known = np.flatnonzero(~np.isnan(units))
    rng = np.random.default_rng(sum(map(ord, sku)) * 7919 + days)
    if len(known) < 2:
        forecast = forecast_of(supply, sku)
        drawn = rng.normal(forecast.per_period, max(forecast.deviation, 1e-9), (PATHS, 1)) * days / PERIOD_DAYS
        return np.asarray(np.maximum(drawn[:, 0], 0.0))
    weights = 0.5 ** ((len(units) - 1 - known) / HALF_LIFE_WEEKS)
    whole, part = divmod(days, PERIOD_DAYS)
    picks = rng.choice(units[known], size=(PATHS, whole + 1), p=weights / weights.sum())
    return np.asarray(picks[:, :whole].sum(axis=1) + picks[:, whole] * part / PERIOD_DAYS)


def _days_to_goods(supply: SupplyNow, sku: Sku) -> tuple[int, bool]:
    """Days until the next goods are there: what is under way, else a new order; and whether it is under way."""
    coming = [max(0, (one.due - supply.today).days) for one in supply.inbound.get(sku, ())]
    if coming:
        return max(1, min(coming)), True
    leads = [ceil(offer.lead_days) for offer in supply.offers.get(sku, ())]
    return max(1, min(leads, default=EARLIEST_DAYS)), False
