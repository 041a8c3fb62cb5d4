"""Carriers' news on the order: written into its journal, and a delivery of the last parcel into its state.

A doubtful delivery is told and moves nothing. The order moves through the same door as a platform's report.
"""

import re
from collections.abc import Awaitable, Callable

import structlog

from domain.effect import EffectKind
from domain.ids import TenantId, ThreadId
from domain.order import Order, OrderProgress, OrderState
from domain.ports import Delivery
from domain.tracking import Tracking, TrackingStatus
from domain.transitions import Step, step
from domain.values import Plain
from graph.runtime.journal import OCCASIONS
from graph.runtime.orders import OrderRecord, happening
from graph.runtime.parcel_book import KnownParcel, ParcelBook
from graph.runtime.store import Store
from graph.runtime.webhooks_taken import WebhooksTaken

log = structlog.get_logger(__name__)

SURE = 0.7
"""Below this a person decides; a delivery as doubtful as that moves no order."""
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")

Receive = Callable[[Order, str], Awaitable[None]]
"""Takes a newer version of an order, with its correlation id, as from a platform."""


class ParcelNewsDesk:
    """Takes what carriers tell and writes it down where the order is."""

    def __init__(self, store: Store, book: ParcelBook, taken: WebhooksTaken, receive: Receive) -> None:
        """``receive`` is the controller's door; the rest is shared with the runtime."""
        self._store = store
        self._book = book
        self._taken = taken
        self._receive = receive

    async def take(self, tenant: TenantId, sender: str, event_id: str, *, tracking: Tracking, order: str) -> bool:
        """Keep the news and tell the order it is about; False when this event was taken before.

        Raises:
            StoreUnavailable: it was not taken, or not wholly; the sender should repeat.
        """
        if await self._taken.known(tenant, sender, event_id):
            return False
        now = self._store.clock.now()
        # A name a sender was told counts only when it is an order of this tenant.
        named = order if order and await self._store.orders.find(tenant, order) is not None else ""
        known = await self._book.heard(tenant, tracking, order_id=named, at=now)
        if known is not None:
            await self.tell(tenant, known)
        await self._taken.note(tenant, sender, event_id, at=now)
        return True

    async def tell(self, tenant: TenantId, parcel: KnownParcel) -> None:
        """Write a parcel's news into its order's journal and state; the same news again is the same event.

        Raises:
            Transient: it was not written, or not wholly; repeating is safe.
        """
        if not parcel.order_id or parcel.status is None:
            return
        record = await self._store.orders.find(tenant, parcel.order_id)
        if record is None:
            log.info("parcel.order_expired", order=parcel.order_id)
            return
        kind = f"order.parcel.{_CAMEL.sub('_', parcel.status.value).lower()}"
        event = happening(record, kind, _facts(parcel), at=self._store.clock.now())
        await self._store.journal.publish(record.thread, [event], at=event.timestamp)
        if parcel.status is TrackingStatus.DELIVERED:
            await self._move(record)

    async def _move(self, record: OrderRecord) -> None:
        """The released order to delivered, when every parcel is for sure and the state machine allows it."""
        if record.order is None or record.progress is not OrderProgress.FULFILLED:
            return
        parcels = await self._book.of_order(record.tenant, record.order_id)
        arrived = [one.delivered_at for one in parcels if _delivered(one) and one.delivered_at is not None]
        if len(arrived) < len(parcels):
            return
        if step(record.order.state, OrderState.DELIVERED) is not Step.FORWARD:
            log.info("parcel.state_stays", order=record.order_id, state=record.order.state.value)
            return
        moved = {"state": OrderState.DELIVERED, "updated_at": max(record.order.updated_at, *arrived)}
        await self._receive(record.order.model_copy(update=moved), record.correlation_id)


def _facts(parcel: KnownParcel) -> dict[str, Plain]:
    return {
        "tracking_number": parcel.tracking_number,
        "carrier": parcel.carrier,
        "status": parcel.status.value if parcel.status else "",
        "sub_reason": parcel.sub_reason.value,
        "scanned_at": parcel.scanned_at.isoformat() if parcel.scanned_at else "",
        "delivered_at": parcel.delivered_at.isoformat() if parcel.delivered_at else "",
        "doubts": [doubt.value for doubt in parcel.doubts],
        "sure": parcel.confidence >= SURE,
    }


class BookedParcels:
    """Notes whose parcels the numbers are, when an order has been released; news that came earlier is told now."""

    topic = OCCASIONS
    group = "parcels"

    def __init__(self, store: Store, book: ParcelBook, desk: ParcelNewsDesk) -> None:
        """``desk`` tells what was heard before."""
        self._store = store
        self._book = book
        self._desk = desk

    def concerns(self, delivery: Delivery) -> bool:
        """Whether an order was released."""
        return delivery.message.headers.get("t") == f"order.progress.{OrderProgress.FULFILLED.value}"

    async def handle(self, delivery: Delivery) -> None:
        """Note the tracking numbers of the order's labels.

        Raises:
            Transient: it cannot be done now.
        """
        thread = ThreadId(delivery.message.key)
        record = await self._store.orders.at(thread)
        if record is None:
            return
        labels = [one.receipt for one in await self._store.ledger.records(thread) if one.kind is EffectKind.BOOK_LABEL]
        numbers = [str(one.detail["tracking"]) for one in labels if one is not None and "tracking" in one.detail]
        for parcel in await self._book.booked(record.tenant, record.order_id, numbers, at=self._store.clock.now()):
            await self._desk.tell(record.tenant, parcel)


def _delivered(parcel: KnownParcel) -> bool:
    return parcel.status is TrackingStatus.DELIVERED and parcel.confidence >= SURE
