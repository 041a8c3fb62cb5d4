"""Which agent reads and writes which data, and where two of them write the same."""

from graph.topology.conflicts import conflicts
from graph.topology.drawing import Drawing, box_width
from graph.topology.mermaid import edge, heading, node
from graph.topology.model import Rule, Workflow, covers

_MARGIN = 24
_HEAD = 116
_SLANT = 8.6 * 0.71
"""Height a slanted name takes per character: 45 degrees."""
_CELL = 56
_ROW = 32
_RULES = 150


def facets(workflow: Workflow) -> list[str]:
    """Everything read or written, what is written first, in the order of the file."""
    written = [facet for agent in workflow.agents for facet in agent.writes]
    read = [facet for agent in workflow.agents for facet in agent.reads]
    return list(dict.fromkeys(written + read))


def conflict_graph_mermaid(workflow: Workflow) -> str:
    """The graph as a Mermaid flowchart: solid arrows write, dashed arrows read."""
    lines = heading("LR", f"Who reads and writes what in {workflow.name}")
    lines += [node(agent.name, (agent.name, f"tier {agent.tier}")) for agent in workflow.agents]
    lines += [node(f"data:{facet}", _facet_lines(workflow, facet), "data") for facet in facets(workflow)]
    for agent in workflow.agents:
        lines += [edge(agent.name, f"data:{facet}", label="writes") for facet in agent.writes]
        lines += [edge(f"data:{facet}", agent.name, dashed=True) for facet in agent.reads]
    return "\n".join(lines) + "\n"


def conflict_graph_svg(workflow: Workflow) -> str:
    """The same as a table in SVG (arrows from everyone to everything would cross): data down, agents across."""
    found = conflicts(workflow)
    told = "; ".join(f"{', '.join(each.agents)} write {each.facet}" for each in found)
    drawing = Drawing(
        title=f"Who reads and writes what in {workflow.name}",
        description=f"More than one writer: {told or 'nowhere'}.",
        key=f"data-{workflow.digest[:8]}",
    )
    drawing.text(_MARGIN, 40, f"{workflow.name}: who reads and writes what", style="title")
    drawing.text(_MARGIN, 64, "W writes · R reads · amber: more than one writer, settled by the rule on the right")
    names = facets(workflow)
    left = _MARGIN + max(map(box_width, ((name,) for name in names)), default=0)
    rise = int(max(len(agent.name) for agent in workflow.agents) * _SLANT)
    top = _HEAD + rise
    right = left + len(workflow.agents) * _CELL
    _columns(drawing, workflow, left=left, top=top, bottom=top + len(names) * _ROW)
    for number, facet in enumerate(names):
        _row(drawing, workflow, facet, left=left, top=top + number * _ROW)
    width = max(right + max(_RULES, rise) + _MARGIN, 640)
    return drawing.svg(width, top + len(names) * _ROW + _ROW + _MARGIN)


def _columns(drawing: Drawing, workflow: Workflow, *, left: int, top: int, bottom: int) -> None:
    """Slanted agent names over one tinted band per tier."""
    x = left
    for number, tier in enumerate(workflow.tiers, start=1):
        if tier:
            drawing.band(x + 2, top - 4, len(tier) * _CELL - 4, bottom - top + 8 + _ROW)
            drawing.text(x + len(tier) * _CELL // 2, bottom + 24, f"tier {number}", anchor="middle")
        for agent in tier:
            drawing.text(x + _CELL // 2, top - 14, agent.name, style="name", slanted=True)
            x += _CELL


def _row(drawing: Drawing, workflow: Workflow, facet: str, *, left: int, top: int) -> None:
    """One facet: its name, a mark per agent, and the rule when several write it."""
    lines = _facet_lines(workflow, facet)
    style = "ask" if len(lines) > 1 else ""
    middle = top + _ROW // 2
    drawing.text(left - 12, middle + 5, facet, style=f"name {style}", anchor="end")
    drawing.way((_MARGIN, top + _ROW), (left + len(workflow.agents) * _CELL, top + _ROW), kind="hair")
    for number, agent in enumerate(workflow.agents):
        centre = left + number * _CELL + _CELL // 2
        if any(covers(written, facet) for written in agent.writes):
            drawing.mark(centre, middle, "RW" if facet in agent.reads else "W", kind=style or "solid")
        elif facet in agent.reads:
            drawing.mark(centre, middle, "R")
    for rule in lines[1:]:
        drawing.text(left + len(workflow.agents) * _CELL + 14, middle + 5, rule, style=style)


def _facet_lines(workflow: Workflow, facet: str) -> tuple[str, ...]:
    rules: dict[str, Rule | None] = {found.facet: found.rule for found in conflicts(workflow)}
    return (facet, f"rule: {rules[facet] or 'missing'}") if facet in rules else (facet,)
