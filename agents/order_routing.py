"""order_routing: warehouse and carrier service as one decision, exact over feasible lanes, cost and lateness together.

It knows the fraud verdict only from the shared decisions and the reservation only from its recorded allocation.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from agents.delivery_calendar import DeliveryCalendar
from agents.exchange import Exchange
from agents.fallbacks import undeclared
from agents.inventory_reservation import POLICY as STOCK_POLICY
from agents.inventory_reservation import StockPolicy
from agents.network import Network
from agents.precedents import held_lines
from agents.routing_blocks import Goods, build_blocks, coarsened, pack_greedily
from agents.routing_duty import Consignment, ImportBill, import_bill, limit_currencies
from agents.routing_goods import insured_values, missing_units, open_goods
from agents.routing_market import Market, terms_of
from agents.routing_matter import Matter
from agents.routing_policy import POLICY, RoutingPolicy
from agents.routing_problem import Problem, Solution, merged
from agents.routing_refusal import no_route, review, unfillable
from agents.routing_report import routed
from agents.routing_solver import solve
from agents.shipping_options import OPTIONS, OptionClass, option_class
from agents.tax_rules import TaxTable, shipped_rules
from domain.catalogue import Product
from domain.decision import Outcome, Reason, Verdict
from domain.errors import MissingRate
from domain.fx import RateTable
from domain.ids import Sku, WarehouseId
from domain.inventory import StockLevel
from domain.money import Money
from domain.order import Order
from domain.ports import AgentCase, CataloguePort, WarehousePort
from domain.shipment import Lane, Warehouse

__all__ = ["POLICY", "OrderRouting", "RoutingPolicy"]


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
    version = "or-1.1"
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
        taxes: TaxTable | None = None,
    ) -> None:
        """``network`` and ``exchange`` are shared with the other agents; ``taxes`` other than the shipped rows."""
        self._wms = wms
        self._erp = erp
        self._network = network
        self._exchange = exchange
        self.policy = policy
        self._stock_policy = stock_policy
        self._calendar = DeliveryCalendar()
        self._market = Market(self._calendar, policy.settlement)
        self._taxes = taxes or shipped_rules()
        self._products: dict[Sku, Product] = {}

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
        currencies = {order.currency, *self._market.currencies(order.ship_to.country, sites, lanes)}
        if self.policy.duty_rule(order, now.date()) is not None:
            currencies |= limit_currencies(self._taxes, order.ship_to.country)
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
        """Goods, offers, problem, plan: the first step that cannot be taken is the answer."""
        order, policy = case.order, self.policy
        rule = policy.duty_rule(order, case.now.date())
        bill: ImportBill | None = None
        if rule is not None:
            try:
                bill = self._bill(case, around.rates)
            except MissingRate as missing:
                return review("DUTY_RATE_MISSING", f"the duty to pay cannot be settled: {missing}", "erp.rates")
            if bill is None:
                return review(
                    "NO_DUTY_RULE", f"no dated tax row covers imports to {order.ship_to.country}", "tax_rules"
                )
        values = insured_values(order, around.rates, case.now, settlement=policy.settlement)
        goods, unknown = open_goods(order, around.products, values, bill.by_line_minor if bill else ())
        if unknown:
            return review("WEIGHT_UNKNOWN", f"nobody knows the weight of {', '.join(unknown)}", "erp.products")
        desk = self._market.desk(order.ship_to.country, around.sites, around.lanes, around.rates, now=case.now)
        offers, killed = desk.offers(terms_of(order, case.now, duty_paid=rule is not None))
        may_split = sum(values) > policy.split_above_minor
        blocks = build_blocks(goods, offers, stock, most=policy.most_blocks, several_sites=may_split)
        if blocks is None:
            if not missing_units(goods, stock):
                return review(
                    "TOO_MANY_PARCELS", f"the order needs more than {policy.most_blocks} parcels", "order.lines"
                )
            blocks = [item.block(item.units) for item in goods]
        problem = Problem(
            blocks=tuple(blocks),
            offers=offers,
            stock=stock,
            due=None if cheapest else self._due(order, case.now),
            weights=policy.weights,
            scarcity=self._scarcity(goods),
            parcels_left={site.warehouse: left for site in around.sites if (left := site.parcels_left) is not None},
        )
        matter = Matter(
            problem=problem,
            sites=around.sites,
            killed=killed,
            policy=policy,
            may_split=may_split,
            worth_minor=sum(values),
            duty_rule=rule.rule_id if rule else None,
            bill=bill,
        )
        return self._settle(case, matter)

    def _settle(self, case: AgentCase, matter: Matter) -> Verdict:
        """The plan; without one the order waits if an arrival of stock would mend that, else a person is asked."""
        problem = matter.problem
        attempt = self._solve if matter.may_split else self._together
        best, frontier, exact = attempt(problem)
        if best is not None:
            method = "exact" if exact else "bounded"
            return routed(case, matter, best, frontier, method=method, calendar=self._calendar)
        units = merged(problem.blocks).units()
        plenty = {(site.warehouse, sku): wanted for site in matter.sites for sku, wanted in units.items()}
        if attempt(replace(problem, stock=plenty))[0] is None:
            return no_route(matter)
        return unfillable(case, matter)

    def _together(self, problem: Problem) -> tuple[Solution | None, Sequence[Solution], bool]:
        """The best plan in one parcel; when no lane takes that, the best from one site."""
        routing = solve(replace(problem, blocks=(merged(problem.blocks),)))
        if routing is not None:
            return routing.best, routing.frontier, True
        sites = dict.fromkeys(offer.warehouse for offer in problem.offers)
        found = [
            self._solve(replace(problem, offers=tuple(offer for offer in problem.offers if offer.warehouse == site)))
            for site in sites
        ]
        plans = [(best, frontier, exact) for best, frontier, exact in found if best is not None]
        return min(plans, key=lambda plan: (plan[0].objective_minor, plan[0].arrives), default=(None, (), True))

    def _bill(self, case: AgentCase, rates: RateTable) -> ImportBill | None:
        """Duty and import tax of what crosses the border."""
        sent, imports = case.hints.get("consignee_value_today"), case.hints.get("imports_half_year")
        aggregate = self.policy.aggregate_same_day_same_consignee and isinstance(sent, dict)
        consignment = Consignment(
            order=case.order,
            sent_today=Money.model_validate(sent) if aggregate else None,
            imports_before=imports if isinstance(imports, int) else 0,
        )
        return import_bill(consignment, self._taxes, rates, case.now, settlement=self.policy.settlement)

    def _scarcity(self, goods: Sequence[Goods]) -> dict[tuple[WarehouseId, Sku], int]:
        """What the order's units are worth to later orders; empty as long as nobody has said."""
        if not self.policy.scarcity:
            return {}
        wanted = {item.sku for item in goods}
        return {key: worth for key, worth in self.policy.scarcity.items() if key[1] in wanted}

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

    def _due(self, order: Order, now: datetime) -> datetime | None:
        """The promise: the order's own date, else what an express choice promises, else none."""
        if order.deliver_by is not None or option_class(order.shipping_option) is not OptionClass.EXPRESS:
            return order.deliver_by
        return self._calendar.arrival(now, order.ship_to.country, OPTIONS.express_promise_working_days)


def _tractable(problem: Problem, policy: RoutingPolicy) -> bool:
    wanted = [sku for block in problem.blocks for sku in block.units()]
    room = problem.parcels_left.values()
    contested = len(wanted) > len(set(wanted)) or any(0 < left < len(problem.blocks) for left in room)
    return len(problem.blocks) <= (policy.contested_blocks if contested else policy.exact_blocks)


def _nothing_to_ship(policy: RoutingPolicy) -> Verdict:
    return Verdict(
        decision="not_needed",
        outcome=Outcome.PROCEED,
        confidence=policy.exact,
        reasons=(Reason(code="NOTHING_TO_SHIP", text="no open line needs shipping", evidence="order.lines"),),
        facts={"thresholds_version": policy.version, "confidence_basis": "declared"},
    )
