"""What the risk desk writes down and measures: exceptions for single customers, and how large orders usually are."""

from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, Field, model_validator

from domain.ids import Sku, TenantId
from domain.values import Document


class ExceptionKind(StrEnum):
    """What an exception does."""

    SNOOZE = "snooze"
    """One rule is silent for the customer."""
    TRUST = "trust"
    """The customer is on the trusted list: scores do not stop the order, hard blocks still do."""


class CustomerException(Document):
    """One dated exception for one customer, with who made it and why. It ends by itself; it is never edited, only ended."""

    exception_id: str
    tenant: TenantId
    customer_id: str = Field(min_length=1)
    kind: ExceptionKind
    rule: str = ""
    """Reason code of the snoozed rule (``CARD_VELOCITY``); empty for TRUST."""
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    """The first instant at which it no longer holds."""
    reason: str = Field(min_length=1)
    made_by: str = Field(min_length=1)
    """``user:<id>``."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.ends_at <= self.starts_at:
            raise ValueError("an exception must end after it starts; give a later ends_at")
        if (self.kind is ExceptionKind.SNOOZE) != bool(self.rule):
            raise ValueError("a snooze names one rule, and a trusted-list entry names none; mend the rule field")
        return self

    def holds(self, at: AwareDatetime) -> bool:
        """Whether it is in force at an instant."""
        return self.starts_at <= at < self.ends_at


class SegmentQuantiles(Document):
    """How order totals were distributed in one segment. Amounts are minor units of ``currency``."""

    country: str = ""
    """ISO code of the ship-to country; empty is everywhere."""
    category: str = ""
    """Product category; empty is all of them."""
    currency: str
    n: int = Field(ge=0)
    p75: int = Field(ge=0)
    p90: int = Field(ge=0)
    p95: int = Field(ge=0)

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if not self.p75 <= self.p90 <= self.p95:
            raise ValueError(f"quantiles of {self.name} must ascend from p75 to p95")
        return self

    @property
    def name(self) -> str:
        """Names the segment in reasons (``HK/phone/HKD``, ``*/*/USD``)."""
        return f"{self.country or '*'}/{self.category or '*'}/{self.currency}"


class SegmentSnapshot(Document):
    """The quantiles of a stretch of orders, measured once and then fixed, so that decisions can be repeated on it."""

    snapshot_id: str
    measured_from: AwareDatetime
    measured_to: AwareDatetime
    """The stretch is the last 90 days before the snapshot was taken."""
    segments: tuple[SegmentQuantiles, ...]
    """At most one per country, category and currency; the one of everywhere and all is in USD equivalents."""
    quantity_p99: dict[Sku, int] = {}
    """Units of an SKU per order that 99 % of its orders do not exceed."""
    category_quantity_p99: dict[str, int] = {}
    """The same per category, for SKUs with too few orders of their own."""
