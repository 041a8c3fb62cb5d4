"""A prompt version as the gateway uses it: its declaration, its answer's schema, and turning variables into turns."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from pydantic import Field, field_validator

from domain.language import NEVER_SHOWN, PersonalKind
from domain.values import Document, Plain


class Tier(StrEnum):
    """How capable a model the task needs; which model that is, the settings say."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"

    @property
    def cheaper(self) -> "Tier | None":
        """The next tier down."""
        order = list(Tier)
        return order[order.index(self) - 1] if self is not Tier.SMALL else None


class PromptVersion(Document):
    """What a manifest declares of one version."""

    tier: Tier
    languages: tuple[str, ...] = Field(min_length=1)
    """Languages it was written and tried for (BCP 47); the first one answers for locales that are not listed."""
    trusted: tuple[str, ...] = ()
    """Variables from our own records."""
    untrusted: tuple[str, ...] = ()
    """Variables holding a stranger's text; fenced as data."""
    shown: tuple[PersonalKind, ...] = ()
    """Personal data that goes to the model as it is, because the task is about it."""
    tokens: tuple[PersonalKind, ...] = ()
    """Personal data that goes as ``<name_1>``; everything else is removed."""
    unmask: tuple[str, ...] = ()
    """Top-level answer fields in which tokens are replaced by what they stand for."""
    texts: tuple[str, ...] = ()
    """Top-level answer fields that are prose for a reader and must be in the language asked for."""
    max_output_tokens: int = Field(default=400, ge=16, le=8_000)
    time_budget_s: float = Field(default=8.0, gt=0, le=120)
    temperature: float = Field(default=0.0, ge=0, le=1)

    @field_validator("shown", "tokens")
    @classmethod
    def _may_be_shown(cls, value: tuple[PersonalKind, ...]) -> tuple[PersonalKind, ...]:
        for kind in value:
            if kind in NEVER_SHOWN:
                raise ValueError(f"{kind.value} may never be sent to a model")
        return value


@dataclass(frozen=True)
class Turn:
    """One message of the conversation."""

    role: str
    """``system`` or ``user``; ``assistant`` for the answer a repair is about."""
    text: str


class Prompt(Protocol):
    """One verified version of a prompt."""

    @property
    def prompt_id(self) -> str:
        """``fraud_second_opinion``."""

    @property
    def agent(self) -> str:
        """The agent it belongs to."""

    @property
    def version(self) -> str:
        """``1.0``."""

    @property
    def digest(self) -> str:
        """Of everything the version consists of."""

    @property
    def declared(self) -> PromptVersion:
        """Its manifest entry."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """JSON schema of the answer."""

    def render(self, variables: Mapping[str, Plain], *, language: str) -> tuple[Turn, ...]:
        """The turns to send."""


class PromptPort(Protocol):
    """Where prompts come from."""

    def find(self, prompt_id: str, version: str | None = None) -> Prompt:
        """A prompt's named version, or the one in force.

        Raises:
            ConfigError: there is none; the message lists those there are.
        """
