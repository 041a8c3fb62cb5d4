"""The tape of one decision: what it takes to ask the same question again and get the same answer.

A tape names its values by digest, so that what thousands of decisions share (lanes, rates) is kept once.
"""

from typing import Any

from pydantic import AwareDatetime, Field

from domain.ids import TenantId
from domain.values import Document


class Tape(Document):
    """The case an agent was given and every answer its reads got, as they were at that moment."""

    decision_id: str
    tenant: TenantId
    entity_id: str
    agent: str
    version: str
    asked_at: AwareDatetime
    """The instant the agent judged by."""
    accepted_at: AwareDatetime | None = None
    """When the order came in."""
    order: str
    """Digest of the order document it judged."""
    order_version: int = Field(ge=0)
    attempt_group: int = Field(ge=1)
    hints: dict[str, Any] = {}
    seen: dict[str, str] = {}
    """Agent to the id of its decision, for the decisions the agent was shown."""
    reads: dict[str, list[str]] = {}
    """Read (``crm.history C-1``) to its answers in turn: ``=`` and JSON, ``@`` and a digest, or ``!`` and the failure."""
    without: tuple[str, ...] = ()
    """Sources this installation did not have."""
    fallback: str = ""
    """The fallback that decided in the agent's place, if one did."""
    why: str = ""
    """What was said to the fallback."""
    values: dict[str, str] = {}
    """Digest to text, for values whoever keeps the tapes may not have yet."""
