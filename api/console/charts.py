"""Small SVG charts: numbers become points and boxes here, templates write the elements. No inline styles, the policy forbids them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from graph.topology.drawing import STYLE

DIAGRAM_STYLE = STYLE
"""The drawing's own style sheet, served as a file."""
_GAP = 2.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One box of a bar chart, in the chart's own units."""

    x: float
    y: float
    width: float
    height: float
    label: str
    value: float


def bars(values: Sequence[tuple[str, float]], *, width: float, height: float, top: float) -> list[Bar]:
    """Upright bars side by side from the bottom; ``top`` fills the height."""
    if not values:
        return []
    step = width / len(values)
    thick = max(step - _GAP, 0.5)
    return [
        Bar(
            round(number * step, 2), round(height - height * value / top, 2), round(thick, 2),
            round(height * value / top, 2), label, value,
        )
        for number, (label, value) in enumerate(values)
    ]  # fmt: skip


def line(values: Sequence[float], *, width: float, height: float, top: float, below: float = 0) -> str:
    """The points of a line through the values, left to right, in a field that begins ``below`` its top."""
    step = width / max(len(values) - 1, 1)
    return " ".join(f"{at * step:.1f},{below + height - height * value / top:.1f}" for at, value in enumerate(values))


def round_up(value: float) -> int:
    """The next round number (1, 2, 5 times a power of ten), for the top of a scale."""
    if value <= 1:
        return 1
    power = 10 ** math.floor(math.log10(value))
    return int(next(step * power for step in (1, 2, 5, 10) if step * power >= value))
