"""When each warehouse begins to pick: the waves its record names, in its own time zone, on the days it is picked up."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from agents.delivery_calendar import HORIZON_DAYS, closed_days, zone
from domain.shipment import Warehouse


@dataclass(frozen=True, kw_only=True)
class WavePolicy:
    """How the last look before a wave is taken."""

    version: str
    before_cutoff: timedelta
    """A site that names no waves has one so long before its cut-off."""
    look_ahead: timedelta
    """The last look begins so long before the wave."""
    most_orders: int
    """Orders of one batch; the nearest deadlines first."""
    prices_for: timedelta
    """How long what scarce units turned out to be worth counts."""


WAVES = WavePolicy(
    version="waves-2026-11-22",
    before_cutoff=timedelta(hours=1),
    look_ahead=timedelta(minutes=10),
    most_orders=200,
    prices_for=timedelta(hours=24),
)


def next_wave(site: Warehouse, now: datetime, policy: WavePolicy = WAVES) -> datetime | None:
    """The first wave after an instant (UTC); None when the site stays closed."""
    return _wave(site, now, policy, 1)


def last_wave(site: Warehouse, now: datetime, policy: WavePolicy = WAVES) -> datetime | None:
    """The last wave that has begun by an instant (UTC); None when there was none."""
    return _wave(site, now, policy, -1)


def _wave(site: Warehouse, now: datetime, policy: WavePolicy, step: int) -> datetime | None:
    today = now.astimezone(zone(site.timezone)).date()
    for ahead in range(HORIZON_DAYS):
        day = today + timedelta(days=ahead * step)
        if day.weekday() not in site.pickup_weekdays or day in site.closed_on:
            continue
        if day in closed_days(site.country, day.year):
            continue
        at = (datetime.combine(day, local, tzinfo=zone(site.timezone)) for local in _times(site, policy))
        waves = sorted(wave.astimezone(UTC) for wave in at)
        fit = [wave for wave in waves if (wave > now if step > 0 else wave <= now)]
        if fit:
            return fit[0] if step > 0 else fit[-1]
    return None


def _times(site: Warehouse, policy: WavePolicy) -> tuple[time, ...]:
    if site.pick_waves:
        return site.pick_waves
    minutes = site.cutoff.hour * 60 + site.cutoff.minute - int(policy.before_cutoff.total_seconds()) // 60
    return (time(*divmod(max(0, minutes), 60)),)
