"""The interrupt as Agent Inbox and agent-chat-ui know it: what we emit fits their shapes, what they answer resumes."""

from pathlib import Path
from typing import Any, Literal, NotRequired

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from graph.bootstrap.studio import make_graph
from graph.order.state import Resumption
from tests.integration.test_studio import order
from tests.support.system import fast_settings, for_review, running


@with_config(ConfigDict(strict=True))
class ChatUiAction(TypedDict):
    """agent-chat-ui, action request of a HITLRequest."""

    name: str
    args: dict[str, Any]
    description: NotRequired[str]


@with_config(ConfigDict(strict=True))
class ChatUiConfig(TypedDict):
    """agent-chat-ui, review config."""

    action_name: str
    allowed_decisions: list[Literal["approve", "edit", "reject", "respond"]]


@with_config(ConfigDict(strict=True))
class ChatUiRequest(TypedDict):
    """agent-chat-ui: what it renders."""

    action_requests: list[ChatUiAction]
    review_configs: list[ChatUiConfig]


@with_config(ConfigDict(strict=True))
class InboxAction(TypedDict):
    """Agent Inbox converts a HITLRequest and reads ``arguments``."""

    name: str
    arguments: dict[str, Any]
    description: NotRequired[str]


@with_config(ConfigDict(strict=True))
class InboxRequest(TypedDict):
    """Agent Inbox: what it converts."""

    action_requests: list[InboxAction]
    review_configs: list[ChatUiConfig]


APPROVALS: list[Any] = [
    {"decisions": [{"type": "approve"}]},
    {"type": "approve"},
    [{"type": "accept", "args": None}],
    [{"type": "accept", "args": {"action": "release_order", "args": {"order_id": "x"}}}],
    {"type": "accept", "args": None},
    {"action": "approve", "detail": "by the desk"},
]
REJECTIONS: list[Any] = [
    {"decisions": [{"type": "reject", "message": "stolen card"}]},
    {"decisions": [{"type": "reject"}]},
    {"type": "reject", "message": "stolen card"},
    {"decisions": [{"type": "respond", "message": "ask the buyer"}]},
    [{"type": "response", "args": "ask the buyer"}],
    [{"type": "ignore", "args": None}],
    {"type": "ignore"},
]
REFUSED: list[Any] = [
    {"decisions": [{"type": "edit", "edited_action": {"name": "release_order", "args": {"order_id": "other"}}}]},
    [{"type": "edit", "args": {"action": "release_order", "args": {"order_id": "other"}}}],
    {"decisions": []},
    {"decisions": [{"type": "approve"}, {"type": "approve"}]},
    {"decisions": [{"type": "launch"}]},
    [],
    {},
    "approve",
    None,
    {"type": ["approve"]},
    {"decisions": {"type": "approve", "x": {}}, "action": 7},
]


def _fits(value: Any) -> None:
    """Both inboxes can render it."""
    TypeAdapter(ChatUiRequest).validate_python(value)
    TypeAdapter(InboxRequest).validate_python(value)
    names = [action["name"] for action in value["action_requests"]]
    assert [config["action_name"] for config in value["review_configs"]] == names
    assert all(action["args"] == action["arguments"] for action in value["action_requests"])


async def test_a_waiting_order_shows_a_request_both_inboxes_can_render(tmp_path: Path) -> None:
    """F29: one pending interrupt a thread, in the published shape, plain JSON, without contacts."""
    async with running(fast_settings(tmp_path)) as rig:
        record = await rig.reviewed(for_review())
        graph = rig.box.threads._graphs[record.graph_version]
        shown = await graph.aget_state({"configurable": {"thread_id": record.thread}})
        assert len(shown.interrupts) == 1
        value = shown.interrupts[0].value
        _fits(value)
        assert record.order is not None
        assert record.order.ship_to.line1 not in str(value)
        assert record.order.ship_to.phone not in str(value)


async def test_answers_of_every_dialect_resume_a_thread() -> None:
    """F29, ecosystem 2: approvals go on, rejections cancel, the words of the person are kept."""
    async with make_graph() as graph:
        graph.checkpointer = InMemorySaver()
        for number, (answer, outcome) in enumerate(
            [*((a, "cancelled") for a in REJECTIONS[:4]), (APPROVALS[0], None), (APPROVALS[2], None)]
        ):
            config = {"configurable": {"thread_id": f"t{number}"}, "recursion_limit": 60}
            asked = await graph.ainvoke({"order": order("NO-SUCH-SKU"), "decisions": {}}, config, version="v2")
            _fits(asked.interrupts[0].value)
            done = await graph.ainvoke(Command(resume=answer), config, version="v2")
            assert outcome is None or done.value["outcome"] == outcome, answer
            assert outcome is not None or done.value.get("outcome") != "cancelled", answer


async def test_an_edit_is_refused_and_the_thread_goes_on_waiting() -> None:
    """ecosystem 2: nothing is saved, the interrupt stays pending, and a proper answer still counts."""
    async with make_graph() as graph:
        graph.checkpointer = InMemorySaver()
        config = {"configurable": {"thread_id": "t"}, "recursion_limit": 60}
        await graph.ainvoke({"order": order("NO-SUCH-SKU"), "decisions": {}}, config, version="v2")
        with pytest.raises(ValidationError, match="review desk"):
            await graph.ainvoke(Command(resume=REFUSED[0]), config, version="v2")
        assert len((await graph.aget_state(config)).interrupts) == 1
        done = await graph.ainvoke(Command(resume={"type": "reject", "message": "no"}), config, version="v2")
        assert done.value["outcome"] == "cancelled"


def test_every_documented_answer_means_one_thing() -> None:
    """ecosystem 2: five shapes, one type."""
    for answer in APPROVALS:
        assert Resumption.model_validate(answer).action == "approve", answer
    for answer in REJECTIONS:
        assert Resumption.model_validate(answer).action == "reject", answer
    assert Resumption.model_validate(REJECTIONS[0]).detail == "rejected in an inbox: stolen card"
    assert Resumption.model_validate(REJECTIONS[4]).detail == "rejected in an inbox: ask the buyer"


def test_junk_and_edits_are_refused() -> None:
    """ecosystem 2: what is not an answer never resumes a thread."""
    for answer in REFUSED:
        with pytest.raises(ValidationError):
            Resumption.model_validate(answer)
