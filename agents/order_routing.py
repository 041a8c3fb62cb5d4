"""order_routing: warehouse and carrier service as one decision, exact over feasible lanes, cost and lateness together.

It knows the fraud verdict only from the shared decisions and the reservation only from its recorded allocation.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from agents.consigned import consigned
from agents.exchange import Exchange
from agents.fallbacks import undeclared
from agents.inventory_reservation import POLICY as STOCK_POLICY
from agents.inventory_reservation import StockPolicy
from agents.network import Network
from agents.precedents import held_lines, route_plan
from agents.reads import KNOWN_GOODS
from agents.recording import recalled
from agents.routing_desk import RoutingDesk, Surroundings
from agents.routing_duty import limit_currencies
from agents.routing_policy import POLICY, RoutingPolicy
from agents.routing_refusal import review
from agents.routing_wave import Wave, last_look
from agents.taught import said, with_option
from agents.tax_rules import TaxTable, shipped_rules
from domain.catalogue import Product
from domain.decision import Outcome, Reason, Verdict
from domain.ids import Sku, WarehouseId
from domain.inventory import FeedState, StockLevel
from domain.ports import AgentCase, CataloguePort, ConsigneePort, DemandPort, FeedPort, UnitPricePort, WarehouseReads

__all__ = ["POLICY", "OrderRouting", "RoutingPolicy"]


class OrderRouting:
    """Finds the plan with the lowest cost plus lateness, and says why the others lost."""

    name = "order_routing"
    version = "or-1.1"
    fallbacks = ("cheapest_route",)

    def __init__(
        self,
        *,
        wms: WarehouseReads,
        erp: CataloguePort,
        network: Network,
        exchange: Exchange,
        policy: RoutingPolicy = POLICY,
        stock_policy: StockPolicy = STOCK_POLICY,
        taxes: TaxTable | None = None,
        unit_prices: UnitPricePort | None = None,
        feed: FeedPort | None = None,
        demand: DemandPort | None = None,
        consignees: ConsigneePort | None = None,
    ) -> None:
        """``network`` and ``exchange`` are shared with the other agents; ``taxes`` other than the shipped rows."""
        self._wms = wms
        self._erp = erp
        self._network = network
        self._exchange = exchange
        self.policy = policy
        self._stock_policy = stock_policy
        self._unit_prices = unit_prices
        self._feed = feed
        self._demand = demand
        self._consignees = consignees
        self._desk = RoutingDesk(policy, taxes or shipped_rules())
        self._products: dict[Sku, Product] = {}

    async def decide(self, case: AgentCase) -> Verdict:
        """Find the best plan.

        Raises:
            Transient: stock, lanes, products or rates could not be read.
        """
        case, example = with_option(case)
        order = case.order
        if not order.open_lines:
            return _nothing_to_ship(self.policy)
        if not order.ship_to.country:
            return review("NO_COUNTRY", "the address has no country, so no lane can be chosen", "order.ship_to.country")
        simple = case.hints.get("mode") == "degraded"
        around = await self._read(case)
        if self._unit_prices is not None and not simple:
            around = replace(around, prices=await self._unit_prices.prices(tenant=order.tenant, now=case.now))
        stock = self._stock(case, around.levels)
        if simple:
            verdict = self._desk.route(case, around, stock, simple=True)
            if verdict.decision == "route":
                return said(verdict, example, order.shipping_option)
        return said(self._desk.route(case, around, stock), example, order.shipping_option)

    async def before_wave(self, cases: Sequence[AgentCase], now: datetime) -> Wave:
        """Route waiting orders anew together before they are picked; orders without a plan are not looked at.

        Raises:
            Transient: stock, lanes, products or rates could not be read.
        """
        waiting = [case for case in cases if route_plan(case.decisions) and case.order.open_lines]
        around = [await self._read(replace(case, now=now)) for case in waiting]
        skus = sorted({line.sku for case in waiting for line in case.order.open_lines})
        levels = await self._wms.stock(skus) if skus else ()
        free = self._free(levels, now, channel="")
        at = [replace(case, now=now) for case in waiting]
        return await asyncio.to_thread(last_look, self._desk, list(zip(at, around, strict=True)), free)

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """``cheapest_route``: the cheapest lanes last seen for the units held, or a person when there are none.

        Raises:
            ConfigError: another fallback is named.
        """
        if name not in self.fallbacks:
            raise undeclared(self.name, name, self.fallbacks)
        country = case.order.ship_to.country
        held: dict[tuple[WarehouseId, Sku], int] = {}
        for line in held_lines(case.decisions):
            held[line.warehouse, line.sku] = held.get((line.warehouse, line.sku), 0) + line.quantity
        remembered = {line.sku: self._products[line.sku] for line in case.order.lines if line.sku in self._products}
        known = recalled(KNOWN_GOODS, remembered)
        around = Surroundings(
            sites=self._network.last_warehouses(),
            lanes=self._network.last_lanes(country),
            levels=(),
            products=known,
            rates=self._exchange.last_table(),
        )
        if not case.order.open_lines:
            return _nothing_to_ship(self.policy)
        if not held or not around.lanes or not around.sites:
            return review("AGENT_UNAVAILABLE", f"routing failed ({why}) and no lane is remembered", "order.ship_to")
        verdict = self._desk.route(case, around, held, cheapest=True)
        flags = (*verdict.flags, "fallback")
        confidence = self.policy.fallback if verdict.decision == "route" else None
        return verdict.model_copy(update={"flags": flags, "confidence": confidence})

    async def _read(self, case: AgentCase) -> Surroundings:
        order, now = case.order, case.now
        skus = sorted({line.sku for line in order.open_lines})
        sites, lanes, levels, products = await asyncio.gather(
            self._network.warehouses(now),
            self._network.lanes(order.ship_to.country, now),
            self._wms.stock(skus),
            self._erp.products(skus),
        )
        currencies = {order.currency, *self._desk.market.currencies(order.ship_to.country, sites, lanes)}
        sent = None
        if self.policy.duty_rule(order, now.date()) is not None:
            sent = await consigned(self._consignees, case, self._desk.taxes)
            currencies |= {amount.currency for amount in sent.today} if sent else set()
            currencies |= limit_currencies(self._desk.taxes, order.ship_to.country)
        rates = await self._exchange.table(currencies, now)
        self._remember(products)
        return Surroundings(sites=sites, lanes=lanes, levels=levels, products=products, rates=rates, sent=sent)

    def _remember(self, products: Mapping[Sku, Product]) -> None:
        if len(self._products) >= 20_000:
            self._products.clear()
        self._products.update(products)

    def _free(self, levels: Sequence[StockLevel], now: datetime, channel: str) -> dict[tuple[WarehouseId, Sku], int]:
        """Units an order of the channel may be promised by fresh counts; what is kept for other channels is not."""
        policy = self._stock_policy
        feeds = self._feed.states(now) if self._feed is not None else {}
        demand = self._demand.demand(sorted({level.sku for level in levels})) if self._demand is not None else {}
        return {
            (level.warehouse, level.sku): policy.promise(
                level,
                now,
                feed=feeds.get(level.warehouse, FeedState.NORMAL),
                channel=channel,
                demand=demand.get((level.warehouse, level.sku)),
            ).units
            for level in levels
            if policy.usable(level, now)
        }

    def _stock(self, case: AgentCase, levels: Sequence[StockLevel]) -> dict[tuple[WarehouseId, Sku], int]:
        """Units this order may take: what is free by a fresh count, plus what it already holds."""
        stock = self._free(levels, case.now, case.order.channel.value)
        for line in held_lines(case.decisions):
            key = (line.warehouse, line.sku)
            stock[key] = stock.get(key, 0) + line.quantity
        return stock


def _nothing_to_ship(policy: RoutingPolicy) -> Verdict:
    return Verdict(
        decision="not_needed",
        outcome=Outcome.PROCEED,
        confidence=policy.exact,
        reasons=(Reason(code="NOTHING_TO_SHIP", text="no open line needs shipping", evidence="order.lines"),),
        facts={"thresholds_version": policy.version, "confidence_basis": "declared"},
    )
