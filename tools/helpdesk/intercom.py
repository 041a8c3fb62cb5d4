"""Intercom's notifications: a topic and the conversation it is about, with its newest parts.

Authors: ``user``, ``lead`` and ``contact`` are customers, ``admin`` a person of the team, ``bot`` an automatic answer.
Parts of type ``note`` are internal.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from domain.ticket import Side, TicketMessage, TicketNews, sane
from tools.helpdesk.reading import channel_of, document, instant, name, part, parts, required

_CUSTOMERS = frozenset({"user", "lead", "contact"})
_SPOKEN = frozenset({"conversation.user.created", "conversation.user.replied", "conversation.admin.replied",
                     "conversation.admin.single.created", "conversation.operator.replied",
                     "conversation.contact.replied"})  # fmt: skip
_CLOSED = frozenset({"conversation.admin.closed"})


def read_intercom(raw: bytes, *, now: datetime) -> TicketNews | None:
    """What a notification tells; None for a ping or a topic about no conversation.

    Raises:
        MalformedPayload: it cannot be read.
    """
    root = document(raw)
    topic, item = name(root.get("topic")), part(part(root.get("data")).get("item"))
    if not topic.startswith("conversation.") or name(item.get("type")) not in {"conversation", ""}:
        return None
    tags = [one.get("name") for one in parts(part(item.get("tags")).get("tags"))]
    marked = part(item.get("custom_attributes"))
    told = sane(instant(root.get("created_at"), "created_at"), now=now)
    return TicketNews(
        event_id=required(root.get("id"), "id"),
        ticket_id=required(item.get("id"), "data.item.id"),
        message=_message(item, told) if topic in _SPOKEN else None,
        closed_at=told if topic in _CLOSED else None,
        channel=channel_of([marked.get("channel"), marked.get("marketplace"), *tags]),
        order=name(marked.get("order_number") or marked.get("order_id")),
    )


def _message(item: Mapping[str, Any], told: datetime) -> TicketMessage | None:
    """The newest part a customer sees, or the message the conversation began with."""
    said = [
        one
        for one in parts(part(item.get("conversation_parts")).get("conversation_parts"))
        if name(one.get("part_type")) in {"comment", "assignment", ""} and one.get("body")
    ]
    newest = said[-1] if said else part(item.get("source"))
    author = name(part(newest.get("author")).get("type"))
    if not author or (not said and parts(part(item.get("conversation_parts")).get("conversation_parts"))):
        return None
    given = newest.get("created_at")
    return TicketMessage(
        message_id=required(newest.get("id"), "message id"),
        side=Side.CUSTOMER if author in _CUSTOMERS else Side.AGENT,
        machine=author not in _CUSTOMERS | {"admin"},
        at=min(told, instant(given, "created_at of the message")) if given is not None else told,
    )
