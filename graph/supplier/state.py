"""The supplier graph's state: plain data only. Order, letter and decisions are in the store of purchase orders and the journal."""

from typing import Annotated, Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict

from domain.decision import Decision
from domain.values import Plain

SCHEMA = "supplier-1"
"""Raised when a change of the state or of the nodes would strand threads that are waiting now."""

Brief = dict[str, Plain]


def merge(old: dict[str, Brief], new: dict[str, Brief]) -> dict[str, Brief]:
    """Reducer: agents that finish in the same step each add their own entry."""
    return {**old, **new}


class SupplyGraphState(TypedDict, total=False):
    """What a thread carries from step to step."""

    tenant: str
    number: str
    attempt_group: int
    decisions: Annotated[dict[str, Any], merge]
    """Per agent: its word, outcome, and the event that holds the rest."""
    stage: int
    grounds: list[Any]
    """What a person must be asked about, gathered over the stages: agent, code and sentence."""
    recommendation: str
    rule: str
    resume_to: list[str]
    approved: list[str]
    round: int
    outcome: str
    detail: str


class SupplyResumption(BaseModel):
    """What the review node is resumed with."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["approve", "reject", "recheck"]
    """``recheck`` writes the next version: terms were edited, or prices have changed."""
    detail: str
    approved: list[str] = []


def brief(decision: Decision) -> Brief:
    """The decision as the graph state keeps it."""
    return {
        "decision": decision.decision,
        "outcome": decision.outcome.value,
        "event_id": decision.decision_id,
        "mode": decision.mode.value,
    }
