"""A plan that slows one SKU's sales, as it is kept: every change with the values before it, who owns it, how long it may stand."""

from enum import StrEnum

from pydantic import AwareDatetime

from domain.ids import Sku, TenantId
from domain.values import Document, Plain


class SlowState(StrEnum):
    """How far a plan is."""

    APPLYING = "applying"
    STANDING = "standing"
    RESTORING = "restoring"
    RESTORED = "restored"


class SlowChange(Document):
    """Fields of one listing, their snapshot and what they were set to."""

    step: str
    channel: str
    facet: str
    before: dict[str, Plain]
    values: dict[str, Plain]
    key: str
    """Of the effect that makes the change; its restore is derived from it."""


class SlowPlan(Document):
    """What was done to one SKU's listings."""

    tenant: TenantId
    sku: Sku
    number: int
    """Counts the plans of an SKU."""
    state: SlowState
    changes: tuple[SlowChange, ...]
    owner: str
    decision_id: str
    made_at: AwareDatetime
    ends_at: AwareDatetime
    """Restored then, whatever else happens."""
    free: int
    """Units free when it was made: more of them means that goods have come."""
    safe_since: AwareDatetime | None = None
    why: str = ""
