"""What came of an agent's decision, as people report it."""

from enum import StrEnum

from pydantic import Field

from domain.values import Document


class OutcomeKind(StrEnum):
    """What came of a decision."""

    CHARGEBACK = "chargeback"
    RETURN = "return"
    CANCEL = "cancel"
    CONFIRMED = "confirmed"


class TurnedOut(Document):
    """One outcome of one agent's decision about one order."""

    order_id: str = Field(min_length=1, max_length=200, examples=["storefront-web-1001"])
    agent: str = Field(pattern=r"^[a-z][a-z0-9_]{0,47}$", examples=["fraud_detection"])
    kind: OutcomeKind
    reason: str = Field(min_length=1, max_length=500, examples=["the bank took the money back"])
