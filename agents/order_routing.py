"""order_routing: warehouse and carrier service as one decision, exact over feasible lanes, cost and lateness together.

It knows the fraud verdict only from the shared decisions and the reservation only from its recorded allocation.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.delivery_calendar import DeliveryCalendar
from agents.exchange import Exchange
from agents.fallbacks import undeclared
from agents.inventory_reservation import POLICY as STOCK_POLICY
from agents.inventory_reservation import StockPolicy
from agents.network import Network
from agents.precedents import held_lines
from agents.routing_blocks import Goods, build_blocks, coarsened, describe, pack_greedily
from agents.routing_offers import OfferDesk, Tariff, Terms, minor_units, tariffs
from agents.routing_problem import UNKNOWN_VALUE, Problem, Solution, Weights
from agents.routing_report import no_route, review, routed
from agents.routing_solver import solve
from agents.shipping_options import OPTIONS, OptionClass, option_class
from domain.catalogue import Product
from domain.decision import Outcome, Reason, Verdict
from domain.errors import MissingRate
from domain.fx import RateTable
from domain.ids import Sku, WarehouseId
from domain.inventory import StockLevel
from domain.money import Money
from domain.order import Order, PaymentMethod
from domain.ports import AgentCase, CataloguePort, WarehousePort
from domain.shipment import Lane, Warehouse


@dataclass(frozen=True, kw_only=True)
class RoutingPolicy:
    """The weights of the objective, the limits of the exact method, and declared confidences."""

    version: str
    settlement: str
    """Currency all costs are compared in."""
    weights: Weights
    exact_blocks: int
    """Beyond this many, blocks are merged, and beyond that packed greedily: bounded time instead of optimality."""
    contested_blocks: int
    """The same limit when blocks compete for a site's last units."""
    most_blocks: int
    """An order in more pieces than this goes to a person."""
    exact: float
    bounded: float
    fallback: float


POLICY = RoutingPolicy(
    version="routing-2026-11-01",
    settlement="USD",
    weights=Weights(late_hour_minor=25, split_minor=100, ship_by_minor=2500),
    exact_blocks=10,
    contested_blocks=7,
    most_blocks=60,
    exact=0.95,
    bounded=0.8,
    fallback=0.72,
)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """All that was read for one order."""

    sites: tuple[Warehouse, ...]
    lanes: tuple[Lane, ...]
    levels: Sequence[StockLevel]
    products: Mapping[Sku, Product]
    rates: RateTable


class OrderRouting:
    """Finds the plan with the lowest cost plus lateness, and says why the others lost."""

    name = "order_routing"
    version = "or-1.0"
    fallbacks = ("cheapest_route",)

    def __init__(
        self,
        *,
        wms: WarehousePort,
        erp: CataloguePort,
        network: Network,
        exchange: Exchange,
        policy: RoutingPolicy = POLICY,
        stock_policy: StockPolicy = STOCK_POLICY,
    ) -> None:
        """``network`` and ``exchange`` are shared with the other agents."""
        self._wms = wms
        self._erp = erp
        self._network = network
        self._exchange = exchange
        self.policy = policy
        self._stock_policy = stock_policy
        self._calendar = DeliveryCalendar()
        self._products: dict[Sku, Product] = {}
        self._priced: dict[str, tuple[tuple[Lane, ...], RateTable, tuple[Tariff, ...]]] = {}

    async def decide(self, case: AgentCase) -> Verdict:
        """Find the best plan.

        Raises:
            Transient: stock, lanes, products or rates could not be read.
        """
        order = case.order
        if not order.open_lines:
            return _nothing_to_ship(self.policy)
        if not order.ship_to.country:
            return review("NO_COUNTRY", "the address has no country, so no lane can be chosen", "order.ship_to.country")
        around = await self._read(order, case.now)
        stock = self._stock(case, around.levels)
        return self._route(case, around, stock)

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
        around = Surroundings(
            sites=self._network.last_warehouses(),
            lanes=self._network.last_lanes(country),
            levels=(),
            products={line.sku: self._products[line.sku] for line in case.order.lines if line.sku in self._products},
            rates=self._exchange.last_table(),
        )
        if not case.order.open_lines:
            return _nothing_to_ship(self.policy)
        if not held or not around.lanes or not around.sites:
            return review("AGENT_UNAVAILABLE", f"routing failed ({why}) and no lane is remembered", "order.ship_to")
        verdict = self._route(case, around, held, cheapest=True)
        flags = (*verdict.flags, "fallback")
        confidence = self.policy.fallback if verdict.decision == "route" else None
        return verdict.model_copy(update={"flags": flags, "confidence": confidence})

    async def _read(self, order: Order, now: datetime) -> Surroundings:
        skus = sorted({line.sku for line in order.open_lines})
        sites, lanes, levels, products = await asyncio.gather(
            self._network.warehouses(now),
            self._network.lanes(order.ship_to.country, now),
            self._wms.stock(skus),
            self._erp.products(skus),
        )
        currencies = {order.currency, self.policy.settlement}
        currencies |= {site.pick_pack.currency for site in sites}
        currencies |= {lane.steps[0].price.currency for lane in lanes}
        currencies |= {lane.max_value.currency for lane in lanes if lane.max_value}
        rates = await self._exchange.table(currencies, now)
        self._remember(products)
        return Surroundings(sites=sites, lanes=lanes, levels=levels, products=products, rates=rates)

    def _remember(self, products: Mapping[Sku, Product]) -> None:
        if len(self._products) >= 20_000:
            self._products.clear()
        self._products.update(products)

    def _stock(self, case: AgentCase, levels: Sequence[StockLevel]) -> dict[tuple[WarehouseId, Sku], int]:
        """Units this order may take: what is free by a fresh count, plus what it already holds."""
        stock = {
            (level.warehouse, level.sku): level.available
            for level in levels
            if self._stock_policy.usable(level, case.now)
        }
        for line in held_lines(case.decisions):
            key = (line.warehouse, line.sku)
            stock[key] = stock.get(key, 0) + line.quantity
        return stock

    def _route(
        self,
        case: AgentCase,
        around: Surroundings,
        stock: Mapping[tuple[WarehouseId, Sku], int],
        *,
        cheapest: bool = False,
    ) -> Verdict:
        order = case.order
        goods, unknown = self._goods(order, around, case.now)
        if unknown:
            return review("WEIGHT_UNKNOWN", f"nobody knows the weight of {', '.join(unknown)}", "erp.products")
        desk = OfferDesk(self._calendar, lambda site: self._picking(site, around.rates, case.now))
        terms = Terms(
            country=order.ship_to.country,
            cash_on_delivery=order.payment.method is PaymentMethod.COD,
            released_at=case.now,
            ship_by=order.ship_by,
        )
        offers, killed = desk.offers(around.sites, self._tariffs(order.ship_to.country, around, case.now), terms)
        blocks = build_blocks(goods, offers, stock, self.policy.most_blocks)
        if blocks is None:
            return review(
                "TOO_MANY_PARCELS", f"the order needs more than {self.policy.most_blocks} parcels", "order.lines"
            )
        due = None if cheapest else self._due(order, case.now)
        problem = Problem(blocks=tuple(blocks), offers=tuple(offers), stock=stock, due=due, weights=self.policy.weights)
        best, frontier, exact = self._solve(problem)
        if best is None:
            return no_route(problem, around.sites, killed, version=self.policy.version)
        return routed(case, problem, best, frontier, around.sites, killed, exact=exact, policy=self.policy)

    def _solve(self, problem: Problem) -> tuple[Solution | None, Sequence[Solution], bool]:
        """The optimum when the order is small enough, else the best of the bounded methods."""
        if _tractable(problem, self.policy):
            routing = solve(problem)
            return (routing.best, routing.frontier, True) if routing else (None, (), True)
        found = [plan for plan in (pack_greedily(problem),) if plan is not None]
        fewer = coarsened(problem)
        if _tractable(fewer, self.policy) and (routing := solve(fewer)):
            found.append(routing.best)
        return min(found, key=lambda plan: plan.objective_minor, default=None), (), False

    def _goods(self, order: Order, around: Surroundings, now: datetime) -> tuple[list[Goods], list[str]]:
        """The open lines in shipping terms, and those nobody knows the weight of."""
        goods: list[Goods] = []
        unknown: list[str] = []
        for line, value in zip(order.open_lines, self._values(order, around.rates, now), strict=True):
            described = describe(line, around.products.get(line.sku), value)
            if described is None:
                unknown.append(line.sku or line.line_id)
            else:
                goods.append(described)
        return goods, unknown

    def _values(self, order: Order, rates: RateTable, now: datetime) -> list[int]:
        """What each line is insured for: its share of what the buyer pays for everything still open."""
        lines = order.open_lines
        try:
            whole = minor_units(order.total_open, self.policy.settlement, rates, now)
        except MissingRate:
            return [UNKNOWN_VALUE] * len(lines)
        prices = [max(0, line.unit_price.amount_minor) * line.quantity_open for line in lines]
        shares = Money(amount_minor=max(0, whole), currency=self.policy.settlement).allocate(
            prices if any(prices) else [1] * len(lines)
        )
        return [share.amount_minor for share in shares]

    def _tariffs(self, country: str, around: Surroundings, now: datetime) -> tuple[Tariff, ...]:
        kept = self._priced.get(country)
        if kept is None or kept[0] is not around.lanes or kept[1] is not around.rates:
            kept = (around.lanes, around.rates, tariffs(around.lanes, self.policy.settlement, around.rates, now))
            self._priced[country] = kept
        return kept[2]

    def _picking(self, site: Warehouse, rates: RateTable, now: datetime) -> int | None:
        try:
            return minor_units(site.pick_pack, self.policy.settlement, rates, now)
        except MissingRate:
            return None

    def _due(self, order: Order, now: datetime) -> datetime | None:
        """The promise: the order's own date, else what an express choice promises, else none."""
        if order.deliver_by is not None or option_class(order.shipping_option) is not OptionClass.EXPRESS:
            return order.deliver_by
        return self._calendar.arrival(now, order.ship_to.country, OPTIONS.express_promise_working_days)


def _tractable(problem: Problem, policy: RoutingPolicy) -> bool:
    wanted = [sku for block in problem.blocks for sku in block.units()]
    contested = len(wanted) > len(set(wanted))
    return len(problem.blocks) <= (policy.contested_blocks if contested else policy.exact_blocks)


def _nothing_to_ship(policy: RoutingPolicy) -> Verdict:
    return Verdict(
        decision="not_needed",
        outcome=Outcome.PROCEED,
        confidence=policy.exact,
        reasons=(Reason(code="NOTHING_TO_SHIP", text="no open line needs shipping", evidence="order.lines"),),
        facts={"thresholds_version": policy.version, "confidence_basis": "declared"},
    )
