"""Signalbox's own working state as a source: orders of the last days with what agents decided and what was done."""

import asyncio
from collections.abc import Sequence

from domain.decision import Decision
from domain.effect import EffectKind, EffectRecord, EffectState
from domain.money import Money
from domain.order import Channel, Order, OrderProgress, OrderState, PaymentState
from domain.review import ReviewState
from domain.shipment import RoutePlan
from domain.support_identity import Subject, email_key, order_key, phone_key, same_phone
from domain.support_sources import HistoryLine, HistoryOrder, HistoryPayment
from graph.runtime.orders import OrderRecord
from graph.runtime.store import Store
from graph.support.gathering import OwnOrder

LOOKED_THROUGH = 500
"""Orders last changed that are compared when nothing has the number as its id: numbers people see, people themselves."""
_PLANNERS = ("shipping_method", "order_routing")
_TAKEN = frozenset({PaymentState.PAID, PaymentState.PARTLY_REFUNDED, PaymentState.REFUNDED})


class OwnState:
    """Finds orders in the working store."""

    def __init__(self, store: Store) -> None:
        """``store`` is the installation's."""
        self._store = store

    async def find(self, tenant: str, asked: Subject) -> Sequence[OwnOrder]:
        """The orders the subject names or whose buyer it fits."""
        named = asked.order.strip()
        ids = [named, *(f"{channel}-{named.lstrip('#')}" for channel in Channel)] if named else []
        direct = await asyncio.gather(*(self._store.orders.find(tenant, one) for one in ids))
        records = [one for one in direct if one is not None and one.order is not None]
        if not records:
            recent = await self._store.orders.recent(tenant, limit=LOOKED_THROUGH)
            records = [one for one in recent if one.order is not None and _fits(one.order, asked)]
            if asked.tracking and not records:
                found = await asyncio.gather(*(self._own(one) for one in recent if one.order is not None))
                return [one for one in found if order_key(asked.tracking) in map(order_key, one.order.tracking)]
        return await asyncio.gather(*(self._own(one) for one in records))

    async def _own(self, record: OrderRecord) -> OwnOrder:
        decisions, effects = await asyncio.gather(
            self._store.journal.decisions(record.thread), self._store.ledger.records(record.thread)
        )
        order = record.order
        if order is None:
            raise ValueError("only orders that have been read are given on")
        present = [one for one in decisions if one.attempt_group == record.attempt_group]
        return OwnOrder(
            order=_history(order, record.progress, effects),
            progress=record.progress,
            decisions=list({one.agent: one for one in present}.values()),
            blind=await self._blind(record),
            plan=_plan(present),
        )

    async def _blind(self, record: OrderRecord) -> bool:
        if not record.review_id:
            return False
        review = await self._store.reviews.find(record.tenant, record.review_id)
        return review.blind and review.state is ReviewState.OPEN


def _fits(order: Order, asked: Subject) -> bool:
    if asked.order:
        return order_key(asked.order) in {order_key(order.external_number), order_key(order.external_id)}
    if asked.tracking:
        return False
    if asked.customer:
        return order.customer.customer_id == asked.customer
    buyer = order.customer
    if asked.phone and not same_phone(phone_key(buyer.phone or order.ship_to.phone), phone_key(asked.phone)):
        return False
    if asked.email and email_key(buyer.email) != email_key(asked.email):
        return False
    if asked.name:
        name = buyer.name or order.ship_to.name
        named = Subject(name=asked.name, postcode=asked.postcode)
        return named.fits_profile(email="", phone="", name=name, postcode=order.ship_to.postcode)
    return bool(asked.phone or asked.email)


def _history(order: Order, progress: OrderProgress, effects: Sequence[EffectRecord]) -> HistoryOrder:
    undone = {record.key.removeprefix("undo:") for record in effects if record.key.startswith("undo:")}
    done = [one for one in effects if one.state is EffectState.DONE and one.key not in undone and one.receipt]
    labels = [one.receipt for one in done if one.kind is EffectKind.BOOK_LABEL and one.receipt]
    return HistoryOrder(
        order_id=order.order_id,
        number=order.external_number or order.external_id,
        customer_id=order.customer.customer_id,
        channel=order.channel,
        placed_at=order.placed_at,
        state=_state(order, progress),
        currency=order.currency,
        total=order.total,
        lines=tuple(
            HistoryLine(
                line_id=line.line_id, sku=line.sku, name=line.title or line.sku, quantity=line.quantity,
                quantity_open=line.quantity_open, unit_price=line.unit_price,
            )
            for line in order.lines
        ),
        payments=_payments(order, done),
        tracking=tuple(str(receipt.detail.get("tracking", receipt.reference)) for receipt in labels),
        ship_to=order.ship_to,
        email=order.customer.email,
        phone=order.customer.phone,
        promised_at=order.deliver_by,
    )  # fmt: skip


def _state(order: Order, progress: OrderProgress) -> OrderState:
    if progress is OrderProgress.CANCELLED:
        return OrderState.CANCELLED
    if progress is OrderProgress.FULFILLED and not order.state.left_our_hands:
        return OrderState.READY_TO_SHIP
    return order.state


def _payments(order: Order, done: Sequence[EffectRecord]) -> tuple[HistoryPayment, ...]:
    method, name = order.payment.method, order.payment.method.value
    captured = any(one.kind is EffectKind.CAPTURE_PAYMENT for one in done)
    if order.payment.state not in _TAKEN and not captured:
        return ()
    found = [HistoryPayment(kind="payment", amount=order.total, method_id=name, method=method, at=order.placed_at)]
    if order.payment.state in {PaymentState.PARTLY_REFUNDED, PaymentState.REFUNDED}:
        back = order.total - order.total_open
        found.append(HistoryPayment(kind="refund", amount=back, method_id=name, method=method))
    for one in done:
        if one.kind is EffectKind.REFUND_PAYMENT and one.receipt and "amount" in one.receipt.detail:
            amount = Money.model_validate(one.receipt.detail["amount"])
            at = one.receipt.applied_at
            found.append(HistoryPayment(kind="refund", amount=amount, method_id=name, method=method, at=at))
    return tuple(found)


def _plan(decisions: Sequence[Decision]) -> RoutePlan | None:
    by_agent = {one.agent: one for one in decisions}
    for agent in _PLANNERS:
        plan = by_agent[agent].facts.get("plan") if agent in by_agent else None
        if plan is not None:
            return RoutePlan.model_validate(plan)
    return None
