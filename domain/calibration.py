"""From a stated confidence to the probability that an independent reviewer takes the same action, as people measured it.

A calibration is a dated value that somebody adopted by name; it never changes by itself. Without one, an agent whose
confidence is a model's word stays below what it takes to act.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp, log
from typing import Literal

from pydantic import AwareDatetime, Field

from domain.reliability import Reliability
from domain.values import Document

UNCALIBRATED_CAP = 0.69
ENOUGH_LABELS = 200
LABELS_WITHIN = timedelta(days=90)
ISOTONIC_FROM = 1_000
"""Labels from which steps are fitted instead of a sigmoid."""
MILLION = 1_000_000
MARKET_GROUPS: Mapping[str, str] = {
    **dict.fromkeys(("HK", "TW", "CN", "MO"), "greater_china"),
    **dict.fromkeys(("SG", "MY", "TH", "VN", "ID", "PH", "MM", "KH", "LA", "BN"), "southeast_asia"),
    **dict.fromkeys(("JP", "KR"), "north_asia"),
    **dict.fromkeys(("AU", "NZ"), "oceania"),
}
OTHER_MARKETS = "other"
_STEEPEST = 30.0


def market_group(market: str) -> str:
    """Which markets share a curve with this one."""
    return MARKET_GROUPS.get(market, OTHER_MARKETS)


def log_odds(share: float) -> float:
    """Log odds of a probability, finite at 0 and 1."""
    inside = min(1 - 1e-6, max(1e-6, share))
    return log(inside / (1 - inside))


class Curve(Document):
    """What one action's stated confidence is worth in one market group."""

    action: str
    market_group: str
    method: Literal["platt", "isotonic"]
    labels: int = Field(ge=0)
    """Answers of people in the 90 days before it was measured."""
    right: int = Field(ge=0)
    slope: float = Field(default=0.0, ge=0)
    intercept: float = 0.0
    steps: tuple[tuple[int, int], ...] = ()
    """From which stated confidence on which probability holds, in millionths, ascending."""
    stated: Reliability
    """How well the agent's own word holds."""
    most_errors: float
    """The share of errors the threshold promises to stay below."""
    threshold: float | None
    """From which calibrated confidence on errors are proven rare enough; None where no threshold can promise it."""

    def probability(self, stated: float) -> float:
        """The probability that a reviewer agrees."""
        if self.method == "platt":
            return 1 / (1 + exp(-max(-_STEEPEST, min(_STEEPEST, self.intercept + self.slope * log_odds(stated)))))
        place = bisect_right(self.steps, round(stated * MILLION), key=lambda step: step[0])
        return self.steps[max(0, place - 1)][1] / MILLION


class ConfidenceCalibration(Document):
    """One measurement of one version of an agent for one tenant."""

    calibration_id: str
    tenant: str
    agent: str
    version: str
    made_at: AwareDatetime
    curves: tuple[Curve, ...]

    def curve(self, action: str, market: str) -> Curve | None:
        """The curve of an action in a market, when enough people have answered."""
        group = market_group(market)
        for curve in self.curves:
            if (curve.action, curve.market_group) == (action, group) and curve.labels >= ENOUGH_LABELS:
                return curve
        return None


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a stated confidence amounts to."""

    value: float | None
    calibrated_at: datetime | None = None
    """When the calibration it was translated by was measured; None where none applies."""
    capped: bool = False
    threshold: float | None = None
    """What the adopted calibration asks for before this action is taken unasked; None where nothing is safe enough."""

    @property
    def calibrated(self) -> bool:
        """Whether people have measured what it is worth."""
        return self.calibrated_at is not None


def heard(
    stated: float | None, found: ConfidenceCalibration | None, *,
    version: str, action: str, market: str, learned: bool, now: datetime,
) -> Said:  # fmt: skip
    """What a stated confidence amounts to under the calibration in force.

    ``learned`` agents speak for a model: without a current calibration their word is capped. Declared rule agents keep
    theirs.
    """
    if stated is None:
        return Said(value=None)
    current = found is not None and found.version == version and now - found.made_at <= LABELS_WITHIN
    curve = found.curve(action, market) if found is not None and current else None
    if found is not None and curve is not None:
        value = round(curve.probability(stated), 4)
        return Said(value=value, calibrated_at=found.made_at, threshold=curve.threshold)
    if learned:
        return Said(value=min(stated, UNCALIBRATED_CAP), capped=True)
    return Said(value=stated)
