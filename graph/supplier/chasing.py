"""Orders nobody has answered: told on the reply-by day and on two more, each once, whoever watches."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import structlog

from domain.errors import StoreUnavailable, Transient
from domain.purchasing import PurchaseOrderState
from domain.values import Plain
from graph.runtime.clock import Clock
from graph.runtime.leases import Leadership
from graph.runtime.purchase_orders import PurchaseOrders
from graph.runtime.store import Store
from graph.supplier.answering import tell

log = structlog.get_logger(__name__)

EVERY_S = 30.0
AFTER_DAYS = (0, 2, 5)
"""Days after the reply-by date on which an unanswered order is told again."""


class UnansweredOrders:
    """Watches over orders that were sent and not answered."""

    def __init__(self, store: Store, orders: PurchaseOrders, clock: Clock, *, lead: Leadership) -> None:
        """``lead`` says whether it is this process that watches."""
        self._store = store
        self._orders = orders
        self._clock = clock
        self._lead = lead
        self._told: set[tuple[str, str, int, int]] = set()

    async def watch(self, stop: asyncio.Event) -> None:
        """Look until stopped, while this process leads; what cannot be done now is done at a later look."""
        while not stop.is_set():
            try:
                if await self._lead.lead():
                    await self.look()
            except Transient as away:
                log.warning("unanswered.not_now", why=str(away))
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await stop.wait()
        with suppress(StoreUnavailable):
            await self._lead.resign()

    async def look(self) -> int:
        """Tell of every order that is due to be told of; returns how many. Told twice it is one event.

        Raises:
            StoreUnavailable: the next look goes on.
        """
        now, told = self._clock.now(), 0
        for stored in await self._orders.everywhere(states=(PurchaseOrderState.SENT,)):
            order = stored.order
            for nth, days in enumerate(AFTER_DAYS, start=1):
                mark = (order.tenant, order.number, order.version, nth)
                if mark in self._told or now.date() <= order.reply_by + timedelta(days=days):
                    continue
                facts: dict[str, Plain] = {"reminder": nth, "of": len(AFTER_DAYS), "reply_by": order.reply_by.isoformat(),
                         "vendor_id": order.vendor.vendor_id}  # fmt: skip
                await tell(self._store, order, "answer_overdue", facts, at=now, part=f"{order.version}:{nth}")
                self._told.add(mark)
                told += 1
        return told
