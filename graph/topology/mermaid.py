"""Mermaid text: nodes, edges and subgraphs, escaped so that no name can break the chart."""

from collections.abc import Sequence

_CAPITALS = str.maketrans({".": "D", ":": "C"})
"""Names have no capitals, so different names stay different."""
_SHAPES = {"box": ("[", "]"), "round": ("([", "])"), "diamond": ("{", "}"), "data": ("[(", ")]")}


def heading(direction: str, title: str) -> list[str]:
    """The first lines of a chart: which way it runs, and what a screen reader calls it."""
    return [f"flowchart {direction}", f"  accTitle: {_escaped(title)}"]


def identifier(name: str) -> str:
    """A node id of its own for every name; the prefix keeps names such as ``end`` from being Mermaid words."""
    return "n_" + name.translate(_CAPITALS)


def node(name: str, lines: Sequence[str], shape: str = "box", *, indent: str = "  ") -> str:
    """One node with its lines of text. Shapes: box, round, diamond, data."""
    opening, closing = _SHAPES[shape]
    return f'{indent}{identifier(name)}{opening}"{"<br/>".join(map(_escaped, lines))}"{closing}'


def edge(source: str, target: str, *, label: str = "", dashed: bool = False) -> str:
    """One arrow."""
    text = f"|{_escaped(label)}|" if label else ""
    return f"  {identifier(source)} {'-.->' if dashed else '-->'}{text} {identifier(target)}"


def subgraph(name: str, title: str, nodes: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """A titled frame around nodes."""
    inner = [node(each, lines, indent="    ") for each, lines in nodes]
    return [f'  subgraph {identifier(name)}["{_escaped(title)}"]', *inner, "  end"]


def _escaped(text: str) -> str:
    return text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
