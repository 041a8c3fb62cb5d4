"""The report of a shadow test as one self-contained page: no script, no outside file, light and dark."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from evals.shadow_report import ShadowReport

TEMPLATE = "shadow_page.html.j2"
SHOWN_FLIPS = 500
_BAR, _GAP, _HIGH = 26, 6, 120


@cache
def _template() -> Template:
    folder = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True).get_template(
        TEMPLATE
    )


def page(report: ShadowReport) -> str:
    """The page. Whatever came from outside is escaped."""
    flips = sorted(report.flips, key=lambda flip: (flip.better is not False, not flip.hard, flip.case_id))
    shown = flips[:SHOWN_FLIPS]
    labelled = [one for one in report.segments if one.worse or one.better]
    return _template().render(
        report=report,
        flips=shown,
        more_flips=len(flips) - len(shown),
        segments=sorted(labelled, key=lambda one: (one.p_holm, one.p, one.segment)),
        quiet_segments=len(report.segments) - len(labelled),
        matrix=_matrix(report),
        confidence=_bars(report.confidence.old_histogram, report.confidence.new_histogram),
    )


def _matrix(report: ShadowReport) -> Markup:
    """The disagreement matrix as a heat map; the diagonal is agreement."""
    size, left, top = 92, 96, 34
    most = max((max(row) for row in report.matrix), default=0) or 1
    names = report.actions
    parts = [
        f'<svg viewBox="0 0 {left + size * len(names) + 8} {top + 52 * len(names) + 8}" role="img" '
        'aria-label="old action by new action" class="matrix">'
    ]
    for place, name in enumerate(names):
        parts.append(f'<text x="{left + size * place + size // 2}" y="22" class="head">{name}</text>')
        parts.append(f'<text x="{left - 10}" y="{top + 52 * place + 31}" class="side">{name}</text>')
    for row, counts in enumerate(report.matrix):
        for column, count in enumerate(counts):
            kind = "same" if row == column else "milder" if column < row else "harder"
            depth = 0.08 + 0.72 * (count / most) ** 0.5 if count else 0.0
            x, y = left + size * column, top + 52 * row
            parts.append(
                f'<rect x="{x}" y="{y}" width="{size - 4}" height="48" rx="5" class="cell {kind}" '
                f'fill-opacity="{depth:.2f}"/><text x="{x + size // 2 - 2}" y="{y + 30}" class="count">{count}</text>'
            )
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704  # numbers and our own words only


def _bars(old: Sequence[int], new: Sequence[int]) -> Markup:
    """Two histograms of confidence in ten bins, side by side."""
    most = max(*old, *new, 1)
    width = (_BAR * 2 + _GAP * 2) * 10 + 20
    parts = [f'<svg viewBox="0 0 {width} {_HIGH + 44}" role="img" aria-label="verdicts by confidence" class="bars">']
    for place, (before, after) in enumerate(zip(old, new, strict=True)):
        x = 10 + place * (_BAR * 2 + _GAP * 2)
        for offset, (count, kind) in enumerate(((before, "old"), (after, "new"))):
            high = round(_HIGH * count / most)
            at = x + offset * (_BAR + 1)
            parts.append(f'<rect x="{at}" y="{16 + _HIGH - high}" width="{_BAR}" height="{high}" class="{kind}"/>')
            if count:
                parts.append(f'<text x="{at + _BAR // 2}" y="{12 + _HIGH - high}" class="tiny">{count}</text>')
        parts.append(f'<text x="{x + _BAR}" y="{_HIGH + 36}" class="axis">{place / 10:.1f}</text>')
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704  # numbers only
