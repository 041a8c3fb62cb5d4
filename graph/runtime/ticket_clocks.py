"""Reply clocks of tickets: started when a customer writes, ended when somebody answers, as their channel's rules say."""

from collections.abc import Sequence
from datetime import datetime

from domain.ids import TenantId
from domain.promise_clock import ClockRule, PromiseClock
from domain.ticket import TicketNews, Wait, waits
from graph.runtime.orders import OrderBook
from graph.runtime.promise_clocks import PromiseClocks
from graph.runtime.ticket_book import Ticket, TicketBook
from graph.runtime.webhooks_taken import WebhooksTaken

OWN_PROMISE = "support_reply"
"""The clock of tickets from channels without reply rules of their own."""
_CHAT = "_chat_"


class TicketClocks:
    """Takes what help desks tell. Everything it does follows from the whole ticket, so order and repeats mean nothing."""

    def __init__(self, book: TicketBook, clocks: PromiseClocks, orders: OrderBook, taken: WebhooksTaken) -> None:
        """``orders`` tells whether an order a ticket names is one of ours."""
        self._book = book
        self._clocks = clocks
        self._orders = orders
        self._taken = taken

    async def take(self, tenant: TenantId, sender: str, news: TicketNews, *, now: datetime) -> bool:
        """Keep the news and bring the ticket's clocks up to date; False when this event was taken before.

        Raises:
            StoreUnavailable: it was not taken, or not wholly; the sender should repeat.
        """
        if await self._taken.known(tenant, sender, news.event_id):
            return False
        entity = await self._entity(tenant, sender, news)
        ticket = await self._book.take(tenant, sender, news, entity=entity, at=now)
        await self._bring_up_to_date(tenant, ticket)
        await self._taken.note(tenant, sender, news.event_id, at=now)
        return True

    async def of_ticket(self, tenant: str, ticket: Ticket) -> list[PromiseClock]:
        """The clocks a ticket has started.

        Raises:
            StoreUnavailable: no answer.
        """
        known = await self._clocks.listed(tenant, running=False, entity_id=ticket.entity_id)
        return [one for one in known if one.subject.startswith(_subject(ticket, ""))]

    async def _entity(self, tenant: str, sender: str, news: TicketNews) -> tuple[str, str]:
        candidates = [news.order, f"{news.channel}-{news.order}"] if news.order else []
        for order_id in candidates:
            if await self._orders.find(tenant, order_id) is not None:
                return "order", order_id
        return "ticket", f"{sender}-{news.ticket_id}"[:200]

    def _rules(self, channel: str) -> Sequence[ClockRule]:
        own = [rule for rule in self._clocks.rules.values() if rule.channel == channel and _CHAT in rule.kind]
        promise = self._clocks.rules.get(OWN_PROMISE)
        return own if channel and own else [promise] if promise else []

    async def _bring_up_to_date(self, tenant: TenantId, ticket: Ticket) -> None:
        known = {(one.kind, one.subject): one for one in await self.of_ticket(tenant, ticket)}
        for rule in self._rules(ticket.channel):
            found = waits(ticket.messages, machines_count=rule.machines_count)
            for wait in found:
                subject = _subject(ticket, wait.message_id)
                if (rule.kind, subject) not in known:
                    entity = (ticket.entity_type, ticket.entity_id)
                    known[rule.kind, subject] = await self._clocks.start(
                        tenant, rule.kind, entity=entity, subject=subject, started=wait.since
                    )
            # A clock of a later message of the same wait, told before the first one, ends with that wait.
            for clock in (one for one in known.values() if one.kind == rule.kind and one.state.runs):
                await self._end(tenant, ticket, found, clock)

    async def _end(self, tenant: TenantId, ticket: Ticket, found: Sequence[Wait], clock: PromiseClock) -> None:
        wait = next((one for one in reversed(found) if one.since <= clock.started_at), None)
        if wait is None:
            return
        if wait.answered_at is not None:
            who = f"{ticket.sender}:{'machine' if wait.by_machine else 'agent'}"
            await self._clocks.end(tenant, clock.clock_id, by=who, at=wait.answered_at)
        elif ticket.closed_at is not None and ticket.closed_at >= clock.started_at:
            await self._clocks.end(tenant, clock.clock_id, by=ticket.sender, at=ticket.closed_at, stopped=True)


def _subject(ticket: Ticket, message_id: str) -> str:
    """Which wait a clock is about; ids only."""
    return f"{ticket.sender}:{ticket.ticket_id}:{message_id}"
