"""Help-desk tickets as far as the clocks need them: who wrote when, and which waits that makes. No words, no names."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime, Field

from domain.values import Document

LONGEST_ID = 80
"""Of tickets and messages; help desks' own are numbers or short texts."""


class Side(StrEnum):
    """Who wrote a message."""

    CUSTOMER = "customer"
    AGENT = "agent"
    """A person of the team, or what answers in their place."""


class TicketMessage(Document):
    """One message of a ticket. What it says is not kept."""

    message_id: str = Field(min_length=1, max_length=LONGEST_ID)
    side: Side
    machine: bool = False
    """An automatic answer: a bot, a rule, an out-of-office."""
    at: AwareDatetime


class TicketNews(Document):
    """What one webhook of a help desk tells."""

    event_id: str = Field(min_length=1, max_length=200)
    ticket_id: str = Field(min_length=1, max_length=LONGEST_ID)
    message: TicketMessage | None = None
    """None when the event is about no message a customer sees: an internal note, a tag, an assignment."""
    closed_at: AwareDatetime | None = None
    """When the ticket was closed or resolved; nothing is owed any more."""
    channel: str = ""
    """The sales channel it came through, when the ticket names one."""
    order: str = ""
    """The order's number or id, when the ticket names one."""


class Wait(Document):
    """A stretch in which the customer waited: from the first message nobody had answered to the answer."""

    message_id: str
    since: AwareDatetime
    answered_at: AwareDatetime | None = None
    by_machine: bool = False


def waits(messages: Iterable[TicketMessage], *, machines_count: bool) -> list[Wait]:
    """The waits of a ticket, oldest first, whatever order its messages came in and however often.

    Several messages before an answer are one wait. An answer at the instant of a message is an answer to it.
    """
    ordered = sorted(
        {one.message_id: one for one in messages}.values(), key=lambda one: (one.at, one.side is Side.AGENT)
    )
    found: list[Wait] = []
    waiting: TicketMessage | None = None
    for one in ordered:
        if one.side is Side.CUSTOMER:
            waiting = waiting or one
        elif waiting is not None and (machines_count or not one.machine):
            found.append(
                Wait(message_id=waiting.message_id, since=waiting.at, answered_at=one.at, by_machine=one.machine)
            )
            waiting = None
    if waiting is not None:
        found.append(Wait(message_id=waiting.message_id, since=waiting.at))
    return found


def sane(at: datetime, *, now: datetime) -> datetime:
    """A sender's time, never later than ours: a clock that runs ahead must not give us more time."""
    return min(at, now)
