"""The routing decision in words and plain data: the plan, the plans that lost and why, or what killed every site."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from agents.routing_blocks import HAZARD_BITS
from agents.routing_offers import CONSTRAINTS, constraints_of
from agents.routing_problem import Problem, Shipment, Solution, appraise, merged
from domain.decision import Outcome, Reason, Verdict
from domain.ids import WarehouseId
from domain.money import Money
from domain.ports import AgentCase
from domain.shipment import Parcel, RoutePlan, Warehouse
from domain.values import Plain

SHOWN_ALTERNATIVES = 5


class ReportPolicy(Protocol):
    """What of the routing policy a report names."""

    @property
    def version(self) -> str:
        """The published version."""

    @property
    def settlement(self) -> str:
        """The currency of all costs."""

    @property
    def exact(self) -> float:
        """Declared confidence of an optimum."""

    @property
    def bounded(self) -> float:
        """Declared confidence of a plan from a bounded method."""


def routed(
    case: AgentCase,
    problem: Problem,
    best: Solution,
    frontier: Sequence[Solution],
    sites: Sequence[Warehouse],
    killed: Mapping[WarehouseId, str],
    *,
    exact: bool,
    policy: ReportPolicy,
) -> Verdict:
    """The verdict for a plan."""
    used = {shipment.offer.warehouse for shipment in best.shipments}
    plan = route_plan(best, policy.settlement)
    fraud = case.decisions.get("fraud_detection")
    flags = [
        flag
        for flag, raised in (
            ("split", len(best.shipments) > 1),
            ("late", best.late_hours > 0),
            ("ship_by_missed", best.ship_by_missed),
            ("bounded_method", not exact),
            ("fraud_not_clear", fraud is not None and fraud.outcome is not Outcome.PROCEED),
        )
        if raised
    ]
    facts: dict[str, Plain] = {
        "plan": plan.model_dump(mode="json"),
        "origins": [*sorted({site.country for site in sites if site.warehouse in used})],
        "alternatives": _alternatives(best, frontier),
        "warehouses": [_standing(problem, best, site.warehouse, killed) for site in sites],
        "fraud": None if fraud is None else {"decision": fraud.decision, "version": fraud.versions.agent},
        "due": problem.due.isoformat() if problem.due else None,
        "method": "exact" if exact else "bounded",
        "weights": {
            "late_hour_minor": problem.weights.late_hour_minor,
            "split_minor": problem.weights.split_minor,
            "ship_by_minor": problem.weights.ship_by_minor,
        },
        "thresholds_version": policy.version,
        "confidence_basis": "declared",
    }
    return Verdict(
        decision="route",
        outcome=Outcome.PROCEED,
        confidence=policy.exact if exact else policy.bounded,
        flags=tuple(flags),
        reasons=_reasons(best, policy.settlement, problem),
        facts=facts,
        inputs={"stock": _stock_seen(problem), "lanes": len(problem.offers)},
    )


def route_plan(solution: Solution, currency: str) -> RoutePlan:
    """The solution as the plan the rest of the order's life works with."""
    return RoutePlan(
        parcels=tuple(_parcel(number, shipment, currency) for number, shipment in enumerate(solution.shipments, 1)),
        cost=Money(amount_minor=solution.cost_minor, currency=currency),
        objective_minor=solution.objective_minor,
        late_hours=solution.late_hours,
        ship_by_missed=solution.ship_by_missed,
    )


def no_route(
    problem: Problem, sites: Sequence[Warehouse], killed: Mapping[WarehouseId, str], *, version: str
) -> Verdict:
    """The verdict when no combination of site and lane carries the order: each site with what killed it."""
    reasons = []
    for site in sites:
        code = killed.get(site.warehouse)
        codes = (code,) if code else constraints_of(problem, site.warehouse)
        reasons.append(
            Reason(
                code="NO_ROUTE",
                text=f"{site.warehouse}: {'; '.join(CONSTRAINTS[code] for code in codes)}",
                value=",".join(codes),
                evidence=f"carriers.lanes:{site.warehouse}",
            )
        )
    if not reasons:
        reasons.append(Reason(code="NO_ROUTE", text="no warehouse is known", evidence="wms.warehouses"))
    return Verdict(
        decision="no_route",
        outcome=Outcome.REVIEW,
        confidence=None,
        flags=("no_route",),
        reasons=tuple(reasons),
        counterfactual=("NO_ROUTE",),
        facts={
            "warehouses": [
                {"warehouse": site.warehouse, "status": "infeasible", "codes": (reason.value or "").split(",")}
                for site, reason in zip(sites, reasons, strict=False)
            ],
            "thresholds_version": version,
        },
        inputs={"stock": _stock_seen(problem), "lanes": len(problem.offers)},
    )


def review(code: str, text: str, evidence: str) -> Verdict:
    """The verdict when an input is missing that no guess may replace."""
    return Verdict(
        decision="review",
        outcome=Outcome.REVIEW,
        confidence=None,
        flags=(code.lower(),),
        reasons=(Reason(code=code, text=text, evidence=evidence),),
        counterfactual=(code,),
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
        arrives_p50=offer.arrives_p50,
        arrives_p80=offer.arrives_p80,
        ready_at=offer.ready_at,
    )


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
    others = [plan for plan in frontier if (plan.arrives, plan.cost_minor) != (best.arrives, best.cost_minor)]
    shown: list[Plain] = []
    for plan in sorted(others, key=lambda plan: plan.objective_minor)[:SHOWN_ALTERNATIVES]:
        parcels: list[Plain] = [
            {"warehouse": shipment.offer.warehouse, "service": shipment.offer.service} for shipment in plan.shipments
        ]
        shown.append({"parcels": parcels, "why_lost": _why_lost(plan, best), **_figures(plan)})
    return shown


def _figures(plan: Solution) -> dict[str, Plain]:
    return {
        "cost_minor": plan.cost_minor,
        "objective_minor": plan.objective_minor,
        "arrives_p80": plan.arrives.isoformat(),
        "late_hours": plan.late_hours,
    }


def _why_lost(plan: Solution, best: Solution) -> str:
    dearer = plan.cost_minor - best.cost_minor
    hours = int((plan.arrives - best.arrives).total_seconds()) // 3600
    parts = []
    if dearer:
        parts.append(f"{abs(dearer)} minor units {'dearer' if dearer > 0 else 'cheaper'}")
    if hours:
        parts.append(f"{abs(hours)} h {'later' if hours > 0 else 'earlier'}")
    if plan.late_hours > best.late_hours:
        parts.append(f"{plan.late_hours} h past the promise")
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
        codes = ("SEVERAL_PARCELS",)
    why = "; ".join(CONSTRAINTS[code] for code in codes)
    return {"warehouse": warehouse, "status": "infeasible", "why": f"not alone: {why}", "codes": list(codes)}


def _alone(problem: Problem, warehouse: WarehouseId) -> Solution | None:
    """The site's best plan with everything in one parcel."""
    whole = merged(problem.blocks)
    if not problem.in_stock(warehouse, whole):
        return None
    plans = [
        appraise(problem, (Shipment(offer=offer, content=whole, price_minor=price),))
        for offer in problem.offers
        if offer.warehouse == warehouse and (price := offer.price_minor(whole)) is not None
    ]
    return min(plans, key=lambda plan: (plan.objective_minor, plan.arrives), default=None)


def _stock_seen(problem: Problem) -> dict[str, Plain]:
    return {f"{warehouse}:{sku}": units for (warehouse, sku), units in sorted(problem.stock.items())}
