"""The golden set of routing: fifty seeded orders over three sites, worked out by plain enumeration in whole dollars.

``python -m evals.routing_golden`` prints the YAML that is checked in under ``tests/support``. Nothing here uses the
routing agent: prices, days and rules are small enough to check each line by hand. Every parcel is picked up today and
arrives after so many days; a day late costs 6 dollars, a parcel beyond the first 1 dollar; goods of up to 20 dollars
are not divided.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from random import Random
from typing import Any

import yaml

LANES: Mapping[str, Mapping[str, Mapping[str, tuple[int, int, int]]]] = {
    "HK": {"HKG": {"std": (4, 6, 1)}, "SIN": {"std": (7, 10, 2)}, "TPE": {"std": (5, 8, 2)}},
    "TW": {"HKG": {"std": (5, 8, 2)}, "SIN": {"std": (8, 11, 2)}, "TPE": {"std": (3, 5, 1)}},
    "SG": {"HKG": {"std": (6, 9, 2), "exp": (9, 13, 1)}, "SIN": {"std": (3, 5, 1)}},
    "MY": {"HKG": {"std": (7, 10, 2)}, "TPE": {"std": (8, 12, 2), "exp": (11, 16, 1)}},
    "AU": {"HKG": {"std": (11, 15, 2)}, "SIN": {"std": (9, 13, 2)}},
    "JP": {"HKG": {"std": (7, 10, 2)}, "TPE": {"std": (6, 8, 2), "exp": (9, 12, 1)}},
}
"""Destination, site, service: dollars up to 1 kg, dollars up to 5 kg, days. Nobody sells Singapore to Malaysia."""
PICK = {"HKG": 2, "SIN": 1, "TPE": 1}
SITES = tuple(PICK)
GRAMS = {"A": 400, "B": 600, "C": 900, "D": 500}
"""D holds a battery; express takes none."""
DOLLARS = {"A": 15, "B": 15, "C": 25, "D": 15}
LATE_DAY, SPLIT, SPLIT_ABOVE = 6, 1, 20

Parcel = tuple[str, str, tuple[str, ...]]
"""Site, service, SKUs."""


def draw(seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Orders of one to three goods with their stock and promise."""
    rng = Random(f"golden:{seed}")
    for number in range(1, count + 1):
        skus = sorted(rng.sample(sorted(GRAMS), rng.choice((1, 2, 2, 3, 3))))
        stock = {site: [sku for sku in skus if rng.random() < 0.6] for site in SITES}
        yield {
            "order": f"G{number:02d}",
            "to": rng.choice(sorted(LANES)),
            "skus": skus,
            "kit": len(skus) > 1 and rng.random() < 0.2,
            "due_days": rng.choice((None, None, 1, 2)),
            "stock": stock,
        }


def price(order: Mapping[str, Any], parcel: Parcel) -> int | None:
    """Dollars for one parcel with picking; None when the lane does not exist or does not take it."""
    site, service, skus = parcel
    lane = LANES[order["to"]].get(site, {}).get(service)
    grams = sum(GRAMS[sku] for sku in skus)
    if lane is None or ("D" in skus and service == "exp") or not set(skus) <= set(order["stock"][site]):
        return None
    return lane[0 if grams <= 1_000 else 1] + PICK[site]


def plans(order: Mapping[str, Any]) -> Iterator[tuple[int, int, int, list[Parcel]]]:
    """Every allowed plan: dollars with all penalties, days, dollars for the parcels, and the parcels."""
    skus = tuple(order["skus"])
    worth = sum(DOLLARS[sku] for sku in skus)
    lanes = [(site, service) for site, sold in LANES[order["to"]].items() for service in sold]
    for division in partitions(skus):
        if len(division) > 1 and (order["kit"] or worth <= SPLIT_ABOVE):
            continue
        for chosen in product(lanes, repeat=len(division)):
            parcels = [(site, service, part) for (site, service), part in zip(chosen, division, strict=True)]
            prices = [price(order, parcel) for parcel in parcels]
            if None in prices:
                continue
            cost = sum(each for each in prices if each is not None)
            days = max(LANES[order["to"]][site][service][2] for site, service, _ in parcels)
            late = max(0, days - order["due_days"]) * LATE_DAY if order["due_days"] else 0
            yield cost + late + SPLIT * (len(parcels) - 1), days, cost, parcels


def partitions(items: tuple[str, ...]) -> Iterator[list[tuple[str, ...]]]:
    """Every division of the items into parcels."""
    if not items:
        yield []
        return
    for rest in partitions(items[1:]):
        for i, part in enumerate(rest):
            yield [*rest[:i], (items[0], *part), *rest[i + 1 :]]
        yield [(items[0],), *rest]


def expected(order: Mapping[str, Any]) -> dict[str, Any]:
    """The plan, or the decision without one, and how every other site fared."""
    found = sorted(plans(order), key=lambda plan: (plan[0], plan[1], plan[3]))
    if not found:
        everywhere = {**order, "stock": dict.fromkeys(SITES, order["skus"])}
        return {"decision": "unfillable" if any(True for _ in plans(everywhere)) else "no_route"}
    objective, days, cost, parcels = found[0]
    used = {site for site, _, _ in parcels}
    return {
        "decision": "route",
        "parcels": [f"{site} {service} {'+'.join(skus)}" for site, service, skus in sorted(parcels)],
        "dollars": cost,
        "with_penalties": objective,
        "days": days,
        "lost": {site: standing(order, site) for site in SITES if site not in used},
    }


def standing(order: Mapping[str, Any], site: str) -> str | int:
    """What the site would have cost with penalties as the only one, in one parcel, or the constraint that kept it out."""
    if site not in LANES[order["to"]]:
        return "NO_LANE"
    skus = tuple(order["skus"])
    if not set(skus) <= set(order["stock"][site]):
        return "STOCK_SHORT"
    alone = [plan[0] for plan in plans(order) if len(plan[3]) == 1 and plan[3][0][0] == site]
    return min(alone, default="DANGEROUS_GOODS")


def unique(order: Mapping[str, Any]) -> bool:
    """Whether the best plan is the only one of its figures, so that names never decide."""
    found = sorted((plan[0], plan[1]) for plan in plans(order))
    return len(found) < 2 or found[0] != found[1]


def golden(seed: int = 13, count: int = 50) -> list[dict[str, Any]]:
    """The set: the first ``count`` drawn orders with one best plan or none."""
    drawn = (order for order in draw(seed, count * 3) if unique(order))
    return [order | {"expected": expected(order)} for order, _ in zip(drawn, range(count), strict=False)]


def main() -> None:
    """Print the set."""
    print(
        "# Fifty seeded orders over three sites, worked out by hand-checkable enumeration: python -m evals.routing_golden"
    )
    print(yaml.safe_dump(golden(), sort_keys=False, default_flow_style=None, width=118), end="")


if __name__ == "__main__":
    main()
