"""Money spent on language models: what a call may cost before it is made, what it did cost, and the limits of both.

All amounts are millionths of a US dollar. A call is paid for by one agent of one tenant on the tenant's own calendar day.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pydantic import AwareDatetime, Field

from domain.ids import TenantId
from domain.values import Document

EVERY_AGENT = "*"
"""Stands for all agents of a tenant together in a budget."""
ALERT_PERCENT = (50, 80, 100)
"""Each is told once a day per budget; at the last one the agent stops asking."""


class CallOutcome(StrEnum):
    """How one call to a provider ended."""

    ANSWERED = "answered"
    INVALID = "invalid"
    """Paid for and useless: no JSON, wrong shape, wrong language, refused by the caller's check."""
    REFUSED = "refused"
    """The model declined."""
    TIMEOUT = "timeout"
    """Cut by our own limit; charged at the estimate, because the provider may have worked."""
    FAILED = "failed"
    """The provider said that it did nothing (429, 401, 503, no connection)."""
    BROKEN = "broken"
    """The connection broke or the body was no answer; charged at the estimate."""
    LOST = "lost"
    """The process that called died; charged at the estimate."""


class Tokens(Document):
    """Usage as the provider tells it."""

    input: int = Field(default=0, ge=0)
    cached: int = Field(default=0, ge=0)
    """Of ``input``, read from the provider's cache."""
    output: int = Field(default=0, ge=0)
    reasoning: int = Field(default=0, ge=0)
    """Of ``output``, thinking nobody sees."""


class CallRecord(Document):
    """One call to a provider, complete and without personal data."""

    call_id: str
    record_id: str
    """The question it belongs to."""
    tenant: TenantId
    agent: str
    entity_type: str
    entity_id: str
    day: str
    """The tenant's calendar day that pays (``2026-11-11``)."""
    at: AwareDatetime
    prompt: str
    prompt_version: str
    prompt_digest: str
    inputs_digest: str
    """Of everything that was sent."""
    model: str
    """As asked for."""
    model_answered: str = ""
    """As the provider names what answered."""
    attempt: int = Field(ge=1)
    purpose: str = "ask"
    """``ask`` or ``repair``."""
    outcome: CallOutcome
    detail: str = ""
    """Why it was not an answer; no text of the model."""
    tokens: Tokens = Tokens()
    usd_micro: int = Field(ge=0)
    estimate_usd_micro: int = Field(ge=0)
    """What was reserved before the call."""
    estimated: bool = False
    """Charged at the estimate, because the usage is missing or makes no sense."""
    price_unknown: bool = False
    """Priced at the declared worst case, because nobody publishes the model's price."""
    latency_ms: int = Field(default=0, ge=0)
    request_id: str = ""
    """The provider's own id of the request."""
    bad_answer: str = ""
    """A useless answer's beginning, personal data masked."""


class Alert(Document):
    """A budget has reached one of its thresholds on one of the tenant's days."""

    tenant: TenantId
    agent: str
    """``*`` when it is the budget of all agents together."""
    day: str
    percent: int
    spent_usd_micro: int
    limit_usd_micro: int

    @property
    def stopped(self) -> bool:
        """Whether the agent decides by its rules from now on."""
        return self.percent >= ALERT_PERCENT[-1]


class Budget(Document):
    """What one agent of a tenant, or all together (``*``), may spend on one of the tenant's days."""

    tenant: TenantId
    agent: str = EVERY_AGENT
    usd_micro_per_day: int = Field(ge=0)
    calls_per_entity: int = Field(default=12, ge=0, le=10_000)
    """Calls one order, purchase order or case may cause in its life, all attempts included."""


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A call about to be made, at the price it may have."""

    record: CallRecord
    """As it would be booked if the process died now: outcome ``lost``, charged at the estimate."""
    ends_in_s: float
    """After this the call is over for certain; a hold that is older is booked as lost."""
    cheaper: CallRecord | None = None
    """The same call with a cheaper model, when there is one to change to."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """The money is set aside: make the call."""

    cheaper: bool = False
    """Four fifths of the budget are gone: the cheaper model's estimate was set aside, use that model."""


@dataclass(frozen=True, kw_only=True)
class Denied:
    """There is no money for this call: do not make it."""

    by_cap: bool
    """The entity's call cap, and not the budget, says no."""
    why: str


class Purse(Protocol):
    """Sets money aside before a call and books it after, atomically over all workers."""

    async def day(self, tenant: str) -> str:
        """The tenant's calendar day now."""

    async def reserve(self, hold: Hold) -> Held | Denied:
        """Set the estimate aside.

        Raises:
            StoreUnavailable: nothing is known to be set aside; the call must not be made.
        """

    async def settle(self, record: CallRecord) -> None:
        """Book what the call cost in place of what was set aside; once, however often it is told.

        Raises:
            StoreUnavailable: it is not booked; the hold will be, at the estimate.
        """
