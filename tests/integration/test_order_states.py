"""Versions of an order whose state would go backwards: kept in its history, applied in everything but the state."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
import pytest_asyncio

from api.services import Submission
from domain.order import OrderProgress, OrderState
from tests.support.payloads import shopify_line, shopify_order
from tests.support.system import TENANT, Rig, fast_settings, running
from tools.channels.protocol import DeliveryKind

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with running(fast_settings(tmp_path_factory.mktemp("states"))) as system:
        yield system


async def deliver(rig: Rig, number: int, minute: int, **changes: Any) -> str:
    """Deliver a version of a trial order as the channel would at a minute of its own clock."""
    at = (START + timedelta(minutes=minute)).isoformat()
    lines = [shopify_line(sku="SB-00023", price="55.00")]
    given = {"id": number, "name": f"#{number}", "test": True, "line_items": lines, "updated_at": at}
    payload = shopify_order(**(given | changes))
    submission = Submission(
        tenant=TENANT,
        channel="shopify",
        shop="acme-hk.myshopify.com",
        topic="orders/updated",
        kind=DeliveryKind.ORDER,
        raw=orjson.dumps(payload),
        dedupe_id=f"{number}-{minute}",
        order_hint=str(number),
        source="test",
        received_at=datetime.now(UTC),
    )
    handle = (await rig.desk.submit(submission)).handle
    await rig.idle()
    return handle


async def test_a_cancelled_order_does_not_come_back(rig: Rig) -> None:
    """domain/K3: a newer version without the cancellation is in the history; the order stays cancelled."""
    await deliver(rig, 990_001, 1)
    cancelled_at = (START + timedelta(minutes=2)).isoformat()
    await deliver(rig, 990_001, 2, cancelled_at=cancelled_at, cancel_reason="customer")
    order_id = await deliver(rig, 990_001, 3)
    record = await rig.record(order_id)
    assert record.order is not None
    assert (record.progress, record.order.state) == (OrderProgress.CANCELLED, OrderState.CANCELLED)
    assert record.order.updated_at == START + timedelta(minutes=3)
    updates = [row.event.result for row in await rig.history(order_id) if row.event_type == "order.updated"]
    assert [update["state"] for update in updates] == ["cancelled", "cancelled"]


async def test_late_and_repeated_versions_converge(rig: Rig) -> None:
    """domain/K3: the same versions in another order and twice leave the order in the same state."""
    versions: dict[int, dict[str, Any]] = {1: {}, 2: {"fulfillment_status": "fulfilled"}, 3: {"note": "call first"}}
    ends = set()
    order_id = ""
    for number, minutes in ((990_011, (1, 2, 3)), (990_012, (3, 1, 2)), (990_013, (2, 3, 2, 1))):
        for minute in minutes:
            order_id = await deliver(rig, number, minute, **versions[minute])
        record = await rig.record(order_id)
        assert record.order is not None
        ends.add((record.order.state, record.order.note, record.order.updated_at))
    assert len(ends) == 1
