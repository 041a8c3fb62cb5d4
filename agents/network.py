"""Sites and lanes as last read, shared by the agents that need them: read again when older than a minute.

The last good reading is kept for fallbacks, which may not read anything.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from domain.ports import CarrierReads, WarehouseReads
from domain.shipment import Lane, Warehouse

FRESH_FOR = timedelta(seconds=60)
"""Sites, price tables and timetables change by contract, not by order."""


class Network:
    """Warehouses and carrier lanes behind a short-lived cache; time is an argument."""

    def __init__(self, wms: WarehouseReads, carriers: Mapping[str, CarrierReads], *, fresh_for: timedelta = FRESH_FOR):
        """``fresh_for`` zero reads anew every time."""
        self._wms = wms
        self._carriers = carriers
        self._fresh_for = fresh_for
        self._sites: tuple[datetime, tuple[Warehouse, ...]] | None = None
        self._lanes: dict[str, tuple[datetime, tuple[Lane, ...]]] = {}

    async def warehouses(self, now: datetime) -> tuple[Warehouse, ...]:
        """Every site.

        Raises:
            Transient: they could not be read.
        """
        if self._sites is None or abs(now - self._sites[0]) >= self._fresh_for:
            self._sites = (now, tuple(await self._wms.warehouses()))
        return self._sites[1]

    async def lanes(self, country: str, now: datetime) -> tuple[Lane, ...]:
        """Every lane any carrier sells to the country.

        Raises:
            Transient: a carrier could not be read.
        """
        kept = self._lanes.get(country)
        if kept is None or abs(now - kept[0]) >= self._fresh_for:
            read: Sequence[Sequence[Lane]] = await asyncio.gather(
                *(self._carriers[name].lanes(country) for name in sorted(self._carriers))
            )
            kept = (now, tuple(lane for lanes in read for lane in lanes if lane.country == country))
            self._lanes[country] = kept
        return kept[1]

    def last_warehouses(self) -> tuple[Warehouse, ...]:
        """The last reading, however old; empty before the first."""
        return self._sites[1] if self._sites else ()

    def last_lanes(self, country: str) -> tuple[Lane, ...]:
        """The last reading, however old; empty before the first."""
        kept = self._lanes.get(country)
        return kept[1] if kept else ()
