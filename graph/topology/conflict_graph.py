"""Which agent reads and writes which data, and where two of them write the same."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from graph.topology.conflicts import conflicts
from graph.topology.drawing import Drawing, box_width
from graph.topology.mermaid import edge, heading, node
from graph.topology.model import AgentNode, Rule, Workflow, covers

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
    groups = [(f"tier {n}", [_column(a) for a in tier]) for n, tier in enumerate(workflow.tiers, start=1) if tier]
    rules = {facet: _facet_lines(workflow, facet)[1:] for facet in facets(workflow)}
    found = conflicts(workflow)
    told = "; ".join(f"{', '.join(each.agents)} write {each.facet}" for each in found)
    return matrix_svg(workflow.name, groups, rules, told=told, key=workflow.digest[:8])


class Column(NamedTuple):
    """One who reads or writes."""

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


def matrix_svg(
    title: str,
    groups: Sequence[tuple[str, Sequence[Column]]],
    rules: Mapping[str, Sequence[str]],
    *,
    told: str,
    key: str,
) -> str:
    """Data down, who touches it across in titled groups; ``rules`` has a line of its own for every facet and rule."""
    columns = [column for _, group in groups for column in group]
    drawing = Drawing(
        title=f"Who reads and writes what in {title}",
        description=f"More than one writer: {told or 'nowhere'}.",
        key=f"data-{key}",
    )
    drawing.text(_MARGIN, 40, f"{title}: who reads and writes what", style="title")
    drawing.text(_MARGIN, 64, "W writes · R reads · amber: more than one writer, settled by the rule on the right")
    left = _MARGIN + max(map(box_width, ((name,) for name in rules)), default=0)
    rise = int(max((len(column.name) for column in columns), default=0) * _SLANT)
    top = _HEAD + rise
    right = left + len(columns) * _CELL
    _columns(drawing, groups, left=left, top=top, bottom=top + len(rules) * _ROW)
    for number, (facet, lines) in enumerate(rules.items()):
        _row(drawing, columns, (facet, *lines), left=left, top=top + number * _ROW)
    width = max(
        right + max(_RULES, rise, *(8 * len(line) for lines in rules.values() for line in lines), 0) + _MARGIN, 640
    )
    return drawing.svg(width, top + len(rules) * _ROW + _ROW + _MARGIN)


def _column(agent: AgentNode) -> Column:
    return Column(agent.name, agent.reads, agent.writes)


def _columns(
    drawing: Drawing, groups: Sequence[tuple[str, Sequence[Column]]], *, left: int, top: int, bottom: int
) -> None:
    """Slanted names over one tinted band per group."""
    x = left
    for title, group in groups:
        if group:
            drawing.band(x + 2, top - 4, len(group) * _CELL - 4, bottom - top + 8 + _ROW)
            drawing.text(x + len(group) * _CELL // 2, bottom + 24, title, anchor="middle")
        for column in group:
            drawing.text(x + _CELL // 2, top - 14, column.name, style="name", slanted=True)
            x += _CELL


def _row(drawing: Drawing, columns: Sequence[Column], lines: tuple[str, ...], *, left: int, top: int) -> None:
    """One facet: its name, a mark per column, and the rule when several write it."""
    facet, *rules = lines
    style = "ask" if rules else ""
    middle = top + _ROW // 2
    drawing.text(left - 12, middle + 5, facet, style=f"name {style}", anchor="end")
    drawing.way((_MARGIN, top + _ROW), (left + len(columns) * _CELL, top + _ROW), kind="hair")
    for number, column in enumerate(columns):
        centre = left + number * _CELL + _CELL // 2
        if any(covers(written, facet) for written in column.writes):
            drawing.mark(centre, middle, "RW" if facet in column.reads else "W", kind=style or "solid")
        elif facet in column.reads:
            drawing.mark(centre, middle, "R")
    if rules:
        drawing.text(left + len(columns) * _CELL + 14, middle + 5, "; ".join(rules), style=style)


def _facet_lines(workflow: Workflow, facet: str) -> tuple[str, ...]:
    rules: dict[str, Rule | None] = {found.facet: found.rule for found in conflicts(workflow)}
    return (facet, f"rule: {rules[facet] or 'missing'}") if facet in rules else (facet,)
