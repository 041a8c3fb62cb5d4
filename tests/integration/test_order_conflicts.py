"""Contradictions in the running order workflow: recorded once, shown in why, and held for a person when much is at stake."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from api.autonomy import drafts
from domain.claim import Entity
from domain.conflict import Side
from domain.decision import Outcome, Reason, Verdict
from domain.effect import EffectKind as Kind
from domain.errors import ConfigError
from domain.order import OrderProgress as At
from domain.ports import Agent, AgentCase
from graph.bootstrap.settings import ORDER_TOPOLOGY
from graph.bootstrap.system import open_signalbox
from graph.topology.conflict_policy import POLICY_FILE
from tests.support.agent_world import MemoryCatalogue
from tests.support.autonomy import answered, segment
from tests.support.staff import staffed
from tests.support.system import SKU, TENANT, Rig, fast_settings, line, native_order, running
from tools.fx import Rates


async def rejects(real: Agent, case: AgentCase) -> Verdict:
    """Fraud that is sure."""
    reason = Reason(code="TEST_FRAUD", text="it says so")
    return Verdict(decision="reject", outcome=Outcome.REJECT, confidence=0.95, reasons=(reason,))


async def keeps(real: Agent, case: AgentCase) -> Verdict:
    """Compliance that sees no reason to cancel."""
    reason = Reason(code="TEST_KEEP", text="it may stay")
    return Verdict(decision="keep", outcome=Outcome.PROCEED, confidence=0.95, reasons=(reason,))


async def _conflicts(rig: Rig, order_id: str) -> list[dict[str, Any]]:
    await rig.history(order_id)
    found: list[dict[str, Any]] = (await rig.desk.audit(TENANT, order_id))["conflicts"]
    return found


@pytest.mark.parametrize(("units", "at"), [(41, At.CANCELLED), (42, At.IN_REVIEW)])
async def test_a_contradiction_below_500_ends_by_rule_and_above_it_waits(tmp_path: Path, units: int, at: At) -> None:
    """F59, F60, F5: fraud rejects what compliance would let go: 496.10 dollars are cancelled, 508.20 wait for a person."""
    async with running(fast_settings(tmp_path), staff=staffed({"fraud_detection": rejects})) as rig:
        payload = native_order(lines=[line(quantity=units)])
        order_id = await rig.submit(payload)
        record = await rig.settled(order_id)
        assert record.progress is at, record.detail
        [conflict] = await _conflicts(rig, order_id)
        assert (conflict["winner"], conflict["loser"]) == ("fraud_detection", "compliance")
        assert (conflict["rules"][0], conflict["ask"]) == ("most_severe", at is At.IN_REVIEW)
        assert len(conflict["decision_ids"]) == 2
        assert conflict["policy"].startswith("conflicts-")
        assert conflict["sentence"].startswith("fraud_detection says reject (tier 1, confidence 0.95), compliance says")


@pytest.mark.parametrize(("days", "at"), [(0, At.CANCELLED), (10, At.IN_REVIEW)])
async def test_a_stale_rate_counts_two_percent_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, at: At
) -> None:
    """domain/C1: row 12 in the running workflow: 495 nominal in Hong Kong dollars, by a fresh and by a stale rate."""
    async with running(fast_settings(tmp_path), staff=staffed({"fraud_detection": rejects})) as rig:
        published = MemoryCatalogue(day=datetime.now(UTC).date() - timedelta(days=days))
        monkeypatch.setattr(rig.box.controller, "_rates", Rates(published, rig.box.clock.now))
        cents = 495 * 780
        dollars = {"sku": SKU, "quantity": 1, "unit_price": {"amount_minor": cents, "currency": "HKD"}}
        record = await rig.settled(await rig.submit(native_order(currency="HKD", lines=[dollars])))
        assert record.progress is at, record.detail
        [conflict] = await _conflicts(rig, record.order_id)
        assert ("R5" in conflict["rules"]) is (at is At.IN_REVIEW)


async def test_a_cancellation_wins_until_the_carrier_has_the_parcel(tmp_path: Path) -> None:
    """domain/C1: row 11 in the running workflow: cancelled with everything undone, or told that it is too late."""
    async with running(fast_settings(tmp_path)) as rig:
        early = await rig.run(native_order(), at=At.FULFILLED)
        await rig.cancel(early.order_id)
        await rig.settled(early.order_id, at={At.CANCELLED})
        late = await rig.run(native_order(), at=At.FULFILLED)
        assert rig.box.sandbox is not None
        (label,) = [e for e in await rig.applied(late.order_id) if e.kind is Kind.BOOK_LABEL]
        carrier = rig.box.sandbox.carriers[str(label.receipt.detail["carrier"])]
        await carrier.mark_scanned(str(label.receipt.detail["tracking"]))
        await rig.cancel(late.order_id)
        await rig.idle()
        assert (await rig.record(late.order_id)).progress is At.FULFILLED
        rows = [row.event_type for row in await rig.history(late.order_id)]
        assert "order.cancel.refused" in rows


async def test_a_wrong_policy_starts_nothing(tmp_path: Path) -> None:
    """F59: the sentence names file, line and what to write."""
    file = tmp_path / "conflicts.yaml"
    file.write_text(POLICY_FILE.read_text().replace("safer:\n  - [hold]", "safer:\n  - [hodl]"))
    with pytest.raises(ConfigError, match=r"conflicts\.yaml:\d+: 'hodl' is no stance; did you mean 'hold'\?"):
        async with open_signalbox(fast_settings(tmp_path / "home", conflicts_file=file)):
            pass


async def _adopted(rig: Rig, agent: str, version: str, action: str, outcome: Outcome, *, wrong: int) -> None:
    """Have people judge 400 of the agent's recommendations and put what that measures in force."""
    area, of = rig.box.autonomy, segment(agent=agent, version=version, action=action, outcome=outcome)
    rows = [one.model_copy(update={"review_id": f"{agent}-{one.review_id}"}) for one in answered(400, wrong, of=of)]
    await area.ledger.record(rows)
    [draft] = await drafts(rig.box, TENANT, agent)
    await area.calibrations.adopt(
        await area.calibrations.find(TENANT, draft["draft"]), by="user:mei", reason="measured"
    )


@pytest.mark.parametrize("measured", [True, False])
async def test_of_one_tier_the_clearly_surer_wins_once_people_have_measured_both(
    tmp_path: Path, *, measured: bool
) -> None:
    """domain/C1, P22: R3 in the running workflow and in its claims; declared confidences end by the safer action."""
    file = tmp_path / "by_rules.yaml"
    head, name, rest = ORDER_TOPOLOGY.read_text().partition("- name: compliance\n")
    rest = rest.replace("writes: [order.release]", "writes: [order.cancel]", 1).partition("\n    # How two agents")[0]
    file.write_text(head + name + rest + "\n")
    settings = fast_settings(tmp_path / "home", topology_file=file)
    async with running(settings, staff=staffed({"fraud_detection": rejects, "compliance": keeps})) as rig:
        if measured:
            await _adopted(rig, "fraud_detection", "fd-1.0", "reject", Outcome.REJECT, wrong=2)
            await _adopted(rig, "compliance", "co-1.0", "keep", Outcome.PROCEED, wrong=80)
        record = await rig.settled(await rig.submit(native_order()))
        [conflict] = await _conflicts(rig, record.order_id)
        assert conflict["rules"][0] == ("R3" if measured else "R4"), conflict["sentence"]
        prevails = "fraud_detection" if measured else "compliance"
        assert conflict["winner"] == prevails
        said = await rig.box.store.journal.latest(record.thread)
        entity = Entity(tenant=TENANT, entity_type="order", entity_id=f"{record.order_id}-claimed")
        for agent, facet in (("fraud_detection", "order.release"), ("compliance", "order.cancel")):
            side = Side.of(said[agent], facet=facet, tier=1, policy=rig.box.claims.policy, exposure_usd=Decimal(10))
            claim = await rig.box.claims.claim_facet(entity, side, at=rig.box.clock.now())
        [resolution] = claim.resolutions
        assert (resolution.rule.value, resolution.winner.agent) == (conflict["rules"][0], prevails)
