"""What a dry run is asked, and what it answers."""

from typing import Any

from domain.values import Document


class WhatIf(Document):
    """One order, and what should be otherwise."""

    order_id: str
    set: dict[str, str] = {}
    """Path in the order's document (``ship_to.country``, ``lines.0.quantity``) to the value it shall have."""
    thresholds: dict[str, str] = {}
    """``<table>.<path>`` (``fraud_thresholds.thresholds.review``) to the value it shall have."""
    topology: str = ""
    """A workflow file's text instead of the one in force."""
    versions: dict[str, str] = {}
    """Agent to the version that shall decide."""
    since: str = ""
    """From this decision or agent on everything is decided anew; what came before stands as recorded."""


class DryDecision(Document):
    """What one agent says in the dry run, beside what it said then."""

    agent: str
    version: str
    decision: str
    outcome: str
    confidence: float | None
    reasons: tuple[str, ...]
    stands: bool
    """Taken as recorded, not made anew."""
    was: str
    """What it decided then; empty when it was not asked."""
    same: bool
    """Whether it says exactly what it said then."""
    read_live: tuple[str, ...] = ()
    """What it read now, because it had not read it then."""


class DryEffect(Document):
    """Something that would have been done outside."""

    kind: str
    system_key: str
    args: dict[str, Any]


class DryRun(Document):
    """Where the order would have got to."""

    order_id: str
    progress: str
    detail: str
    was: str
    """Where it really stands; empty when that is not known any more."""
    question: str
    """What a person would be asked; empty when nobody would be."""
    grounds: tuple[str, ...] = ()
    decisions: tuple[DryDecision, ...]
    effects: tuple[DryEffect, ...]
    changed: tuple[str, ...]
    """What was made otherwise."""
    topology: str
    took_ms: int
