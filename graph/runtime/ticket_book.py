"""Tickets of help desks: what they are about and when whom wrote. Neither words nor names are kept."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.ticket import Side, TicketMessage, TicketNews
from domain.values import Document
from graph.runtime.audit_reviews import insert_into
from graph.runtime.contact_schema import support_tickets, ticket_messages
from graph.runtime.sql import transaction

_T, _M = support_tickets.c, ticket_messages.c
MOST_MESSAGES = 1000


class Ticket(Document):
    """One ticket as kept."""

    sender: str
    ticket_id: str
    channel: str
    order_ref: str
    """The order as the help desk names it; empty when it names none."""
    entity_type: str
    entity_id: str
    closed_at: AwareDatetime | None
    changed_at: AwareDatetime
    messages: tuple[TicketMessage, ...] = ()


class TicketBook:
    """Keeps tickets; the same news again, or in another order, leaves the same book."""

    def __init__(self, engine: AsyncEngine) -> None:
        """``engine`` is the installation's database."""
        self._engine = engine

    async def take(
        self, tenant: str, sender: str, news: TicketNews, *, entity: tuple[str, str], at: datetime
    ) -> Ticket:
        """Keep the news; ``entity`` counts at first sight only. Gives the whole ticket.

        Raises:
            StoreUnavailable: it was not kept.
        """
        first = {"tenant": tenant, "sender": sender, "ticket_id": news.ticket_id, "channel": news.channel,
                 "order_ref": news.order, "entity_type": entity[0], "entity_id": entity[1], "closed_at": None,
                 "changed_at": at}  # fmt: skip
        where = (_T.tenant == tenant, _T.sender == sender, _T.ticket_id == news.ticket_id)
        learnt = {name: value for name, value in (("channel", news.channel), ("order_ref", news.order)) if value}
        async with transaction(self._engine, "the book of tickets") as connection:
            await connection.execute(insert_into(support_tickets, connection).values(**first).on_conflict_do_nothing())
            await connection.execute(update(support_tickets).where(*where).values(changed_at=at, **learnt))
            if news.closed_at is not None:
                later = _T.closed_at.is_(None) | (_T.closed_at < news.closed_at)
                await connection.execute(update(support_tickets).where(*where, later).values(closed_at=news.closed_at))
            if news.message is not None:
                row = {"tenant": tenant, "sender": sender, "ticket_id": news.ticket_id, **_row(news.message)}
                await connection.execute(
                    insert_into(ticket_messages, connection).values(**row).on_conflict_do_nothing()
                )
            return (await _read(connection, tenant, sender, news.ticket_id))[0]

    async def find(self, tenant: str, sender: str, ticket_id: str) -> Ticket | None:
        """One ticket.

        Raises:
            StoreUnavailable: no answer.
        """
        async with transaction(self._engine, "the book of tickets") as connection:
            found = await _read(connection, tenant, sender, ticket_id)
            return found[0] if found else None


def _row(message: TicketMessage) -> dict[str, Any]:
    return {
        "message_id": message.message_id,
        "side": message.side.value,
        "machine": "yes" if message.machine else "",
        "at": message.at,
    }


async def _read(connection: AsyncConnection, tenant: str, sender: str, ticket_id: str) -> Sequence[Ticket]:
    rows = await connection.execute(
        select(support_tickets).where(_T.tenant == tenant, _T.sender == sender, _T.ticket_id == ticket_id)
    )
    said = await connection.execute(
        select(ticket_messages)
        .where(_M.tenant == tenant, _M.sender == sender, _M.ticket_id == ticket_id)
        .order_by(_M.at.desc())
        .limit(MOST_MESSAGES)
    )
    messages = tuple(
        TicketMessage(message_id=row.message_id, side=Side(row.side), machine=bool(row.machine), at=row.at)
        for row in said
    )[::-1]
    names = [name for name in Ticket.model_fields if name != "messages"]
    return [Ticket(**{name: getattr(row, name) for name in names}, messages=messages) for row in rows]
