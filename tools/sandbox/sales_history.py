"""Weekly sales of the sandbox world's SKUs: lumpy 48, erratic 37, intermittent 9, smooth 5 %, the rest just launched.

A week's sale follows from seed, SKU and calendar week alone, so that history does not change as time goes on.
"""

import math
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from random import Random

from domain.ids import Sku

EPOCH = date(2024, 1, 1)
"""A Monday; before it nothing was sold."""
BLOCK_WEEKS = 52
_MIX = ((48, "lumpy"), (85, "erratic"), (94, "intermittent"), (99, "smooth"))


class Pattern(StrEnum):
    """How an SKU sells."""

    LUMPY = "lumpy"
    ERRATIC = "erratic"
    INTERMITTENT = "intermittent"
    SMOOTH = "smooth"
    NEW = "new"


def monday(day: date) -> date:
    """The first day of the week."""
    return day - timedelta(days=day.weekday())


def pattern(seed: int, sku: Sku) -> Pattern:
    """How the SKU sells."""
    drawn = Random(f"pattern:{seed}:{sku}").random() * 100
    return next((Pattern(name) for below, name in _MIX if drawn < below), Pattern.NEW)


def weekly_sales(seed: int, sku: Sku, *, until: date, weeks: int) -> tuple[int | None, ...]:
    """Units per week before the week of ``until``, newest last; None where it was out of stock."""
    last = (monday(until) - EPOCH).days // 7
    first = max(0, last - weeks)
    if pattern(seed, sku) is Pattern.NEW:
        first = max(first, last - 1)
    found: list[int | None] = []
    for week in range(first, last):
        found.append(_block(seed, sku, week // BLOCK_WEEKS)[week % BLOCK_WEEKS])
    return tuple(found)


@lru_cache(maxsize=16_384)
def _block(seed: int, sku: Sku, number: int) -> tuple[int | None, ...]:
    """A year of weeks."""
    kind = pattern(seed, sku)
    level = Random(f"level:{seed}:{sku}").lognormvariate(1.6, 0.8) + 0.5
    random = Random(f"sales:{seed}:{sku}:{number}")
    weeks: list[int | None] = [_week(kind, level, random) for _ in range(BLOCK_WEEKS)]
    if random.random() < 0.08:
        gone, length = random.randrange(BLOCK_WEEKS - 3), random.choice((1, 2, 3))
        weeks[gone : gone + length] = [None] * length
    return tuple(weeks)


def _week(kind: Pattern, level: float, random: Random) -> int:
    match kind:
        case Pattern.SMOOTH:
            return max(1, round(random.gauss(level + 4, (level + 4) * 0.2)))
        case Pattern.ERRATIC:
            return max(1, round(random.lognormvariate(math.log(level + 1), 0.9)))
        case Pattern.INTERMITTENT:
            return round(level) + 1 if random.random() < 0.4 else 0
        case Pattern.LUMPY:
            return max(1, round(random.lognormvariate(math.log(level + 1), 0.9))) if random.random() < 0.5 else 0
        case Pattern.NEW:
            return random.choice((0, 1, 2))
