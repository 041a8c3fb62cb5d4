"""What other agents have already decided about an order, read from the shared decisions and never by calling them."""

from collections.abc import Mapping

from pydantic import ValidationError

from domain.decision import Decision
from domain.inventory import HoldLine
from domain.shipment import RoutePlan
from domain.values import Plain


def held_lines(decisions: Mapping[str, Decision]) -> tuple[HoldLine, ...]:
    """The units inventory_reservation reserved for this order; empty when it reserved nothing."""
    decision = decisions.get("inventory_reservation")
    if decision is None or decision.decision != "reserve":
        return ()
    return _hold_lines(decision.facts.get("allocation"))


def _hold_lines(value: Plain) -> tuple[HoldLine, ...]:
    if not isinstance(value, list):
        return ()
    try:
        return tuple(HoldLine.model_validate(entry) for entry in value)
    except ValidationError:
        return ()


def route_plan(decisions: Mapping[str, Decision]) -> RoutePlan | None:
    """The plan order_routing decided on, as later edited by people; None when there is no usable one."""
    decision = decisions.get("order_routing")
    plan = decision.facts.get("plan") if decision else None
    if not isinstance(plan, dict):
        return None
    try:
        return RoutePlan.model_validate(plan)
    except ValidationError:
        return None


def route_origins(decisions: Mapping[str, Decision]) -> tuple[str, ...]:
    """Countries the parcels leave from; empty when routing has not said."""
    decision = decisions.get("order_routing")
    origins = decision.facts.get("origins") if decision else None
    return tuple(str(country) for country in origins) if isinstance(origins, list) else ()
