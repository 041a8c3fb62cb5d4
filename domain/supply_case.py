"""One chain of the supplier workflow as values: what started it, and where it stands."""

from enum import StrEnum

from pydantic import AwareDatetime, Field

from domain.ids import Sku, TenantId
from domain.values import Document


class TriggerKind(StrEnum):
    """What says that something will run out."""

    ALERT = "alert"
    SCAN = "scan"
    PERSON = "person"


class SupplyTrigger(Document):
    """Why a chain was started. The same key is the same trigger, however often it is told."""

    key: str = Field(min_length=1)
    tenant: TenantId
    kind: TriggerKind
    skus: tuple[Sku, ...] = Field(min_length=1, max_length=100)
    by: str
    """``user:<id>``, ``key:<id>`` or ``signalbox``."""
    at: AwareDatetime


class SupplyProgress(StrEnum):
    """Where a chain stands."""

    RUNNING = "running"
    IN_REVIEW = "in_review"
    SENT = "sent"
    REJECTED = "rejected"
    NOT_NEEDED = "not_needed"
    """Looked at, and nothing has to be ordered."""

    @property
    def over(self) -> bool:
        """Whether the chain has ended."""
        return self in {SupplyProgress.SENT, SupplyProgress.REJECTED, SupplyProgress.NOT_NEEDED}

    @property
    def holds_need(self) -> bool:
        """Whether the chain still works on its SKUs, so that no second one may."""
        return self in {SupplyProgress.RUNNING, SupplyProgress.IN_REVIEW}
