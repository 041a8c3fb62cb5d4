"""From a score to the probability that an order is bad, and from that to confidence: how often an expert does the same.

The shipped table is measured on simulated orders (``evals/fraud_calibration.py``) and says so; a shop replaces it with
one measured on its own matured labels. With fewer than 200 labels in the 90 days it was measured on, or for another
version of agent, rules or thresholds, no confidence exceeds 0.69: such an agent cannot act alone.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from agents.fraud_costs import MILLION, ONE_DOLLAR
from domain.errors import ConfigError
from domain.values import Document

CALIBRATION_FILE = Path(__file__).with_name("fraud_calibration.json")
UNCALIBRATED_CAP = 0.69
ENOUGH_LABELS = 200
_STEEPEST = 30.0
UNKNOWN_PPM = MILLION // 2


class ProbabilityMap(Document):
    """Score to probability for orders of one kind: Platt's sigmoid on few labels, isotonic steps on many."""

    segment: str
    """``direct`` or ``platform``."""
    method: Literal["platt", "isotonic"]
    labels: int = Field(ge=0)
    bad: int = Field(ge=0)
    slope: float = Field(default=0.0, ge=0)
    intercept: float = 0.0
    steps: tuple[tuple[int, int], ...] = ()
    """From which score on which probability holds, in millionths, both ascending; below the first the first holds."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        scores, shares = [step[0] for step in self.steps], [step[1] for step in self.steps]
        if scores != sorted(set(scores)) or shares != sorted(shares):
            raise ValueError(f"the steps of {self.segment} must ascend in score and in probability")
        if self.method == "isotonic" and not self.steps:
            raise ValueError(f"the isotonic map of {self.segment} has no steps")
        return self

    def p_ppm(self, score: int) -> int:
        """The probability of being bad at a score, in millionths."""
        if self.method == "platt":
            return round(MILLION * sigmoid(self.intercept + self.slope * score))
        place = bisect_right(self.steps, score, key=lambda step: step[0])
        return self.steps[max(0, place - 1)][1]


class Calibrator(Document):
    """How often one action in one market group agreed with the truth, as a logistic curve over probability and margin."""

    action: str
    market_group: str
    labels: int = Field(ge=0)
    """Human-reviewed or matured cases in the measured days."""
    right: int = Field(ge=0)
    lower_bound: float = Field(ge=0, le=1)
    """One-sided 95 % Wilson lower bound of ``right / labels``: the action's proven precision."""
    intercept: float
    odds_weight: float
    """Of the log odds that the order is bad."""
    margin_weight: float
    """Of the logarithm of 1 + the dollars by which the best action beats the second."""

    def agreement(self, p_ppm: int, margin: int) -> float:
        """Probability that an independent expert takes the same action."""
        return sigmoid(self.intercept + self.odds_weight * log_odds(p_ppm) + self.margin_weight * log_dollars(margin))


class CalibrationTable(Document):
    """One measurement, named, with everything needed to repeat it."""

    calibration_id: str
    agent: str
    version: str
    rules: str
    thresholds: str
    source: str
    seed: int
    orders: int
    measured_from: AwareDatetime
    measured_to: AwareDatetime
    probabilities: tuple[ProbabilityMap, ...]
    calibrators: tuple[Calibrator, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Confidence:
    """What the calibration says about one judgement."""

    value: float
    calibrated: bool
    precision: float
    """Proven share of right decisions of this action; 0 when uncalibrated."""


class Calibration:
    """A calibration table in use by one version of the agent."""

    def __init__(self, table: CalibrationTable, *, version: str, rules: str) -> None:
        """Bind a table to the version in use; a table of another version caps every confidence."""
        self.table = table
        self._current = (table.version, table.rules) == (version, rules)
        self._maps = {one.segment: one for one in table.probabilities}
        self._calibrators = {(one.action, one.market_group): one for one in table.calibrators}

    def p_ppm(self, segment: str, score: int) -> int:
        """The probability that an order is bad, in millionths; one half where nothing was measured."""
        found = self._maps.get(segment)
        return UNKNOWN_PPM if found is None else found.p_ppm(score)

    def confidence(self, *, action: str, market_group: str, thresholds: str, p_ppm: int, margin: int) -> Confidence:
        """The confidence of an action; ``margin`` is in millionths of a US cent."""
        found = self._calibrators.get((action, market_group))
        if found is None:
            return Confidence(value=0.5, calibrated=False, precision=0.0)
        value = found.agreement(p_ppm, margin)
        if not self._current or self.table.thresholds != thresholds or found.labels < ENOUGH_LABELS:
            return Confidence(value=round(min(value, UNCALIBRATED_CAP), 4), calibrated=False, precision=0.0)
        return Confidence(value=round(value, 4), calibrated=True, precision=found.lower_bound)


def sigmoid(odds: float) -> float:
    """The logistic function, safe for any argument."""
    return 1 / (1 + math.exp(-max(-_STEEPEST, min(_STEEPEST, odds))))


def log_odds(p_ppm: int) -> float:
    """Log odds of a probability in millionths, finite at 0 and 1."""
    inside = min(MILLION - 1, max(1, p_ppm))
    return math.log(inside / (MILLION - inside))


def log_dollars(micro_cents: int) -> float:
    """Logarithm of one plus an amount in millionths of a US cent, taken in dollars."""
    return math.log1p(max(0, micro_cents) / ONE_DOLLAR)


@cache
def shipped_calibration(file: Path = CALIBRATION_FILE) -> CalibrationTable:
    """The table that ships with this version.

    Raises:
        ConfigError: the file is missing.
    """
    if not file.exists():
        raise ConfigError(f"{file.name} is missing; run `python -m evals.fraud_calibration` to measure it")
    return CalibrationTable.from_json(file.read_bytes())
