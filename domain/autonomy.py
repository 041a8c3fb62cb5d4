"""Earned autonomy as values: where an agent stands in each segment, and what one decision may do because of it.

A segment is (tenant, agent, version, action, market, value band). Whoever has no record only suggests. Who is asked
about which decision follows from hashes of ids, so that it can be repeated and explained.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import Protocol

import orjson
from pydantic import AwareDatetime, Field

from domain.decision import Decision, Outcome
from domain.values import Document, Plain

_WHOLE = 10_000
"""Shares are counted in hundredths of a percent."""
UNCALIBRATED = "uncalibrated"
"""The flag of a confidence nobody has measured."""
NOTE = "autonomy"
"""Where a decision's ``inputs`` say what its agent was allowed when it was made."""


class Level(StrEnum):
    """How much of a segment an agent decides by itself."""

    SUGGESTION = "suggestion"
    TENTH = "ramp_10"
    HALF = "ramp_50"
    FULL = "full"

    @property
    def share(self) -> int:
        """Hundredths of a percent of the eligible decisions, before the permanent sample."""
        return _SHARES[self]

    @property
    def next(self) -> "Level":
        """One step up; the last stays."""
        order = list(Level)
        return order[min(order.index(self) + 1, len(order) - 1)]


_SHARES = {Level.SUGGESTION: 0, Level.TENTH: 1_000, Level.HALF: 5_000, Level.FULL: _WHOLE}


class Band(StrEnum):
    """How much money hangs on a decision, in US dollars. Without a rate it counts as the most."""

    LOW = "under_50"
    MIDDLE = "50_to_500"
    HIGH = "from_500"


def band_of(usd: Decimal | None) -> Band:
    """The value band of an amount in US dollars; None is unknown."""
    if usd is None or usd >= 500:
        return Band.HIGH
    return Band.LOW if usd < 50 else Band.MIDDLE


@dataclass(frozen=True, kw_only=True)
class AutonomyPolicy:
    """By which numbers autonomy is earned and lost."""

    version: str
    valid_from: date
    targets: Mapping[str, float]
    """Agreement needed, by the agent's word for its action."""
    target: float = 0.95
    """For every action not named."""
    target_rejecting: float = 0.98
    """For actions not named that reject."""
    first_after: timedelta = timedelta(days=14)
    first_cases: int = 500
    more_cases: int = 250
    looks: int = 3
    fast_cases: int = 100
    """Of a new version whose shadow gate passed, where an earlier one had been promoted: one look."""
    slice_cases: int = 60
    slice_margin: float = 0.05
    ramp_cases: int = 100
    """Answers a step of the ramp is watched for before the next."""
    sample: int = 500
    """Permanent human sample, hundredths of a percent."""
    blind: int = 1_000
    recent: int = 100
    """Answers the upper bound of agreement is taken over."""
    cusum_batch: int = 50
    worst_error: float = 0.10
    """Calibration error that demotes, on at least ``measured_cases``."""
    measured_cases: int = 200
    silent_percent: int = 2
    silent_for: timedelta = timedelta(minutes=15)
    least_asked: int = 50
    """Fewer questions in that time say nothing about time-outs."""
    moved: float = 0.25
    calibration_age: timedelta = timedelta(days=30)
    severe_usd: int = 500
    """An irreversible wrong action of this value demotes at once."""

    def target_of(self, action: str, outcome: Outcome) -> float:
        """The agreement an action needs."""
        return self.targets.get(action, self.target_rejecting if outcome is Outcome.REJECT else self.target)


_REJECTING = dict.fromkeys(("reject", "cancel", "refund", "send", "send_po", "send_order"), 0.98)
POLICIES = (
    AutonomyPolicy(
        version="autonomy-2026-11-01", valid_from=date(2026, 11, 1), targets=_REJECTING | {"notify": 0.90}
    ),
)  # fmt: skip
"""Starting values; a change is a new row."""
POLICY = POLICIES[-1]


class Segment(Document):
    """What autonomy is earned for."""

    tenant: str
    agent: str
    version: str
    """Of the agent and of the model behind it."""
    action: str
    outcome: Outcome
    market: str
    """Where the goods go, ISO 3166-1 alpha-2; ``ZZ`` when unknown."""
    band: Band

    @property
    def field(self) -> str:
        """Names the segment among those of its tenant and agent."""
        return orjson.dumps([self.version, self.action, self.market, self.band.value]).decode()

    @property
    def promotable(self) -> bool:
        """Whether the action is one an agent could take by itself: asking or holding is not."""
        return self.outcome in {Outcome.PROCEED, Outcome.LIMIT, Outcome.REJECT}

    def __str__(self) -> str:
        """As sentences name it."""
        return f"{self.agent} {self.version} {self.action} in {self.market}, {self.band.value}"


class Standing(Document):
    """Where one segment stands. What is not stored is a suggestion nobody has looked at."""

    segment: Segment
    level: Level = Level.SUGGESTION
    since: AwareDatetime
    """When this record began: what counts for promotion was decided after it."""
    stepped_at: AwareDatetime
    """Of the last change of level."""
    looks: int = 0
    looked_at_cases: int = 0
    promoted: bool = False
    """Whether this version of the agent ever acted by itself here."""
    baseline: float = Field(default=0.0, ge=0, le=1)
    """Share of disagreements when it was promoted."""
    features: dict[str, dict[str, int]] = {}
    """Histograms of what it decided on while it earned its promotion."""
    why: str = ""
    by: str = "signalbox"


class ShadowGate(Protocol):
    """Knows which versions of agents have passed the shadow test."""

    async def passed(self, *, agent: str, version: str, topology: str) -> bool:
        """Whether this version may replace the earlier one in this topology."""


class NoShadowGate:
    """Where no shadow tests are kept: nothing has passed, so every new version starts over."""

    async def passed(self, *, agent: str, version: str, topology: str) -> bool:
        """Nothing has passed."""
        return False


class Note(Document):
    """What one decision was allowed, and why; kept in the decision's inputs."""

    acts: bool
    level: Level | None
    """None where the topology does not ask for a record."""
    roll: int
    """Where the decision fell in 0..9999; it acts below the level's share."""
    sampled: bool
    """Taken out for a person although it might have acted."""
    market: str
    band: Band
    usd_minor: int | None
    channel: str
    stated: str | None
    """The agent's own confidence, before calibration."""
    calibrated_at: AwareDatetime | None = None
    """When the adopted calibration the confidence was translated by had been measured; None where none was."""
    capped: bool = False
    """Its confidence was held below acting, and flagged, because nobody has measured it."""
    why: str
    """Empty when it acts."""

    def to_plain(self) -> dict[str, Plain]:
        """As decisions carry it."""
        return self.model_dump(mode="json")


def note_of(decision: Decision) -> Note | None:
    """What the decision was allowed; None when nobody asked."""
    kept = decision.inputs.get(NOTE)
    return None if kept is None else Note.model_validate(kept)


def as_said(decision: Decision) -> Decision:
    """The decision as its agent made it, before what it may do was weighed."""
    note = note_of(decision)
    if note is None:
        return decision
    inputs = {name: value for name, value in decision.inputs.items() if name != NOTE}
    flags = tuple(flag for flag in decision.flags if not note.capped or flag != UNCALIBRATED)
    stated = None if note.stated is None else float(note.stated)
    return decision.model_copy(update={"confidence": stated, "inputs": inputs, "flags": flags})


def version_of(decision_version: str, model: str | None) -> str:
    """The version autonomy belongs to: another model is another agent."""
    return f"{decision_version}+{model}" if model else decision_version


def segment_of(decision: Decision, note: Note) -> Segment:
    """The segment a noted decision belongs to."""
    return Segment(
        tenant=decision.tenant,
        agent=decision.agent,
        version=version_of(decision.versions.agent, decision.versions.model),
        action=decision.decision,
        outcome=decision.outcome,
        market=note.market,
        band=note.band,
    )


def roll(purpose: str, *ids: str) -> int:
    """A number in 0..9999 that the same ids always give."""
    hashed = sha256("\x00".join((purpose, *ids)).encode()).digest()
    return int.from_bytes(hashed[:8]) % _WHOLE


def is_blind(tenant: str, review_id: str, policy: AutonomyPolicy = POLICY) -> bool:
    """Whether a review hides what the machine recommends."""
    return roll("blind", tenant, review_id) < policy.blind
