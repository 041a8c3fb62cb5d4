"""What a supplier answered to a purchase order, as read from a letter. All text in it is the supplier's: data, never an order."""

from datetime import date
from decimal import Decimal
from enum import StrEnum

from pydantic import Field

from domain.values import Document


class ReplyClass(StrEnum):
    """What an answer amounts to; counters and partial deliveries may come together."""

    ACCEPT = "accept"
    ACCEPT_WITH_CHANGE = "accept_with_change"
    COUNTER_PRICE = "counter_price"
    COUNTER_DATE = "counter_date"
    PARTIAL = "partial"
    REJECT = "reject"
    QUESTION = "question"
    OUT_OF_OFFICE = "out_of_office"
    OTHER = "other"


CHANGES = frozenset({
    ReplyClass.ACCEPT_WITH_CHANGE, ReplyClass.COUNTER_PRICE, ReplyClass.COUNTER_DATE, ReplyClass.PARTIAL,
})  # fmt: skip


class LineReply(Document):
    """What was said of one line; None where nothing was. An empty ``line_id`` speaks of the whole order."""

    line_id: str = ""
    quantity: int | None = None
    unit_price: Decimal | None = None
    currency: str = ""
    promised: date | None = None
    substitute: str = ""


class SupplierReply(Document):
    """One answer, read."""

    classes: tuple[ReplyClass, ...] = Field(min_length=1)
    lines: tuple[LineReply, ...] = ()
    language: str
    names_order: bool
    """Whether the letter names the order it is matched to."""
    bank_details: bool
    """It speaks of an account or of paying elsewhere: always a person's to look at."""
    confidence: float = Field(ge=0, le=1)
    source: str = "rules"
    """``rules``, ``model`` or ``ubl``."""

    @property
    def changes(self) -> bool:
        """Whether it wants something else than was ordered."""
        return bool(CHANGES & set(self.classes))


class Difference(Document):
    """One thing an answer says otherwise than the order."""

    line_id: str
    field: str
    """``unit_price``, ``currency``, ``quantity``, ``date`` or ``substitute``."""
    ordered: str
    answered: str


class ReplyAction(StrEnum):
    """What to do with an answer."""

    CONFIRM = "confirm"
    """It accepts what was ordered, or a change within the limits."""
    REVIEW = "review"
    """A person decides, with the differences before them."""
    REJECTED = "rejected"
    """The supplier will not deliver: another one is looked for."""
    ANSWER = "answer"
    """A question: a task for procurement; the order goes on waiting."""
    WAIT = "wait"
    """Nobody has read it yet."""


class ReplyVerdict(Document):
    """What to do with an answer, and why."""

    action: ReplyAction
    differences: tuple[Difference, ...]
    reasons: tuple[str, ...] = Field(min_length=1)
