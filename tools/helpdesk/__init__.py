"""Help desks' webhooks, read as data."""

from datetime import datetime

from domain.ticket import TicketNews
from tools.helpdesk.gorgias import read_gorgias
from tools.helpdesk.intercom import read_intercom
from tools.senders import Sender


def read_ticket(sender: Sender, raw: bytes, *, now: datetime) -> TicketNews | None:
    """What an authentic webhook tells; None when it is about no ticket.

    Raises:
        MalformedPayload: it cannot be read.
    """
    return read_intercom(raw, now=now) if sender is Sender.INTERCOM else read_gorgias(raw, now=now)
