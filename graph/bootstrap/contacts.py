"""Builds what takes the news of carriers and help desks on the foundation."""

from dataclasses import dataclass

from domain.order import Order
from graph.bootstrap.foundation import Foundation
from graph.order.controller import OrderController
from graph.order.parcels import BookedParcels, ParcelNewsDesk
from graph.runtime.listening import Listener
from graph.runtime.parcel_book import ParcelBook
from graph.runtime.promise_clocks import PromiseClocks
from graph.runtime.ticket_book import TicketBook
from graph.runtime.ticket_clocks import TicketClocks
from graph.runtime.webhooks_taken import WebhooksTaken


@dataclass(frozen=True, kw_only=True)
class Contacts:
    """What outside senders tell about orders and customers."""

    parcels: ParcelNewsDesk
    parcel_book: ParcelBook
    tickets: TicketClocks
    ticket_book: TicketBook
    listeners: tuple[Listener, ...]


def build_contacts(base: Foundation, clocks: PromiseClocks, controller: OrderController) -> Contacts:
    """The desks of carriers' and help desks' news."""
    taken, book, tickets = WebhooksTaken(base.engine), ParcelBook(base.engine), TicketBook(base.engine)

    async def receive(order: Order, correlation_id: str) -> None:
        await controller.receive(order, correlation_id=correlation_id)

    parcels = ParcelNewsDesk(base.store, book, taken, receive)
    return Contacts(
        parcels=parcels,
        parcel_book=book,
        tickets=TicketClocks(tickets, clocks, base.store.orders, taken),
        ticket_book=tickets,
        listeners=(BookedParcels(base.store, book, parcels),),
    )
