"""Whether an order still agrees with the ERP: what a person approves, and what is sent, must be what is offered now."""

from collections.abc import Sequence
from datetime import date

from agents.purchase_verification import standing_terms
from agents.supply_case import SupplyPorts
from domain.purchasing import PurchaseOrder
from domain.values import digest


class StandingTerms:
    """Compares an order with vendor master and offers at this moment."""

    def __init__(self, ports: SupplyPorts) -> None:
        """``ports`` are shared with the agents."""
        self._ports = ports

    async def findings(self, order: PurchaseOrder, *, today: date) -> Sequence[tuple[str, str]]:
        """What no longer agrees: check and sentence.

        Raises:
            Transient: it could not be read.
        """
        return await standing_terms(self._ports, order, today=today)

    async def seal(self, order: PurchaseOrder, *, today: date) -> str:
        """The digest of an order that still stands as shown; another one when its terms have changed.

        Raises:
            Transient: it could not be read.
        """
        changed = await self.findings(order, today=today)
        return digest([order.content_digest, [list(one) for one in changed]]) if changed else order.content_digest
