"""A review as a Slack message in Block Kit: what is asked, the facts to decide on, three buttons, and later the outcome.

Text from outside sits in plain text objects only, bounded, so that it can neither act nor push the buttons away.
"""

from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    SectionBlock,
)

from domain.review import Review, ReviewState
from domain.review_channel import Nudge, NudgeKind, seal
from tools.review_summary import Summary, instant, summary_of
from tools.slack.text import FIELD_CHARS, HEADER_CHARS, inert, label, listed, plain

APPROVE, REJECT, DETAILS, OPEN = "review_approve", "review_reject", "review_details", "review_open"
METADATA_TYPE = "signalbox_review"
_VALUE_SPLIT = "|"


def value_of(review: Review) -> str:
    """What a button carries: the review's id and the seal on what was shown, nothing else."""
    return f"{review.review_id}{_VALUE_SPLIT}{seal(review)}"


def read_value(value: str) -> tuple[str, str]:
    """The review id and seal of a button; empty texts where the value is not one of ours."""
    review_id, _, sealed = value.partition(_VALUE_SPLIT)
    return review_id, sealed


def card(review: Review, standing: tuple[str, ...] = (), *, console_url: str = "") -> dict[str, Any]:
    """The message for a review as it is now: ``text`` and ``blocks``. ``standing`` is what happened on the desk so far. Without ``console_url`` there is no open button."""
    told = summary_of(review)
    blocks: list[Block] = [
        HeaderBlock(text=plain(told.title, HEADER_CHARS)),
        ContextBlock(elements=[plain(told.subtitle, 300), *([] if told.outcome else [_deadline(told)])]),
        *_opinion(told),
        *_facts(told.facts),
        *_list("On the desk", standing if review.state is ReviewState.OPEN else ()),
        *_list("Items", told.items),
        *_list("What the agents say", told.agents),
        *_list("Why a person is asked", told.reasons),
        *(_buttons(review, console_url) if review.state is ReviewState.OPEN else _outcome(told)),
    ]
    return {"text": inert(told.title, HEADER_CHARS), "blocks": [block.to_dict() for block in blocks]}


def nudge_message(review: Review, nudge: Nudge) -> dict[str, Any]:
    """A word below the card, to the person who is next."""
    words = {
        NudgeKind.REMINDER: "This still waits for an answer",
        NudgeKind.ESCALATION: "This has been passed on to you; nobody answered in time",
    }[nudge.kind]
    # A user id from our own tenants file is the one mention a message of ours may hold.
    known = nudge.chat_user.isascii() and nudge.chat_user.isalnum()
    name = f"<@{nudge.chat_user}>" if known else inert(nudge.name, 80)
    text = f"{name + ': ' if name else ''}{words} (until {instant(review.deadline)})."
    return {"text": text, "blocks": [SectionBlock(text=MarkdownTextObject(text=text)).to_dict()]}


def _deadline(told: Summary) -> MarkdownTextObject:
    """In the reader's own time zone; Slack shows the part after the bar where it cannot."""
    seconds = int(told.deadline.timestamp())
    return MarkdownTextObject(
        text=f"answer by <!date^{seconds}^{{date_short_pretty}} {{time}}|{instant(told.deadline)}>"
    )


def _opinion(told: Summary) -> list[Block]:
    if told.blind:
        hidden = "Blind sample: what the machine thinks is shown after the answer."
        return [ContextBlock(elements=[MarkdownTextObject(text=hidden)])]
    return _facts(told.opinion)


def _facts(pairs: tuple[tuple[str, str], ...]) -> list[Block]:
    """Label and value side by side; a section holds ten texts."""
    blocks: list[Block] = []
    for start in range(0, len(pairs), 5):
        texts = [text for name, value in pairs[start : start + 5] for text in (label(name), plain(value, FIELD_CHARS))]
        blocks.append(SectionBlock(fields=texts))
    return blocks


def _list(title: str, lines: tuple[str, ...]) -> list[Block]:
    return [ContextBlock(elements=[label(title)]), SectionBlock(text=listed(lines))] if lines else []


def _buttons(review: Review, console_url: str) -> list[Block]:
    value = value_of(review)
    buttons = [
        ButtonElement(text="Approve", action_id=APPROVE, value=value, style="primary"),
        ButtonElement(text="Reject", action_id=REJECT, value=value, style="danger"),
        ButtonElement(text="Edit or give a reason", action_id=DETAILS, value=value),
    ]
    if console_url:
        url = f"{console_url}/console/reviews/{review.review_id}"
        buttons.append(ButtonElement(text="Open", action_id=OPEN, value=value, url=url))
    return [ActionsBlock(block_id="answer", elements=buttons)]


def _outcome(told: Summary) -> list[Block]:
    said = [plain(f"“{told.outcome_reason}”")] if told.outcome_reason else []
    return [SectionBlock(text=plain(told.outcome)), *([ContextBlock(elements=said)] if said else [])]
