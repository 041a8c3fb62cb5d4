"""What a customer is told about an order that waits: once that goods are missing, nothing about a late count."""

import pytest

from agents.customer_notification import CustomerNotification
from agents.inventory_reservation import InventoryReservation
from domain.decision import Decision
from domain.inventory import StockLevel
from domain.values import Plain
from tests.support.agent_world import NOW, case, decided, level, order, world


async def stock_decision(levels: list[StockLevel]) -> dict[str, Decision]:
    ports = world(levels=levels).ports
    verdict = await InventoryReservation(wms=ports.wms, network=ports.network).decide(case(order()))
    return {"inventory_reservation": decided("inventory_reservation", verdict)}


@pytest.mark.parametrize(
    ("levels", "again", "word"),
    [
        ([level("HKG", on_hand=0)], False, "notify"),
        ([level("HKG", on_hand=0)], True, "nothing_to_send"),
        ([level("HKG", as_of=NOW.replace(year=2025))], False, "nothing_to_send"),
    ],
)
async def test_customers_hear_of_a_delay_once(levels: list[StockLevel], again: bool, word: str) -> None:
    """F12, F56: a shortage is told once however often the order is tried again; a stale feed is no delay."""
    hints: dict[str, Plain] = {"progress": "backordered", "again": again}
    verdict = await CustomerNotification().decide(case(order(), hints=hints, decisions=await stock_decision(levels)))
    assert verdict.decision == word
    assert bool(verdict.proposals) == (word == "notify")
