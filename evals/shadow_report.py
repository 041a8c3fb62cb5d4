"""The report of a shadow test: what changed between two versions, whether it is for the worse, and may it be released.

The gate is the design's: each rule says in words what it found, and one that fails refuses the release.
"""

from typing import Any

from pydantic import AwareDatetime, Field

from domain.values import Document


class Gate(Document):
    """One rule of the release gate."""

    rule: str
    passed: bool
    said: str


class Flip(Document):
    """One case on which the versions would have done different things."""

    case_id: str
    order_id: str
    segment: str
    old: str
    new: str
    old_confidence: float | None
    new_confidence: float | None
    old_reasons: tuple[str, ...]
    new_reasons: tuple[str, ...]
    label: str
    better: bool | None
    """Whether the new version is right where the old one was wrong; None when nobody knows or both are the same."""
    hard: bool


class SegmentResult(Document):
    """How the labelled cases of one segment came out."""

    segment: str
    n: int
    worse: int
    better: int
    p: float
    p_holm: float


class Side(Document):
    """One version's figures."""

    version: str
    answered: int
    unanswered: int
    missing: dict[str, int] = {}
    """Reads it made that are not on the tapes, with how often."""
    failures: dict[str, int] = {}
    latency_p50_ms: float
    latency_p95_ms: float
    """Computing time, the answers of reads coming from the tape."""
    live_p95_ms: float | None = None
    """With the time production spent on reading added; None without recorded times."""
    usd_micro_per_decision: float
    mean_confidence: float | None = None


class Labels(Document):
    """The paired comparison on cases whose right answer is known."""

    n: int
    both_right: int
    worse: int
    better: int
    both_wrong: int
    p: float
    bound: float
    """95 % upper bound of (worse - better) / n."""
    statement: str


class HardSet(Document):
    """What became of the frozen set."""

    name: str
    digest: str
    n: int
    severe: int
    newly_approved: tuple[str, ...]
    newly_stopped: int
    approved_before: int
    approved_now: int
    statement: str


class Sample(Document):
    """Where the orders came from."""

    source: str
    asked: int
    found: int
    oldest: AwareDatetime | None = None
    newest: AwareDatetime | None = None
    drifted: int = 0
    """Orders on which the old version does not say again what was recorded."""
    note: str = ""


class Confidence(Document):
    """How sure the versions are, and how that moved."""

    old_histogram: list[int]
    new_histogram: list[int]
    """Verdicts by confidence in ten bins."""
    mean_shift: float | None
    raised: int
    lowered: int
    crossed: int
    """Same action, but one asks a person and the other does not."""


class ShadowReport(Document):
    """Everything a release rests on."""

    report_id: str
    made_at: AwareDatetime
    made_by: str
    tenant: str
    agent: str
    old_version: str
    new_version: str
    topology: str
    """The graph version that would run the new version."""
    code: str
    """Digest of the agents' code and data."""
    sample: Sample
    hard: HardSet | None
    actions: tuple[str, ...]
    matrix: list[list[int]]
    """Old action (row) by new action (column), sample and hard set together."""
    compared: int
    flips: tuple[Flip, ...]
    reworded: int = Field(ge=0)
    """Same action with other facts, reasons or confidence."""
    old: Side
    new: Side
    confidence: Confidence
    labels: Labels
    segments: tuple[SegmentResult, ...]
    power: dict[str, float]
    power_statement: str
    gates: tuple[Gate, ...]
    took_s: float

    @property
    def passed(self) -> bool:
        """Whether the new version may be released."""
        return all(gate.passed for gate in self.gates)

    @property
    def verdict(self) -> str:
        """In one word."""
        return "pass" if self.passed else "refused"

    def shown(self) -> dict[str, Any]:
        """The report with its verdict, as JSON."""
        return {"verdict": self.verdict, "passed": self.passed, **self.model_dump(mode="json")}
