"""The documents that explain one entity: what happened, who overrode whom, what was done outside, who was asked."""

from typing import Any

from pydantic import AwareDatetime

from domain.review import ReviewState
from domain.values import Document


class Ground(Document):
    """One stated reason of a decision."""

    code: str
    text: str = ""
    value: str | None = None
    threshold: str | None = None
    evidence: str | None = None


class Entry(Document):
    """One thing that happened, as it was said at the time."""

    event_id: str
    sequence: int
    at: AwareDatetime
    actor: str
    """Agent, person or automation."""
    event: str
    """The event type (``order.fraud_check.completed``)."""
    decision: str | None
    outcome: str | None
    confidence: float | None
    reasons: tuple[Ground, ...]
    flags: tuple[str, ...]
    counterfactual: tuple[str, ...]
    """Reason codes whose removal would flip the decision."""
    versions: dict[str, str]
    """Everything that was in force: ``agent``, ``thresholds``, ``model``, ``prompt``, ``topology``, ``code``."""
    mode: str | None
    inputs_digest: str | None
    order_version: int | None
    processing_time_ms: int | None
    usd_micro: int
    """Millionths of a US dollar."""
    facts: dict[str, Any]
    """Whatever else was said: inputs, plans, references."""
    audited: bool
    """False while the event is journaled but not in the audit store yet."""


class Override(Document):
    """A person, or somebody's rule, replaced what agents had concluded."""

    at: AwareDatetime
    by: str
    was: str
    became: str
    agents: tuple[str, ...]
    """Whose conclusion was replaced."""
    reason: str
    event_id: str


class EffectStep(Document):
    """One change outside, or its refusal or undoing."""

    at: AwareDatetime
    state: str
    """``applied``, ``refused``, ``compensated``."""
    kind: str
    key: str
    reference: str
    """The other system's id."""
    decision_id: str
    """The decision that justified it."""
    reason: str


class ReviewStep(Document):
    """One question to a person and what became of it."""

    review_id: str
    state: ReviewState
    stage: str
    recommendation: str
    requested_at: AwareDatetime | None
    closed_at: AwareDatetime | None
    decided_by: str
    action: str
    via: str
    reason: str


class ConflictStep(Document):
    """Two decisions that could not both stand, and how that was settled."""

    at: AwareDatetime
    facet: str
    winner: str
    loser: str
    decision_ids: tuple[str, ...]
    rules: tuple[str, ...]
    """What chose the winner, then what held it back."""
    form: str
    """``run``, or ``hold``: nothing was carried out."""
    ask: bool
    """Whether a person had the last word."""
    policy: str
    """Version of the conflict policy."""
    sentence: str


class Explanation(Document):
    """Everything known about how one entity came to be where it is."""

    tenant: str
    entity_type: str
    entity_id: str
    outcome: str
    """The last progress the entity reached; the last happening's name when no progress was recorded."""
    entries: tuple[Entry, ...]
    overrides: tuple[Override, ...]
    effects: tuple[EffectStep, ...]
    reviews: tuple[ReviewStep, ...]
    conflicts: tuple[ConflictStep, ...] = ()
    usd_micro: int
    """What all decisions cost together, millionths of a US dollar."""
