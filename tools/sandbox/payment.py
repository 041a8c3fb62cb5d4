"""The stand-in payment gateway: captures and refunds. It never gives back more than it took."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from domain.effect import Effect, EffectKind
from domain.errors import ConnectorRejected
from domain.intent import CapturePayment, RefundPayment
from domain.money import Money
from domain.values import Document, Plain
from tools.sandbox.system import Change, System, parse_args, reference


class Balance(Document):
    """What was taken and given back for one order."""

    captured: Money
    refunded: Money


@dataclass(frozen=True)
class PaymentSystem(System):
    """Payments behind ``EffectPort``."""

    handlers = {EffectKind.CAPTURE_PAYMENT: "_capture", EffectKind.REFUND_PAYMENT: "_refund"}

    async def balance(self, order_id: str, *, tenant: str) -> Balance | None:
        """The order's money, or None when nothing was ever captured."""
        found = await self.store.read(lambda connection: _row(connection, order_id, tenant))
        if found is None:
            return None
        currency, captured, refunded = found
        return Balance(
            captured=Money(amount_minor=captured, currency=currency),
            refunded=Money(amount_minor=refunded, currency=currency),
        )

    def _capture(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(CapturePayment, effect)
        if args.amount.amount_minor <= 0:
            raise ConnectorRejected(f"a capture of {args.amount} for {args.order_id} is not positive")
        found = _row(connection, args.order_id, effect.tenant)
        if found is not None and found[0] != args.amount.currency:
            raise ConnectorRejected(f"{args.order_id} was captured in {found[0]}, not {args.amount.currency}")
        connection.execute(
            "INSERT INTO payments (tenant, order_id, currency, captured_minor) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (order_id, tenant) DO UPDATE SET captured_minor = captured_minor + excluded.captured_minor",
            (effect.tenant, args.order_id, args.amount.currency, args.amount.amount_minor),
        )
        return Change(reference=reference("cap", effect), detail=_amount(args.amount))

    def _refund(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(RefundPayment, effect)
        if args.amount.amount_minor <= 0:
            raise ConnectorRejected(f"a refund of {args.amount} for {args.order_id} is not positive")
        found = _row(connection, args.order_id, effect.tenant)
        currency, captured, refunded = found or (args.amount.currency, 0, 0)
        if currency != args.amount.currency:
            raise ConnectorRejected(f"{args.order_id} was captured in {currency}, not {args.amount.currency}")
        if refunded + args.amount.amount_minor > captured:
            left = Money(amount_minor=captured - refunded, currency=currency)
            raise ConnectorRejected(
                f"{args.amount} cannot be refunded for {args.order_id}: {left} of its captures is left"
            )
        connection.execute(
            "UPDATE payments SET refunded_minor = refunded_minor + ? WHERE order_id = ? AND tenant = ?",
            (args.amount.amount_minor, args.order_id, effect.tenant),
        )
        return Change(reference=reference("ref", effect), detail=_amount(args.amount))


def _row(connection: sqlite3.Connection, order_id: str, tenant: str) -> tuple[str, int, int] | None:
    found: tuple[str, int, int] | None = connection.execute(
        "SELECT currency, captured_minor, refunded_minor FROM payments WHERE order_id = ? AND tenant = ?",
        (order_id, tenant),
    ).fetchone()
    return found


def _amount(money: Money) -> dict[str, Plain]:
    return {"amount": {"amount_minor": money.amount_minor, "currency": money.currency}}
