"""The routing decisions without a plan: what is missing, what killed every site, or what a person must say."""

from collections.abc import Mapping

from agents.routing_constraints import CONSTRAINTS, constraints_of
from agents.routing_goods import short_units
from agents.routing_matter import Matter
from agents.routing_policy import waits_until
from agents.routing_problem import merged
from domain.decision import Outcome, Reason, Verdict
from domain.ids import Sku, WarehouseId
from domain.ports import AgentCase


def no_route(matter: Matter) -> Verdict:
    """The verdict when no combination of site and lane carries the order: each site with what killed it."""
    problem = matter.problem
    reasons = []
    for site in matter.sites:
        code = matter.killed.get(site.warehouse)
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
                for site, reason in zip(matter.sites, reasons, strict=False)
            ],
            **matter.rules(),
        },
        inputs={"stock": matter.stock_seen(), "lanes": len(problem.offers)},
    )


def unfillable(case: AgentCase, matter: Matter) -> Verdict:
    """The verdict when an arrival of stock would make the order routable: what is missing, and until when it waits.

    An order whose time was over before it came here names no end: whoever puts it aside gives it one.
    """
    policy = matter.policy
    wanted = merged(matter.problem.blocks).units()
    lacks = {
        site.warehouse: _lacks(matter, site.warehouse, wanted)
        for site in matter.sites
        if site.warehouse not in matter.killed
    }
    short = short_units(wanted, matter.problem.stock)
    missing = short or min(lacks.values(), key=lambda units: (sum(units.values()), sorted(units)), default={})
    reasons = _missing(short) or (_kept_together(matter),)
    return Verdict(
        decision="unfillable",
        outcome=Outcome.LIMIT,
        confidence=policy.exact,
        flags=("unfillable",),
        reasons=reasons,
        counterfactual=(reasons[0].code,),
        facts={
            "missing": [{"sku": sku, "units": units} for sku, units in sorted(missing.items())],
            "waits_until": limit.isoformat() if (limit := waits_until(case.order, policy)) > case.now else None,
            "warehouses": [
                {
                    "warehouse": site.warehouse,
                    "codes": [matter.killed.get(site.warehouse, "STOCK_SHORT")],
                    "lacks": {**lacks.get(site.warehouse, {})},
                }
                for site in matter.sites
            ],
            **matter.rules(),
        },
        inputs={"stock": matter.stock_seen(), "lanes": len(matter.problem.offers)},
    )


def _lacks(matter: Matter, warehouse: WarehouseId, wanted: Mapping[Sku, int]) -> dict[Sku, int]:
    """What one site would need to send everything alone."""
    held = matter.problem.stock
    return {sku: lack for sku, units in wanted.items() if (lack := units - held.get((warehouse, sku), 0)) > 0}


def _missing(short: Mapping[Sku, int]) -> tuple[Reason, ...]:
    return tuple(
        Reason(
            code="STOCK_SHORT",
            text=f"{units} more units of {sku} are needed than all sites have by a fresh count",
            value=str(units),
            threshold="0",
            evidence=f"wms.stock:*:{sku}",
        )
        for sku, units in sorted(short.items())
    )


def _kept_together(matter: Matter) -> Reason:
    """All units exist, but not where they could leave together."""
    if matter.may_split:
        return Reason(
            code="KEPT_TOGETHER",
            text="no site that can send it holds all of what has to travel together",
            evidence="order.lines",
        )
    return Reason(
        code="SPLIT_NOT_WORTH_IT",
        text="no one site can send everything, and the goods are not worth parcels from several",
        value=str(matter.worth_minor),
        threshold=str(matter.policy.split_above_minor),
        evidence="order.total_open",
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
