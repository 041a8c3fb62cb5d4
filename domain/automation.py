"""Plain automations: programs nobody here runs, known to Signalbox only by what they say has happened.

They have no tier, no fallback and no review. What they say is kept on the entity's record and settles nothing.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from pydantic import AwareDatetime, Field, field_validator, model_validator

from domain.event import SCHEMA_VERSION, TOPIC_OF_AGENT, Event
from domain.ids import EventId, TenantId, stable_id
from domain.values import Document, Plain, require_plain

EMITTER = "automation:"
"""Stands before an automation's name wherever it says something."""
NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
OBSERVED = "observed"
"""The mode of everything an automation says."""
_SHOWN = ("processing_time_ms", "model_version")
_PEOPLE = ("person:", "user:", "key:")
_OWN_ENTITIES = frozenset({"agent", "budget", "dead_letter", "emitter", "example", "system"})
_OWN_WORDS = frozenset(
    {
        "accepted", "amendment", "autonomy", "cancel", "channel", "closed", "conflict", "dead_lettered", "decision",
        "degraded", "duplicate", "edit", "effect", "exception", "fulfilled", "outcome", "parked", "progress",
        "rejected", "repeated", "rescore", "rescored", "review", "stale", "threshold", "updated", "wave",
        *TOPIC_OF_AGENT, *TOPIC_OF_AGENT.values(),
    }
)  # fmt: skip
"""Words of Signalbox's own events: what acts on those must never be set off by somebody's report."""


class Automation(Document):
    """One automation as its owner describes it."""

    name: str
    version: str
    owner: str
    trigger: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    """Facets (``order.tags``) it changes by itself."""
    actions: tuple[str, ...] = ()
    """What it does, in its owner's words (``adds a tag at the channel``)."""
    events: tuple[str, ...] = ()
    """Types of the events it publishes."""
    line: int = 0
    """Where it stands in its file."""


class Settled(Document):
    """How two writers of the same data get along when at least one of them is an automation, in its owner's words."""

    facet: str
    how: str
    line: int = 0


class AutomationBook(Document):
    """Every automation of the installation."""

    automations: tuple[Automation, ...] = ()
    settled: tuple[Settled, ...] = ()

    def find(self, name: str) -> Automation | None:
        """The automation of that name."""
        return next((each for each in self.automations if each.name == name), None)

    def knows(self, emitter: str) -> bool:
        """Whether an emitter (``automation:...``) is registered."""
        return emitter.startswith(EMITTER) and self.find(emitter.removeprefix(EMITTER)) is not None


class Report(Document):
    """What an automation sends: the event schema without what Signalbox itself adds."""

    event_id: str = Field(min_length=1, max_length=200)
    """The sender's own id; the same one again is the same event."""
    event_type: str = Field(pattern=r"^[a-z_]+(\.[a-z0-9_]+)+$", max_length=120, examples=["order.gift_note.added"])
    entity_type: str = Field(pattern=r"^[a-z_]+$", max_length=48)
    entity_id: str = Field(pattern=r"^[\x21-\x7e]+$", max_length=200)
    agent_name: str = Field(max_length=64, examples=["automation:gift_notes"])
    """``automation:<name>``, or the name alone."""
    timestamp: AwareDatetime
    result: dict[str, Plain] = {}
    metadata: dict[str, Plain] = {}
    schema_version: int = SCHEMA_VERSION
    correlation_id: str = Field(default="", max_length=200)
    causation_id: str = Field(default="", max_length=200)
    currency: str = Field(default="", max_length=8)
    locale: str = Field(default="", max_length=35)

    @field_validator("result", "metadata", mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        return _exact(value)

    @model_validator(mode="after")
    def _an_automations(self) -> "Report":
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema_version {self.schema_version} is not {SCHEMA_VERSION}")
        if not NAME.fullmatch(self.name):
            raise ValueError(f"agent_name must be {EMITTER}<name>, the name of lower-case letters, digits and _")
        if self.event_type.partition(".")[0] != self.entity_type:
            raise ValueError("event_type must begin with the entity_type it is about")
        if taken := reserved(self.event_type):
            raise ValueError(f"{taken!r} in event_type is Signalbox's own word; name what the automation itself did")
        return self

    @property
    def name(self) -> str:
        """The automation's name."""
        return self.agent_name.removeprefix(EMITTER)

    def event(self, tenant: TenantId, *, currency: str, locale: str) -> Event:
        """The event that is kept; only what cannot pass for somebody else's word is taken over.

        Its id is made from tenant, sender and the sender's id: nobody can use up another's ids.
        """
        emitter = EMITTER + self.name
        told = {name: self.metadata[name] for name in _SHOWN if name in self.metadata}
        rest: dict[str, Plain] = {name: value for name, value in self.metadata.items() if name not in _SHOWN}
        result: dict[str, Any] = dict(self.result)
        if (sure := _probability(result.get("confidence"))) is not None:
            result["confidence"] = sure
        return Event(
            event_id=EventId(stable_id(tenant, emitter, self.event_id)),
            event_type=self.event_type,
            entity_type=self.entity_type,
            entity_id=self.entity_id,
            agent_name=emitter,
            timestamp=self.timestamp,
            result=result,
            metadata={**told, "mode": OBSERVED, "sent_as": self.event_id, "sent_with": rest},
            tenant=tenant,
            sequence=0,
            correlation_id=self.correlation_id or self.event_id,
            causation_id=self.causation_id,
            currency=self.currency or currency,
            locale=self.locale or locale,
        )


def reserved(event_type: str) -> str:
    """The word that makes an event type Signalbox's own; empty when there is none."""
    entity, *rest = event_type.split(".")
    if entity in _OWN_ENTITIES:
        return entity
    return next((word for word in rest if word in _OWN_WORDS), "")


def unregistered(emitters: Iterable[str], agents: Iterable[str], book: AutomationBook) -> list[str]:
    """Those of ``emitters`` who are no agent that exists, no person, not Signalbox itself and no registered automation."""
    known = {"signalbox", *agents}
    return [one for one in emitters if one not in known and not one.startswith(_PEOPLE) and not book.knows(one)]


def _exact(value: object) -> object:
    """Plain data: a number with a point is kept digit by digit, as text."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return {name: _exact(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_exact(part) for part in value]
    require_plain(value)
    return value


def _probability(value: object) -> float | None:
    try:
        sure = float(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
    except ValueError:
        return None
    return sure if sure is not None and 0 <= sure <= 1 else None
