"""The published generator of routing problems: sites and destinations scattered over a map, lanes missing at random.

Everything is invented and seeded: the same seed gives the same problems in every process. No public instance set for
joint warehouse-and-carrier choice was found, so this is the one the figures are measured on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import hypot
from random import Random

from agents.routing_batch import BatchOrder
from agents.routing_problem import Block, Offer, Part, Problem, Weights
from domain.ids import ServiceId, Sku, WarehouseId

START = datetime(2026, 11, 12, 12, tzinfo=UTC)
WEIGHTS = Weights(late_hour_minor=25, split_minor=100, ship_by_minor=2500)
MISSING_PER_CENT = 30
LIMITS_G = (500, 1_000, 2_000, 5_000, 10_000, 20_000)


@dataclass(frozen=True, kw_only=True)
class Map:
    """Sites, services and destinations of one seed, with the lanes between them."""

    offers: Mapping[int, tuple[Offer, ...]]
    """By destination."""
    sites: tuple[WarehouseId, ...]


def draw_map(seed: int, *, sites: int = 6, services: int = 8, destinations: int = 8) -> Map:
    """A map on which 30 % of all site-service-destination lanes do not exist."""
    rng = Random(f"map:{seed}")
    places = [(rng.random(), rng.random()) for _ in range(sites)]
    kinds = [(rng.randint(150, 600), rng.randint(60, 240), rng.uniform(0.5, 6)) for _ in range(services)]
    offers = {}
    for destination in range(destinations):
        x, y = rng.random(), rng.random()
        offers[destination] = tuple(
            _lane(rng, f"W{w}", s, kind, hypot(x - a, y - b))
            for w, (a, b) in enumerate(places)
            for s, kind in enumerate(kinds)
            if rng.randrange(100) >= MISSING_PER_CENT
        )
    return Map(offers=offers, sites=tuple(WarehouseId(f"W{w}") for w in range(sites)))


def _lane(rng: Random, site: str, number: int, kind: tuple[int, int, float], distance: float) -> Offer:
    base, per_kilo, pace = kind
    days = 1 + round(pace * distance + rng.random())
    noise = rng.randint(900, 1_100)
    arrives = START + timedelta(days=days)
    limits = LIMITS_G[: rng.randint(4, len(LIMITS_G))]
    return Offer(
        warehouse=WarehouseId(site),
        service=ServiceId(f"c{number}:std"),
        carrier=f"c{number}",
        limits_g=limits,
        prices_minor=tuple(
            int((base + per_kilo * limit / 1_000) * (1 + 2 * distance)) * noise // 1_000 for limit in limits
        ),
        divisor=rng.choice((5_000, 6_000)),
        accepts=rng.choice((0, 1, 3, 3)),
        max_value_minor=rng.choice((None, None, None, 30_000)),
        ready_at=START,
        arrives_p50=arrives,
        arrives_p80=arrives,
        ships_late=rng.random() < 0.1,
    )


def draw_order(rng: Random, on: Map, lines: int, stock: Mapping[tuple[WarehouseId, Sku], int]) -> Problem:
    """One order of so many lines for goods that exist in ``stock``."""
    skus = rng.sample(sorted({sku for _, sku in stock}), lines)
    blocks = tuple(_block(rng, i, sku) for i, sku in enumerate(skus))
    due = START + timedelta(days=rng.choice((2, 3, 5, 9))) if rng.random() < 0.6 else None
    return Problem(
        blocks=blocks, offers=on.offers[rng.randrange(len(on.offers))], stock=stock, due=due, weights=WEIGHTS
    )


def _block(rng: Random, number: int, sku: Sku) -> Block:
    units = rng.choice((1, 1, 1, 2, 3))
    return Block(
        parts=(Part(line_id=f"L{number}", sku=sku, units=units),),
        grams=rng.randint(100, 2_500) * units,
        volume_mm3=rng.randint(100_000, 8_000_000) * units,
        value_minor=rng.randint(500, 12_000),
        hazards=rng.choice((0, 0, 0, 0, 1, 2)),
    )


def draw_stock(
    rng: Random, sites: Sequence[WarehouseId], *, skus: int, most: int
) -> dict[tuple[WarehouseId, Sku], int]:
    """Up to ``most`` units of every SKU in about half of the sites, and one unit at least somewhere."""
    stock = {}
    for number in range(skus):
        sku = Sku(f"S{number:03d}")
        for site in sites:
            if rng.random() < 0.5:
                stock[site, sku] = rng.randint(1, most)
        stock.setdefault((rng.choice(sites), sku), 1)
    return stock


def draw_orders(seed: int, count: int, *, lines: tuple[int, ...], on: Map | None = None) -> list[Problem]:
    """Orders of one map, each alone with the stock, of so many lines as drawn from ``lines``."""
    rng = Random(f"orders:{seed}")
    there = on or draw_map(seed)
    stock = draw_stock(rng, there.sites, skus=60, most=9)
    return [draw_order(rng, there, rng.choice(lines), stock) for _ in range(count)]


def draw_batch(
    seed: int, count: int, *, skus: int = 40, most: int = 4
) -> tuple[list[BatchOrder], dict[tuple[WarehouseId, Sku], int]]:
    """Orders that share tight stock: the material of batch routing."""
    rng = Random(f"batch:{seed}")
    on = draw_map(seed)
    stock = draw_stock(rng, on.sites, skus=skus, most=most)
    orders = [
        BatchOrder(order_id=f"o{number:04d}", problem=draw_order(rng, on, rng.choice((1, 1, 1, 2, 2, 3)), stock))
        for number in range(count)
    ]
    return orders, stock
