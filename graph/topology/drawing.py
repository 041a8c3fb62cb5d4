"""A hand-laid SVG picture: boxes, diamonds, bands and lines that read on light and dark ground and for a screen reader."""

from collections.abc import Sequence
from html import escape
from math import ceil

STYLE = """
.sb-diagram{--bg:#fff;--ink:#1b1f24;--dim:#57606a;--line:#6e7781;--box:#fff;--edge:#8c959f;--band:#f3f6fa;
--go:#1a7f37;--ask:#9a6700;--stop:#cf222e;--ask-bg:#fff8e5;--go-bg:#edfbf0;--stop-bg:#fff0ee;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
@media (prefers-color-scheme:dark){.sb-diagram{--bg:#0d1117;--ink:#e6edf3;--dim:#9da7b3;--line:#8b949e;--box:#161b22;
--edge:#6e7681;--band:#12171f;--go:#56d364;--ask:#e3b341;--stop:#ff7b72;--ask-bg:#241d0c;--go-bg:#0f2417;
--stop-bg:#2a1314}}
.sb-diagram .ground{fill:var(--bg)}
.sb-diagram .band{fill:var(--band);stroke:none}
.sb-diagram .box{fill:var(--box);stroke:var(--edge);stroke-width:1.5}
.sb-diagram .box.ask{fill:var(--ask-bg);stroke:var(--ask)}
.sb-diagram .box.go{fill:var(--go-bg);stroke:var(--go)}
.sb-diagram .box.stop{fill:var(--stop-bg);stroke:var(--stop)}
.sb-diagram .box.later{stroke-dasharray:5 4}
.sb-diagram .way{fill:none;stroke:var(--line);stroke-width:1.5}
.sb-diagram .way.ask{stroke:var(--ask)}
.sb-diagram .way.stop{stroke:var(--stop)}
.sb-diagram .way.later{stroke-dasharray:5 4}
.sb-diagram .way.hair{stroke:var(--edge);stroke-width:.4}
.sb-diagram .mark{fill:none;stroke:var(--edge)}
.sb-diagram .mark.solid{fill:var(--dim);stroke:var(--dim)}
.sb-diagram .mark.ask{fill:var(--ask);stroke:var(--ask)}
.sb-diagram .head{fill:var(--line)}
.sb-diagram .head.ask{fill:var(--ask)}
.sb-diagram .head.stop{fill:var(--stop)}
.sb-diagram text{fill:var(--dim);font-size:12px}
.sb-diagram text.name{fill:var(--ink);font-size:14px;font-weight:600}
.sb-diagram text.title{fill:var(--ink);font-size:20px;font-weight:600}
.sb-diagram text.ask{fill:var(--ask)}
.sb-diagram text.letter.solid,.sb-diagram text.letter.ask{fill:var(--bg);font-weight:600}
"""

LINE_HEIGHT = 18
_NAME_CHAR = 8.6
_TEXT_CHAR = 7.0


def box_width(lines: Sequence[str]) -> int:
    """Pixels a box needs for its name line and its smaller lines."""
    widths = [len(line) * (_TEXT_CHAR if number else _NAME_CHAR) for number, line in enumerate(lines)]
    return ceil(max(widths, default=0)) + 28


def box_height(lines: Sequence[str]) -> int:
    """Pixels a box needs for its lines."""
    return len(lines) * LINE_HEIGHT + 20


class Drawing:
    """Collects shapes; later shapes lie above earlier ones. Coordinates are pixels from the top left."""

    def __init__(self, *, title: str, description: str, key: str) -> None:
        """``key`` keeps the ids apart when several pictures stand in one page."""
        self.title = title
        self.description = description
        self.key = key
        self.parts: list[str] = []

    def band(self, x: int, y: int, width: int, height: int) -> None:
        """A tinted area."""
        self.parts.append(f'<rect class="band" x="{x}" y="{y}" width="{width}" height="{height}" rx="10"/>')

    def mark(self, cx: int, cy: int, letter: str, *, kind: str = "") -> None:
        """A letter or two in a small box. Kinds: solid, ask."""
        self.parts.append(f'<rect class="mark {kind}" x="{cx - 14}" y="{cy - 11}" width="28" height="22" rx="4"/>')
        self.text(cx, cy + 5, letter, style=f"letter {kind}", anchor="middle")

    def box(self, x: int, y: int, width: int, *, lines: Sequence[str], kind: str = "", round_px: int = 6) -> None:
        """A box with a name line and smaller lines, centred. Kinds: ask, go, stop, later."""
        height = box_height(lines)
        self.parts.append(
            f'<rect class="box {kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="{round_px}"/>'
        )
        for number, line in enumerate(lines):
            style = "" if number else "name"
            self.text(x + width // 2, y + 24 + number * LINE_HEIGHT, line, style=style, anchor="middle")

    def diamond(self, cx: int, cy: int, *, half_width: int, half_height: int, label: str, kind: str = "") -> None:
        """A decision, labelled inside. Kinds as of a box."""
        corners = f"{cx},{cy - half_height} {cx + half_width},{cy} {cx},{cy + half_height} {cx - half_width},{cy}"
        self.parts.append(f'<polygon class="box {kind}" points="{corners}"/>')
        self.text(cx, cy + 5, label, style="name", anchor="middle")

    def way(self, *points: tuple[int, int], kind: str = "", arrow: bool = False, both: bool = False) -> None:
        """A line through the points, with an arrow at its end (and at its start when ``both``)."""
        head = f"sb-{self.key}-{kind if kind in ('ask', 'stop') else 'head'}"
        marks = (f' marker-end="url(#{head})"' if arrow else "") + (f' marker-start="url(#{head})"' if both else "")
        path = " ".join(f"{x},{y}" for x, y in points)
        self.parts.append(f'<polyline class="way {kind}" points="{path}"{marks}/>')

    def text(self, x: int, y: int, text: str, *, style: str = "", anchor: str = "start", slanted: bool = False) -> None:
        """One line of text on its base line, rising at 45 degrees when slanted."""
        turn = f' transform="rotate(-45 {x} {y})"' if slanted else ""
        self.parts.append(f'<text class="{style}" x="{x}" y="{y}" text-anchor="{anchor}"{turn}>{escape(text)}</text>')

    def svg(self, width: int, height: int, *, styled: bool = True) -> str:
        """The whole picture; without ``styled`` the page it stands in brings ``STYLE``."""
        heads = "".join(
            f'<marker id="sb-{self.key}-{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
            f'markerHeight="8" orient="auto-start-reverse"><path class="head {name}" d="M0 1 9 5 0 9z"/></marker>'
            for name in ("head", "ask", "stop")
        )
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" class="sb-diagram" viewBox="0 0 {width} {height}" '
                f'width="{width}" height="{height}" role="img" '
                f'aria-labelledby="sb-{self.key}-title sb-{self.key}-desc">',
                f'<title id="sb-{self.key}-title">{escape(self.title)}</title>',
                f'<desc id="sb-{self.key}-desc">{escape(self.description)}</desc>',
                (f"<style>{STYLE}</style>" if styled else "") + f"<defs>{heads}</defs>",
                f'<rect class="ground" width="{width}" height="{height}"/>',
                *self.parts,
                "</svg>\n",
            ]
        )
