"""The picture of one order's way through the workflow, left to right, each station in the colour of what was said there."""

from typing import Any

from markupsafe import Markup

from api.services import Json
from domain.decision import CONFIDENCE_TO_ACT
from graph.topology.drawing import Drawing, box_height, box_width
from graph.topology.model import AgentNode, Workflow

_MARGIN, _GAP, _ROW = 8, 26, 14
_GATE = (40, 24)
_KIND_OF = {"proceed": "go", "limit": "ask", "review": "ask", "hold": "stop", "reject": "stop"}
_END_KIND = {"fulfilled": "go", "cancelled": "stop", "dead_letter": "stop", "in_review": "ask", "backordered": "ask"}


def picture(workflow: Workflow, story: Json, *, state: str) -> Markup:
    """The way as inline SVG without a style of its own."""
    return Markup(_Way(workflow, story, state).svg())  # noqa: S704  # every text in it is escaped by Drawing


class _Way:
    """Lays the stations out; ``x`` is how far it has got."""

    def __init__(self, workflow: Workflow, story: Json, state: str) -> None:
        self.workflow = workflow
        self.said: dict[str, Json] = story["latest"]
        self.reviews: list[Json] = story["questions"]
        self.state = state
        tallest = max(self._column_height(column) for column in [*workflow.stages, list(workflow.tier_3)] if column)
        self.middle = _MARGIN + tallest // 2
        self.height = tallest + 2 * _MARGIN
        told = ", ".join(f"{name} said {one['word']}" for name, one in self.said.items()) or "no agent has spoken yet"
        self.drawing = Drawing(
            title=f"The way of order {story['entity_id']}", description=f"{told}; now {state}.", key="way"
        )
        self.x = _MARGIN

    def svg(self) -> str:
        self._station(("received",), "go" if self.said else "")
        for number, stage in enumerate(self.workflow.stages, start=1):
            self._column(stage)
            self._gate(number)
        self._station(self._ending(), _END_KIND.get(self.state, ""))
        if self.workflow.tier_3:
            self._column(list(self.workflow.tier_3), later=True)
        return self.drawing.svg(self.x - _GAP + _MARGIN, self.height, styled=False)

    def _lines(self, node: AgentNode) -> tuple[str, ...]:
        said = self.said.get(node.name)
        if said is None:
            return (node.name.replace("_", " "), "not asked")
        sure = "" if said["confidence"] is None else f" · {said['confidence'] * 100:.0f} %"
        mode = "" if said["mode"] in (None, "normal") else f" · {said['mode']}"
        return (node.name.replace("_", " "), f"{said['word'].replace('_', ' ')}{sure}{mode}")

    def _kind(self, node: AgentNode) -> str:
        said = self.said.get(node.name)
        if said is None:
            return "later"
        unsure = said["confidence"] is None or said["confidence"] < CONFIDENCE_TO_ACT
        kind = _KIND_OF.get(said["outcome"] or "", "")
        return "ask" if kind == "go" and unsure else kind

    def _column_height(self, nodes: list[AgentNode]) -> int:
        return len(nodes) * (box_height(("", "")) + _ROW) - _ROW

    def _column(self, nodes: list[AgentNode], *, later: bool = False) -> None:
        width = max(box_width(self._lines(node)) for node in nodes)
        y, height = self.middle - self._column_height(nodes) // 2, box_height(("", ""))
        for node in nodes:
            kind = "later" if later and node.name not in self.said else ""
            centre = y + height // 2
            self.drawing.way((self.x - _GAP, self.middle), (self.x - _GAP // 2, self.middle),
                             (self.x - _GAP // 2, centre), (self.x, centre), kind=kind)  # fmt: skip
            self.drawing.box(self.x, y, width, lines=self._lines(node), kind=self._kind(node))
            if not later:
                end = self.x + width
                self.drawing.way((end, centre), (end + _GAP // 2, centre), (end + _GAP // 2, self.middle),
                                 (end + _GAP, self.middle))  # fmt: skip
            y += height + _ROW
        self.x += width + _GAP

    def _gate(self, number: int) -> None:
        asked = [one for one in self.reviews if one["stage"] == f"gate_{number}"]
        kind = self._asked_kind(asked[-1]) if asked else ""
        cx = self.x + _GATE[0]
        label = "person" if asked else f"gate {number}"
        self.drawing.diamond(cx, self.middle, half_width=_GATE[0], half_height=_GATE[1], label=label, kind=kind)
        end = cx + _GATE[0]
        self.drawing.way((end, self.middle), (end + _GAP, self.middle))
        self.x = end + _GAP

    @staticmethod
    def _asked_kind(review: Json) -> str:
        if review["state"] == "open":
            return "ask"
        return "stop" if review["action"] == "reject" else "go"

    def _ending(self) -> tuple[str, ...]:
        return (self.state.replace("_", " "),)

    def _station(self, lines: tuple[Any, ...], kind: str) -> None:
        width, height = box_width(lines), box_height(lines)
        self.drawing.box(self.x, self.middle - height // 2, width, lines=lines, kind=kind, round_px=18)
        self.x += width + _GAP
