"""inventory_reservation: proposes one all-or-nothing hold for an order, or says why it must wait.

It reads levels and proposes; the hold itself is taken, atomically, by the effect. A lost race comes back as a hint.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents import stock_report as report
from agents.fallbacks import undeclared
from agents.network import Network
from agents.precedents import held_lines
from agents.stock_allocation import Allocation, Levels, allocate, needed
from agents.stock_policy import POLICY, Promise, StockPolicy
from domain.decision import Verdict
from domain.ids import Sku, WarehouseId
from domain.inventory import FeedState, StockLevel
from domain.order import OrderLine
from domain.ports import AgentCase, DemandPort, FeedPort, WarehouseReads
from domain.shipment import Warehouse
from domain.values import Plain

__all__ = ["POLICY", "InventoryReservation", "StockPolicy"]


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """What the warehouses can give one order now."""

    lines: Sequence[OrderLine]
    promises: Sequence[Promise]
    preference: Sequence[WarehouseId]
    """Sites, best first."""


class InventoryReservation:
    """Chooses where the units come from; prefers one site, then one in the destination country."""

    name = "inventory_reservation"
    version = "ir-1.1"
    fallbacks = ("backorder_flag",)

    def __init__(
        self,
        *,
        wms: WarehouseReads,
        network: Network,
        feed: FeedPort | None = None,
        demand: DemandPort | None = None,
        policy: StockPolicy = POLICY,
    ) -> None:
        """``network`` is shared with the routing agents.

        Without ``feed`` only each count's own age is judged; without ``demand`` every SKU counts as unmeasured.
        """
        self._wms = wms
        self._network = network
        self._feed = feed
        self._demand = demand
        self.policy = policy

    async def decide(self, case: AgentCase) -> Verdict:
        """Choose a provisional allocation.

        Raises:
            Transient: sites or levels could not be read.
        """
        lines = case.order.open_lines
        if not lines:
            return report.nothing_to_ship(self.policy)
        need = needed(lines)
        skus = sorted(need)
        sites = await self._network.warehouses(case.now)
        levels = await self._wms.stock(skus)
        if unknown := sorted(set(skus) - {level.sku for level in levels}):
            return report.unknown_skus(self.policy, unknown)
        shelf = self._shelf(case, lines, sites, levels)
        allocation = self._allocate(case, shelf)
        if allocation.short is not None and any(promise.behind for promise in shelf.promises):
            # A count that is behind is read once more before the order is made to wait for it.
            shelf = self._shelf(case, lines, sites, await self._wms.stock(skus))
            allocation = self._allocate(case, shelf)
        if allocation.short is None:
            return report.reserve(self.policy, case, allocation, shelf.promises)
        return self._wait(case, shelf, allocation.short)

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """``backorder_flag``: nothing is held and everything counts as short.

        Raises:
            ConfigError: another fallback is named.
        """
        if name not in self.fallbacks:
            raise undeclared(self.name, name, self.fallbacks)
        if not case.order.open_lines:
            return report.nothing_to_ship(self.policy)
        return report.stock_unknown(self.policy, case, name, why)

    def _shelf(
        self, case: AgentCase, lines: Sequence[OrderLine], sites: Sequence[Warehouse], levels: Sequence[StockLevel]
    ) -> Shelf:
        feeds = self._feed.states(case.now) if self._feed is not None else {}
        demand = self._demand.demand([line.sku for line in lines]) if self._demand is not None else {}
        degraded = case.hints.get("mode") == "degraded"
        promises = [
            self.policy.promise(
                level,
                case.now,
                feed=feeds.get(level.warehouse, FeedState.NORMAL),
                channel=case.order.channel,
                demand=demand.get((level.warehouse, level.sku)),
                degraded=degraded,
            )
            for level in levels
        ]
        return Shelf(lines=lines, promises=promises, preference=_preference(case, sites, promises))

    def _allocate(self, case: AgentCase, shelf: Shelf) -> Allocation:
        free = {(p.level.warehouse, p.level.sku): p.units for p in shelf.promises}
        return allocate(shelf.lines, _less_lost(case, free), shelf.preference)

    def _wait(self, case: AgentCase, shelf: Shelf, short: Mapping[Sku, int]) -> Verdict:
        """Why the order waits: a feed that is behind, units kept for other channels, or goods that are not there."""
        believed = {(p.level.warehouse, p.level.sku): p.believed for p in shelf.promises}
        if allocate(shelf.lines, _less_lost(case, believed), shelf.preference).short is None:
            return report.feed_behind(self.policy, case, shelf.promises, short)
        unprotected = {(p.level.warehouse, p.level.sku): p.free for p in shelf.promises}
        protected = allocate(shelf.lines, _less_lost(case, unprotected), shelf.preference).short is None
        return report.backorder(self.policy, case, shelf.promises, short, protected=protected)


def _preference(
    case: AgentCase, sites: Sequence[Warehouse], promises: Sequence[Promise]
) -> list[WarehouseId]:  # fmt: skip
    """Sites that have something: those in the destination country first, then the fullest."""
    country = case.order.ship_to.country
    total: dict[WarehouseId, int] = {}
    for promise in promises:
        warehouse = promise.level.warehouse
        total[warehouse] = total.get(warehouse, 0) + promise.units
    abroad = {site.warehouse: site.country != country for site in sites}
    return sorted(total, key=lambda site: (abroad.get(site, True), -total[site], site))


def _less_lost(case: AgentCase, free: Levels) -> Levels:
    """Take off what a lost race has shown to be gone.

    After a refused hold the count may still show the units: where this order tried before, no more is believed than
    it asked for less the shortage; without an earlier attempt the shortage is taken off everywhere.
    """
    short: Plain = case.hints.get("short")
    if not isinstance(short, dict):
        return free
    tried: dict[tuple[WarehouseId, Sku], int] = {}
    for line in held_lines(case.decisions):
        tried[line.warehouse, line.sku] = tried.get((line.warehouse, line.sku), 0) + line.quantity
    for (warehouse, sku), available in free.items():
        missing = short.get(sku)
        if not isinstance(missing, int):
            continue
        if tried:
            asked = tried.get((warehouse, sku))
            free[warehouse, sku] = available if asked is None else max(0, min(available, asked - missing))
        else:
            free[warehouse, sku] = max(0, available - missing)
    return free
