"""The stand-in message gateway: an outbox instead of mail, marketplace chat and letters. Nothing leaves the machine."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from pydantic import AwareDatetime

from domain.effect import Effect, EffectKind
from domain.errors import ConnectorRejected
from domain.intent import SendMessage, SendPurchaseOrder
from domain.values import Document
from tools.sandbox.system import Change, System, parse_args, reference


class SentMessage(Document):
    """One message in the outbox."""

    message: SendMessage
    sent_at: AwareDatetime


class SentLetter(Document):
    """One purchase order in the outbox."""

    letter: SendPurchaseOrder
    sent_at: AwareDatetime


@dataclass(frozen=True)
class MessageSystem(System):
    """Messages to customers and letters to suppliers behind ``EffectPort``."""

    handlers = {EffectKind.SEND_MESSAGE: "_send", EffectKind.SEND_PURCHASE_ORDER: "_send_purchase_order"}

    async def outbox(self, order_id: str, *, tenant: str) -> list[SentMessage]:
        """What was sent about one order, oldest first."""
        rows = await self.store.read(
            lambda connection: connection.execute(
                "SELECT message, sent_at FROM outbox WHERE order_id = ? AND tenant = ? ORDER BY position",
                (order_id, tenant),
            ).fetchall()
        )
        return [
            SentMessage(message=SendMessage.from_json(text), sent_at=datetime.fromisoformat(sent_at))
            for text, sent_at in rows
        ]

    def _send(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(SendMessage, effect)
        if not args.recipient.strip():
            raise ConnectorRejected(f"the message {args.template} for {args.order_id} has no recipient")
        connection.execute(
            "INSERT INTO outbox (tenant, order_id, message, sent_at) VALUES (?, ?, ?, ?)",
            (effect.tenant, args.order_id, args.to_json(), now.isoformat()),
        )
        return Change(reference=reference("msg", effect), detail={"template": args.template})

    async def letters(self, number: str, *, tenant: str) -> list[SentLetter]:
        """What was sent under the number of a purchase order, oldest first."""
        rows = await self.store.read(
            lambda connection: connection.execute(
                "SELECT letter, sent_at FROM purchase_letters WHERE number = ? AND tenant = ? ORDER BY position",
                (number, tenant),
            ).fetchall()
        )
        return [
            SentLetter(letter=SendPurchaseOrder.from_json(text), sent_at=datetime.fromisoformat(sent_at))
            for text, sent_at in rows
        ]

    def _send_purchase_order(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(SendPurchaseOrder, effect)
        if not args.recipient.strip():
            raise ConnectorRejected(f"purchase order {args.number} has no recipient; see the vendor master")
        connection.execute(
            "INSERT INTO purchase_letters (tenant, number, letter, sent_at) VALUES (?, ?, ?, ?)",
            (effect.tenant, args.number, args.to_json(), now.isoformat()),
        )
        return Change(reference=reference("letter", effect), detail={"version": args.version})
