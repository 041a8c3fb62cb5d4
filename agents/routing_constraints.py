"""What keeps a site from carrying an order: stable codes, their words, and which apply."""

from collections.abc import Mapping, Sequence

from agents.routing_problem import UNKNOWN_VALUE, Block, Offer, Problem
from domain.ids import WarehouseId

CONSTRAINTS: Mapping[str, str] = {
    "NO_LANE": "no carrier sells a lane from there to the destination",
    "COD_NOT_OFFERED": "no lane from there collects cash on delivery",
    "DDP_NOT_OFFERED": "no lane from there lets the sender pay duty and tax, as this order must",
    "RATE_TABLE_EXPIRED": "the price tables of its lanes do not hold for the day of pick-up; load the current ones",
    "SITE_FULL": "it takes no more parcels for its next pick-up",
    "BAD_TIME_ZONE": "its time zone is not an IANA name; mend the warehouse's record",
    "NO_PICKUP": "no pick-up from there in the coming weeks",
    "NO_RATE": "its costs have no usable exchange rate",
    "STOCK_SHORT": "it does not hold the units",
    "DANGEROUS_GOODS": "no lane from there accepts the dangerous goods",
    "PRICE_GAP": "the price tables of its lanes have a gap at this weight",
    "OVER_WEIGHT": "the goods are heavier or larger than any lane from there takes",
    "OVER_VALUE": "the goods are worth more than any lane from there takes, or their value has no rate",
    "SITE_NEARLY_FULL": "it takes fewer parcels than the goods need",
    "SEVERAL_PARCELS": "the goods do not fit one parcel from there",
    "CONTESTED_STOCK": "its units do not suffice for all lines together",
}
"""What keeps a site from carrying an order, in words."""


def constraints_of(problem: Problem, warehouse: WarehouseId) -> tuple[str, ...]:
    """Which constraints keep a site that has lanes from carrying some of the blocks."""
    lanes = [offer for offer in problem.offers if offer.warehouse == warehouse]
    found = dict.fromkeys(code for block in problem.blocks if (code := _constraint(problem, warehouse, block, lanes)))
    return tuple(found) or ("CONTESTED_STOCK",)


def _constraint(problem: Problem, warehouse: WarehouseId, block: Block, lanes: Sequence[Offer]) -> str | None:
    if not problem.in_stock(warehouse, block):
        return "STOCK_SHORT"
    if any(offer.price_minor(block) is not None for offer in lanes):
        return None
    accepting = [offer for offer in lanes if not block.hazards & ~offer.accepts]
    if not accepting:
        return "DANGEROUS_GOODS"
    in_weight = [offer for offer in accepting if offer.billable_g(block) <= offer.limits_g[-1]]
    if not in_weight:
        return "OVER_WEIGHT"
    worth = block.value_minor
    insuring = [offer for offer in in_weight if offer.max_value_minor is None or worth <= offer.max_value_minor]
    return "PRICE_GAP" if insuring and worth < UNKNOWN_VALUE else "OVER_VALUE"
