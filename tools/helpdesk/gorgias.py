"""Gorgias-style help desks: an HTTP integration that posts the ticket and its message, each event with an id of its own.

The shape follows Gorgias' ticket and message objects: ``message.from_agent`` says who wrote, ``message.public`` false is an
internal note, ``message.rule_id`` and ``via: rule`` mark what a rule sent.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from domain.ticket import Side, TicketMessage, TicketNews, sane
from tools.helpdesk.reading import channel_of, document, instant, name, part, parts, required

_AUTOMATIC = frozenset({"rule", "bot", "autoresponder", "automation"})


def read_gorgias(raw: bytes, *, now: datetime) -> TicketNews | None:
    """What a webhook tells; None when it is about no ticket.

    Raises:
        MalformedPayload: it cannot be read.
    """
    root = document(raw)
    ticket, message = part(root.get("ticket")), part(root.get("message"))
    if not ticket:
        return None
    closed = root.get("type") == "ticket-closed" or (not message and name(ticket.get("status")) == "closed")
    closed_at = instant(ticket.get("closed_datetime") or now.isoformat(), "closed_datetime") if closed else None
    tags = [one.get("name") for one in parts(ticket.get("tags"))]
    meta = part(ticket.get("meta"))
    return TicketNews(
        event_id=required(root.get("id"), "id"),
        ticket_id=required(ticket.get("id"), "ticket.id"),
        message=_message(message, now) if message else None,
        closed_at=sane(closed_at, now=now) if closed_at else None,
        channel=channel_of([message.get("channel"), ticket.get("channel"), *tags]),
        order=name(ticket.get("order_number") or meta.get("order_number") or meta.get("order_id")),
    )


def _message(message: Mapping[str, Any], now: datetime) -> TicketMessage | None:
    if message.get("public") is False or not isinstance(message.get("from_agent"), bool):
        return None
    automatic = bool(message.get("rule_id")) or name(message.get("via")).lower() in _AUTOMATIC
    by_agent = message["from_agent"] is True
    return TicketMessage(
        message_id=required(message.get("id"), "message.id"),
        side=Side.AGENT if by_agent else Side.CUSTOMER,
        machine=by_agent and automatic,
        at=sane(instant(message.get("created_datetime"), "message.created_datetime"), now=now),
    )
