"""The order graph's state: plain data only, small enough to be written at every step.

The order itself and the full decisions are not in it; they live in the order book and the journal and are reached
through the run's context.
"""

from typing import Annotated, Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, model_validator

from domain.decision import Decision
from domain.values import Plain
from graph.order.inbox import read_answer

SCHEMA = "1"
"""Raised when a change of the state or of the nodes would strand threads that are waiting now."""

Brief = dict[str, Plain]


def merge(old: dict[str, Brief], new: dict[str, Brief]) -> dict[str, Brief]:
    """Reducer: agents that finish in the same step each add their own entry."""
    return {**old, **new}


class OrderGraphState(TypedDict, total=False):
    """What a thread carries from step to step."""

    tenant: str
    order_id: str
    attempt_group: int
    decisions: Annotated[dict[str, Any], merge]
    """Per agent: its word, outcome, confidence in millionths, and the event that holds the rest."""
    stage: int
    grounds: list[Any]
    """What stopped the order: agent, code and sentence of each ground."""
    recommendation: str
    resume_to: list[str]
    """Where an approval leads."""
    approved: list[str]
    """Keys of grounds a person has approved."""
    round: int
    """Reviews answered in this thread."""
    outcome: str
    detail: str
    parked_before: bool
    """The order waited for goods before this run: the customer has been told."""


def brief(decision: Decision) -> Brief:
    """The decision as the graph state keeps it."""
    confidence = None if decision.confidence is None else round(decision.confidence * 1_000_000)
    return {
        "decision": decision.decision,
        "outcome": decision.outcome.value,
        "confidence_ppm": confidence,
        "event_id": decision.decision_id,
        "mode": decision.mode.value,
    }


class Resumption(BaseModel):
    """What the review node is resumed with: the desk's word, or an answer in the words of a common inbox."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["approve", "reject", "recheck"]
    """``recheck`` starts the agents again on a changed order; grounds in ``approved`` do not stop it again."""
    detail: str
    approved: list[str] = []

    @model_validator(mode="before")
    @classmethod
    def _in_our_words(cls, value: Any) -> Any:
        return read_answer(value)
