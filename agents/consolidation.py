"""SKUs ordered from one supplier together: quantities stretched to a shared rhythm where that is cheaper than one by one."""

from collections.abc import Sequence
from dataclasses import dataclass

from agents.lot_sizing import economic_order_quantity, joint_replenishment

LONGEST_DAYS = 90.0
"""A shared rhythm never makes anybody buy more than this many days of sales."""


@dataclass(frozen=True, kw_only=True)
class OrderedSku:
    """One SKU of a purchase order in the making; costs in the base currency."""

    sku: str
    quantity: int
    pack: int
    daily_mean: float
    unit_cost: float
    own_cost: float
    """Of one more line on an order."""


@dataclass(frozen=True, kw_only=True)
class Consolidation:
    """Quantities, and why."""

    quantities: dict[str, int]
    saved_per_year: float
    """Against ordering each by itself; 0 when that is no dearer."""
    reason: str


def consolidate(lines: Sequence[OrderedSku], *, shared_cost: float, holding_share: float) -> Consolidation:
    """Stretch quantities to the joint rhythm where sharing an order pays; never below what was asked for."""
    plain = {line.sku: line.quantity for line in lines}
    moving = [line for line in lines if line.daily_mean > 0 and line.unit_cost > 0 and line.own_cost > 0]
    if len(moving) < 2 or shared_cost <= 0 or holding_share <= 0:
        return Consolidation(quantities=plain, saved_per_year=0.0, reason="one SKU or no shared cost")
    holding = [holding_share / 365 * line.unit_cost for line in moving]
    rates = [line.daily_mean for line in moving]
    alone = sum(
        economic_order_quantity(shared_cost + line.own_cost, h, rate).cost
        for line, h, rate in zip(moving, holding, rates, strict=True)
    )
    joint = joint_replenishment(shared_cost, [line.own_cost for line in moving], holding, rates)
    saved = (alone - joint.cost) * 365
    if saved <= 0:
        return Consolidation(quantities=plain, saved_per_year=0.0, reason="a shared rhythm saves nothing")
    for line, wanted in zip(moving, joint.quantities, strict=True):
        most = int(min(wanted, line.daily_mean * LONGEST_DAYS))
        plain[line.sku] = max(line.quantity, most // line.pack * line.pack)
    reason = f"{len(moving)} SKUs ordered together every {joint.cycle:.0f} days save about {saved:.0f} USD a year"
    return Consolidation(quantities=plain, saved_per_year=saved, reason=reason)
