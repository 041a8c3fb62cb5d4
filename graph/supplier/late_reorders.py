"""Follows the choice of suppliers: where no delivery comes in time, sales of the SKU are slowed until goods are there."""

from domain.errors import InputError
from domain.event import Event
from domain.ports import Delivery
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.supply_cases import ENTITY, SupplyCases
from graph.supplier.slowing import Slowing

CHOSEN = f"{ENTITY}.supplier_choice.completed"
LATE = "slow_sales"


class LateReorders:
    """A listener on the journal."""

    topic = JOURNAL
    group = "merchandising"

    def __init__(self, cases: SupplyCases, slowing: Slowing) -> None:
        """Both are shared with the rest of the workflow."""
        self._cases = cases
        self._slowing = slowing

    def concerns(self, delivery: Delivery) -> bool:
        """Whether a supplier was chosen."""
        return delivery.message.headers.get("t", "") == CHOSEN

    async def handle(self, delivery: Delivery) -> None:
        """Slow what will run out first; a plan that stands is left as it is.

        Raises:
            Transient: it cannot be done now; it is delivered again.
        """
        event = Event.from_json(delivery.message.body)
        flags = event.result.get("flags")
        record = await self._cases.find(event.tenant, event.entity_id)
        if record is None or not isinstance(flags, list) or LATE not in flags:
            return
        for sku in record.trigger.skus:
            try:
                await self._slowing.consider(event.tenant, sku)
            except InputError:
                continue  # never sold: there are no sales to slow
