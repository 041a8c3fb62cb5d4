"""A workflow as a picture: the three tiers, their gates, the way to a person and the effects, as SVG or Mermaid."""

from graph.topology.conflict_graph import conflict_graph_mermaid, conflict_graph_svg
from graph.topology.drawing import Drawing, box_height, box_width
from graph.topology.mermaid import edge, heading, node, subgraph
from graph.topology.model import AFTER_GATE, AgentNode, Workflow, gate_name

__all__ = ["conflict_graph_mermaid", "conflict_graph_svg", "to_mermaid", "to_svg"]

TIER_TITLES = (
    "Tier 1 · blocking, all at once",
    "Tier 2 · blocking, in dependency order",
    "Tier 3 · asynchronous, fed from the event stream",
)
REVIEW = ("review", "request_review → await_review", "approve or edit: goes on", "reject: cancels")
CANCEL = ("cancel", "undoes effects in reverse")
PARK = ("park", "set aside and listed")
FULFIL = ("fulfil", "effects, once each, through the ledger")

_MARGIN = 24
_GUTTER = 44
_GAP = 24
_BAND_HEAD = 62
_BUS = 18
_GATE_HALF = (52, 27)
_SIDE = 96
"""Between the tiers and the column of what a gate may do instead."""


def to_mermaid(workflow: Workflow) -> str:
    """The workflow as a Mermaid flowchart."""
    stages = workflow.stages
    gates = [gate_name(number) for number in range(1, len(stages) + 1)]
    lines = [*heading("TD", f"{workflow.name} {workflow.version}"), node("flow:start", ("start",), "round")]
    for number, tier in enumerate(workflow.tiers):
        if tier:
            lines += subgraph(f"flow:tier_{number + 1}", TIER_TITLES[number], [(a.name, _lines(a)) for a in tier])
    lines += [node(gate, (gate.replace("_", " "),), "diamond") for gate in gates]
    steps = {"request_review": REVIEW, "cancel": CANCEL, "park": PARK, "fulfil": FULFIL, "close": ("close",)}
    lines += [node(name, text, "round" if name == "close" else "box") for name, text in steps.items()]
    lines += [edge("flow:start", agent.name) for agent in workflow.tier_1]
    for gate, stage in zip(gates, stages, strict=True):
        lines += [edge(agent.name, gate) for agent in stage]
        lines += [edge(gate, target, dashed=True) for target in AFTER_GATE]
    for gate, stage in zip(gates, stages[1:], strict=False):
        lines += [edge(gate, agent.name) for agent in stage]
    lines += [edge(gates[-1], "fulfil"), *(edge(step, "close") for step in ("fulfil", "cancel", "park"))]
    lines += [edge("request_review", gate, label="answer", dashed=True) for gate in gates]
    lines += [edge("close", agent.name, label="events", dashed=True) for agent in workflow.tier_3]
    return "\n".join(lines) + "\n"


def to_svg(workflow: Workflow, *, styled: bool = True) -> str:
    """The workflow as an SVG picture, self-contained unless the page it stands in brings the drawing's style."""
    return _Picture(workflow).svg(styled=styled)


def _lines(agent: AgentNode) -> tuple[str, ...]:
    """What a box says about an agent."""
    deadline = f"{agent.timeout_ms:,} ms, hard kill {agent.hard_kill_ms:,} ms"
    asked = [f"asked up to {agent.attempts} times"] if agent.retries else []
    needs = [f"after {', '.join(agent.depends_on)}"] if agent.depends_on else []
    return (
        agent.name,
        f"{agent.version} · {agent.mode}",
        deadline,
        *asked,
        f"else {agent.fallback or 'a person decides'}",
        *needs,
    )


class _Picture:
    """Lays the workflow out from top to bottom; ``y`` is how far it has got."""

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.stages = workflow.stages
        self.box_width = max(190, *(box_width(_lines(agent)) for agent in workflow.agents))
        widest = max(len(row) for row in [*self.stages, list(workflow.tier_3)])
        self.left = _MARGIN + _GUTTER
        self.width = max(widest * (self.box_width + _GAP) - _GAP + 2 * _GAP, 560)
        self.middle = self.left + self.width // 2
        self.right = self.left + self.width + _SIDE
        self.side_width = max(box_width(REVIEW), box_width(CANCEL), box_width(PARK))
        self.gates: list[int] = []
        """Heights of the gates' centres."""
        self.bands: list[int] = []
        """Heights at which the tiers' events leave to the left."""
        self.y = 0
        told = "; then ".join(", ".join(agent.name for agent in stage) for stage in self.stages)
        self.drawing = Drawing(
            title=f"Workflow {workflow.name}, version {workflow.version}",
            description=f"In order: {told}. After each stage a gate asks a person, cancels, parks or goes on.",
            key=workflow.digest[:8],
        )

    def svg(self, *, styled: bool = True) -> str:
        self._head()
        for tier, rows in enumerate((self.stages[:1], self.stages[1:])):
            if rows:
                self._band(tier, rows)
        self._sides(self._ending())
        if self.workflow.tier_3:
            self._later()
        return self.drawing.svg(self.right + self.side_width + _SIDE // 2 + _MARGIN, self.y, styled=styled)

    def _head(self) -> None:
        state = "enabled" if self.workflow.enabled else "not enabled"
        self.drawing.text(_MARGIN, 40, f"{self.workflow.name}", style="title")
        told = f"version {self.workflow.version} · {state} · digest {self.workflow.digest[:12]}"
        self.drawing.text(_MARGIN, 62, told)
        self.drawing.box(self.middle - 50, 80, 100, lines=("start",), round_px=19)
        self.y = 80 + box_height(("start",)) + _BUS

    def _band(self, tier: int, rows: list[list[AgentNode]]) -> None:
        """One tier: its stages below one another, each closed by its gate."""
        top = self.y + _GAP - _BUS // 2
        heights = [max(box_height(_lines(agent)) for agent in row) for row in rows]
        row_extra = 4 * _BUS + 2 * _GATE_HALF[1]
        height = _BAND_HEAD + sum(heights) + len(rows) * row_extra
        self.drawing.band(self.left, top, self.width, height)
        self.drawing.text(self.left + 16, top + 24, TIER_TITLES[tier])
        self.bands.append(top + height // 2)
        self.drawing.way((self.middle, self.y - _BUS), (self.middle, top + _BAND_HEAD - _BUS))
        self.y = top + _BAND_HEAD - _BUS
        for row, row_height in zip(rows, heights, strict=True):
            self._stage(row, row_height)
        self.y = top + height

    def _stage(self, row: list[AgentNode], height: int) -> None:
        """The bus that fans out to the agents, the agents, the bus that joins them, the gate."""
        fan, top = self.y, self.y + _BUS
        join = top + height + _BUS
        gate = join + _BUS + _GATE_HALF[1]
        lefts = self._lefts(len(row))
        centres = [x + self.box_width // 2 for x in lefts]
        for y in (fan, join):
            self.drawing.way((min(*centres, self.middle), y), (max(*centres, self.middle), y))
        for agent, x, centre in zip(row, lefts, centres, strict=True):
            self.drawing.way((centre, fan), (centre, top), arrow=True)
            self.drawing.box(x, top, self.box_width, lines=_lines(agent))
            self.drawing.way((centre, top + box_height(_lines(agent))), (centre, join))
        self.drawing.way((self.middle, join), (self.middle, gate - _GATE_HALF[1]), arrow=True)
        self.gates.append(gate)
        label = f"gate {len(self.gates)}"
        self.drawing.diamond(self.middle, gate, half_width=_GATE_HALF[0], half_height=_GATE_HALF[1], label=label)
        self.y = gate + _GATE_HALF[1] + _BUS
        self.drawing.way((self.middle, gate + _GATE_HALF[1]), (self.middle, self.y))
        self.drawing.text(self.middle + 8, gate + _GATE_HALF[1] + 14, "goes on")

    def _lefts(self, count: int) -> list[int]:
        total = count * (self.box_width + _GAP) - _GAP
        return [self.middle - total // 2 + number * (self.box_width + _GAP) for number in range(count)]

    def _ending(self) -> int:
        """Effects and the end of the run; returns the height of ``close``'s centre."""
        width, top = box_width(FULFIL), self.y + _GAP
        self.drawing.way((self.middle, self.y - _BUS), (self.middle, top), arrow=True)
        self.drawing.box(self.middle - width // 2, top, width, lines=FULFIL, kind="go")
        close = top + box_height(FULFIL) + _GAP
        self.drawing.way((self.middle, close - _GAP), (self.middle, close), arrow=True)
        self.drawing.box(self.middle - 50, close, 100, lines=("close",), round_px=19)
        self.y = close + box_height(("close",)) + _GAP
        return close + box_height(("close",)) // 2

    def _sides(self, close: int) -> None:
        """What a gate may do instead of going on, on the right."""
        bus = self.right - _SIDE // 2
        out = self.right + self.side_width + _SIDE // 2
        boxes = ((REVIEW, "ask"), (CANCEL, "stop"), (PARK, ""))
        needed = sum(box_height(lines) + _GAP for lines, _ in boxes)
        top = min(self.gates[0] - box_height(REVIEW) // 2, close - needed)
        taps = []
        for lines, kind in boxes:
            centre = top + box_height(lines) // 2
            self.drawing.way((bus, centre), (self.right, centre), kind=kind, arrow=True, both=kind == "ask")
            self.drawing.box(self.right, top, self.side_width, lines=lines, kind=kind)
            if kind != "ask":
                self.drawing.way((self.right + self.side_width, centre), (out, centre), (out, close))
            taps.append(centre)
            top += box_height(lines) + _GAP
        for gate in self.gates:
            self.drawing.way((self.middle + _GATE_HALF[0], gate), (bus, gate), kind="ask")
            self.drawing.text(self.middle + _GATE_HALF[0] + 10, gate - 8, "unsure, contradictory, refused", style="ask")
        self.drawing.way((bus, min(*self.gates, *taps)), (bus, max(*self.gates, *taps)), kind="ask")
        self.drawing.way((out, close), (self.middle + 50, close), arrow=True)

    def _later(self) -> None:
        """Tier 3, reached by events only."""
        agents = list(self.workflow.tier_3)
        height = _BAND_HEAD + max(box_height(_lines(agent)) for agent in agents)
        self.drawing.band(self.left, self.y, self.width, height)
        self.drawing.text(self.left + 16, self.y + 24, TIER_TITLES[2])
        for agent, x in zip(agents, self._lefts(len(agents)), strict=True):
            self.drawing.box(x, self.y + _BAND_HEAD - _BUS, self.box_width, lines=_lines(agent), kind="later")
        stream, target = _MARGIN + _GUTTER // 4, self.y + height // 2
        for y in self.bands:
            self.drawing.way((self.left, y), (stream, y), kind="later")
        self.drawing.way((stream, self.bands[0]), (stream, target), (self.left, target), kind="later", arrow=True)
        self.drawing.text(stream + 8, self.y - 12, "events")
        self.y += height + _MARGIN
