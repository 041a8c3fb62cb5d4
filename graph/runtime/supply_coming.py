"""What our own open purchase orders will bring, for whoever counts goods under way."""

from collections.abc import Sequence

from domain.ids import Sku
from domain.purchasing import PurchaseOrderState
from domain.supply_ports import InboundSupply
from graph.runtime.purchase_orders import PurchaseOrders

OPEN = tuple(state for state in PurchaseOrderState if state.open)
MOST = 5000


class ComingOrders:
    """Implements ``domain.supply_ports.ComingPort`` on the store of purchase orders."""

    def __init__(self, orders: PurchaseOrders) -> None:
        """``orders`` is shared with the rest of the runtime."""
        self._orders = orders

    async def coming(self, tenant: str, skus: Sequence[str], *, besides: str = "") -> Sequence[InboundSupply]:
        """Units of open orders, drafts among them, except those of the order ``besides``.

        Raises:
            StoreUnavailable: no answer.
        """
        wanted = set(skus)
        found = []
        for stored in await self._orders.listed(tenant, states=OPEN, limit=MOST):
            order = stored.order
            if order.number == besides:
                continue
            found += [
                InboundSupply(
                    sku=Sku(line.sku),
                    reference=order.number,
                    units=line.quantity,
                    due=order.deliver_until,
                    on_time=order.vendor.on_time,
                )
                for line in order.lines
                if line.sku in wanted
            ]
        return found
