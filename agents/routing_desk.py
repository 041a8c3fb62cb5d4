"""Routing one order from what was read: its freight, its problem, its plan. Pure; the agent around it reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from agents.delivery_calendar import DeliveryCalendar
from agents.routing_blocks import Goods, build_blocks, coarsened, pack_greedily
from agents.routing_duty import Consignment, ImportBill, import_bill
from agents.routing_goods import insured_values, missing_units, open_goods
from agents.routing_market import Market, terms_of
from agents.routing_matter import Matter
from agents.routing_policy import RoutingPolicy
from agents.routing_problem import HOUR, UNPRICED, Block, Offer, Problem, Solution, merged
from agents.routing_refusal import no_route, review, unfillable
from agents.routing_report import routed
from agents.routing_solver import solve
from agents.shipping_options import OPTIONS, OptionClass, option_class
from agents.tax_rules import TaxTable
from domain.catalogue import Product
from domain.consignee import Consigned
from domain.decision import Verdict
from domain.errors import MissingRate
from domain.fx import RateTable
from domain.ids import Sku, WarehouseId
from domain.inventory import StockLevel
from domain.order import Order
from domain.pick_wave import UnitPrices
from domain.ports import AgentCase
from domain.shipment import Lane, Warehouse

Stock = Mapping[tuple[WarehouseId, Sku], int]


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """All that was read for one order."""

    sites: tuple[Warehouse, ...]
    lanes: tuple[Lane, ...]
    levels: Sequence[StockLevel]
    products: Mapping[Sku, Product]
    rates: RateTable
    sent: Consigned | None = None
    """What other orders sent to the consignee; None when nobody knows, or the sender pays no duty."""
    prices: UnitPrices | None = None
    """What scarce units turned out to be worth in the last batch."""


@dataclass(frozen=True, kw_only=True)
class Freight:
    """What is to be sent, and what it is worth to insurers and customs."""

    goods: Sequence[Goods]
    worth_minor: int
    duty_rule: str | None
    bill: ImportBill | None


class RoutingDesk:
    """Turns an order and its surroundings into a verdict; the first step that cannot be taken is the answer."""

    def __init__(self, policy: RoutingPolicy, taxes: TaxTable) -> None:
        """``taxes`` are the dated rows duty is worked out by."""
        self.policy = policy
        self.taxes = taxes
        self.calendar = DeliveryCalendar()
        self.market = Market(self.calendar, policy.settlement)

    def route(
        self, case: AgentCase, around: Surroundings, stock: Stock, *, cheapest: bool = False, simple: bool = False
    ) -> Verdict:
        """The verdict with these units to choose from; ``cheapest`` forgets the promise.

        ``simple`` is the policy of peak days: the best few services of each site, and no price on scarce units.
        """
        matter = self.matter(case, around, stock, cheapest=cheapest, simple=simple)
        return matter if isinstance(matter, Verdict) else self.settle(case, matter)

    def matter(
        self, case: AgentCase, around: Surroundings, stock: Stock, *, cheapest: bool = False, simple: bool = False
    ) -> Matter | Verdict:
        """The problem to solve, or the verdict of an order that poses none."""
        order, policy = case.order, self.policy
        freight = self._freight(case, around)
        if isinstance(freight, Verdict):
            return freight
        desk = self.market.desk(order.ship_to.country, around.sites, around.lanes, around.rates, now=case.now)
        offers, killed = desk.offers(terms_of(order, case.now, duty_paid=freight.duty_rule is not None))
        may_split = freight.worth_minor > policy.split_above_minor
        due = None if cheapest else self._due(order, case.now)
        if simple:
            offers = self._best_services(freight.goods, offers, due)
        blocks = build_blocks(freight.goods, offers, stock, most=policy.most_blocks, several_sites=may_split)
        if blocks is None and not missing_units(freight.goods, stock):
            return review("TOO_MANY_PARCELS", f"the order needs more than {policy.most_blocks} parcels", "order.lines")
        whole: list[Block] = [item.block(item.units) for item in freight.goods]
        problem = Problem(
            blocks=tuple(whole if blocks is None else blocks),
            offers=offers,
            stock=stock,
            due=due,
            weights=policy.weights,
            scarcity={} if simple else self._scarcity(freight.goods, around.prices),
            parcels_left={site.warehouse: left for site in around.sites if (left := site.parcels_left) is not None},
        )
        matter = Matter(
            problem=problem,
            goods=freight.goods,
            sites=around.sites,
            killed=killed,
            policy=policy,
            may_split=may_split,
            worth_minor=freight.worth_minor,
            duty_rule=freight.duty_rule,
            bill=freight.bill,
            prices_version=around.prices.version if around.prices is not None and not simple else None,
            services_per_lane=policy.simple_services if simple else None,
        )
        return unfillable(case, matter) if blocks is None else matter

    def _freight(self, case: AgentCase, around: Surroundings) -> Freight | Verdict:
        """The open lines with weight, value and duty; a person is asked for what nobody knows."""
        order = case.order
        rule = self.policy.duty_rule(order, case.now.date())
        bill: ImportBill | None = None
        if rule is not None:
            try:
                bill = self._bill(case, around)
            except MissingRate as missing:
                return review("DUTY_RATE_MISSING", f"the duty to pay cannot be settled: {missing}", "erp.rates")
            if bill is None:
                return review("NO_DUTY_RULE", f"no dated row covers imports to {order.ship_to.country}", "tax_rules")
        values = insured_values(order, around.rates, case.now, settlement=self.policy.settlement)
        goods, unknown = open_goods(order, around.products, values, bill.by_line_minor if bill else ())
        if unknown:
            return review("WEIGHT_UNKNOWN", f"nobody knows the weight of {', '.join(unknown)}", "erp.products")
        return Freight(goods=goods, worth_minor=sum(values), duty_rule=rule.rule_id if rule else None, bill=bill)

    def settle(self, case: AgentCase, matter: Matter) -> Verdict:
        """The plan; without one the order waits if an arrival of stock would mend that, else a person is asked."""
        problem = matter.problem
        attempt = self.solve if matter.may_split else self._together
        best, frontier, exact = attempt(problem)
        if best is not None:
            method = "exact" if exact else "bounded"
            return routed(case, matter, best, frontier, method=method, calendar=self.calendar)
        units = merged(problem.blocks).units()
        plenty = {(site.warehouse, sku): wanted for site in matter.sites for sku, wanted in units.items()}
        if attempt(replace(problem, stock=plenty))[0] is None:
            return no_route(matter)
        return unfillable(case, matter)

    def solve(self, problem: Problem) -> tuple[Solution | None, Sequence[Solution], bool]:
        """The optimum when the order is small enough, else the best of the bounded methods."""
        if _tractable(problem, self.policy):
            routing = solve(problem)
            return (routing.best, routing.frontier, True) if routing else (None, (), True)
        found = [plan for plan in (pack_greedily(problem),) if plan is not None]
        fewer = coarsened(problem)
        if _tractable(fewer, self.policy) and (routing := solve(fewer)):
            found.append(routing.best)
        return min(found, key=lambda plan: plan.objective_minor, default=None), (), False

    def _together(self, problem: Problem) -> tuple[Solution | None, Sequence[Solution], bool]:
        """The best plan in one parcel; when no lane takes that, the best from one site."""
        routing = solve(replace(problem, blocks=(merged(problem.blocks),)))
        if routing is not None:
            return routing.best, routing.frontier, True
        sites = dict.fromkeys(offer.warehouse for offer in problem.offers)
        found = [
            self.solve(replace(problem, offers=tuple(offer for offer in problem.offers if offer.warehouse == site)))
            for site in sites
        ]
        plans = [(best, frontier, exact) for best, frontier, exact in found if best is not None]
        return min(plans, key=lambda plan: (plan[0].objective_minor, plan[0].arrives), default=(None, (), True))

    def _bill(self, case: AgentCase, around: Surroundings) -> ImportBill | None:
        """Duty and import tax of what crosses the border."""
        sent = around.sent or Consigned(imports=0)
        consignment = Consignment(
            order=case.order,
            sent_today=sent.today if self.policy.aggregate_same_day_same_consignee else (),
            imports_before=sent.imports,
        )
        return import_bill(consignment, self.taxes, around.rates, case.now, settlement=self.policy.settlement)

    def _scarcity(self, goods: Sequence[Goods], prices: UnitPrices | None) -> dict[tuple[WarehouseId, Sku], int]:
        """What the order's units are worth to later orders; empty as long as nobody has said."""
        known = {**self.policy.scarcity, **(prices.table() if prices is not None else {})}
        if not known:
            return {}
        wanted = {item.sku for item in goods}
        return {key: worth for key, worth in known.items() if key[1] in wanted}

    def _best_services(
        self, goods: Sequence[Goods], offers: Sequence[Offer], due: datetime | None
    ) -> tuple[Offer, ...]:
        """Of each site the few services that would carry the whole order at the lowest objective."""
        whole, weights = merged(item.block(item.units) for item in goods), self.policy.weights
        by_site: dict[WarehouseId, list[tuple[int, datetime, Offer]]] = {}
        for offer in offers:
            price = offer.price_minor(whole)
            late = 0 if due is None else max(0, -(-(offer.arrives_p80 - due) // HOUR))
            penalty = weights.late_hour_minor * late + (weights.ship_by_minor if offer.ships_late else 0)
            objective = UNPRICED if price is None else price + penalty
            by_site.setdefault(offer.warehouse, []).append((objective, offer.arrives_p80, offer))
        few = {
            (offer.warehouse, offer.service)
            for ranked in by_site.values()
            for _, _, offer in sorted(ranked, key=lambda of: (of[0], of[1], of[2].service))[
                : self.policy.simple_services
            ]
        }
        return tuple(offer for offer in offers if (offer.warehouse, offer.service) in few)

    def _due(self, order: Order, now: datetime) -> datetime | None:
        """The promise: the order's own date, else what an express choice promises, else none."""
        if order.deliver_by is not None or option_class(order.shipping_option) is not OptionClass.EXPRESS:
            return order.deliver_by
        return self.calendar.arrival(now, order.ship_to.country, OPTIONS.express_promise_working_days)


def _tractable(problem: Problem, policy: RoutingPolicy) -> bool:
    wanted = [sku for block in problem.blocks for sku in block.units()]
    room = problem.parcels_left.values()
    contested = len(wanted) > len(set(wanted)) or any(0 < left < len(problem.blocks) for left in room)
    return len(problem.blocks) <= (policy.contested_blocks if contested else policy.exact_blocks)
