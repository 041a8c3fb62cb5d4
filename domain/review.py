"""A question to a person: what is asked, who may answer, by when, and what was answered."""

from enum import StrEnum

from pydantic import AwareDatetime, Field

from domain.ids import ReviewId, TenantId
from domain.values import Document, Plain


class ReviewAction(StrEnum):
    """What a person may answer."""

    APPROVE = "approve"
    EDIT = "edit"
    """Approve with changed fields; the changed fields are what runs."""
    REJECT = "reject"


class ReviewState(StrEnum):
    """Life of a review."""

    OPEN = "open"
    DECIDED = "decided"
    """Answered; the workflow is about to resume or has resumed."""
    VOID = "void"
    """The order changed or was cancelled; the question no longer exists."""


class ReviewAnswer(Document):
    """One person's answer."""

    action: ReviewAction
    decided_by: str
    """``user:<id>``."""
    decided_at: AwareDatetime
    via: str
    """``cli``, ``http``, ``slack``, ``console``, ``timeout``."""
    reason: str = Field(min_length=1)
    edits: dict[str, Plain] = {}
    seen_digest: str = ""
    """The ``content_digest`` the decider was shown, when the client says; an answer to anything else is refused."""
    roles: tuple[str, ...] = ()
    """The roles the person had; written by the desk that checked them, whatever came with the answer."""


class Review(Document):
    """One question about one entity. Open reviews never expire with the state."""

    review_id: ReviewId
    tenant: TenantId
    workflow: str = "order"
    """Which workflow waits for the answer and resumes with it."""
    entity_type: str
    entity_id: str
    stage: str
    """The gate that asked."""
    recommendation: str
    """What Signalbox would do, in a word."""
    confidence: float | None
    reasons: tuple[str, ...]
    """One sentence each."""
    facts: dict[str, Plain]
    """What the decider is shown: money, customer, items, agents' decisions."""
    editable: tuple[str, ...] = ()
    """Names of the fields an EDIT may change."""
    content_digest: str
    """Digest of what was shown; a changed order voids the answer."""
    allowed_roles: tuple[str, ...]
    second_roles: tuple[str, ...] = ()
    """Who gives the second approval, another person in another act; empty when one approval is enough."""
    queue: str = "orders"
    exposure_usd_minor: int | None = None
    """Money at stake in US cents; None without an exchange rate, then only people without an amount limit approve."""
    ship_by: AwareDatetime | None = None
    correlation_id: str = ""
    currency: str = ""
    locale: str = ""
    """The entity's, for the events of the review."""
    blind: bool = False
    """Whether recommendation, confidence and reasons are kept from the decider until the answer is given: a sample that
    shows how much people follow the machine."""
    proposed_by: tuple[str, ...]
    """Agents and people behind the proposal; none of them may approve it."""
    created_at: AwareDatetime
    deadline: AwareDatetime
    thread_id: str
    interrupt_id: str = ""
    """Known once the graph waits."""
    state: ReviewState = ReviewState.OPEN
    answer: ReviewAnswer | None = None
