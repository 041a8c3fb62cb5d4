"""Which webhooks of outside senders were taken, so that a repeat changes nothing."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from graph.runtime.audit_reviews import insert_into
from graph.runtime.contact_schema import webhooks_taken
from graph.runtime.sql import transaction

KEPT = timedelta(days=30)


class WebhooksTaken:
    """Remembers event ids per tenant and sender. What a webhook does is repeatable, so it is noted after it was done."""

    def __init__(self, engine: AsyncEngine) -> None:
        """``engine`` is the installation's database."""
        self._engine = engine

    async def known(self, tenant: str, sender: str, event_id: str) -> bool:
        """Whether the webhook was taken before.

        Raises:
            StoreUnavailable: nobody can say now.
        """
        t = webhooks_taken.c
        wanted = select(t.taken_at).where(t.tenant == tenant, t.sender == sender, t.event_id == event_id)
        async with transaction(self._engine, "the book of webhooks") as connection:
            return (await connection.execute(wanted)).first() is not None

    async def note(self, tenant: str, sender: str, event_id: str, *, at: datetime) -> None:
        """Note that the webhook was taken; forgets those nobody repeats any more.

        Raises:
            StoreUnavailable: it was not noted; taking it again is safe.
        """
        row = {"tenant": tenant, "sender": sender, "event_id": event_id, "taken_at": at}
        async with transaction(self._engine, "the book of webhooks") as connection:
            await connection.execute(delete(webhooks_taken).where(webhooks_taken.c.taken_at < at - KEPT))
            await connection.execute(insert_into(webhooks_taken, connection).values(**row).on_conflict_do_nothing())
