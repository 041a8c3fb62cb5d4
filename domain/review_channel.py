"""Where reviews are announced beside the console: the port a chat product implements, and the seal on what it showed."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.review import Review
from domain.review_case import Case
from domain.values import digest


class NudgeKind(StrEnum):
    """Why somebody is spoken to about a card that is already there."""

    REMINDER = "reminder"
    ESCALATION = "escalation"


@dataclass(frozen=True, kw_only=True)
class Nudge:
    """A word to a person about an open review."""

    kind: NudgeKind
    person: str
    """``user:<id>`` or ``role:<role>``; anything else means nobody in particular."""
    chat_user: str = ""
    """The person's id in the chat product, when known."""

    @property
    def name(self) -> str:
        """The person or role as a card says it; empty when nobody in particular is meant."""
        kind, _, who = self.person.partition(":")
        return {"user": who, "role": f"everybody with the role {who}"}.get(kind, "")


@dataclass(frozen=True, kw_only=True)
class Posting:
    """One message that must appear once: its key is in the message, so that it can be found again."""

    review: Review
    key: str
    receipt: str = ""
    """Of the card a nudge belongs to, or of the card to be brought up to date."""
    standing: tuple[str, ...] = ()
    """What has happened on the desk so far, one sentence each."""


class ReviewChannel(Protocol):
    """A chat product. The caller sees to it that one posting is made by one caller at a time."""

    @property
    def name(self) -> str:
        """``slack``, ``teams``."""

    @property
    def updates(self) -> bool:
        """Whether a card can be changed once it is posted; where not, the outcome is posted as a card of its own."""

    def serves(self, tenant: str) -> bool:
        """Whether the tenant's reviews are announced here."""

    async def announce(self, posting: Posting) -> str:
        """Post a card that shows the review as it is now; gives its receipt.

        Raises:
            ConnectorUnavailable: nothing was posted; try again later.
            Ambiguous: it may have been posted; ``lookup`` before repeating.
            ConnectorRejected: refused until an operator changes something.
        """

    async def nudge(self, posting: Posting, nudge: Nudge) -> str:
        """Post a word to a person below the card; gives its receipt. Raises as ``announce`` does."""

    async def lookup(self, posting: Posting, *, since: datetime) -> str | None:
        """The receipt of a message posted under this key since an instant, or None when there is none.

        Raises:
            ConnectorUnavailable, ConnectorRejected: the product cannot say now.
        """

    async def show(self, posting: Posting) -> None:
        """Bring the card up to date with the review; doing it again changes nothing. Raises as ``announce`` does."""


def seal(review: Review) -> str:
    """What an answer from a card must carry: a digest of the question and of what was shown with it."""
    shown = {
        "tenant": review.tenant,
        "review": review.review_id,
        "content": review.content_digest,
        "stage": review.stage,
    }
    return digest(shown)[:32]


def standing_of(review: Review, case: Case) -> tuple[str, ...]:
    """What a card says of the case: a first approval, who holds it, whom it waits for. Names and times, no free text."""
    said: list[str] = []
    if case.approval is not None:
        needed = " or ".join(review.second_roles) or "another person"
        said.append(f"First approval by {_name(case.approval.by)}; a second one is needed, from {needed}")
    if case.claim_until is not None and case.claimed_by:
        said.append(f"In the hands of {_name(case.claimed_by)} until {case.claim_until:%Y-%m-%d %H:%M} UTC")
    if case.question is not None:
        said.append(f"{_name(case.question.by)} has asked {_name(case.question.to)} something and waits for the answer")
    if case.snoozed_until is not None:
        said.append(f"Put off until {case.snoozed_until:%Y-%m-%d %H:%M} UTC")
    if case.escalated_to:
        said.append(f"Passed on to {_name(case.escalated_to)}")
    if case.defaulted_at is not None:
        said.append("Nobody answered in time; the safe default holds, and an answer still counts")
    return tuple(said)


def _name(who: str) -> str:
    return who.partition(":")[2].replace("_", " ") or who.replace("_", " ")
