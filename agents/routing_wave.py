"""The last look before a pick wave: waiting orders routed anew together, with the stock they hold and what is free."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from agents.precedents import held_lines, route_plan
from agents.routing_batch import BATCH, BatchMethod, BatchOrder, BatchPlan, BatchPolicy, reroute
from agents.routing_desk import RoutingDesk, Stock, Surroundings
from agents.routing_matter import Matter
from agents.routing_problem import Problem, Shipment, Solution, appraise, merged
from agents.routing_report import route_plan as planned_as
from agents.routing_report import routed
from domain.decision import Verdict
from domain.ids import OrderId, Sku, WarehouseId
from domain.ports import AgentCase
from domain.shipment import RoutePlan
from domain.values import Plain


@dataclass(frozen=True, kw_only=True)
class Wave:
    """What the last look changed."""

    verdicts: Mapping[OrderId, Verdict]
    """New plans of the orders whose plan changed; all others keep theirs."""
    plan: BatchPlan
    before: Mapping[OrderId, RoutePlan]
    """The plans of the changed orders as they stand, at today's prices and dates."""
    turns: tuple[tuple[OrderId, ...], ...] = ()
    """The changed orders in the order they can be moved in: each turn needs what is free and what earlier turns free."""

    @property
    def saved_minor(self) -> int:
        """What the changes save together, by the objective."""
        after = {name: RoutePlan.model_validate(verdict.facts["plan"]) for name, verdict in self.verdicts.items()}
        return sum(self.before[name].objective_minor - plan.objective_minor for name, plan in after.items())


def released(case: AgentCase, plan: RoutePlan) -> AgentCase:
    """The case of a released order: it holds exactly what the plan it was released by takes."""
    route = case.decisions["order_routing"]
    skus = {line.line_id: line.sku for line in case.order.lines}
    allocation: list[Plain] = [
        {"line_id": line_id, "sku": skus[line_id], "warehouse": parcel.warehouse, "quantity": units}
        for parcel in plan.parcels
        for line_id, units in parcel.lines.items()
    ]
    facts = {**route.facts, "plan": plan.model_dump(mode="json")}
    held = route.model_copy(
        update={"agent": "inventory_reservation", "decision": "reserve", "facts": {"allocation": allocation}}
    )
    decisions = {**case.decisions, "order_routing": route.model_copy(update={"facts": facts})}
    return replace(case, decisions={**decisions, "inventory_reservation": held})


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

    A change that would break a hand-over deadline, or arrive later after the promise than now, is not made; nor are
    the changes that need it.

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
    rooms = _rooms(orders)
    orders = [replace(order, problem=replace(order.problem, parcels_left=rooms)) for order in orders]
    plan = reroute(orders, stock, parcels_left=rooms, policy=policy, method=method)
    verdicts: dict[OrderId, Verdict] = {}
    before: dict[OrderId, RoutePlan] = {}
    for order in orders:
        chosen, current = plan.routes.get(order.order_id), order.current
        if chosen is None or current is None or not _better_kept(chosen, current):
            continue
        case, matter = matters[order.order_id]
        name = case.order.order_id
        verdicts[name] = routed(case, matter, chosen, (current,), method="batch", calendar=desk.calendar)
        before[name] = planned_as(current, desk.policy.settlement)
    return in_turns(Wave(verdicts=verdicts, plan=plan, before=before), free)


def in_turns(wave: Wave, free: Stock) -> Wave:
    """The changes that can be made one after another with what is free; the rest, and what was only for it, is left out."""
    turns = _turns(wave, wave.verdicts, free)
    made = {name for turn in turns for name in turn}
    if len(made) < len(wave.verdicts):
        gaining = [name for name, verdict in wave.verdicts.items() if _gain(wave, name, verdict) > 0]
        turns = _turns(wave, gaining, free)
        made = {name for turn in turns for name in turn}
    kept = replace(
        wave,
        verdicts={name: verdict for name, verdict in wave.verdicts.items() if name in made},
        before={name: plan for name, plan in wave.before.items() if name in made},
        turns=turns,
    )
    return kept if kept.saved_minor > 0 else replace(kept, verdicts={}, before={}, turns=())


def _gain(wave: Wave, name: OrderId, verdict: Verdict) -> int:
    return wave.before[name].objective_minor - RoutePlan.model_validate(verdict.facts["plan"]).objective_minor


def _turns(wave: Wave, names: Iterable[OrderId], free: Stock) -> tuple[tuple[OrderId, ...], ...]:
    left, waiting = dict(free), sorted(names)
    turns: list[tuple[OrderId, ...]] = []
    while waiting:
        freed: dict[tuple[WarehouseId, Sku], int] = {}
        turn = []
        for name in waiting:
            had, wants = units_of(wave.before[name]), units_of(
                RoutePlan.model_validate(wave.verdicts[name].facts["plan"])
            )  # fmt: skip
            more = {key: units - had.get(key, 0) for key, units in wants.items() if units > had.get(key, 0)}
            if all(left.get(key, 0) >= units for key, units in more.items()):
                turn.append(name)
                for key, units in more.items():
                    left[key] -= units
                for key, units in had.items():
                    freed[key] = freed.get(key, 0) + max(0, units - wants.get(key, 0))
        if not turn:
            break
        for key, units in freed.items():
            left[key] = left.get(key, 0) + units
        turns.append(tuple(turn))
        waiting = [name for name in waiting if name not in turn]
    return tuple(turns)


def units_of(plan: RoutePlan) -> dict[tuple[WarehouseId, Sku], int]:
    """Units a plan takes, by site and SKU."""
    units: dict[tuple[WarehouseId, Sku], int] = {}
    for parcel in plan.parcels:
        for sku, count in parcel.skus.items():
            units[parcel.warehouse, sku] = units.get((parcel.warehouse, sku), 0) + count
    return units


def _better_kept(chosen: Solution, current: Solution) -> bool:
    """Whether it is another plan and keeps every promise the current one keeps."""
    worse = chosen.late_hours > current.late_hours or (chosen.ship_by_missed and not current.ship_by_missed)
    return chosen is not current and not worse


def _rooms(orders: Sequence[BatchOrder]) -> dict[WarehouseId, int]:
    """Parcels each site can take of the whole batch: what it has room for, and what it has booked of these orders."""
    rooms = {site: room for order in orders for site, room in order.problem.parcels_left.items()}
    for order in orders:
        for shipment in order.current.shipments if order.current is not None else ():
            if shipment.offer.warehouse in rooms:
                rooms[shipment.offer.warehouse] += 1
    return rooms


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
