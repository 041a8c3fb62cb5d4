"""Diagrams and the table of a workflow: complete, well formed, nothing outside the picture or on top of one another."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest

from graph.topology import diagram, table
from graph.topology.loader import load
from graph.topology.mermaid import identifier
from graph.topology.model import AgentNode, Workflow

ORDER = load(Path(__file__).parents[2] / "graph" / "order" / "order.yaml").workflow("order_workflow")
NS = "{http://www.w3.org/2000/svg}"


def agent(name: str, tier: int, **fields: object) -> AgentNode:
    known: dict[str, object] = {"version": "v-1", "timeout_ms": 600_000, "hard_kill_ms": 700_000, "tier": tier}
    return AgentNode.model_validate({"name": name, **known, **fields})


LONG = "an_agent_with_quite_a_long_name_for_a_small_box"
WORKFLOWS = {
    "order": ORDER,
    "one agent": Workflow(name="small", version="1", enabled=False, tier_1=(agent("a", 1),)),
    "wide": Workflow(name="wide", version="1", tier_1=tuple(agent(f"{LONG[:45]}{n}", 1, retries=2) for n in range(9))),
    "deep": Workflow(
        name="deep",
        version="<&\"'>",
        tier_1=(agent("end", 1, fallback="f"), agent("start", 1, writes=("o",))),
        tier_2=tuple(agent(f"n{n}", 2, depends_on=(f"n{n - 1}",) if n else (), writes=("o.r",)) for n in range(8)),
    ),
}


def drawn(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own text


def boxes(root: ET.Element, kind: str) -> list[tuple[float, float, float, float]]:
    shapes = [rect for rect in root.iter(f"{NS}rect") if kind in rect.get("class", "").split()]
    return [
        (float(r.attrib["x"]), float(r.attrib["y"]), float(r.attrib["width"]), float(r.attrib["height"]))
        for r in shapes
    ]


@pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=WORKFLOWS)
def test_the_picture_names_every_agent_with_deadline_and_fallback(workflow: Workflow) -> None:
    """F6: the diagram of any workflow."""
    root = drawn(diagram.to_svg(workflow))
    texts = [element.text for element in root.iter(f"{NS}text")]
    for node in workflow.agents:
        assert node.name in texts
        assert f"{node.timeout_ms:,} ms, hard kill {node.hard_kill_ms:,} ms" in texts
        assert f"else {node.fallback or 'a person decides'}" in texts
    assert {f"gate {number}" for number in range(1, len(workflow.stages) + 1)} <= set(texts)
    assert {"review", "cancel", "park", "fulfil", "close"} <= set(texts)
    named = [root.find(f"{NS}title"), root.find(f"{NS}desc")]
    assert root.get("aria-labelledby") == " ".join(each.attrib["id"] for each in named if each is not None)


@pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=WORKFLOWS)
@pytest.mark.parametrize("draw", [diagram.to_svg, diagram.conflict_graph_svg])
def test_nothing_lies_outside_or_on_top(workflow: Workflow, draw: Callable[[Workflow], str]) -> None:
    root = drawn(draw(workflow))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    shapes = boxes(root, "box") + boxes(root, "mark")
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in shapes + boxes(root, "band"))
    points = [pair for line in root.iter(f"{NS}polyline") for pair in line.attrib["points"].split()]
    assert all(0 <= float(x) <= width and 0 <= float(y) <= height for x, y in (pair.split(",") for pair in points))
    for (x1, y1, w1, h1), (x2, y2, w2, h2) in combinations(shapes, 2):
        assert x1 + w1 <= x2 or x2 + w2 <= x1 or y1 + h1 <= y2 or y2 + h2 <= y1


def test_the_data_picture_marks_writers_and_their_rule() -> None:
    """F5: who reads and writes what; contested data shows the rule."""
    root = drawn(diagram.conflict_graph_svg(ORDER))
    texts = [element.text for element in root.iter(f"{NS}text")]
    assert texts.count("W") == sum(len(node.writes) for node in ORDER.agents)
    assert texts.count("R") == sum(len(node.reads) for node in ORDER.agents)
    assert "rule: most_severe" in texts
    assert "rule: missing" in [t.text for t in drawn(diagram.conflict_graph_svg(WORKFLOWS["deep"])).iter(f"{NS}text")]


@pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=WORKFLOWS)
def test_mermaid_has_every_way_once(workflow: Workflow) -> None:
    """F6: edges follow the stages; names such as ``end`` cannot break the chart."""
    lines = diagram.to_mermaid(workflow).splitlines()
    for number, stage in enumerate(workflow.stages, start=1):
        before = "n_flowCstart" if number == 1 else f"n_gate_{number - 1}"
        for node in stage:
            assert lines.count(f"  {before} --> n_{node.name}") == 1
            assert lines.count(f"  n_{node.name} --> n_gate_{number}") == 1
    assert lines.count(f"  n_gate_{len(workflow.stages)} --> n_fulfil") == 1
    declared = re.findall(r"^ +(?:subgraph )?(n_\w+)[\[({]", "\n".join(lines), flags=re.MULTILINE)
    used = set(re.findall(r"\bn_\w+", "\n".join(lines)))
    assert len(declared) == len(set(declared))
    assert used == set(declared)
    assert all(line.count('"') % 2 == 0 for line in lines)


def test_mermaid_of_the_data_shows_reads_and_writes() -> None:
    lines = diagram.conflict_graph_mermaid(ORDER).splitlines()
    assert "  n_fraud_detection -->|writes| n_dataCorderDrelease" in lines
    assert "  n_dataCorderDroute -.-> n_tax" in lines
    assert '  n_dataCorderDrelease[("order.release<br/>rule: most_severe")]' in lines
    assert identifier("data:a.b") != identifier("data:a_b")


def test_the_table_has_a_row_per_agent_in_running_order() -> None:
    rows = table.rows(ORDER)
    assert [row["stage"] for row in rows] == ["1", "1", "1", "2", "3", "3", "async", "async", "async"]
    assert rows[3] == {
        "stage": "2",
        "agent": "order_routing",
        "version": ORDER.agent("order_routing").version,
        "mode": "autonomous",
        "timeout_ms": "5000",
        "hard_kill_ms": "8000",
        "attempts": "1",
        "fallback": "cheapest_route",
        "depends_on": "inventory_reservation",
        "reads": "order, order.stock, stock, lanes",
        "writes": "order.route",
    }
    lines = table.text_lines(ORDER)
    assert lines[0].startswith("order_workflow 2026-11-22 (enabled, digest ")
    assert lines[-1] == "conflict rule: order.release most_severe"
    assert len({line.index(cell) for line, cell in zip(lines[2:5], ("fd-1.0", "co-1.0", "ir-1.1"), strict=True)}) == 1
