"""Keeps the consignees' book: every released order whose parcels cross a border counts, until it is cancelled."""

from agents.network import Network
from agents.tax_basis import line_values
from domain.consignee import consignee_of
from domain.errors import MalformedPayload
from domain.event import Event
from domain.ids import ThreadId
from domain.money import total
from domain.order import OrderProgress
from domain.ports import Delivery, WarehouseReads
from graph.order.release import plan_in_force
from graph.runtime.consignments import Consignments
from graph.runtime.journal import OCCASIONS
from graph.runtime.orders import OrderRecord
from graph.runtime.store import Store

_RELEASED = f"order.progress.{OrderProgress.FULFILLED.value}"
_CANCELLED = f"order.progress.{OrderProgress.CANCELLED.value}"


class Consigning:
    """Follows the occasions."""

    topic = OCCASIONS
    group = "consignees"

    def __init__(self, store: Store, book: Consignments, wms: WarehouseReads) -> None:
        """``wms`` says in which country each parcel's warehouse is."""
        self._store = store
        self._book = book
        self._network = Network(wms, {})

    def concerns(self, delivery: Delivery) -> bool:
        """Whether an order was released or cancelled."""
        return delivery.message.headers.get("t", "") in {_RELEASED, _CANCELLED}

    async def handle(self, delivery: Delivery) -> None:
        """Count the order or take it off.

        Raises:
            MalformedPayload: the event cannot be read.
            Transient: order or warehouses cannot be read now.
        """
        try:
            event = Event.from_json(delivery.message.body)
        except ValueError as bad:
            raise MalformedPayload(f"the event cannot be read: {bad}") from None
        if event.event_type == _CANCELLED:
            await self._book.drop(event.tenant, event.entity_id)
            return
        record = await self._store.orders.at(ThreadId(delivery.message.key))
        # Overtaken by its own cancellation, which comes next: counting it would outlive the order.
        if record is not None and record.progress is not OrderProgress.CANCELLED:
            await self._count(record, event)

    async def _count(self, record: OrderRecord, event: Event) -> None:
        order = record.order
        consignee = consignee_of(order.ship_to) if order else None
        plan = plan_in_force(await self._store.journal.latest(record.thread))
        if order is None or consignee is None or plan is None:
            return
        countries = {site.warehouse: site.country for site in await self._network.warehouses(self._store.clock.now())}
        crossing = [one for one in plan.parcels if countries.get(one.warehouse) != order.ship_to.country]
        if not crossing:
            return
        await self._book.put(
            record.tenant,
            record.order_id,
            consignee=consignee,
            parcels=len(crossing),
            value=total(line_values(order), order.currency),
            at=event.timestamp,
        )
