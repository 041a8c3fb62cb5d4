"""Plain automations: their file, what they may say, and the conflict graph with them in it."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agents import SPECS
from api.conflicts import conflict_graph
from api.registry import entries
from domain.automation import EMITTER, Report, reserved, unregistered
from domain.event import TOPIC_OF_AGENT, Event
from domain.ids import TenantId
from graph.bootstrap.settings import ORDER_TOPOLOGY
from graph.topology.automations import load_automations
from graph.topology.conflict_policy import shipped_policy
from graph.topology.loader import load
from graph.topology.participants import everybody_mermaid, everybody_svg
from graph.topology.problems import TopologyError

EXAMPLE = Path(__file__).parents[2] / "docs" / "automations.example.yaml"
ONE = """automations:
  - {name: tagger, version: v1, owner: marketing, trigger: hourly, writes: [order.tags], events: [order.vip.tagged]}
"""


def a_report(**changes: Any) -> Report:
    given = {
        "event_id": "e-1", "event_type": "order.vip.tagged", "entity_type": "order", "entity_id": "storefront-1",
        "agent_name": "automation:tagger", "timestamp": datetime(2026, 11, 11, tzinfo=UTC),
    }  # fmt: skip
    return Report.model_validate(given | changes)


def event_of(report: Report, tenant: str = "acme") -> Event:
    return report.event(TenantId(tenant), currency="HKD", locale="en")


def test_the_documented_example_is_a_good_file() -> None:
    """F1: what the documentation shows can be used as it stands, and every automation is in the registry."""
    book, flows = load_automations(EXAMPLE), load(ORDER_TOPOLOGY).workflows
    listed = entries(flows, book, lambda _agent: {"usd_micro_per_day": 1})
    agents = {one["name"] for one in listed if one["kind"] == "agent"}
    assert agents == {name for name, _ in SPECS}
    assert [one["name"] for one in listed if one["kind"] == "automation"] == [a.name for a in book.automations]
    for one in listed:
        assert one["trigger"]
        assert one["owner"]
        assert one["reads"] or one["writes"] or one["actions"]
        if one["kind"] == "automation":
            assert (one["tier"], one["fallback"], one["mode"]) == (None, None, "observed")
        else:
            assert one["tier"] in {1, 2, 3}
            assert one["version"] in one["versions"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("automations: []\nrules: []", "2: the automations file has the unknown key 'rules'"),
        ("automations:\n  - {name: Tagger, version: v1, owner: a, trigger: b, events: [order.a.b]}", "2: .*name 'Tagger'"),
        ("automations:\n  - {name: t, version: v1, trigger: b, events: [order.a.b]}", "2: automation lacks 'owner'"),
        ("automations:\n  - {name: t, version: v1, owner: a, trigger: b, events: [order.review.decided]}", "2: .*'review'"),
        (ONE + ONE.partition("\n")[2], "3: automation tagger is there twice"),
        ("automations: {}", "1: .*must be a list"),
        ("nothing: here", "lacks 'automations'"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_its_line(text: str, told: str) -> None:
    """F1: a mistake in the automations file is one sentence with file and line."""
    with pytest.raises(TopologyError, match=told):
        load_automations(text)


def test_an_automation_cannot_pass_for_somebody_else() -> None:
    """F4: what an automation says settles nothing: no word of ours, no name of ours, no id of another sender's."""
    for name, topic in TOPIC_OF_AGENT.items():
        assert reserved(f"order.{topic}.completed")
        assert reserved(f"order.{name}.completed")
    for kind in ("order.progress.fulfilled", "order.review.decided", "order.effect.applied", "system.degraded.on"):
        with pytest.raises(ValidationError, match="own word"):
            a_report(event_type=kind, entity_type=kind.partition(".")[0])
    with pytest.raises(ValidationError, match="must begin with the entity_type"):
        a_report(entity_type="customer")
    for name in ("person:mei", "automation:person:mei", "Tagger", "automation:", "x" * 60):
        with pytest.raises(ValidationError):
            a_report(agent_name=name)
    assert event_of(a_report(agent_name="fraud_detection")).agent_name == "automation:fraud_detection"
    disguised = event_of(a_report(metadata={"actor": "user:mei", "mode": "human", "cost": {"usd_micro": 5}}))
    assert disguised.metadata["mode"] == "observed"
    assert not {"actor", "cost"} & set(disguised.metadata)
    ids = {event_of(a_report()).event_id, event_of(a_report(), "bolt").event_id}
    ids.add(event_of(a_report(agent_name="other")).event_id)
    assert len(ids) == 3


def test_numbers_are_kept_exactly_and_a_confidence_is_one() -> None:
    """F4: a decimal stays the digits that were sent; a confidence in 0..1 is a number, anything else is not taken for one."""
    said = event_of(a_report(result={"confidence": Decimal("0.93"), "price": Decimal("12.340"), "n": [Decimal("1.5")]}))
    assert said.result == {"confidence": 0.93, "price": "12.340", "n": ["1.5"]}
    assert event_of(a_report(result={"confidence": Decimal("7.5")})).result["confidence"] == "7.5"


def test_who_is_not_registered() -> None:
    """F1: agents, people, Signalbox and listed automations are known; everybody else is named."""
    book = load_automations(ONE)
    speakers = [
        "signalbox",
        "fraud_detection",
        "person:mei",
        "user:mei",
        EMITTER + "tagger",
        EMITTER + "rogue",
        "old_bot",
    ]
    assert unregistered(speakers, ["fraud_detection"], book) == ["automation:rogue", "old_bot"]


def test_pairs_without_a_rule_are_named() -> None:
    """F1: the conflict graph has automations in it, and a pair of writers nobody settled is named, until somebody does."""
    flows, policy = load(ORDER_TOPOLOGY).workflows, shipped_policy()
    assert conflict_graph(flows, load_automations(None), policy)["without_rule"] == []
    found = conflict_graph(flows, load_automations(ONE), policy)
    (missing,) = found["without_rule"]
    assert (missing["data"], missing["one"], missing["other"]) == (
        "order.tags",
        "analytics_tagging",
        "automation:tagger",
    )
    settled = load_automations(ONE + 'settled:\n  - {data: order, how: "both only add"}\n')
    assert conflict_graph(flows, settled, policy)["without_rule"] == []
    two = load_automations(
        ONE + "  - {name: b, version: v1, owner: a, trigger: b, writes: [order], events: [order.a.b]}\n"
    )
    pairs = {(p["data"], p["one"], p["other"]) for p in conflict_graph(flows, two, policy)["without_rule"]}
    assert ("order.tags", "automation:tagger", "automation:b") in pairs
    assert ("order.release", "fraud_detection", "automation:b") in pairs
    picture = everybody_svg(flows, two, policy)
    assert picture.startswith("<svg")
    assert "rule: missing" in picture
    assert "n_automationCtagger" in everybody_mermaid(flows, two, policy)


def test_agents_of_two_workflows_are_settled_by_the_policy() -> None:
    """F1: writers of different workflows have the conflict policy, where it knows the data."""
    first = load(ORDER_TOPOLOGY).workflows[0]
    second = first.model_copy(update={"name": "supplier_workflow"})
    found = conflict_graph((first, second), load_automations(None), shipped_policy())
    across = [p for p in found["pairs"] if p["data"] == "order.stock"]
    assert [p["rule"] for p in across] == [f"conflict policy {shipped_policy().version}"]
    assert found["without_rule"] == []
