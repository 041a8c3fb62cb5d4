"""The store of purchase orders: numbers, triggers, versions and states, under many hands at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import Conflict, NotFound
from domain.purchasing import PurchaseOrderState as State
from graph.runtime.database import open_database, upgrade
from graph.runtime.purchase_orders import PurchaseOrders
from tests.support.purchasing import line, purchase_order

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = open_database(f"sqlite+aiosqlite:///{tmp_path / 'po.sqlite3'}")
    await upgrade(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
def store(engine: AsyncEngine) -> PurchaseOrders:
    return PurchaseOrders(engine)


async def test_one_trigger_has_one_number_however_many_see_it(store: PurchaseOrders) -> None:
    """F34: twenty sightings of one alert take one number; the next alert takes the next, without a gap."""
    taken = await asyncio.gather(*(store.begin("acme", "stock:SKU-1:2026-11-22", at=NOW) for _ in range(20)))
    assert {number for number, _ in taken} == {"PO-2026-000001"}
    assert sum(first for _, first in taken) == 1
    others = await asyncio.gather(*(store.begin("acme", f"alert:{n}", at=NOW) for n in range(10)))
    assert sorted(number for number, _ in others) == [f"PO-2026-{n:06d}" for n in range(2, 12)]
    assert await store.begin("rival", "x", at=NOW) == ("PO-2026-000001", True)
    assert (await store.begin("acme", "y", at=NOW.replace(year=2027)))[0] == "PO-2027-000001"


async def test_a_version_is_kept_once_and_an_amendment_replaces_it(store: PurchaseOrders) -> None:
    """F34, P26: keeping again changes nothing, other content is refused, the first version can still be read."""
    first = purchase_order([line(1, 100, "5")], tenant="acme", number="PO-2026-000001")
    await store.keep(first, letter="{}", by="agent:po", at=NOW)
    again = await store.keep(first, letter="{}", by="agent:po", at=NOW)
    assert (again.order, again.state) == (first, State.DRAFT)
    other = purchase_order([line(1, 200, "5")], tenant="acme", number="PO-2026-000001")
    with pytest.raises(Conflict, match="other content"):
        await store.keep(other, letter="{}", by="agent:po", at=NOW)
    second = other.model_copy(update={"version": 2})
    await store.move("acme", first.number, to=State.REJECTED, expected=[State.DRAFT], at=NOW)
    now = await store.keep(second, letter="{}", by="person:mei", at=NOW)
    assert (now.order.version, now.state) == (2, State.DRAFT)
    assert (await store.version("acme", first.number, 1))[0] == first
    with pytest.raises(Conflict, match="too old"):
        await store.keep(first, letter="{}", by="agent:po", at=NOW)


async def test_a_state_is_moved_once_and_only_from_where_it_may(store: PurchaseOrders) -> None:
    """F37: of two people at once one moves it; the instants split the cycle into work and waiting."""
    order = purchase_order([line(1, 100, "5")], tenant="acme", number="PO-2026-000001")
    await store.keep(order, letter="{}", by="agent:po", at=NOW, triggered_at=NOW - timedelta(minutes=1))
    await store.move("acme", order.number, to=State.IN_REVIEW, expected=[State.DRAFT], at=NOW)
    moves = [State.APPROVED, State.REJECTED]
    later = NOW + timedelta(hours=1)
    done = await asyncio.gather(
        *(store.move("acme", order.number, to=to, expected=[State.IN_REVIEW], at=later) for to in moves),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Conflict) for one in done) == 1
    now = await store.find("acme", order.number)
    assert now.state in moves
    assert (now.triggered_at, now.drafted_at, now.decided_at) == (NOW - timedelta(minutes=1), NOW, later)
    assert (await store.move("acme", order.number, to=now.state, expected=[State.IN_REVIEW], at=later)) == now


async def test_open_units_count_only_what_may_still_arrive(store: PurchaseOrders) -> None:
    """F34, P26: units of open orders suppress a second one; a rejected or received order does not."""
    for n, state in ((1, State.SENT), (2, State.REJECTED), (3, State.RECEIVED)):
        order = purchase_order([line(1, 100 * n, "5")], tenant="acme", number=f"PO-2026-00000{n}")
        await store.keep(order, letter="{}", by="agent:po", at=NOW)
        await store.move("acme", order.number, to=state, expected=[State.DRAFT], at=NOW)
    assert await store.open_units("acme", ["SKU-1", "SKU-2"]) == {"SKU-1": 100, "SKU-2": 0}
    assert await store.open_units("rival", ["SKU-1"]) == {"SKU-1": 0}
    assert [one.order.number for one in await store.listed("acme", states=[State.SENT])] == ["PO-2026-000001"]
    with pytest.raises(NotFound):
        await store.find("rival", "PO-2026-000001")
