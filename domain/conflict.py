"""Decisions that cannot both stand, as values: who says what about which facet, the policy in force, and how it ended.

A facet is a field group of one entity (``order.release``, ``sku.price``). The policy is data; ``domain.resolution``
applies it.
"""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from pydantic import AwareDatetime, Field, field_validator

from domain.autonomy import note_of
from domain.decision import Decision, Outcome
from domain.errors import InputError
from domain.values import Document, Plain


class Stance(StrEnum):
    """What a decision does to its facet, whatever word its agent uses."""

    HOLD = "hold"
    REVIEW = "review"
    LIMIT = "limit"
    PROCEED = "proceed"
    CANCEL = "cancel"
    REFUND = "refund"
    DELETE = "delete"

    @property
    def stops(self) -> bool:
        """Whether it is carried out by doing nothing: a hold, or a question to a person."""
        return self in {Stance.HOLD, Stance.REVIEW}

    @property
    def irreversible(self) -> bool:
        """Whether it cannot be undone for the customer or the data."""
        return self in {Stance.CANCEL, Stance.REFUND, Stance.DELETE}


STANCE_OF = {
    Outcome.PROCEED: Stance.PROCEED,
    Outcome.LIMIT: Stance.LIMIT,
    Outcome.REVIEW: Stance.REVIEW,
    Outcome.HOLD: Stance.HOLD,
    Outcome.REJECT: Stance.CANCEL,
}
"""How an agent's outcome reads on the facet it writes."""


class Party(StrEnum):
    """On whose authority a decision was made."""

    AGENT = "agent"
    LEGAL = "legal"
    """Law and sanctions: its block wins over everything."""
    CUSTOMER = "customer"
    """A wish of the buyer, which does not rest on a version of anything."""
    PERSON = "person"
    """One of our people, after looking."""


class Phase(StrEnum):
    """How far a decision has got."""

    PROPOSED = "proposed"
    STANDING = "standing"
    """Its effect is in place and can be taken back: a reservation."""
    GONE = "gone"
    """Its effect is under way or done and cannot be called back: the carrier has the parcel."""


class Rule(StrEnum):
    """Which part of the policy decided."""

    LEGAL = "R0"
    CONFIDENCE = "R1"
    TIER = "R2"
    CALIBRATED = "R3"
    SAFER = "R4"
    EXPOSURE = "R5"
    TIMEOUT = "R6"
    PRECISION = "precision"
    """The winner may not do by itself what cannot be undone: its own gate is not met."""
    STATE = "state"
    """The state of the entity decides, not an opinion: what has left our hands cannot be held."""
    MOST_SEVERE = "most_severe"
    """Declared for the facet: within a tier the more careful opinion holds."""
    ASK_PERSON = "ask_person"
    """Declared for the facet: always a person."""


class Form(StrEnum):
    """What is carried out meanwhile."""

    RUN = "run"
    """The winner's effect."""
    HOLD = "hold"
    """Nothing: what is in place stays as it is."""


class Side(Document):
    """One live decision as the policy sees it."""

    decision_id: str
    agent: str
    facet: str
    action: str
    """The agent's own word (``approve``, ``clearance``)."""
    stance: Stance
    tier: int = Field(default=0, ge=0, le=3)
    """0 is a person."""
    party: Party = Party.AGENT
    value: str = ""
    """What it sets an exclusive facet to (a warehouse); equal values agree."""
    confidence: Decimal | None = None
    calibrated_at: AwareDatetime | None = None
    """When the calibrator behind the confidence was fitted; None when the confidence is declared."""
    exposure_usd: Decimal | None = None
    """What is at stake, unrounded; None when no rate exists, which counts as high."""
    rate_stale: bool = False
    """``exposure_usd`` is nominal by a stale rate and is judged with the policy's margin."""
    state_version: int = Field(default=0, ge=0)
    """Version of the entity it was decided on."""
    phase: Phase = Phase.PROPOSED

    @field_validator("confidence", mode="before")
    @classmethod
    def _probability_or_nothing(cls, value: object) -> object:
        """Text of the number, not its binary neighbour: 0.90 - 0.80 is 0.10."""
        if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
            return None
        exact = Decimal(repr(value)) if isinstance(value, float) and math.isfinite(value) else value
        try:
            number = Decimal(exact)
        except ArithmeticError:
            return None
        return number if number.is_finite() and 0 <= number <= 1 else None

    @classmethod
    def of(
        cls,
        decision: Decision,
        *,
        facet: str,
        tier: int,
        policy: "ConflictPolicy",
        exposure_usd: Decimal | None,
        **more: object,
    ) -> "Side":
        """The side a decision takes on a facet; ``more`` are further fields (``action``, ``value``, ``phase``).

        Its confidence counts as calibrated (R3) exactly when an adopted calibration had made it.
        """
        note = note_of(decision)
        given: dict[str, object] = {
            "decision_id": decision.decision_id,
            "agent": decision.agent,
            "facet": facet,
            "action": decision.decision,
            "stance": STANCE_OF[decision.outcome],
            "tier": tier,
            "party": Party.LEGAL if decision.agent in policy.legal else Party.AGENT,
            "confidence": decision.confidence,
            "calibrated_at": note.calibrated_at if note else None,
            "exposure_usd": exposure_usd,
            "state_version": decision.order_version,
        }
        return cls.model_validate(given | more)

    @property
    def effect(self) -> str:
        """The facet and the action in one word."""
        return f"{self.facet}/{self.action}"

    def told(self) -> str:
        """Who says what, for a sentence."""
        sure = "no confidence" if self.confidence is None else f"confidence {self.confidence:.2f}"
        who = {Party.PERSON: "a person", Party.CUSTOMER: "the customer"}.get(self.party, f"tier {self.tier}, {sure}")
        value = f" {self.value}" if self.value and len(self.value) <= 40 else ""
        return f"{self.agent} says {self.action}{value} ({who})"


class Clash(Document):
    """Two effects on two facets of one entity that cannot both be done."""

    one: frozenset[str]
    """Effects (``po.send/send``)."""
    other: frozenset[str]
    by_state: bool = False
    """How far each has got decides, not who says it."""
    late: str = ""
    """What the loser becomes when the other can no longer be called back (``return``)."""


class ConflictPolicy(Document):
    """The whole policy of one version."""

    version: str
    act: Decimal
    """Below this confidence nobody wins alone."""
    difference: Decimal
    """How much surer one of a tier must be."""
    irreversible: Decimal
    """How sure a cancellation, refund or deletion must be to be done without a person."""
    calibration_age: timedelta
    """A calibrator this old or older no longer decides."""
    exposure_usd: Decimal
    stale_factor: Decimal
    answer_at_most: timedelta
    answer_share: Decimal
    """Of the time left to the ship-by."""
    provisional: timedelta
    """How long a provisional limit lasts."""
    legal: frozenset[str]
    """Agents whose block is law."""
    safer: tuple[frozenset[Stance], ...]
    """Safest first."""
    within: frozenset[frozenset[Stance]]
    """Stances that cannot both be carried out on one facet."""
    exclusive: frozenset[str]
    """Facets that hold one value at a time."""
    clashes: tuple[Clash, ...]
    facets: Mapping[str, Mapping[str, Stance]]
    """Action words by facet."""

    def rank(self, stance: Stance) -> int:
        """0 is the safest."""
        return next(place for place, group in enumerate(self.safer) if stance in group)

    def stance(self, facet: str, action: str) -> Stance:
        """What an action does to a facet.

        Raises:
            InputError: the policy does not know the facet or the action.
        """
        actions = self.facets.get(facet)
        if actions is None:
            raise InputError(f"the conflict policy has no facet {facet!r}; it has {', '.join(sorted(self.facets))}")
        if action not in actions:
            raise InputError(f"the facet {facet} has no action {action!r}; it has {', '.join(sorted(actions))}")
        return actions[action]

    def clash(self, a: Side, b: Side) -> Clash | None:
        """How two sides exclude each other; None when both can be done."""
        for declared in self.clashes:
            if (a.effect in declared.one and b.effect in declared.other) or (
                b.effect in declared.one and a.effect in declared.other
            ):
                return declared
        if a.facet != b.facet:
            return None
        stances = frozenset((a.stance, b.stance))
        both_set = not a.stance.stops and not b.stance.stops
        differ = a.facet in self.exclusive and both_set and (a.value or a.action) != (b.value or b.action)
        return (
            Clash(one=frozenset({a.effect}), other=frozenset({b.effect})) if stances in self.within or differ else None
        )

    def answer_by(self, *, now: datetime, ship_by: datetime | None) -> datetime:
        """When a person must have answered (R6): a share of the time to the ship-by, and never later than the cap."""
        if ship_by is None:
            return now + self.answer_at_most
        slack = max(timedelta(0), ship_by - now)
        numerator, denominator = self.answer_share.as_integer_ratio()
        return now + min(self.answer_at_most, slack * numerator / denominator)


class Resolution(Document):
    """How two decisions that cannot both stand were settled."""

    winner: Side
    loser: Side
    rules: tuple[Rule, ...] = Field(min_length=1)
    """What decided, then what held it back."""
    form: Form
    ask: bool
    """Whether a person has the last word."""
    instead: str = ""
    """What the loser becomes (``return``)."""
    until: AwareDatetime | None = None
    """When a provisional limit ends."""
    policy: str
    """Version of the policy."""
    sentence: str

    @property
    def rule(self) -> Rule:
        """What chose the winner."""
        return self.rules[0]

    @property
    def runs(self) -> bool:
        """Whether the winner's effect is carried out now."""
        return self.form is Form.RUN

    def facts(self) -> dict[str, Plain]:
        """The record of the conflict, for its event."""
        sides = sorted((self.winner, self.loser), key=lambda side: side.decision_id)
        return {
            "facet": self.winner.facet,
            "agents": [side.agent for side in sides],
            "decisions": [side.action for side in sides],
            "decision_ids": [side.decision_id for side in sides],
            "winner": self.winner.agent,
            "winner_id": self.winner.decision_id,
            "loser": self.loser.agent,
            "loser_id": self.loser.decision_id,
            "rule": self.rule.value,
            "rules": [rule.value for rule in self.rules],
            "form": self.form.value,
            "ask": self.ask,
            "instead": self.instead or None,
            "until": self.until.isoformat() if self.until else None,
            "policy": self.policy,
            "sentence": self.sentence,
        }


class Stale(Document):
    """A decision made on an older version than the other's: asked again, no conflict."""

    side: Side
    newer: Side
    sentence: str
