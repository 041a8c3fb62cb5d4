"""What an agent returns: a decision with its reasons, confidence, versions and proposed effects."""

import math
from enum import StrEnum

from pydantic import AwareDatetime, Field, field_validator

from domain.effect import EffectKind
from domain.ids import TenantId
from domain.values import Document, Plain

CONFIDENCE_TO_ACT = 0.7
"""Below this a person decides."""


class Outcome(StrEnum):
    """What a decision means to the gate, whatever word the agent uses for it."""

    PROCEED = "proceed"
    LIMIT = "limit"
    """Proceed with less: backorder, split, slower."""
    REVIEW = "review"
    HOLD = "hold"
    REJECT = "reject"

    @property
    def severity(self) -> int:
        """Joint decisions combine by maximum: a later, milder opinion never lowers the result."""
        return list(Outcome).index(self)


class Mode(StrEnum):
    """Under which circumstances the decision was made."""

    NORMAL = "normal"
    DEGRADED = "degraded"
    SUGGESTION = "suggestion"
    FALLBACK = "fallback"
    """The agent timed out or failed; its declared fallback decided."""
    SHADOW = "shadow"
    HUMAN = "human"
    """A person edited or replaced the agent's decision."""


class Reason(Document):
    """One stated ground, pointing at its evidence."""

    code: str
    """Stable upper-case identifier (``CARD_VELOCITY``)."""
    text: str
    """For our own people; never shown to the customer."""
    value: str | None = None
    threshold: str | None = None
    points: int | None = None
    evidence: str | None = None
    """Which record or field it rests on (``order.lines[0].sku``, ``wms.stock:HKG:SKU-1@2026-11-11T03:00:00Z``)."""


class Cost(Document):
    """What the decision cost in model calls. Rule agents cost nothing and say so."""

    input_tokens: int = 0
    output_tokens: int = 0
    usd_micro: int = 0
    """Millionths of a US dollar."""


class Proposal(Document):
    """An effect the agent would like to see; it has no key until the gate turns it into one."""

    kind: EffectKind
    part: str = ""
    """Distinguishes several effects of one kind (a parcel number)."""
    args: dict[str, Plain]


class Versions(Document):
    """Everything that was in force, so the decision can be explained and repeated later."""

    agent: str
    """``fd-1.0``: rules, prompt or model as one published version."""
    thresholds: str = ""
    calibration: str | None = None
    model: str | None = None
    prompt: str | None = None
    topology: str = ""
    code: str = ""


class Decision(Document):
    """One agent's answer about one entity in one attempt group."""

    decision_id: str
    tenant: TenantId
    entity_type: str
    entity_id: str
    agent: str
    versions: Versions
    decision: str
    """The agent's own word: ``approve``, ``backorder``, ``route``."""
    outcome: Outcome
    confidence: float | None
    """Probability in 0..1 that an expert would act the same; None when the agent gave none or gave nonsense."""
    flags: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    counterfactual: tuple[str, ...] = ()
    """Reason codes whose removal would flip the decision."""
    proposals: tuple[Proposal, ...] = ()
    facts: dict[str, Plain] = {}
    """The structured result (route plan, tax lines), plain data."""
    inputs: dict[str, Plain] = {}
    """What was read beyond the order, as it was at that moment."""
    inputs_digest: str
    order_version: int = Field(ge=0)
    """Version of the order document the decision was made on; an older one is stale."""
    mode: Mode = Mode.NORMAL
    attempt_group: int = Field(default=1, ge=1)
    """Which run over the order this belongs to: a changed order or a person's wish starts the next one."""
    attempt: int = Field(default=1, ge=1)
    """Try within the run: a lost race for stock makes a second one."""
    cost: Cost = Cost()
    processing_time_ms: int = Field(default=0, ge=0)
    decided_at: AwareDatetime

    @field_validator("confidence", mode="before")
    @classmethod
    def _probability_or_nothing(cls, value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if math.isfinite(value) and 0 <= value <= 1 else None

    @property
    def may_act(self) -> bool:
        """Whether its confidence allows acting without a person."""
        return self.confidence is not None and self.confidence >= CONFIDENCE_TO_ACT


class Verdict(Document):
    """An agent's bare judgement: what it concludes, before the runtime adds ids, times, versions and mode."""

    decision: str
    outcome: Outcome
    confidence: float | None
    flags: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = Field(min_length=1)
    counterfactual: tuple[str, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    facts: dict[str, Plain] = {}
    inputs: dict[str, Plain] = {}
    """What was read beyond the order itself, for the inputs digest and the point-in-time snapshot."""
    versions: dict[str, str] = {}
    """Versions in force beside the agent's own: ``thresholds``, ``calibration``, ``model``, ``prompt``."""
    cost: Cost = Cost()

    _probability_or_nothing = field_validator("confidence", mode="before")(Decision._probability_or_nothing.__func__)  # type: ignore[attr-defined]
