"""Why customers write: two levels, and how a reason is named everywhere (``wismo/late``)."""

from enum import StrEnum

from pydantic import Field, model_validator

from domain.errors import InputError
from domain.values import Document


class Topic(StrEnum):
    """First level of a contact reason."""

    WISMO = "wismo"
    """Where is my order."""
    CHANGE = "change"
    RETURN = "return"
    """Return or exchange."""
    REFUND_STATUS = "refund_status"
    PAYMENT = "payment"
    """Payment, cash on delivery, invoice."""
    PRODUCT = "product"
    WARRANTY = "warranty"
    ACCOUNT = "account"
    """Account and privacy."""
    COMPLAINT = "complaint"
    PRESALES = "presales"
    """Seller chat before an order."""


DETAILS: dict[Topic, tuple[str, ...]] = {
    Topic.WISMO: ("late", "no_scan", "delivered_not_received", "customs", "failed_attempt"),
    Topic.CHANGE: ("address", "item", "cancel"),
    Topic.RETURN: ("change_of_mind", "wrong", "damaged", "missing"),
    Topic.REFUND_STATUS: (),
    Topic.PAYMENT: ("card", "cod", "invoice"),
    Topic.PRODUCT: (),
    Topic.WARRANTY: (),
    Topic.ACCOUNT: ("profile", "privacy"),
    Topic.COMPLAINT: ("complaint", "abuse"),
    Topic.PRESALES: (),
}
"""Second level, by first. ``payment/invoice`` includes Taiwan's uniform invoice."""


CANCEL_REASONS = ("no longer needed", "ordered by mistake", "delivery takes too long", "price found lower")
"""What a cancellation may be booked under; any other reason is written out."""


class Reason(Document):
    """A contact reason, and how sure whoever named it is."""

    topic: Topic
    detail: str = ""
    """Empty when only the first level is known."""
    confidence: float = Field(default=1.0, ge=0.0, le=1.0)
    by: str = "caller"
    """``caller``, ``rules-1`` or the version of a model."""

    @model_validator(mode="after")
    def _belongs(self) -> "Reason":
        if self.detail and self.detail not in DETAILS[self.topic]:
            raise ValueError(f"{self.topic} has no detail {self.detail!r}")
        return self

    @property
    def name(self) -> str:
        """``wismo/late``, or ``wismo``."""
        return f"{self.topic}/{self.detail}" if self.detail else self.topic.value


def parse_reason(text: str) -> Reason:
    """The reason a caller named: ``wismo`` or ``wismo/late``, any case.

    Raises:
        InputError: no such reason; the message lists those there are.
    """
    topic, _, detail = text.strip().lower().partition("/")
    if topic not in set(Topic):
        raise InputError(f"There is no contact reason {topic!r}; use one of {', '.join(Topic)}.", pointer="/reason")
    if detail and detail not in DETAILS[Topic(topic)]:
        known = ", ".join(DETAILS[Topic(topic)]) or "none"
        raise InputError(f"{topic} has no detail {detail!r}; it has: {known}.", pointer="/reason")
    return Reason(topic=Topic(topic), detail=detail)
