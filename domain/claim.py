"""Claims on facets as values: what is claimed, by which decision, and how the claim stands."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime

from domain.conflict import Phase, Resolution, Side, Stale
from domain.ids import TenantId, ThreadId, thread_id
from domain.values import Document


class ClaimState(StrEnum):
    """Where a claim stands."""

    GRANTED = "granted"
    """Nothing contradicts it, or it prevailed: ``begin`` it, then act."""
    HELD = "held"
    """It prevailed and may not act: a person decides."""
    BEGUN = "begun"
    """Its effect is under way or done; it cannot be called back."""
    LOST = "lost"
    STALE = "stale"
    """Decided on an older version than another claim: decide again on the present one."""

    @property
    def live(self) -> bool:
        """Whether others are measured against it."""
        return self in {ClaimState.GRANTED, ClaimState.HELD, ClaimState.BEGUN}


@dataclass(frozen=True, kw_only=True)
class Entity:
    """What a claim is about."""

    tenant: TenantId
    entity_type: str
    entity_id: str
    correlation_id: str = ""
    currency: str = ""
    locale: str = ""

    @property
    def thread(self) -> ThreadId:
        """The thread its keys and events belong to."""
        return thread_id(self.tenant, self.entity_type, self.entity_id)


class Claim(Document):
    """One decision's claim on one facet, and how it stands."""

    side: Side
    state: ClaimState
    at: AwareDatetime
    expires_at: AwareDatetime | None = None
    """When a claim whose owner went silent stops counting; never once it has begun."""
    resolutions: tuple[Resolution, ...] = ()
    """Every conflict it was in."""
    stale: Stale | None = None

    @property
    def ask(self) -> bool:
        """Whether a person has the last word."""
        return any(resolution.ask for resolution in self.resolutions)

    @property
    def why(self) -> str:
        """One sentence on how it stands; empty when nothing ever contradicted it."""
        if self.stale:
            return self.stale.sentence
        return self.resolutions[-1].sentence if self.resolutions else ""

    def counts(self, at: datetime) -> bool:
        """Whether others are measured against it now."""
        if self.state is ClaimState.BEGUN:
            return True
        return self.state.live and (self.expires_at is None or at < self.expires_at)

    def as_side(self) -> Side:
        """The side it takes in a conflict."""
        return self.side.model_copy(update={"phase": Phase.GONE}) if self.state is ClaimState.BEGUN else self.side
