"""Automations against a running system: their events on the order's record, once, and strangers flagged."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.figures import agent_latencies, funnel, stuck_orders
from api.serving import application
from domain.automation import reserved
from domain.ids import Sku, TenantId, WarehouseId
from domain.inventory import StockSnapshot
from domain.order import OrderProgress
from tests.support.api_desk import key_of, two_tenants
from tests.support.system import SKU, TENANT, Rig, fast_settings, for_review, native_order, running
from tests.support.waiting import wait_until

AUTOMATIONS = """automations:
  - {name: gift_notes, version: v1, owner: storefront, trigger: paid, events: [order.gift_note.added]}
"""


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    file = tmp_path / "automations.yaml"
    file.write_text(AUTOMATIONS)
    async with running(fast_settings(tmp_path / "home", automations_file=file)) as rig:
        yield rig


def client(rig: Rig, role: str = "automation", tenant: str = TENANT) -> httpx2.AsyncClient:
    app = application(rig.box, two_tenants(first=TENANT))
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app, client=("203.0.113.9", 40000)), base_url="http://signalbox.example",
        headers={"Authorization": f"Bearer {key_of(tenant, role)}"},
    )  # fmt: skip


def report(order_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "event_id": "note-1", "event_type": "order.gift_note.added", "entity_type": "order", "entity_id": order_id,
        "agent_name": "automation:gift_notes", "timestamp": "2026-11-11T03:00:02Z",
        "result": {"decision": "hold", "outcome": "hold", "confidence": 0.1}, **changes,
    }  # fmt: skip


async def test_an_automations_event_is_on_the_record_and_settles_nothing(rig: Rig) -> None:
    """F4: the event shows in the timeline once, however often it is sent, and the order goes its way without a review."""
    order = native_order()
    order_id = f"storefront-{order['external_id']}"
    async with client(rig) as http:
        before = await http.post("/v1/events", json=report(order_id))
        assert (before.status_code, before.json()["duplicate"], before.json()["registered"]) == (202, False, True)
        await rig.run(order, at=OrderProgress.FULFILLED)
        again = await http.post("/v1/events", json=report(order_id))
        assert again.json() == before.json() | {"duplicate": True}
        other = await http.post("/v1/events", json=report(order_id, result={"decision": "else"}))
        assert other.status_code == 409
        assert "note-1" in other.json()["detail"]
        another = await http.post("/v1/events", json=report(order_id, event_id="note-2"))
        assert another.json()["duplicate"] is False
    rows = [row for row in await rig.history(order_id) if row.agent == "automation:gift_notes"]
    assert [row.event_type for row in rows] == ["order.gift_note.added"] * 2
    why = await rig.desk.audit(TENANT, order_id)
    told = [one for one in why["entries"] if one["actor"] == "automation:gift_notes"]
    assert [one["mode"] for one in told] == ["observed"] * 2
    assert why["reviews"] == []
    assert why["overrides"] == []
    assert not [one for one in why["entries"] if one["mode"] == "fallback"]
    assert why["outcome"] == "fulfilled"
    assert (await rig.box.audit.verify()).intact


async def test_only_those_who_may_can_report(rig: Rig) -> None:
    """F4: the role automation reports and does nothing else; another tenant's order is another order."""
    async with client(rig, "storefront") as http:
        assert (await http.post("/v1/events", json=report("storefront-1"))).status_code == 403
    async with client(rig) as http:
        for path in ("/v1/orders/storefront-1", "/v1/agents", "/v1/registry", "/v1/reviews"):
            assert (await http.get(path)).status_code == 403
        for bad in (
            {"event_type": "order.progress.fulfilled"}, {"agent_name": "person:mei"}, {"entity_id": ""},
            {"timestamp": "2026-11-11T03:00:02"}, {"tenant": "bolt"}, {"schema_version": 2}, {"entity_id": "a\x00b"},
            {"result": {"decision": "x" * 600}},
        ):  # fmt: skip
            refused = await http.post("/v1/events", json=report("storefront-1", **bad))
            assert refused.status_code in {400, 422}, (bad, refused.text)
            assert refused.json()["detail"]
    async with client(rig, tenant="bolt") as http:
        assert (await http.post("/v1/events", json=report("storefront-1"))).status_code == 202

    async def audited() -> bool:
        return bool(await rig.box.audit.entity("bolt", "order", "storefront-1"))

    await wait_until(audited, "the other tenant's audit has its event")
    assert await rig.box.audit.entity(TENANT, "order", "storefront-1") == []


async def test_a_stranger_is_flagged_within_a_minute(rig: Rig) -> None:
    """F1: an unregistered sender's event is kept, and the sender named in metric, event and registry, once."""
    async with client(rig) as http:
        taken = await http.post("/v1/events", json=report("storefront-1", agent_name="rogue_bot"))
        assert (taken.status_code, taken.json()["registered"]) == (202, False)

    async def flagged() -> bool:
        return bool(await rig.box.audit.entity(TENANT, "emitter", "automation:rogue_bot"))

    await wait_until(flagged, "the stranger is flagged", within_s=40)
    assert b"signalbox_unregistered_emitters 1.0" in rig.box.store.metrics.page()
    async with client(rig, "ops") as http:
        listed = (await http.get("/v1/registry")).json()
    (stranger,) = listed["unregistered"]
    assert (stranger["name"], stranger["events"]) == ("automation:rogue_bot", 1)
    async with client(rig, "ops", tenant="bolt") as http:
        assert (await http.get("/v1/registry")).json()["unregistered"] == []
    await rig.box.observing.emitters.look()
    assert len(await rig.box.audit.entity(TENANT, "emitter", "automation:rogue_bot")) == 1


async def test_the_systems_own_words_are_closed_to_automations(rig: Rig) -> None:
    """F4: every event of a whole order's life is one an automation may not send, and nobody in it is a stranger."""
    done = await rig.run(native_order(), at=OrderProgress.FULFILLED)
    await rig.idle()
    kinds = {row.event_type for row in await rig.history(done.order_id)}
    assert len(kinds) > 8
    assert [kind for kind in kinds if not reserved(kind)] == []
    assert await rig.box.observing.emitters.unregistered() == []


async def test_figures_from_a_running_system(rig: Rig) -> None:
    """F43, F44, F41: after real orders the funnel adds up to intake, a held order waits for a person, latencies are there."""
    for _ in range(3):
        await rig.run(native_order(), at=OrderProgress.FULFILLED)
    held = await rig.reviewed(for_review())
    await rig.history(held.order_id)
    found = await funnel(rig.box, TENANT, span=timedelta(hours=1))
    assert [row["intake"] for row in found] == [4] * 4
    assert [(row["stage"], row["reached"], row["waiting"]) for row in found] == [
        ("accepted", 4, 0), ("tier_1", 4, 0), ("tier_2", 3, 1), ("released", 3, 1),
    ]  # fmt: skip
    assert await funnel(rig.box, TenantId("bolt"), span=timedelta(hours=1)) != found
    assert (await stuck_orders(rig.box, TENANT))["stuck"] == []
    measured = {
        one.agent: one.count for one in await agent_latencies(rig.box, TENANT, since=datetime(2026, 1, 1, tzinfo=UTC))
    }
    assert measured["fraud_detection"] == 4
    assert measured["order_routing"] == 3
    await rig.box.observing.figures.show()
    page = rig.box.store.metrics.page().decode()
    assert 'ops_open_orders{stage="person"} 1.0' in page
    assert 'ops_stuck_orders{stage="tier_1"} 0.0' in page
    assert 'ops_funnel_orders{outcome="reached",stage="released"} 3.0' in page
    assert held.order_id not in page


async def test_health_turns_red_for_a_reason(rig: Rig) -> None:
    """Issue 6.3: each check is one sentence; late feeds name their warehouses; a database that is away takes readiness away."""
    fine = await rig.desk.health()
    assert fine.ready
    assert {"redis", "sql", "audit", "feeds", "workflow"} == set(fine.checks)
    assert all(check.ok and check.detail for check in fine.checks.values())
    now = rig.box.clock.now()
    for site, age in (("HKG", timedelta(minutes=10)), ("SIN", timedelta(0))):
        counted = StockSnapshot(warehouse=WarehouseId(site), sku=Sku(SKU), on_hand=5, held=0, as_of=now - age)
        await rig.box.feed.take(counted, now=now)
    partly = (await rig.desk.health()).checks["feeds"]
    assert partly.ok
    assert "HKG" in partly.detail
    await rig.box.feed.retire(WarehouseId("SIN"))
    late = await rig.desk.health()
    assert late.ready
    assert not late.checks["feeds"].ok
    file = rig.box.settings.home / "signalbox.sqlite3"
    moved = file.with_name("away.sqlite3")
    await rig.box.engine.dispose()
    file.rename(moved)
    file.mkdir()
    try:
        red = await rig.desk.health()
    finally:
        file.rmdir()
        moved.rename(file)
        await rig.box.engine.dispose()
    assert not red.ready
    assert not red.checks["sql"].ok
    assert "database" in red.checks["sql"].detail
