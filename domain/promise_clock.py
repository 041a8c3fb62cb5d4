"""Clocks that run against us: a marketplace's reply time, a return window, a refund deadline. Rules are dated data."""

from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field, model_validator

from domain.ids import TenantId
from domain.values import Document


class ClockState(StrEnum):
    """Life of a clock."""

    RUNNING = "running"
    WARNED = "warned"
    BREACHED = "breached"
    MET = "met"
    """What it waited for happened in time."""
    MET_LATE = "met_late"
    """It happened after the breach."""
    STOPPED = "stopped"
    """Nothing is owed any more: the case was withdrawn."""

    @property
    def runs(self) -> bool:
        """Whether something is still owed."""
        return self in {ClockState.RUNNING, ClockState.WARNED, ClockState.BREACHED}


class ClockRule(Document):
    """How long there is for something."""

    kind: str = Field(pattern=r"^[a-z][a-z0-9_]{2,60}$")
    channel: str = ""
    """The marketplace whose rule it is; empty for the shop's own."""
    hours: float | None = Field(default=None, gt=0, le=24 * 400)
    by: time | None = None
    """Instead of hours: local time of day by which everything received before ``cut_off`` is due."""
    cut_off: time | None = None
    zone: str = "UTC"
    warn_at: float = Field(default=0.75, gt=0, lt=1)
    """Share of the time after which it is told."""
    target: float | None = Field(default=None, gt=0, le=1)
    """Share that must be met within ``measured_days``."""
    measured_days: int = Field(default=30, ge=1)
    machines_count: bool = True
    """Whether an automatic answer meets it."""
    source: str
    """Where the rule is published, in words."""

    @model_validator(mode="after")
    def _one_way(self) -> "ClockRule":
        if (self.hours is None) == (self.by is None) or (self.by is None) != (self.cut_off is None):
            raise ValueError(f"clock {self.kind} needs either hours, or by with cut_off")
        ZoneInfo(self.zone)
        return self

    def due(self, started: datetime) -> datetime:
        """When it must have happened, for what began at ``started``."""
        if self.hours is not None:
            return started + timedelta(hours=self.hours)
        zone = ZoneInfo(self.zone)
        local = started.astimezone(zone)
        day = local.date() if local.time() < (self.cut_off or time()) else local.date() + timedelta(days=1)
        return datetime.combine(day, self.by or time(), zone).astimezone(UTC)


class PromiseClock(Document):
    """One running clock."""

    clock_id: str
    """The same thing owed has the same one, however often it is told."""
    tenant: TenantId
    kind: str
    entity_type: str
    entity_id: str
    subject: str = ""
    """The ticket, message or return it is about; an id, never a person's words."""
    started_at: AwareDatetime
    warn_at: AwareDatetime
    due_at: AwareDatetime
    state: ClockState = ClockState.RUNNING
    ended_at: AwareDatetime | None = None
    ended_by: str = ""

    def share(self, now: datetime) -> float:
        """How much of the time is used, 1 at the deadline."""
        whole = (self.due_at - self.started_at).total_seconds()
        return (min(now, self.ended_at or now) - self.started_at).total_seconds() / whole if whole > 0 else 1.0


class StartClock(Document):
    """A wish to start a clock."""

    kind: str = Field(max_length=60, examples=["shopee_chat_reply"])
    entity_type: str = Field(default="order", pattern=r"^[a-z][a-z_]{0,30}$")
    entity_id: str = Field(min_length=1, max_length=200, examples=["shopee-2211"])
    subject: str = Field(default="", max_length=200, examples=["msg-881"])
    """Id of the message, ticket or return it is about."""
    started_at: AwareDatetime | None = None
    """When the customer wrote; now when left out."""
    due_at: AwareDatetime | None = None
    """Instead of the rule's own end."""
