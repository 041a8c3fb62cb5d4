"""Slowing sales of what will run out before a delivery: the least invasive reversible steps that keep enough stock.

Steps, in the order of how much a customer notices: no paid ads and no recommendation; a later promise; a limit a customer;
a smaller share for a channel; a small price rise; a back-order label; hiding. Expected slow-downs are prior beliefs that a
shop's own figures replace.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from itertools import combinations

import numpy as np

from agents.demand_series import Matrix
from domain.listing import Listing, ListingReport, RunningPromotion
from domain.order import Channel
from domain.values import Plain

START = 0.2
"""Chance of running out before arrival from which sales are slowed."""
STEP_UP = 0.5
"""From here on steps that cost a buyer something are admitted."""
TARGET = 0.1
"""What the chosen steps must bring the chance down to; below it for a day everything is undone."""
PRICE_STEP = 0.05
PRICE_MOST = 0.10
ELASTICITY = -1.5
LIMIT = 2


class Step(StrEnum):
    """One rung of the ladder, least invasive first."""

    ADS = "ads"
    PROMISE = "promise"
    LIMIT = "limit"
    ALLOCATION = "allocation"
    PRICE = "price"
    BACKORDER = "backorder"
    HIDE = "hide"

    @property
    def rank(self) -> int:
        """How invasive it is."""
        return list(Step).index(self)


SLOWS: Mapping[Step, float] = {
    Step.ADS: 0.20,
    Step.PROMISE: 0.12,
    Step.LIMIT: 0.08,
    Step.ALLOCATION: 0.30,
    Step.PRICE: -ELASTICITY * PRICE_STEP,
    Step.BACKORDER: 0.0,
    Step.HIDE: 1.0,
}
"""Share of a channel's sales a step is expected to take away."""
FACETS: Mapping[Step, str] = {Step.PRICE: "sku.price"}
"""What a step claims; all others claim the SKU's visibility."""
VISIBILITY = "sku.visibility"
_EARLY = frozenset({Step.ADS, Step.PROMISE, Step.LIMIT})


@dataclass(frozen=True, kw_only=True)
class Situation:
    """One SKU whose delivery will be late."""

    sku: str
    today: date
    free: int
    arrival: date
    """When goods are there at the earliest."""
    arrival_p80: date
    """When they are there with four chances in five: what a promise may say."""
    daily_draws: Matrix
    """Total demand until arrival in equally likely futures."""
    report: ListingReport
    shares: Mapping[Channel, float]
    """Each channel's part of the SKU's sales."""
    unit_margin: float
    confirmed: bool = False
    """Whether a purchase order with a date is confirmed: only then may goods be sold that are still to come."""
    essential: bool = False
    """Goods whose price is never raised when they get scarce."""
    raised: Mapping[Channel, float] = field(default_factory=dict)
    """By how much each price stands above its first snapshot already."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One step on one channel: fields, their values before and after."""

    step: Step
    channel: Channel
    values: dict[str, Plain]
    before: dict[str, Plain]

    @property
    def facet(self) -> str:
        """What it claims."""
        return FACETS.get(self.step, VISIBILITY)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do, what it brings, and what was ruled out."""

    changes: tuple[Change, ...]
    probability_before: float
    probability_after: float
    lost_margin: float
    """Expected margin of the sales that are slowed away before the goods come."""
    refused: tuple[str, ...]
    """Steps that may not be taken, one sentence each."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The rungs taken, least invasive first."""
        return tuple(sorted({change.step for change in self.changes}, key=lambda step: step.rank))


def plan(situation: Situation) -> Plan:
    """The least invasive set of steps that brings the chance of running out down to the target; the best there is if none does.

    A set is less invasive when its most invasive step is, then when it loses less margin. Nothing at or below ``START``.
    """
    now = _probability(situation, 0.0)
    if now <= START:
        return Plan(changes=(), probability_before=now, probability_after=now, lost_margin=0.0, refused=())
    admitted = [step for step in Step if now > STEP_UP or step in _EARLY or step is Step.ALLOCATION]
    possible, refused = _possible(situation, admitted)
    best: tuple[tuple[float, ...], tuple[Step, ...]] | None = None
    for size in range(1, len(possible) + 1):
        for chosen in combinations(possible, size):
            slowed = _slowed(situation, {step: possible[step] for step in chosen})
            after = _probability(situation, slowed)
            misses = max(0.0, after - TARGET)
            score = (misses, max(step.rank for step in chosen), _lost(situation, slowed), size)
            if best is None or score < best[0]:
                best = score, chosen
    if best is None:
        return Plan(changes=(), probability_before=now, probability_after=now, lost_margin=0.0, refused=tuple(refused))
    changes = tuple(change for step in best[1] for change in possible[step])
    slowed = _slowed(situation, {step: possible[step] for step in best[1]})
    return Plan(
        changes=_in_turn(changes),
        probability_before=now,
        probability_after=_probability(situation, slowed),
        lost_margin=_lost(situation, slowed),
        refused=tuple(refused),
    )


def _possible(situation: Situation, admitted: Sequence[Step]) -> tuple[dict[Step, list[Change]], list[str]]:
    """What each step would change, channel by channel, and why steps may not be taken."""
    found: dict[Step, list[Change]] = {}
    refused: list[str] = []
    for listing in situation.report.listings:
        for step in admitted:
            why = _forbidden(situation, listing, step)
            if why:
                refused.append(f"{step.value} on {listing.channel.value}: {why}")
                continue
            values = _values(situation, listing, step)
            before = {name: listing.model_dump(mode="json")[name] for name in values}
            if values and values != before:
                found.setdefault(step, []).append(
                    Change(step=step, channel=listing.channel, values=values, before=before)
                )
    return found, refused


def _forbidden(situation: Situation, listing: Listing, step: Step) -> str:
    """Why a step may not be taken on a channel; empty when it may."""
    if step is Step.PRICE:
        return _price_forbidden(situation, listing)
    if step is Step.BACKORDER:
        if listing.channel.marketplace:
            return "the marketplace does not allow selling goods still to come"
        if not situation.confirmed:
            return "no purchase order with a date is confirmed"
    if step is Step.PROMISE and listing.channel.marketplace:
        return "the marketplace sets the days to ship"
    if step is Step.HIDE and _promotion(situation, listing):
        return "an advertised promotion must stay visible"
    return ""


def _price_forbidden(situation: Situation, listing: Listing) -> str:
    running = _promotion(situation, listing)
    if running:
        return f"the advertised promotion {running.promotion_id} runs until {running.ends.isoformat()}"
    if situation.essential:
        return "prices of essential goods are not raised when they get scarce"
    if listing.channel.marketplace:
        return "the marketplace forbids raising prices of scarce goods"
    if situation.raised.get(listing.channel, 0.0) + PRICE_STEP > PRICE_MOST + 1e-9:
        return f"the price stands {situation.raised[listing.channel]:.0%} up already, {PRICE_MOST:.0%} is the most"
    return ""


def _promotion(situation: Situation, listing: Listing) -> RunningPromotion | None:
    return next(
        (
            one
            for one in situation.report.promotions
            if one.channel is listing.channel
            and one.sku == listing.sku
            and one.advertised
            and one.covers(situation.today)
        ),
        None,
    )


def _values(situation: Situation, listing: Listing, step: Step) -> dict[str, Plain]:
    match step:
        case Step.ADS:
            return {"ad_campaigns": [], "recommended": False}
        case Step.PROMISE:
            return {"ships_from": situation.arrival_p80.isoformat()}
        case Step.LIMIT:
            return {"customer_limit": min(LIMIT, listing.customer_limit or LIMIT)}
        case Step.ALLOCATION:
            return {"allocation_percent": int(listing.allocation_percent * (1 - SLOWS[Step.ALLOCATION]))}
        case Step.PRICE:
            raised = listing.price.amount_minor + int(listing.price.amount_minor * PRICE_STEP)
            return {"price": {"amount_minor": raised, "currency": listing.price.currency}}
        case Step.BACKORDER:
            return {"backorder_label": f"ships from {situation.arrival_p80.isoformat()}"}
        case Step.HIDE:
            return {"visible": False}


def _slowed(situation: Situation, steps: Mapping[Step, Sequence[Change]]) -> float:
    """Share of all sales taken away: steps on one channel multiply, channels weigh by their part of sales."""
    left: dict[Channel, float] = {}
    for step, changes in steps.items():
        for change in changes:
            left[change.channel] = left.get(change.channel, 1.0) * (1 - SLOWS[step])
    return sum(situation.shares.get(channel, 0.0) * (1 - part) for channel, part in left.items())


def _probability(situation: Situation, slowed: float) -> float:
    if not len(situation.daily_draws):
        return 0.0
    return float((situation.daily_draws * (1 - slowed) > situation.free).mean())


def _lost(situation: Situation, slowed: float) -> float:
    """Margin of sales that are slowed away although there would have been stock for them."""
    if not len(situation.daily_draws):
        return 0.0
    could = np.minimum(situation.daily_draws, situation.free)
    does = np.minimum(situation.daily_draws * (1 - slowed), situation.free)
    return float((could - does).mean()) * situation.unit_margin


def _in_turn(changes: Sequence[Change]) -> tuple[Change, ...]:
    return tuple(sorted(changes, key=lambda change: (change.step.rank, change.channel.value)))
