"""What a routing decision is about, and the rules and inputs every one of them names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.routing_blocks import Goods
from agents.routing_duty import ImportBill
from agents.routing_policy import RoutingPolicy
from agents.routing_problem import UNKNOWN_VALUE, Problem
from domain.ids import WarehouseId
from domain.shipment import Warehouse
from domain.values import Plain


@dataclass(frozen=True, kw_only=True)
class Matter:
    """What was decided about: the problem, who might have sent, and the rules that shaped it."""

    problem: Problem
    goods: Sequence[Goods]
    sites: Sequence[Warehouse]
    killed: Mapping[WarehouseId, str]
    policy: RoutingPolicy
    may_split: bool
    worth_minor: int
    """The value splitting is judged by."""
    duty_rule: str | None = None
    """The rule that makes the sender pay duty and tax."""
    bill: ImportBill | None = None
    prices_version: str | None = None
    """The batch that said what scarce units are worth."""
    services_per_lane: int | None = None
    """How many services of each site were looked at; None when it was all of them."""

    def rules(self) -> dict[str, Plain]:
        """The weights, prices of scarce units and rules the decision rests on."""
        problem, policy = self.problem, self.policy
        return {
            "weights": {
                "late_hour_minor": problem.weights.late_hour_minor,
                "split_minor": problem.weights.split_minor,
                "ship_by_minor": problem.weights.ship_by_minor,
                "scarcity_minor": {f"{site}:{sku}": worth for (site, sku), worth in sorted(problem.scarcity.items())},
            },
            "split": {
                "allowed": self.may_split,
                "worth_minor": None if self.worth_minor >= UNKNOWN_VALUE else self.worth_minor,
                "above_minor": policy.split_above_minor,
            },
            "duty": {
                "rule": self.duty_rule,
                "bill": self.bill.rule_id if self.bill else None,
                "aggregate_same_day_same_consignee": policy.aggregate_same_day_same_consignee,
            },
            "scarcity_version": self.prices_version,
            "services_per_lane": self.services_per_lane,
            "thresholds_version": policy.version,
            "confidence_basis": "declared",
        }

    def stock_seen(self) -> dict[str, Plain]:
        """The stock the decision was made on."""
        return {f"{warehouse}:{sku}": units for (warehouse, sku), units in sorted(self.problem.stock.items())}
