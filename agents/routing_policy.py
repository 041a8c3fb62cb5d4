"""The routing tables: weights of the objective, limits, when an order is split or sent duty paid, how long it waits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from agents.routing_problem import Weights
from domain.ids import Sku, WarehouseId
from domain.order import Channel, Order


@dataclass(frozen=True, kw_only=True)
class DutyPaidRule:
    """Orders whose duty and import tax the sender pays: a marketplace's condition or the merchant's own promise."""

    rule_id: str
    countries: tuple[str, ...]
    """Destinations; every one when empty."""
    channels: tuple[Channel, ...] = ()
    """Every one when empty."""
    shops: tuple[str, ...] = ()
    """Every one when empty."""
    valid_from: date
    valid_to: date | None = None
    """The last day included."""

    def covers(self, order: Order, day: date) -> bool:
        """Whether the order falls under the rule on the day."""
        return (
            self.valid_from <= day
            and (self.valid_to is None or day <= self.valid_to)
            and (not self.countries or order.ship_to.country in self.countries)
            and (not self.channels or order.channel in self.channels)
            and (not self.shops or order.shop in self.shops)
        )


@dataclass(frozen=True, kw_only=True)
class RoutingPolicy:
    """The weights of the objective, the limits of the exact method, and declared confidences."""

    version: str
    settlement: str
    """Currency all costs are compared in."""
    weights: Weights
    split_above_minor: int
    """Goods leave from several sites, or in more parcels than they must, only when they are worth more than this."""
    duty_paid: tuple[DutyPaidRule, ...]
    aggregate_same_day_same_consignee: bool
    """Duty and relief are judged by all that goes to one consignee on one day, however many parcels carry it."""
    day_limit: int
    """Days after its placing that an unfillable order waits for stock."""
    day_limits: Mapping[Channel, int]
    """The same by channel, where it differs."""
    exact_blocks: int
    """Beyond this many, blocks are merged, and beyond that packed greedily: bounded time instead of optimality."""
    contested_blocks: int
    """The same limit when blocks compete for a site's last units or parcels."""
    most_blocks: int
    """An order in more pieces than this goes to a person."""
    simple_services: int
    """Services of each site looked at in peak mode."""
    exact: float
    bounded: float
    fallback: float
    scarcity: Mapping[tuple[WarehouseId, Sku], int] = field(default_factory=dict)
    """Opportunity cost of a unit (minor units), as the last re-evaluation of waiting orders found it; 0 when absent."""

    def duty_rule(self, order: Order, day: date) -> DutyPaidRule | None:
        """The rule that makes the sender pay duty and import tax on the order; None when the consignee does."""
        return next((rule for rule in self.duty_paid if rule.covers(order, day)), None)


POLICY = RoutingPolicy(
    version="routing-2026-11-22",
    settlement="USD",
    weights=Weights(late_hour_minor=25, split_minor=100, ship_by_minor=2500),
    split_above_minor=2_000,
    duty_paid=(
        DutyPaidRule(
            rule_id="amazon-cross-border", countries=(), channels=(Channel.AMAZON,), valid_from=date(2024, 1, 1)
        ),
    ),
    aggregate_same_day_same_consignee=True,
    day_limit=14,
    day_limits={Channel.SHOPEE: 3, Channel.LAZADA: 3, Channel.AMAZON: 5, Channel.RAKUTEN: 5, Channel.B2B: 30},
    exact_blocks=10,
    contested_blocks=7,
    most_blocks=60,
    simple_services=3,
    exact=0.95,
    bounded=0.8,
    fallback=0.72,
)


def waits_until(order: Order, policy: RoutingPolicy = POLICY) -> datetime:
    """The last instant an unfillable order waits for stock: its day limit, or the marketplace's deadline before it."""
    limit = order.placed_at + timedelta(days=policy.day_limits.get(order.channel, policy.day_limit))
    return limit if order.ship_by is None else min(limit, order.ship_by)


def still_waiting(order: Order, now: datetime, policy: RoutingPolicy = POLICY) -> bool:
    """Whether an unfillable order goes on waiting; one whose time is over is to be cancelled."""
    return now < waits_until(order, policy)
