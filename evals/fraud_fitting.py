"""Fits probabilities to labels in plain Python: Platt's sigmoid, isotonic steps, ridge logistic regression.

Sources: Platt (1999) with the target smoothing he gives; pool-adjacent-violators (Ayer et al. 1955); iteratively
reweighted least squares with a quadratic penalty.
"""

import math
from collections.abc import Iterable, Sequence

from agents.fraud_calibration import ProbabilityMap, sigmoid
from agents.fraud_costs import MILLION

PLATT_BELOW = 1_000
"""Labels below which a sigmoid is fitted instead of steps."""
Z_ONE_SIDED_95 = 1.645
Row = Sequence[tuple[int, float]]
"""One case: the features it has, by place, with their values."""


def probability_map(segment: str, cases: Sequence[tuple[int, bool]]) -> ProbabilityMap:
    """The map from score to probability for the labels of one segment."""
    bad = sum(label for _, label in cases)
    if len(cases) < PLATT_BELOW:
        intercept, slope = platt(cases)
        return ProbabilityMap(
            segment=segment, method="platt", labels=len(cases), bad=bad, slope=slope, intercept=intercept
        )
    return ProbabilityMap(segment=segment, method="isotonic", labels=len(cases), bad=bad, steps=isotonic(cases))


def platt(cases: Sequence[tuple[int, bool]]) -> tuple[float, float]:
    """Intercept and slope of the probability of being bad by score; the slope is never negative."""
    bad = sum(label for _, label in cases)
    high, low = (bad + 1) / (bad + 2), 1 / (len(cases) - bad + 2)
    rows = [((0, 1.0), (1, score / 100)) for score, _ in cases]
    weights = logistic(rows, [high if label else low for _, label in cases], features=2, ridge=1e-6)
    return weights[0], max(0.0, weights[1] / 100)


def isotonic(cases: Iterable[tuple[int, bool]]) -> tuple[tuple[int, int], ...]:
    """Ascending steps of score and probability in millionths; a step of n cases is smoothed by half a case each way."""
    tally: dict[int, list[int]] = {}
    for score, label in cases:
        found = tally.setdefault(score, [0, 0])
        found[0] += 1
        found[1] += label
    blocks: list[tuple[int, int, int]] = []
    for score in sorted(tally):
        start, (count, bad) = score, tally[score]
        while blocks and blocks[-1][2] * count >= bad * blocks[-1][1]:
            start, more, worse = blocks.pop()
            count, bad = count + more, bad + worse
        blocks.append((start, count, bad))
    steps, highest = [], 0
    for start, count, bad in blocks:
        highest = max(highest, round(MILLION * (bad + 0.5) / (count + 1)))
        steps.append((start, highest))
    return tuple(steps)


def logistic(
    rows: Sequence[Row], targets: Sequence[float], *, features: int, ridge: float = 1.0, rounds: int = 25
) -> list[float]:
    """Weights of a logistic regression by Newton steps; feature 0 is the intercept and is not penalised."""
    weights = [0.0] * features
    for _ in range(rounds):
        gradient = [0.0 if place == 0 else -ridge * weight for place, weight in enumerate(weights)]
        curve = [[0.0] * features for _ in range(features)]
        for place in range(features):
            curve[place][place] = 1e-9 if place == 0 else ridge
        for row, target in zip(rows, targets, strict=True):
            p = sigmoid(sum(weights[place] * value for place, value in row))
            pull, bend = target - p, max(1e-9, p * (1 - p))
            for place, value in row:
                gradient[place] += pull * value
                line = curve[place]
                for other, also in row:
                    line[other] += bend * value * also
        step = solve(curve, gradient)
        longest = max(abs(part) for part in step)
        damping = min(1.0, 4.0 / longest) if longest else 1.0
        weights = [weight + damping * part for weight, part in zip(weights, step, strict=True)]
        if longest < 1e-6:
            break
    return weights


def solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """The solution of a square linear system, by elimination with row exchange."""
    size = len(right)
    rows = [[*line, right[place]] for place, line in enumerate(matrix)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda place: abs(rows[place][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        head = rows[column]
        for place in range(column + 1, size):
            factor = rows[place][column] / head[column]
            if factor:
                rows[place] = [a - factor * b for a, b in zip(rows[place], head, strict=True)]
    found = [0.0] * size
    for place in reversed(range(size)):
        known = sum(rows[place][other] * found[other] for other in range(place + 1, size))
        found[place] = (rows[place][size] - known) / rows[place][place]
    return found


def wilson_lower(right: int, cases: int, z: float = Z_ONE_SIDED_95) -> float:
    """Wilson's lower confidence bound of a share (Wilson 1927), 0 without cases."""
    if cases == 0:
        return 0.0
    share = right / cases
    centre = share + z * z / (2 * cases)
    spread = z * math.sqrt(share * (1 - share) / cases + z * z / (4 * cases * cases))
    return max(0.0, (centre - spread) / (1 + z * z / cases))
