"""What a language task proposes: a checked value or none, how far it can be trusted, and what it cost. Never an act."""

from typing import Generic, TypeVar

from pydantic import Field

from domain.decision import Cost
from domain.values import Document

T = TypeVar("T")

MODEL, RULES = "model", "rules"


class ModelProposal(Document, Generic[T]):
    """One proposal of a model, or of the rules that stand in for it."""

    value: T | None
    """None when nobody could propose anything: a person does it."""
    source: str
    """``model``, or ``rules`` where no model answered."""
    confidence: float = Field(ge=0, le=1)
    """From agreement of samples, checks passed and what was found in records; below 0.7 until people have measured it."""
    checks: tuple[str, ...] = ()
    """The deterministic checks it passed."""
    flags: tuple[str, ...] = ()
    """``model_silent:budget``, ``model:repaired``, ``instructions_in_text``."""
    samples: int = 0
    agreeing: int = 0
    versions: dict[str, str] = {}
    """``prompt`` and ``model``; ``rules`` where they decided."""
    cost: Cost = Cost()
    record_id: str = ""
    """The question in the cost ledger."""

    @property
    def needs_person(self) -> bool:
        """Whether nothing may be done with it before a person has looked."""
        return self.value is None or self.confidence < 0.7
