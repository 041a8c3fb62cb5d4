"""How often each action was right in each score band, as measured on labelled orders: where confidence comes from.

The shipped table is measured on simulated orders (``evals/fraud_calibration.py``) and says so; a shop replaces it with
one measured on its own matured labels. Without enough cases, or for another version of agent or thresholds, the agent
may not act alone.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import Field

from domain.errors import ConfigError
from domain.values import Document

CALIBRATION_FILE = Path(__file__).with_name("fraud_calibration.json")


class Band(Document):
    """One action in one range of scores (``low <= score < high``; None is unbounded)."""

    segment: str
    """``direct`` or ``platform``."""
    action: str
    low: int | None
    high: int | None
    cases: int = Field(ge=0)
    right: int = Field(ge=0)
    """Cases in which the truth agreed with the action: good for approve, bad for the others."""
    bad: int = Field(ge=0)
    lower_bound: float = Field(ge=0, le=1)
    """One-sided 95 % Wilson lower bound of ``right / cases``."""

    def holds(self, segment: str, action: str, score: int) -> bool:
        """Whether a case falls in this band."""
        above = self.low is None or score >= self.low
        below = self.high is None or score < self.high
        return self.segment == segment and self.action == action and above and below


class CalibrationTable(Document):
    """One measurement, named, with everything needed to repeat it."""

    calibration_id: str
    agent: str
    version: str
    thresholds: str
    source: str
    seed: int
    orders: int
    min_cases: int
    """A band with fewer cases is uncalibrated."""
    uncalibrated_cap: float
    """Confidence no uncalibrated judgement may exceed; below what acting alone takes."""
    bands: tuple[Band, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Confidence:
    """What the calibration says about one judgement."""

    value: float
    calibrated: bool
    p_bad: str
    """Estimated probability that the order is bad (Laplace-smoothed share of the band), as decimal text."""


class Calibration:
    """A calibration table in use by one version of the agent."""

    def __init__(self, table: CalibrationTable, *, version: str, thresholds: str) -> None:
        """Bind a table to the version in use; a table of another version caps every confidence."""
        self.table = table
        self.current = (table.version, table.thresholds) == (version, thresholds)

    def confidence(self, *, segment: str, action: str, score: int) -> Confidence:
        """The confidence of an action at a score."""
        cap = self.table.uncalibrated_cap
        band = next((band for band in self.table.bands if band.holds(segment, action, score)), None)
        if band is None:
            return Confidence(value=min(cap, 0.5), calibrated=False, p_bad="0.5000")
        p_bad = f"{(band.bad + 1) / (band.cases + 2):.4f}"
        calibrated = self.current and band.cases >= self.table.min_cases
        value = band.lower_bound if calibrated else min(cap, band.lower_bound)
        return Confidence(value=round(value, 4), calibrated=calibrated, p_bad=p_bad)


@cache
def shipped_calibration() -> CalibrationTable:
    """The table that ships with this version.

    Raises:
        ConfigError: the file is missing.
    """
    if not CALIBRATION_FILE.exists():
        raise ConfigError(f"{CALIBRATION_FILE.name} is missing; run `python -m evals.fraud_calibration` to measure it")
    return CalibrationTable.from_json(CALIBRATION_FILE.read_bytes())
