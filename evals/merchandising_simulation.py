"""A shop with late deliveries, day by day, with and without slowing sales: stock-out days, lost margin, shortage cost.

``python -m evals.merchandising_simulation``: 500 SKUs for 60 days from a seed. Demand, deliveries and the effect of each
step are drawn from one stream a SKU, so that both shops see the same buyers. What a step does to buyers is the prior the
planner also uses, with noise a SKU it does not know.
"""

import sys
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

import numpy as np

from agents.merchandising import SLOWS, START, TARGET, Situation, Step, plan
from domain.ids import Sku
from domain.listing import Listing, ListingReport
from domain.money import Money
from domain.order import Channel

DAYS = 60
CHANNELS = (Channel.SHOPIFY, Channel.SHOPEE)
TODAY = date(2026, 11, 1)
PENALTY = 3.0
"""A buyer who finds nothing costs this many times the margin: the sale, the search, and who does not come back."""
FUTURES = 200


@dataclass
class Tally:
    """What happened in one shop."""

    stockout_days: int = 0
    """Days a buyer found nothing, because it was gone or hidden."""
    unmet: float = 0.0
    """Units wanted on days nothing was left, at their penalty."""
    slowed: float = 0.0
    """Margin of buyers who were slowed away."""


@dataclass
class Goods:
    """One SKU's circumstances."""

    sku: Sku
    rate: float
    stock: float
    arrives: int
    lot: float
    margin: float
    effect: float
    """How much stronger or weaker than believed the steps work."""
    wants: list[int] = field(default_factory=list)


def draw(seed: int, number: int) -> Goods:
    """One SKU; about half would run out before their delivery."""
    random = Random(f"merchandising:{seed}:{number}")
    rate = random.lognormvariate(0.5, 0.6)
    arrives = random.randint(10, 40)
    wants = np.random.default_rng(seed * 100_003 + number).poisson(rate, DAYS)
    return Goods(
        sku=Sku(f"M-{number:04d}"), rate=rate, stock=max(1.0, round(rate * arrives * random.uniform(0.55, 1.5))),
        arrives=arrives, lot=rate * DAYS * 1.5, margin=random.uniform(2, 20), effect=random.uniform(0.6, 1.3),
        wants=[int(n) for n in wants],
    )  # fmt: skip


def live(goods: Goods, *, slowing: bool) -> Tally:
    """Sixty days of one SKU."""
    tally, stock, left = Tally(), goods.stock, 1.0
    for day in range(DAYS):
        if day == goods.arrives:
            stock, left = stock + goods.lot, 1.0
        elif slowing and day < goods.arrives:
            left = _left(goods, stock, day)
        wanted = goods.wants[day]
        comes = wanted * left
        sold = min(stock, comes)
        stock -= sold
        tally.slowed += max(0.0, wanted - comes) * goods.margin
        tally.stockout_days += bool(wanted) and (left == 0.0 or (stock <= 0 and comes > sold))
        if stock <= 0 and comes > sold:
            tally.unmet += (comes - sold) * goods.margin * PENALTY
    return tally


def _left(goods: Goods, stock: float, day: int) -> float:
    """Share of demand that still comes after the day's plan."""
    days = goods.arrives - day
    draws = np.random.default_rng(day * 7 + len(goods.sku)).poisson(goods.rate * days, FUTURES).astype(float)
    price = Money(amount_minor=2_000, currency="USD")
    listings = tuple(Listing(sku=goods.sku, channel=channel, ad_campaigns=("ad",), price=price) for channel in CHANNELS)
    today = TODAY + timedelta(days=day)
    chosen = plan(
        Situation(
            sku=goods.sku, today=today, free=int(stock), arrival=today + timedelta(days=days),
            arrival_p80=today + timedelta(days=days + 2), daily_draws=draws, report=ListingReport(listings=listings),
            shares={channel: 1 / len(CHANNELS) for channel in CHANNELS}, unit_margin=goods.margin,
        )
    )  # fmt: skip
    left = 0.0
    for channel in CHANNELS:
        part = 1.0
        for change in chosen.changes:
            if change.channel is channel:
                part *= 1 - min(1.0, SLOWS[Step(change.step)] * (1.0 if change.step is Step.HIDE else goods.effect))
        left += part / len(CHANNELS)
    return left


def compare(skus: int, *, seed: int = 1) -> tuple[Tally, Tally]:
    """The same shop without and with slowing."""
    plain, slowed = Tally(), Tally()
    for number in range(skus):
        for total, slowing in ((plain, False), (slowed, True)):
            one = live(draw(seed, number), slowing=slowing)
            total.stockout_days += one.stockout_days
            total.unmet += one.unmet
            total.slowed += one.slowed
    return plain, slowed


def main() -> int:
    """Print both shops; 1 when a bar is missed."""
    plain, slowed = compare(500)
    fewer = 1 - slowed.stockout_days / plain.stockout_days
    saved = plain.unmet - slowed.unmet
    print(f"500 SKUs, {DAYS} days, from {START:.0%} on slowed down to {TARGET:.0%}")
    print(f"stock-out days {plain.stockout_days} -> {slowed.stockout_days} ({fewer:.0%} fewer, bar 30 %)")
    print(f"margin slowed away {slowed.slowed:.0f}, shortage cost saved {saved:.0f}")
    return 0 if fewer >= 0.3 and slowed.slowed <= saved else 1


if __name__ == "__main__":
    sys.exit(main())
