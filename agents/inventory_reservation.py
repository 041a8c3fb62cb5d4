"""inventory_reservation: proposes one all-or-nothing hold for an order, or says what is short.

It reads levels and proposes; the hold itself is taken, atomically, by the effect. A lost race comes back as a hint.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agents.fallbacks import undeclared
from agents.network import Network
from agents.precedents import held_lines
from agents.stock_allocation import Allocation, Levels, allocate, needed
from domain.decision import Outcome, Proposal, Reason, Verdict
from domain.effect import EffectKind
from domain.ids import Sku, WarehouseId
from domain.intent import HoldStock
from domain.inventory import StockLevel
from domain.order import OrderLine, PaymentState
from domain.ports import AgentCase, WarehousePort
from domain.shipment import Warehouse
from domain.values import Plain


@dataclass(frozen=True, kw_only=True)
class StockPolicy:
    """How old a count may be, how long a hold lasts, and how sure the answers are (declared, not measured)."""

    version: str
    max_age: timedelta
    """A count older than this, by the feed's own time, is not decided on."""
    max_ahead: timedelta
    """A count further in the future is a wrong clock, not a fresh count."""
    hold_settled: timedelta
    hold_unsettled: timedelta
    """Payment not settled yet, or a review likely."""
    sure: float
    stale: float
    fallback: float

    def usable(self, level: StockLevel, now: datetime) -> bool:
        """Whether a count may be decided on."""
        return -self.max_ahead <= now - level.as_of <= self.max_age

    def hold_time(self, payment: PaymentState) -> timedelta:
        """How long the hold lasts unless it is confirmed."""
        return self.hold_settled if payment is PaymentState.PAID else self.hold_unsettled


POLICY = StockPolicy(
    version="stock-2026-11-01",
    max_age=timedelta(seconds=30),
    max_ahead=timedelta(seconds=5),
    hold_settled=timedelta(hours=24),
    hold_unsettled=timedelta(hours=24),
    sure=0.97,
    stale=0.5,
    fallback=0.72,
)


class InventoryReservation:
    """Chooses where the units come from; prefers one site, then one in the destination country."""

    name = "inventory_reservation"
    version = "ir-1.0"
    fallbacks = ("backorder_flag",)

    def __init__(self, *, wms: WarehousePort, network: Network, policy: StockPolicy = POLICY) -> None:
        """``network`` is shared with the routing agents."""
        self._wms = wms
        self._network = network
        self.policy = policy

    async def decide(self, case: AgentCase) -> Verdict:
        """Choose a provisional allocation.

        Raises:
            Transient: sites or levels could not be read.
        """
        lines = case.order.open_lines
        if not lines:
            return self._nothing_to_ship()
        skus = sorted(needed(lines))
        sites, levels = await asyncio.gather(self._network.warehouses(case.now), self._wms.stock(skus))
        unknown = sorted(set(skus) - {level.sku for level in levels})
        if unknown:
            return self._unknown(unknown)
        usable = [level for level in levels if self.policy.usable(level, case.now)]
        allocation = self._allocate(case, lines, sites, usable)
        seen = _seen(levels)
        if allocation.short is None:
            return self._reserve(case, allocation, seen)
        if len(usable) < len(levels) and self._allocate(case, lines, sites, levels).short is None:
            return self._stale(case, [level for level in levels if level not in usable], seen)
        return self._backorder(allocation.short, seen)

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """``backorder_flag``: nothing is held and everything counts as short.

        Raises:
            ConfigError: another fallback is named.
        """
        if name not in self.fallbacks:
            raise undeclared(self.name, name, self.fallbacks)
        if not case.order.open_lines:
            return self._nothing_to_ship()
        short: dict[str, Plain] = {sku: units for sku, units in needed(case.order.open_lines).items()}  # noqa: C416
        return Verdict(
            decision="backorder",
            outcome=Outcome.LIMIT,
            confidence=self.policy.fallback,
            flags=("fallback", "backorder"),
            reasons=(Reason(code="STOCK_UNKNOWN", text=f"stock could not be read ({why}); flagged as backorder"),),
            facts={"short": short, "fallback": name, "why": why, **self._basis()},
        )

    def _allocate(
        self, case: AgentCase, lines: Sequence[OrderLine], sites: Sequence[Warehouse], levels: Sequence[StockLevel]
    ) -> Allocation:
        free = _levels(case, levels)
        country = case.order.ship_to.country
        stocked = {warehouse for warehouse, _ in free}
        total = {site: sum(units for (at, _), units in free.items() if at == site) for site in stocked}
        abroad = {site.warehouse: site.country != country for site in sites}
        preference = sorted(stocked, key=lambda site: (abroad.get(site, True), -total[site], site))
        return allocate(lines, free, preference)

    def _reserve(self, case: AgentCase, allocation: Allocation, seen: dict[str, Plain]) -> Verdict:
        order = case.order
        intent = HoldStock(
            order_id=order.order_id,
            lines=allocation.lines,
            expires_at=case.now + self.policy.hold_time(order.payment.state),
        )
        sites = sorted({line.warehouse for line in allocation.lines})
        return Verdict(
            decision="reserve",
            outcome=Outcome.PROCEED,
            confidence=self.policy.sure,
            flags=("split",) if len(sites) > 1 else (),
            reasons=(
                Reason(
                    code="STOCK_AVAILABLE",
                    text=f"{sum(line.quantity for line in allocation.lines)} units available in {', '.join(sites)}",
                    value=str(sum(line.quantity for line in allocation.lines)),
                    evidence=f"wms.stock:{','.join(sites)}",
                ),
            ),
            proposals=(Proposal(kind=EffectKind.HOLD_STOCK, args=intent.model_dump(mode="json")),),
            facts={
                "allocation": [line.model_dump(mode="json") for line in allocation.lines],
                "warehouses": [str(site) for site in sites],
                **self._basis(),
            },
            inputs={"stock": seen},
        )

    def _backorder(self, short: Mapping[Sku, int], seen: dict[str, Plain]) -> Verdict:
        missing: dict[str, Plain] = dict(sorted(short.items()))
        return Verdict(
            decision="backorder",
            outcome=Outcome.LIMIT,
            confidence=self.policy.sure,
            flags=("backorder",),
            reasons=tuple(
                Reason(
                    code="STOCK_SHORT",
                    text=f"{units} more units of {sku} are needed than can be promised together",
                    value=str(units),
                    threshold="0",
                    evidence=f"wms.stock:*:{sku}",
                )
                for sku, units in sorted(short.items())
            ),
            counterfactual=("STOCK_SHORT",),
            facts={"short": missing, **self._basis()},
            inputs={"stock": seen},
        )

    def _stale(self, case: AgentCase, old: Sequence[StockLevel], seen: dict[str, Plain]) -> Verdict:
        limit = int(self.policy.max_age.total_seconds())
        return Verdict(
            decision="review",
            outcome=Outcome.REVIEW,
            confidence=self.policy.stale,
            flags=("stale_stock",),
            reasons=tuple(
                Reason(
                    code="STALE_STOCK",
                    text=f"the count of {level.sku} in {level.warehouse} is not of the last {limit} s",
                    value=f"{int((case.now - level.as_of).total_seconds())} s",
                    threshold=f"{limit} s",
                    evidence=f"wms.stock:{level.warehouse}:{level.sku}@{level.as_of.isoformat()}",
                )
                for level in old
            ),
            counterfactual=("STALE_STOCK",),
            facts=self._basis(),
            inputs={"stock": seen},
        )

    def _unknown(self, skus: Iterable[Sku]) -> Verdict:
        return Verdict(
            decision="review",
            outcome=Outcome.REVIEW,
            confidence=self.policy.stale,
            flags=("unknown_sku",),
            reasons=tuple(
                Reason(code="UNKNOWN_SKU", text=f"no warehouse knows {sku!r}", value=sku, evidence=f"wms.stock:*:{sku}")
                for sku in skus
            ),
            counterfactual=("UNKNOWN_SKU",),
            facts=self._basis(),
        )

    def _nothing_to_ship(self) -> Verdict:
        return Verdict(
            decision="not_needed",
            outcome=Outcome.PROCEED,
            confidence=self.policy.sure,
            reasons=(Reason(code="NOTHING_TO_SHIP", text="no open line needs shipping", evidence="order.lines"),),
            facts=self._basis(),
        )

    def _basis(self) -> dict[str, Plain]:
        return {"thresholds_version": self.policy.version, "confidence_basis": "declared"}


def _levels(case: AgentCase, levels: Sequence[StockLevel]) -> Levels:
    """What may be promised, less what a lost race has shown to be gone.

    After a refused hold the count may still show the units: where this order tried before, no more is believed than
    it asked for less the shortage; without an earlier attempt the shortage is taken off everywhere.
    """
    free: dict[tuple[WarehouseId, Sku], int] = {(level.warehouse, level.sku): level.available for level in levels}
    short = case.hints.get("short")
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


def _seen(levels: Sequence[StockLevel]) -> dict[str, Plain]:
    return {f"{level.warehouse}:{level.sku}@{level.as_of.isoformat()}": level.available for level in levels}
