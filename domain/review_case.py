"""The working side of a review: who holds it, who was asked what, when it comes back, what was said, who approved first.

A case lives and dies with its review; everything here changes by compare-and-set, the review itself never does.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from pydantic import AwareDatetime

from domain.ports import Delivery
from domain.review import Review, ReviewAction, ReviewAnswer, ReviewState
from domain.values import Document, Plain

SUPERVISORS = frozenset({"manager", "admin"})
"""Roles that may take a case out of somebody's hands."""
SEES_ALL = frozenset({"ops", "manager", "admin"})
"""Roles that see every case of their tenant."""


class CaseStatus(StrEnum):
    """Where a case stands on the desk."""

    OPEN = "open"
    CLAIMED = "claimed"
    WAITING = "waiting"
    """For the answer to a question somebody asked back."""
    SNOOZED = "snoozed"
    DECIDED = "decided"
    VOID = "void"


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """A person or a service that acts on cases, as the way in has identified it."""

    name: str
    """``user:<id>`` or ``key:<id>``."""
    roles: frozenset[str]
    limit_usd_minor: int | None = None
    """The most money, in US cents, the actor may approve; None for no limit."""
    via: str
    """``cli``, ``http``, ``slack``, ``console``."""

    @property
    def supervises(self) -> bool:
        """Whether the actor may take a case out of somebody's hands."""
        return bool(self.roles & SUPERVISORS)


class Approval(Document):
    """The first of two approvals."""

    by: str
    at: AwareDatetime
    via: str
    reason: str
    edits: dict[str, Plain] = {}
    """The changed fields that run once the second person agrees."""


class Comment(Document):
    """What somebody said on a case."""

    by: str
    at: AwareDatetime
    via: str
    text: str
    answers: bool = False
    """Whether it answers the question the case waited for."""


class Question(Document):
    """A question asked back; the case waits for a comment that answers it."""

    by: str
    at: AwareDatetime
    to: str
    """``proposer``, ``customer_service``, ``user:<id>`` or ``role:<role>``."""
    text: str


class Case(Document):
    """What has happened to an open review so far."""

    assignee: str = ""
    """``user:<id>`` or ``role:<role>``; empty when nobody in particular."""
    claimed_by: str = ""
    claimed_at: AwareDatetime | None = None
    claim_until: AwareDatetime | None = None
    snoozed_until: AwareDatetime | None = None
    question: Question | None = None
    approval: Approval | None = None
    comments: tuple[Comment, ...] = ()
    step: int = 0
    """How many of the timed steps (reminder, escalations, default) have been taken."""
    escalated_to: str = ""
    defaulted_at: AwareDatetime | None = None
    """When nobody had answered in time and the queue's safe default took hold."""

    def holder(self, now: datetime) -> str:
        """Who holds the case now; empty when nobody does or the lease has ended."""
        return self.claimed_by if self.claim_until is not None and self.claim_until > now else ""

    def unclaimed(self) -> "Case":
        """The case in nobody's hands."""
        return self.model_copy(update={"claimed_by": "", "claimed_at": None, "claim_until": None})


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseFile:
    """A review with its case, as stored."""

    review: Review
    case: Case
    revision: int
    """Of the case; a writer that read an older one must read again."""

    def status(self, now: datetime) -> CaseStatus:
        """Where the case stands."""
        if self.review.state is not ReviewState.OPEN:
            return CaseStatus(self.review.state.value)
        if self.case.snoozed_until is not None and self.case.snoozed_until > now:
            return CaseStatus.SNOOZED
        if self.case.question is not None:
            return CaseStatus.WAITING
        return CaseStatus.CLAIMED if self.case.holder(now) else CaseStatus.OPEN

    def visible_to(self, roles: frozenset[str]) -> bool:
        """Whether somebody with these roles works on such cases, or was asked something about this one."""
        asked = self.case.question.to if self.case.question else ""
        for_support = "support" in roles and asked == "customer_service"
        mine = {*self.review.allowed_roles, *self.review.second_roles, *SEES_ALL}
        return bool(roles & mine) or for_support or asked.removeprefix("role:") in roles


class ReviewedWorkflow(Protocol):
    """What the desk asks of the workflow a review belongs to."""

    async def content_digest(self, review: Review) -> str | None:
        """Digest of what a decider would be shown now; None when the entity is not in the working state."""

    async def check(self, review: Review, answer: ReviewAnswer) -> None:
        """Refuse an answer the workflow could not carry out.

        Raises:
            UnprocessableOrder: the edits name fields that may not be edited, or values that do not fit.
        """


class WorkHandler(Protocol):
    """Does one unit of a workflow's work, ``resume`` after a decision among them."""

    async def __call__(self, delivery: Delivery) -> None:
        """Do it; when this returns, the delivery may be acknowledged."""


def shown(review: Review) -> dict[str, Any]:
    """A review as people and programs see it; of a blind one, nothing the machine thinks until it is answered."""
    view = review.model_dump(mode="json", exclude={"thread_id", "interrupt_id", "tenant"})
    if review.blind and review.state is ReviewState.OPEN:
        told = {"decisions", "grounds", "suggestions"}
        facts = {name: value for name, value in review.facts.items() if name not in told}
        view |= {"recommendation": "", "confidence": None, "reasons": [], "facts": facts, "proposed_by": []}
    return view


def overruled(review: Review, action: ReviewAction) -> tuple[str, ...]:
    """The agents whose conclusion a person's answer replaced, from what they said when the question was asked.

    Approving overrules who would have stopped; rejecting overrules who would have gone on without being sure; an edit
    changes what those proposed whose grounds led to the question.
    """
    told = review.facts.get("decisions")
    decisions: dict[str, Any] = told if isinstance(told, dict) else {}
    grounds = review.facts.get("grounds")
    asked = {str(key).partition(":")[0] for key in grounds} if isinstance(grounds, list) else set()
    match action:
        case ReviewAction.APPROVE:
            stopped = {name for name, said in decisions.items() if said.get("outcome") in {"hold", "reject"}}
            return tuple(sorted(stopped))
        case ReviewAction.REJECT:
            doubtful = {n for n, said in decisions.items() if said.get("outcome") in {"proceed", "limit"}}
            return tuple(sorted(doubtful & asked))
        case ReviewAction.EDIT:
            return tuple(sorted(asked & set(decisions)))


def agreed(review: Review, action: ReviewAction) -> bool | None:
    """Whether the answer follows the recommendation; None when nothing was recommended."""
    match review.recommendation:
        case "approve" | "try again":
            return action is ReviewAction.APPROVE
        case "reject":
            return action is ReviewAction.REJECT
        case _:
            return None
