"""Asking what an order's consignee was sent before, by the calendar of the destination."""

from agents.tax_rules import TaxTable
from domain.consignee import Consigned, consignee_of
from domain.ports import AgentCase, ConsigneePort


async def consigned(port: ConsigneePort | None, case: AgentCase, table: TaxTable) -> Consigned | None:
    """What other orders sent to the same consignee; None when nobody counts, or nothing tells who it is.

    Raises:
        Transient: the count cannot be read now.
    """
    order = case.order
    consignee = consignee_of(order.ship_to)
    if port is None or consignee is None:
        return None
    country = order.ship_to.country
    return await port.sent(
        tenant=order.tenant,
        consignee=consignee,
        order_id=order.order_id,
        half_year=table.half_year_began(country, case.now),
        day=table.day_began(country, case.now),
        now=case.now,
    )
