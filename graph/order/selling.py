"""Notes what released orders sold where: what demand is measured by."""

from collections import Counter

from domain.errors import MalformedPayload
from domain.event import Event
from domain.ids import Sku, ThreadId, WarehouseId
from domain.order import OrderProgress
from domain.ports import Delivery
from graph.order.release import plan_in_force
from graph.runtime.demand_book import DemandBook
from graph.runtime.journal import OCCASIONS
from graph.runtime.store import Store

_RELEASED = f"order.progress.{OrderProgress.FULFILLED.value}"


class Selling:
    """Follows the occasions. A later cancellation takes no sale back: the units had been asked for at that hour."""

    topic = OCCASIONS
    group = "demand"

    def __init__(self, store: Store, book: DemandBook) -> None:
        """``book`` keeps the sales."""
        self._store = store
        self._book = book

    def concerns(self, delivery: Delivery) -> bool:
        """Whether an order was released."""
        return delivery.message.headers.get("t", "") == _RELEASED

    async def handle(self, delivery: Delivery) -> None:
        """Note the order's units, by the warehouses its plan takes them from.

        Raises:
            MalformedPayload: the event cannot be read.
            Transient: it cannot be noted now.
        """
        try:
            event = Event.from_json(delivery.message.body)
        except ValueError as bad:
            raise MalformedPayload(f"the event cannot be read: {bad}") from None
        plan = plan_in_force(await self._store.journal.latest(ThreadId(delivery.message.key)))
        sold: Counter[tuple[WarehouseId, Sku]] = Counter()
        for parcel in plan.parcels if plan is not None else ():
            for sku, units in parcel.skus.items():
                sold[parcel.warehouse, Sku(sku)] += units
        await self._book.record(event.event_id, sold, at=event.timestamp)
