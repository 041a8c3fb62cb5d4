"""Dry runs: one real order through the production path with something otherwise, and nothing anywhere is changed."""

import sqlite3
from collections.abc import AsyncIterator
from hashlib import sha256

import orjson
import pytest
import pytest_asyncio

from domain.errors import InputError, NotFound
from domain.ids import TenantId
from domain.order import OrderProgress
from domain.what_if import WhatIf
from graph.bootstrap.dry_systems import DrySystem, NotedEffects, dry_systems
from graph.bootstrap.settings import ORDER_TOPOLOGY
from graph.bootstrap.what_if import what_if
from graph.runtime.clock import SystemClock
from tests.support.system import TENANT, Rig, fast_settings, opened, to_capture, working

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def judged(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Rig, str]]:
    """A system at rest, and one order it has fulfilled."""
    async with opened(fast_settings(tmp_path_factory.mktemp("home"))) as rig:
        async with working(rig):
            record = await rig.run(to_capture(), at=OrderProgress.FULFILLED)
            await rig.idle()
            await rig.history(record.order_id)
        await rig.box.governance.keeper.drain()
        yield rig, record.order_id


async def everything(rig: Rig) -> dict[str, str]:
    """A digest of every key in Redis, and of every row in SQL and in the stand-ins."""
    found: dict[str, str] = {}
    async for key in rig.box.redis.scan_iter(count=1000):
        dumped = await rig.box.redis.dump(key)
        found[key.decode()] = f"{sha256(dumped or b'').hexdigest()} {await rig.box.redis.pexpiretime(key)}"
    for name in ("signalbox.sqlite3", "sandbox.sqlite3"):
        with sqlite3.connect(f"file:{rig.box.settings.home / name}?mode=ro", uri=True) as rows:
            found[name] = sha256("\n".join(rows.iterdump()).encode()).hexdigest()
    return found


async def test_as_it_was_every_decision_and_effect_comes_out_the_same_and_nothing_is_changed(
    judged: tuple[Rig, str],
) -> None:
    """P11: the production path, byte-equal Redis, SQL and stand-ins before and after."""
    rig, order_id = judged
    before, real = await everything(rig), await rig.applied(order_id)
    dry = await what_if(rig.box, TENANT, WhatIf(order_id=order_id))
    assert await everything(rig) == before
    assert (dry.progress, dry.was) == ("fulfilled", "fulfilled")
    assert [(one.agent, one.same, one.read_live) for one in dry.decisions] == [
        (name, True, ())
        for name in (
            "fraud_detection", "compliance", "inventory_reservation", "order_routing", "tax", "shipping_method"
        )
    ]  # fmt: skip
    tier_3 = {"send_message", "post_loyalty", "tag_order"}
    assert [e.kind for e in dry.effects] == [e.kind for e in real if e.kind not in tier_3]


async def test_another_country_is_judged_by_what_can_be_read_now(judged: tuple[Rig, str]) -> None:
    """P11: changed inputs; what was not read then is read now, and said."""
    rig, order_id = judged
    before = await everything(rig)
    dry = await what_if(rig.box, TENANT, WhatIf(order_id=order_id, set={"ship_to.country": "SG"}))
    assert await everything(rig) == before
    said = {one.agent: one for one in dry.decisions}
    assert "carriers.lanes" in said["order_routing"].read_live
    assert not said["order_routing"].same
    assert "ship_to.country = SG" in dry.changed


async def test_other_thresholds_ask_a_person(judged: tuple[Rig, str]) -> None:
    """P11: with a review line of 0 the same order waits for a person, and nothing would be released."""
    rig, order_id = judged
    lines = {"fraud_thresholds.thresholds.review": "-100"}
    dry = await what_if(rig.box, TENANT, WhatIf(order_id=order_id, thresholds=lines))
    assert dry.progress == "in_review"
    assert dry.grounds
    assert {one.agent: one.decision for one in dry.decisions}["fraud_detection"] == "review"
    assert not {effect.kind for effect in dry.effects} & {"capture_payment", "book_label", "create_fulfilment"}


async def test_another_version_and_another_topology(judged: tuple[Rig, str]) -> None:
    """P11: the versions and the workflow may be otherwise too."""
    rig, order_id = judged
    dry = await what_if(rig.box, TENANT, WhatIf(order_id=order_id, versions={"fraud_detection": "fd-1.1"}))
    assert {one.agent: one.version for one in dry.decisions}["fraud_detection"] == "fd-1.1"
    assert dry.topology != rig.box.threads.current
    text = ORDER_TOPOLOGY.read_text().replace('version: "2026-11-22"', 'version: "what-if-topology"')
    dry = await what_if(rig.box, TENANT, WhatIf(order_id=order_id, topology=text))
    assert "what-if-topology" in dry.topology


async def test_from_any_point_what_came_before_stands(judged: tuple[Rig, str]) -> None:
    """P28: any point of the timeline can be run again dry."""
    rig, order_id = judged
    decisions = await rig.box.store.journal.decisions((await rig.record(order_id)).thread)
    for decision in decisions:
        if decision.agent in {node.name for node in rig.box.workflow.tier_3}:
            continue
        dry = await what_if(rig.box, TENANT, WhatIf(order_id=order_id, since=decision.decision_id))
        anew = [one.agent for one in dry.decisions if not one.stands]
        assert decision.agent in anew
        assert all(one.same for one in dry.decisions)
        assert dry.progress == "fulfilled"
        if decision.agent == "tax":
            assert "fraud_detection" not in anew


async def test_what_does_not_fit_is_refused_in_a_sentence(judged: tuple[Rig, str]) -> None:
    """P11: a wrong path, value, table, version, topology or order; another tenant's order does not exist."""
    rig, order_id = judged
    wrong = (
        WhatIf(order_id=order_id, set={"ship_to.planet": "Mars"}),
        WhatIf(order_id=order_id, set={"lines.7.quantity": "1"}),
        WhatIf(order_id=order_id, set={"lines.0.quantity": "many"}),
        WhatIf(order_id=order_id, set={"lines": "[]"}),
        WhatIf(order_id=order_id, thresholds={"fraud_thresholds.thresholds.review": "high"}),
        WhatIf(order_id=order_id, thresholds={"fraud_thresholds.thresholds.review": "1000"}),
        WhatIf(order_id=order_id, thresholds={"nothing.at": "1"}),
        WhatIf(order_id=order_id, versions={"nobody": "v"}),
        WhatIf(order_id=order_id, versions={"fraud_detection": "fd-9"}),
        WhatIf(order_id=order_id, topology="not: a topology"),
    )
    before = await everything(rig)
    for one in wrong:
        with pytest.raises(InputError):
            await what_if(rig.box, TENANT, one)
    with pytest.raises(NotFound, match="neither a decision nor an agent"):
        await what_if(rig.box, TENANT, WhatIf(order_id=order_id, since="nobody"))
    with pytest.raises(NotFound):
        await what_if(rig.box, TENANT, WhatIf(order_id="storefront-nothing"))
    with pytest.raises(NotFound):
        await what_if(rig.box, TenantId("somebody_else"), WhatIf(order_id=order_id))
    assert await everything(rig) == before


async def test_a_dry_system_has_no_way_to_a_real_one(judged: tuple[Rig, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """P11: effects are impossible: the real systems' ``apply`` is not reached even when the dry run releases everything."""
    rig, order_id = judged
    assert rig.box.sandbox is not None

    async def tripwire(*_: object) -> None:
        raise AssertionError("a dry run applied an effect")

    for system in (
        rig.box.sandbox.wms,
        *rig.box.sandbox.carriers.values(),
        rig.box.sandbox.payment,
        rig.box.sandbox.oms,
    ):
        monkeypatch.setattr(type(system), "apply", tripwire)
    dry = await what_if(rig.box, TENANT, WhatIf(order_id=order_id))
    assert {"capture_payment", "book_label"} <= {effect.kind for effect in dry.effects}
    systems = dry_systems(rig.box.systems, rig.box.sandbox.wms, NotedEffects(SystemClock()))
    given = (systems.wms, systems.crm, systems.payment, systems.oms, systems.messages, systems.channels)
    assert all(type(port).apply is DrySystem.apply for port in (*given, *systems.carriers.values()))


async def test_the_desk_behind_the_routes_answers_within_one_tenant(judged: tuple[Rig, str]) -> None:
    """P11, P28: what the routes give is plain JSON, and other tenants' orders do not exist."""
    rig, order_id = judged
    desk, other = rig.desk.governance, TenantId("somebody_else")
    dry = await desk.what_if(TENANT, WhatIf(order_id=order_id))
    again = await desk.replay_order(TENANT, order_id)
    one = await desk.replay_decision(TENANT, again[0]["decision_id"])
    assert orjson.loads(orjson.dumps([dry, again, one, await desk.reports(TENANT), await desk.policies(TENANT)]))
    assert all(found["same"] for found in [*again, one])
    for asked in (desk.replay_order(other, order_id), desk.replay_decision(other, one["decision_id"])):
        with pytest.raises(NotFound):
            await asked
