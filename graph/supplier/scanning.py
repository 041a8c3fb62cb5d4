"""The scheduled look at everything sold: what will run short becomes chains. One worker of all does it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

import structlog

from agents.stockout import PERIOD_DAYS
from agents.supply_case import SupplyPorts
from domain.errors import InputError, Transient
from domain.ids import Sku, TenantId
from domain.supply_case import SupplyTrigger, TriggerKind
from graph.runtime.clock import Clock
from graph.runtime.leases import Leadership
from graph.supplier.chains import Outcome, SupplyChains

log = structlog.get_logger(__name__)

CHUNK = 100
"""SKUs of one trigger."""
STOCK_CHUNK = 500
SAFETY_DEVIATIONS = 2.0
LONGEST_LEAD_DAYS = 60.0
"""What covers this long, with safety, cannot need anything: nobody's lead time and review are longer."""


class SupplyScan:
    """Looks at the whole assortment, at most once per ``every_h`` hours by itself, and whenever somebody asks."""

    def __init__(
        self, chains: SupplyChains, ports: SupplyPorts, clock: Clock, *, lead: Leadership, every_h: float
    ) -> None:
        """``every_h`` 0 leaves scanning to people and alerts."""
        self._chains = chains
        self._ports = ports
        self._clock = clock
        self._lead = lead
        self._every_h = every_h
        self.tenants: Callable[[], Sequence[TenantId]] = tuple
        """Whose assortment is scanned by the clock."""

    async def scan(self, tenant: TenantId, *, by: str, limit: int = 2000) -> Outcome:
        """Start a chain for everything that needs ordering; ``limit`` bounds the SKUs taken on, most urgent first.

        Raises:
            Transient: something could not be read; what was started stays started.
        """
        now = self._clock.now()
        short = (await self._short())[:limit]
        found = Outcome()
        for at in range(0, len(short), CHUNK):
            trigger = SupplyTrigger(
                key=f"{now.isoformat(timespec='seconds')}:{at}",
                tenant=tenant,
                kind=TriggerKind.SCAN,
                skus=tuple(short[at : at + CHUNK]),
                by=by,
                at=now,
            )
            one = await self._chains.begin(trigger)
            found = Outcome(
                started=(*found.started, *one.started),
                covered=found.covered | one.covered,
                refused=found.refused | one.refused,
            )
        return found

    async def watch(self, stop: asyncio.Event) -> None:
        """Scan every so often while this process leads, until told to stop."""
        if not self._every_h:
            await stop.wait()
            return
        pause_s = timedelta(hours=self._every_h).total_seconds()
        while not stop.is_set():
            for tenant in self.tenants():
                try:
                    if await self._lead.lead():
                        done = await self.scan(tenant, by="signalbox")
                        log.info("supply.scanned", tenant=tenant, started=len(done.started), refused=len(done.refused))
                except (Transient, InputError) as away:
                    log.warning("supply.not_scanned", tenant=tenant, why=str(away))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_s)

    async def _short(self) -> list[Sku]:
        """SKUs that could need something, the least days of cover first."""
        demands = await self._ports.assortment.demands(self._clock.now())
        skus = list(demands.histories)
        free = dict.fromkeys(skus, 0)
        for at in range(0, len(skus), STOCK_CHUNK):
            for level in await self._ports.wms.stock(skus[at : at + STOCK_CHUNK]):
                free[level.sku] += level.available
        horizon = LONGEST_LEAD_DAYS / PERIOD_DAYS
        cover: dict[Sku, float] = {}
        for sku in skus:
            forecast = demands.forecasts.by_sku[sku]
            most = forecast.per_period * horizon + SAFETY_DEVIATIONS * forecast.deviation * horizon**0.5
            if forecast.per_period > 0 and free[sku] < most:
                cover[sku] = free[sku] / forecast.per_period
        return sorted(cover, key=lambda sku: (cover[sku], sku))
