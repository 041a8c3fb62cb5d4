"""The routing decision in words and plain data: the plan, the plans that lost, and why."""

from collections.abc import Mapping, Sequence

from agents.delivery_calendar import DeliveryCalendar
from agents.routing_blocks import HAZARD_BITS
from agents.routing_constraints import CONSTRAINTS, constraints_of
from agents.routing_matter import Matter
from agents.routing_problem import Problem, Shipment, Solution, appraise, merged
from domain.decision import Outcome, Reason, Verdict
from domain.ids import WarehouseId
from domain.money import Money
from domain.ports import AgentCase
from domain.shipment import PER_MILLE, Parcel, RoutePlan
from domain.values import Plain

SHOWN_ALTERNATIVES = 5


def routed(
    case: AgentCase, matter: Matter, best: Solution, frontier: Sequence[Solution], *, method: str,
    calendar: DeliveryCalendar,
) -> Verdict:  # fmt: skip
    """The verdict for a plan; ``method`` is ``exact``, ``bounded`` or ``batch``."""
    problem, policy = matter.problem, matter.policy
    used = {shipment.offer.warehouse for shipment in best.shipments}
    fraud = case.decisions.get("fraud_detection")
    on_time = _on_time_per_mille(best, problem, case.order.ship_to.country, calendar)
    flags = [
        flag
        for flag, raised in (
            ("split", len(best.shipments) > 1),
            ("late", best.late_hours > 0),
            ("ship_by_missed", best.ship_by_missed),
            ("bounded_method", method == "bounded"),
            ("duty_paid", any(shipment.offer.pays_duty for shipment in best.shipments)),
            ("fraud_not_clear", fraud is not None and fraud.outcome is not Outcome.PROCEED),
        )
        if raised
    ]
    facts: dict[str, Plain] = {
        "plan": route_plan(best, policy.settlement).model_dump(mode="json"),
        "origins": [*sorted({site.country for site in matter.sites if site.warehouse in used})],
        "chosen": {**_figures(best), "on_time_per_mille": on_time},
        "alternatives": _alternatives(best, frontier),
        "warehouses": [_standing(problem, best, site.warehouse, matter.killed) for site in matter.sites],
        "fraud": None if fraud is None else {"decision": fraud.decision, "version": fraud.versions.agent},
        "due": problem.due.isoformat() if problem.due else None,
        "method": method,
        **matter.rules(),
    }
    return Verdict(
        decision="route",
        outcome=Outcome.PROCEED,
        confidence=policy.exact if method == "exact" else policy.bounded,
        flags=tuple(flags),
        reasons=_reasons(best, policy.settlement, problem),
        facts=facts,
        inputs={"stock": matter.stock_seen(), "lanes": len(problem.offers)},
    )


def _on_time_per_mille(best: Solution, problem: Problem, country: str, calendar: DeliveryCalendar) -> int | None:
    """The odds that every parcel keeps the promise; None without a promise, or when a lane gives no distribution."""
    if problem.due is None or any(not shipment.offer.transit for shipment in best.shipments):
        return None
    odds = PER_MILLE
    for offer in (shipment.offer for shipment in best.shipments):
        kept = sum(
            share.per_mille
            for share in offer.transit
            if calendar.arrival(offer.ready_at, country, share.days) <= problem.due
        )
        odds = odds * kept // PER_MILLE
    return odds


def route_plan(solution: Solution, currency: str) -> RoutePlan:
    """The solution as the plan the rest of the order's life works with."""
    return RoutePlan(
        parcels=tuple(_parcel(number, shipment, currency) for number, shipment in enumerate(solution.shipments, 1)),
        cost=Money(amount_minor=solution.cost_minor, currency=currency),
        objective_minor=solution.objective_minor,
        late_hours=solution.late_hours,
        ship_by_missed=solution.ship_by_missed,
    )


def _parcel(number: int, shipment: Shipment, currency: str) -> Parcel:
    offer, content = shipment.offer, shipment.content
    lines: dict[str, int] = {}
    for part in content.parts:
        lines[part.line_id] = lines.get(part.line_id, 0) + part.units
    return Parcel(
        number=number,
        warehouse=offer.warehouse,
        service=offer.service,
        carrier=offer.carrier,
        lines=lines,
        skus=content.units(),
        billable_g=offer.billable_g(content),
        dangerous=tuple(goods for goods, bit in HAZARD_BITS.items() if content.hazards & bit),
        cost=Money(amount_minor=shipment.price_minor, currency=currency),
        duty_paid=_duty_paid(shipment, currency),
        arrives_p50=offer.arrives_p50,
        arrives_p80=offer.arrives_p80,
        ready_at=offer.ready_at,
    )


def _duty_paid(shipment: Shipment, currency: str) -> Money | None:
    if not shipment.offer.pays_duty:
        return None
    return Money(amount_minor=shipment.offer.duty_paid_minor(shipment.content.duty_minor), currency=currency)


def _reasons(best: Solution, currency: str, problem: Problem) -> tuple[Reason, ...]:
    parcels = ", ".join(f"{shipment.offer.warehouse} by {shipment.offer.service}" for shipment in best.shipments)
    cost = Money(amount_minor=best.cost_minor, currency=currency)
    chosen = Reason(
        code="LOWEST_COST_AND_LATENESS",
        text=f"{parcels}: {cost}, at the door by {best.arrives.isoformat()} with 80 % certainty",
        value=str(best.objective_minor),
        evidence="facts.plan",
    )
    if best.late_hours == 0 or problem.due is None:
        return (chosen,)
    late = Reason(
        code="PROMISE_MISSED",
        text=f"no better plan keeps the promise; this one is {best.late_hours} h late",
        value=best.arrives.isoformat(),
        threshold=problem.due.isoformat(),
        evidence="order.deliver_by",
    )
    return (chosen, late)


def _alternatives(best: Solution, frontier: Sequence[Solution]) -> list[Plain]:
    others = [plan for plan in frontier if (plan.arrives, plan.charged_minor) != (best.arrives, best.charged_minor)]
    shown: list[Plain] = []
    for plan in sorted(others, key=lambda plan: plan.objective_minor)[:SHOWN_ALTERNATIVES]:
        parcels: list[Plain] = [
            {"warehouse": shipment.offer.warehouse, "service": shipment.offer.service} for shipment in plan.shipments
        ]
        shown.append({"parcels": parcels, "why_lost": _why_lost(plan, best), **_figures(plan)})
    return shown


def _figures(plan: Solution) -> dict[str, Plain]:
    """A plan's figures. What it costs includes the handling of extra parcels: that is how plans are compared."""
    return {
        "cost_minor": plan.charged_minor,
        "parcels_minor": plan.cost_minor,
        "objective_minor": plan.objective_minor,
        "arrives_p80": plan.arrives.isoformat(),
        "late_hours": plan.late_hours,
    }


def _why_lost(plan: Solution, best: Solution) -> str:
    dearer = plan.charged_minor - best.charged_minor
    hours = int((plan.arrives - best.arrives).total_seconds()) // 3600
    parts = []
    if dearer:
        parts.append(f"{abs(dearer)} minor units {'dearer' if dearer > 0 else 'cheaper'}")
    if hours:
        parts.append(f"{abs(hours)} h {'later' if hours > 0 else 'earlier'}")
    if plan.late_hours > best.late_hours:
        parts.append(f"{plan.late_hours} h past the promise")
    if plan.ship_by_missed and not best.ship_by_missed:
        parts.append("picked up after the marketplace's deadline")
    if len(plan.shipments) > len(best.shipments):
        parts.append(f"{len(plan.shipments)} parcels")
    return ", ".join(parts) or "equal figures; the other comes first by name"


def _standing(
    problem: Problem, best: Solution, warehouse: WarehouseId, killed: Mapping[WarehouseId, str]
) -> dict[str, Plain]:
    """How one site fared: used, beaten as the only site, or unable."""
    if any(shipment.offer.warehouse == warehouse for shipment in best.shipments):
        return {"warehouse": warehouse, "status": "chosen", "why": "part of the best plan"}
    if code := killed.get(warehouse):
        return {"warehouse": warehouse, "status": "infeasible", "why": CONSTRAINTS[code], "codes": [code]}
    alone = _alone(problem, warehouse)
    if alone is not None:
        return {"warehouse": warehouse, "status": "lost", "why": _why_lost(alone, best), **_figures(alone)}
    codes = constraints_of(problem, warehouse)
    if codes == ("CONTESTED_STOCK",) and problem.in_stock(warehouse, merged(problem.blocks)):
        room = problem.parcels_left.get(warehouse)
        codes = ("SITE_NEARLY_FULL",) if room is not None and room < len(problem.blocks) else ("SEVERAL_PARCELS",)
    why = "; ".join(CONSTRAINTS[code] for code in codes)
    return {"warehouse": warehouse, "status": "infeasible", "why": f"not alone: {why}", "codes": list(codes)}


def _alone(problem: Problem, warehouse: WarehouseId) -> Solution | None:
    """The site's best plan with everything in one parcel."""
    whole = merged(problem.blocks)
    if problem.parcels_left.get(warehouse, 1) < 1 or not problem.in_stock(warehouse, whole):
        return None
    plans = [
        appraise(problem, (Shipment(offer=offer, content=whole, price_minor=price),))
        for offer in problem.offers
        if offer.warehouse == warehouse and (price := offer.price_minor(whole)) is not None
    ]
    return min(plans, key=lambda plan: (plan.objective_minor, plan.arrives), default=None)
