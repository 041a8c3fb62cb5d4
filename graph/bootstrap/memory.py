"""The audit as the memory of orders whose working state is gone."""

from domain.order import OrderProgress
from graph.runtime.audit import AuditStore


class Memory:
    """What the audit remembers of orders whose working state is gone."""

    def __init__(self, audit: AuditStore) -> None:
        """The audit outlives the working state by years."""
        self._audit = audit

    async def ended(self, tenant: str, order_id: str) -> OrderProgress | None:
        """Where the order last ended, or None when it never did."""
        rows = await self._audit.entity(tenant, "order", order_id)
        for row in reversed(rows):
            name = row.event_type.removeprefix("order.progress.")
            if name != row.event_type and OrderProgress(name).terminal:
                return OrderProgress(name)
        return None
