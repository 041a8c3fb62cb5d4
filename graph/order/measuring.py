"""Measures released orders: what they sold where, and whom their parcels cross a border to. Each order is read once."""

from collections import Counter

from agents.network import Network
from agents.tax_basis import line_values
from domain.consignee import consignee_of
from domain.errors import MalformedPayload
from domain.event import Event
from domain.ids import Sku, ThreadId, WarehouseId
from domain.money import total
from domain.order import OrderProgress
from domain.ports import Delivery, WarehouseReads
from domain.shipment import RoutePlan
from graph.order.release import plan_in_force
from graph.runtime.consignments import Consignments
from graph.runtime.demand_book import DemandBook
from graph.runtime.journal import OCCASIONS
from graph.runtime.orders import OrderRecord
from graph.runtime.store import Store

_RELEASED = f"order.progress.{OrderProgress.FULFILLED.value}"
_CANCELLED = f"order.progress.{OrderProgress.CANCELLED.value}"


class Measuring:
    """Follows the occasions."""

    topic = OCCASIONS
    group = "measures"

    def __init__(self, store: Store, consignees: Consignments, demand: DemandBook, wms: WarehouseReads) -> None:
        """``wms`` says in which country each parcel's warehouse is."""
        self._store = store
        self._consignees = consignees
        self._demand = demand
        self._network = Network(wms, {})

    def concerns(self, delivery: Delivery) -> bool:
        """Whether an order was released or cancelled."""
        return delivery.message.headers.get("t", "") in {_RELEASED, _CANCELLED}

    async def handle(self, delivery: Delivery) -> None:
        """Count a released order; a cancelled one leaves its consignee's count.

        Its sale stays one: the units had been asked for at that hour.

        Raises:
            MalformedPayload: the event cannot be read.
            Transient: order or warehouses cannot be read, or nothing can be noted now.
        """
        try:
            event = Event.from_json(delivery.message.body)
        except ValueError as bad:
            raise MalformedPayload(f"the event cannot be read: {bad}") from None
        if event.event_type == _CANCELLED:
            await self._consignees.drop(event.tenant, event.entity_id)
            return
        thread = ThreadId(delivery.message.key)
        plan = plan_in_force(await self._store.journal.latest(thread))
        if plan is None:
            return
        await self._sold(plan, event)
        record = await self._store.orders.at(thread)
        # Overtaken by its own cancellation, which comes next: counting it would outlive the order.
        if record is not None and record.progress is not OrderProgress.CANCELLED:
            await self._sent(record, plan, event)

    async def _sold(self, plan: RoutePlan, event: Event) -> None:
        units: Counter[tuple[WarehouseId, Sku]] = Counter()
        for parcel in plan.parcels:
            for sku, count in parcel.skus.items():
                units[parcel.warehouse, Sku(sku)] += count
        await self._demand.record(event.event_id, units, at=event.timestamp)

    async def _sent(self, record: OrderRecord, plan: RoutePlan, event: Event) -> None:
        order = record.order
        consignee = consignee_of(order.ship_to) if order else None
        if order is None or consignee is None:
            return
        countries = {site.warehouse: site.country for site in await self._network.warehouses(self._store.clock.now())}
        crossing = [one for one in plan.parcels if countries.get(one.warehouse) != order.ship_to.country]
        if crossing:
            await self._consignees.put(
                record.tenant,
                record.order_id,
                consignee=consignee,
                parcels=len(crossing),
                value=total(line_values(order), order.currency),
                at=event.timestamp,
            )
