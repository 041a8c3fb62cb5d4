"""What an agent asks of a language model and what it may get back: checked data, or a plain statement that there is none.

An answer is a proposal. Whoever asks must go on by its rules when it is ``Unanswered``; that is never an error.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from domain.decision import Cost
from domain.values import Plain


class PersonalKind(StrEnum):
    """Kinds of personal data a request may carry. A prompt's manifest says which of them may be seen, and how."""

    NAME = "name"
    EMAIL = "email"
    PHONE = "phone"
    ADDRESS = "address"
    CUSTOMER_ID = "customer_id"
    COMPANY = "company"
    CARD = "card"
    NATIONAL_ID = "national_id"
    BANK_ACCOUNT = "bank_account"


NEVER_SHOWN = frozenset({PersonalKind.CARD, PersonalKind.NATIONAL_ID, PersonalKind.BANK_ACCOUNT})
"""No manifest can let these through; they are removed without a way back."""


@dataclass(frozen=True, kw_only=True)
class Personal:
    """One piece of personal data that may occur anywhere in the request's texts."""

    kind: PersonalKind
    value: str


@dataclass(frozen=True, kw_only=True)
class LanguageRequest:
    """One question to a language model, about one entity."""

    agent: str
    """Registry name; its budget pays."""
    prompt: str
    """Prompt id; the manifest of its version in force decides tier, schema and languages."""
    version: str | None = None
    """A certain prompt version (a shadow run, a pinned agent); None takes the one in force."""
    tenant: str
    entity_type: str
    entity_id: str
    locale: str
    """Language the answer's texts must be in (BCP 47)."""
    trusted: Mapping[str, Plain] = field(default_factory=dict)
    """Variables from our own records, as the manifest names them. Nothing a stranger wrote."""
    untrusted: Mapping[str, str] = field(default_factory=dict)
    """Text a stranger wrote (notes, mail, titles, addresses), as the manifest names it; fenced as data."""
    personal: Sequence[Personal] = ()
    """Known personal data. What the manifest does not allow never leaves; the rest travels as ``<name_1>``."""
    time_budget_s: float | None = None
    """Everything included; None takes the manifest's."""
    max_usd_micro: int | None = None
    """What this question may cost at most, all attempts together; None leaves it to the budgets."""


class Silence(StrEnum):
    """Why there is no answer. All of them mean: decide by rules."""

    NOT_CONFIGURED = "not_configured"
    """No model is set up."""
    BUDGET = "budget"
    """The agent's or tenant's budget of the day is used up."""
    CALL_CAP = "call_cap"
    """This entity has had as many calls as it may have."""
    UNAVAILABLE = "unavailable"
    """No model could be reached, or all are resting after failures."""
    TIMEOUT = "timeout"
    """The time was over before an answer was."""
    REFUSED = "refused"
    """The model declined."""
    INVALID = "invalid"
    """What came back was not an answer, also after one repair."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is known of every question, answered or not."""

    record_id: str
    """The question's id in the cost ledger; its calls are listed under it."""
    prompt: str
    """``fraud_second_opinion/1.0@3f9a1c2b7d4e``: id, version and digest of everything the version consists of."""
    model: str | None
    """The model that answered last, as it names itself; None when none was reached."""
    cost: Cost
    """All calls of the question together, those without an answer included."""
    calls: int
    flags: tuple[str, ...] = ()
    """``repaired``, ``fallback_model``, ``cheaper_model``, ``usage_estimated``, ``price_unknown``, ``tool_refused``, the silence."""

    @property
    def versions(self) -> dict[str, str]:
        """For ``Verdict.versions``."""
        return {"prompt": self.prompt, **({"model": self.model} if self.model else {})}


@dataclass(frozen=True, kw_only=True)
class Answered(Asked):
    """Data that fits the prompt's schema, passed the caller's check and is in the language asked for."""

    data: dict[str, Any]
    """JSON of the schema's shape, no NaN; tokens are replaced in the manifest's ``unmask`` fields only."""


@dataclass(frozen=True, kw_only=True)
class Unanswered(Asked):
    """No usable answer; never a guess."""

    silence: Silence
    why: str
    """One sentence for our own people, without personal data."""


Answer = Answered | Unanswered

Check = Callable[[Mapping[str, Any]], Sequence[str]]
"""The caller's own rules on an answer that fits the schema: one sentence per fault, none when it is good.

It sees the data before tokens are replaced. Faults are sent back to the model once, so they must not quote personal data.
"""


class NoModel:
    """Answers every question with silence: what runs where no model is set up."""

    async def ask(self, request: LanguageRequest, *, check: Check | None = None) -> Answer:
        """Nothing is asked and nothing is spent."""
        return Unanswered(
            record_id="",
            prompt=request.prompt,
            model=None,
            cost=Cost(),
            calls=0,
            flags=(Silence.NOT_CONFIGURED.value,),
            silence=Silence.NOT_CONFIGURED,
            why="no language model is configured; set SIGNALBOX_LLM_BASE_URL and SIGNALBOX_LLM_MODEL",
        )
