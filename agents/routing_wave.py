"""The last look before a pick wave: waiting orders routed anew together, with the stock they hold and what is free."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agents.precedents import held_lines, route_plan
from agents.routing_batch import BATCH, BatchMethod, BatchOrder, BatchPlan, BatchPolicy, reroute
from agents.routing_desk import RoutingDesk, Stock, Surroundings
from agents.routing_matter import Matter
from agents.routing_problem import Problem, Shipment, Solution, appraise, merged
from agents.routing_report import routed
from domain.decision import Verdict
from domain.ids import OrderId, Sku, WarehouseId
from domain.ports import AgentCase
from domain.shipment import RoutePlan


@dataclass(frozen=True, kw_only=True)
class Wave:
    """What the last look changed."""

    verdicts: Mapping[OrderId, Verdict]
    """New plans of the orders whose plan changed; all others keep theirs."""
    plan: BatchPlan


def pooled(cases: Sequence[AgentCase], free: Stock) -> dict[tuple[WarehouseId, Sku], int]:
    """What the orders may share: what is free, and what they hold."""
    stock = dict(free)
    for case in cases:
        for line in held_lines(case.decisions):
            key = (line.warehouse, line.sku)
            stock[key] = stock.get(key, 0) + line.quantity
    return stock


def last_look(
    desk: RoutingDesk,
    waiting: Sequence[tuple[AgentCase, Surroundings]],
    free: Stock,
    *,
    policy: BatchPolicy = BATCH,
    method: BatchMethod = BatchMethod.AUTO,
) -> Wave:
    """Route the waiting orders together. One whose plan cannot be had any more is left to be routed by itself.

    Raises:
        ConfigError: ``method`` is PROVED and the solver is not installed.
    """
    stock = pooled([case for case, _ in waiting], free)
    matters: dict[str, tuple[AgentCase, Matter]] = {}
    orders: list[BatchOrder] = []
    for case, around in waiting:
        matter, planned = desk.matter(case, around, stock), route_plan(case.decisions)
        if isinstance(matter, Verdict) or planned is None:
            continue
        current = plan_today(planned, matter)
        if current is not None:
            matters[case.order.order_id] = (case, matter)
            problem = matter.problem if matter.may_split else _undivided(matter.problem)
            orders.append(BatchOrder(order_id=case.order.order_id, problem=problem, current=current))
    rooms = {site: room for order in orders for site, room in order.problem.parcels_left.items()}
    plan = reroute(orders, stock, parcels_left=rooms, policy=policy, method=method)
    verdicts: dict[OrderId, Verdict] = {}
    for order in orders:
        chosen, current = plan.routes.get(order.order_id), order.current
        if chosen is not None and current is not None and chosen is not current:
            case, matter = matters[order.order_id]
            verdicts[case.order.order_id] = routed(
                case, matter, chosen, (current,), method="batch", calendar=desk.calendar
            )
    return Wave(verdicts=verdicts, plan=plan)


def plan_today(plan: RoutePlan, matter: Matter) -> Solution | None:
    """An earlier plan at today's prices and dates; None when a lane of it is no longer sold or the goods changed."""
    offers = {(offer.warehouse, offer.service): offer for offer in matter.problem.offers}
    goods = {item.line_id: item for item in matter.goods}
    planned = dict.fromkeys(goods, 0)
    shipments = []
    for parcel in plan.parcels:
        offer = offers.get((parcel.warehouse, parcel.service))
        if offer is None or not parcel.lines or not goods.keys() >= parcel.lines.keys():
            return None
        content = merged(goods[line_id].block(units) for line_id, units in parcel.lines.items())
        price = offer.price_minor(content)
        if price is None:
            return None
        for line_id, units in parcel.lines.items():
            planned[line_id] += units
        shipments.append(Shipment(offer=offer, content=content, price_minor=price))
    if planned != {line_id: item.units for line_id, item in goods.items()}:
        return None
    return appraise(matter.problem, shipments)


def _undivided(problem: Problem) -> Problem:
    return replace(problem, blocks=(merged(problem.blocks),))
