"""The interrupt in the words of common inboxes, and their answers in ours.

Agent Inbox and agent-chat-ui render a human-in-the-loop request; between them five shapes of answer are in use. One
function reads them all. An edit is refused here: it needs a person, a role and a new version of the order, which is what
the review desk is for.
"""

from collections.abc import Mapping
from typing import Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict

from domain.values import Plain

AllowedDecision = Literal["approve", "edit", "reject", "respond"]


class ActionRequest(TypedDict):
    """One action somebody has to allow. ``arguments`` repeats ``args`` for Agent Inbox, which reads that name."""

    name: str
    args: dict[str, Any]
    arguments: dict[str, Any]
    description: NotRequired[str]


class ReviewConfig(TypedDict):
    """What may be answered to an action."""

    action_name: str
    allowed_decisions: list[AllowedDecision]


class InboxRequest(TypedDict):
    """What an interrupt shows."""

    action_requests: list[ActionRequest]
    review_configs: list[ReviewConfig]


def inbox_request(name: str, args: dict[str, Plain], description: str) -> InboxRequest:
    """The request for one action that may be approved or rejected."""
    return {
        "action_requests": [{"name": name, "args": args, "arguments": args, "description": description}],
        "review_configs": [{"action_name": name, "allowed_decisions": ["approve", "reject"]}],
    }


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: Literal["approve", "accept", "edit", "reject", "ignore", "respond", "response"]
    message: str | None = Field(default=None, max_length=2000)
    args: Any = None


_ANSWER = TypeAdapter(_Answer)


def read_answer(value: Any) -> Any:
    """Our own words for an answer in any of the five shapes; what is none of them is given back as it came.

    The shapes: ``{"decisions": [one]}``, one bare decision, Agent Inbox's list of one, its bare item, and our own.

    Raises:
        ValueError: it is one of the shapes, and what it says cannot be done here.
    """
    item = _unwrapped(value)
    if not isinstance(item, Mapping) or "type" not in item:
        return value
    answer = _ANSWER.validate_python(item)
    said = answer.message or (answer.args if isinstance(answer.args, str) else "") or ""
    match answer.type:
        case "approve" | "accept":
            return {"action": "approve", "detail": "approved in an inbox"}
        case "reject" | "ignore" | "respond" | "response":
            return {"action": "reject", "detail": f"rejected in an inbox{': ' if said else ''}{said}"}
        case "edit":
            raise ValueError(
                "an edit is made at the review desk, where it is checked and recorded; approve or reject here"
            )


def _unwrapped(value: Any) -> Any:
    if isinstance(value, Mapping) and "decisions" in value:
        value = value["decisions"]
        if not isinstance(value, list):
            raise ValueError("'decisions' is a list with one decision")
    if isinstance(value, list):
        if len(value) != 1:
            raise ValueError(f"one decision is asked for, not {len(value)}")
        return value[0]
    return value
