"""Mail about purchase orders: letters that left, and answers, each once by its Message-ID."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from pydantic import AwareDatetime
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import StoreUnavailable
from domain.values import Document
from graph.runtime.audit_reviews import insert_into
from graph.runtime.purchasing_schema import purchase_mail

_OUT, _IN = "out", "in"


class Mailed(Document):
    """One message about an order."""

    message_id: str
    number: str
    direction: str
    """``out`` or ``in``."""
    kind: str
    """``letter`` for ours; of an answer what was done with it."""
    at: AwareDatetime
    body: str
    """The receipt of a letter as JSON, empty while nobody knows; of an answer what was read of it, as JSON."""


class PurchaseMail:
    """The log of mail; also what the SMTP connector notes its hand-overs in."""

    def __init__(self, engine: AsyncEngine) -> None:
        """The schema is up to date."""
        self._engine = engine

    async def handing_over(self, tenant: str, message_id: str, number: str, at: datetime) -> None:
        """Note that the text of a letter is about to leave."""
        await self._note(tenant, message_id, number, _OUT, "letter", at, "")

    async def handed_over(self, tenant: str, message_id: str, receipt: str, at: datetime) -> None:
        """Note the server's word that it has it."""
        async with self._reach() as connection:
            await connection.execute(
                update(purchase_mail)
                .where(purchase_mail.c.tenant == tenant, purchase_mail.c.message_id == message_id)
                .values(body=receipt, at=at)
            )

    async def not_taken(self, tenant: str, message_id: str) -> None:
        """Forget a hand-over the server refused in words; one it confirmed stays."""
        async with self._reach() as connection:
            await connection.execute(
                delete(purchase_mail).where(
                    purchase_mail.c.tenant == tenant,
                    purchase_mail.c.message_id == message_id,
                    purchase_mail.c.body == "",
                )
            )

    async def find(self, tenant: str, message_id: str) -> str | None:
        """The receipt of a letter, empty text when it was on its way and nobody knows, None when it never left."""
        found = await self.message(tenant, message_id)
        return None if found is None else found.body

    async def answered(self, tenant: str, message_id: str, number: str, *, kind: str, at: datetime, body: str) -> bool:
        """Keep an answer; False when this message was kept before."""
        return await self._note(tenant, message_id, number, _IN, kind, at, body)

    async def message(self, tenant: str, message_id: str) -> Mailed | None:
        """One message, or None."""
        wanted = select(purchase_mail).where(purchase_mail.c.tenant == tenant, purchase_mail.c.message_id == message_id)
        async with self._reach() as connection:
            row = (await connection.execute(wanted)).first()
        return None if row is None else _mailed(row)

    async def of_order(self, tenant: str, number: str) -> list[Mailed]:
        """Everything written and answered about an order, oldest first."""
        wanted = (
            select(purchase_mail)
            .where(purchase_mail.c.tenant == tenant, purchase_mail.c.number == number)
            .order_by(purchase_mail.c.at, purchase_mail.c.message_id)
        )
        async with self._reach() as connection:
            return [_mailed(row) for row in await connection.execute(wanted)]

    async def _note(
        self, tenant: str, message_id: str, number: str, direction: str, kind: str, at: datetime, body: str
    ) -> bool:
        row = {
            "tenant": tenant, "message_id": message_id, "number": number, "direction": direction, "kind": kind, "at": at,
            "body": body,
        }  # fmt: skip
        async with self._reach() as connection:
            done = await connection.execute(
                insert_into(purchase_mail, connection).values(**row).on_conflict_do_nothing()
            )
        return done.rowcount == 1

    @asynccontextmanager
    async def _reach(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except (DBAPIError, PoolTimeout, OSError) as away:
            raise StoreUnavailable(f"the log of purchase mail does not answer: {type(away).__name__}") from away


def _mailed(row: object) -> Mailed:
    names = ("message_id", "number", "direction", "kind", "at", "body")
    return Mailed(**{name: getattr(row, name) for name in names})
