"""The modal behind a card's third button: choose, give a reason, change fields; and reading what was filled in."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from slack_sdk.models.blocks import (
    Block,
    InputBlock,
    NumberInputElement,
    Option,
    PlainTextInputElement,
    RadioButtonsElement,
    SectionBlock,
)
from slack_sdk.models.views import View

from domain.review import Review, ReviewAction
from domain.values import Plain
from tools.review_summary import clean, summary_of
from tools.slack.card import value_of
from tools.slack.text import inert, plain

CALLBACK = "review_answer"
CHOICE, REASON, INPUT = "choice", "reason", "value"
REASON_CHARS = 2000
EDITED_LINES = 20
ADDRESS_FIELDS = ("name", "company", "line1", "line2", "district", "city", "region", "postcode", "country")
_CHOICES = {
    ReviewAction.APPROVE: "Approve as proposed",
    ReviewAction.EDIT: "Approve with the changes below",
    ReviewAction.REJECT: "Reject",
}


@dataclass(frozen=True, kw_only=True)
class Field:
    """One input of the modal that changes something."""

    block: str
    label: str
    initial: str
    path: tuple[str, ...]
    """Where the value goes in the edits."""
    number: bool = False


@dataclass(frozen=True, kw_only=True)
class Filled:
    """What a submitted modal says, or what is wrong with it."""

    action: ReviewAction = ReviewAction.APPROVE
    reason: str = ""
    edits: dict[str, Plain]
    errors: dict[str, str]
    """Sentences by block id."""


def fields_of(review: Review) -> tuple[Field, ...]:
    """The inputs for what an edit of this review may change."""
    return tuple(field for name in review.editable for field in _READERS.get(name, _other)(review, name))


def _address(review: Review, name: str) -> Iterator[Field]:
    """Left empty, a part of the address stays as it is: nobody's address is shown in a chat product."""
    for part in ADDRESS_FIELDS:
        yield Field(block=f"{name}/{part}", label=f"New address: {part}", initial="", path=(name, part))


def _lines(review: Review, name: str) -> Iterator[Field]:
    for at, line in enumerate(_shown_lines(review)):
        line_id, sku = str(line.get("line_id", "")), str(line.get("sku") or "")
        title = clean(str(line.get("title") or sku), 60)
        quantity = str(line.get("quantity", ""))
        place = (name, line_id)
        yield Field(
            block=f"{name}/{at}/quantity_open", label=f"Units of {title}", initial=quantity,
            path=(*place, "quantity_open"), number=True,
        )  # fmt: skip
        yield Field(block=f"{name}/{at}/sku", label=f"SKU of {title}", initial=sku, path=(*place, "sku"))


def _shown_lines(review: Review) -> list[Mapping[str, Plain]]:
    lines = review.facts.get("lines")
    found: list[Mapping[str, Plain]] = []
    for line in lines if isinstance(lines, list) else []:
        if isinstance(line, dict):
            found.append(line)
    return found[:EDITED_LINES]


def _other(review: Review, name: str) -> Iterator[Field]:
    shown = review.facts.get(name)
    initial = shown if isinstance(shown, str) else ""
    yield Field(block=name, label=f"New {name.replace('_', ' ')}", initial=initial, path=(name,))


_READERS: Mapping[str, Callable[[Review, str], Iterator[Field]]] = {"ship_to": _address, "lines": _lines}


def answer_modal(review: Review) -> dict[str, Any]:
    """The modal for an open review."""
    actions = [action for action in ReviewAction if action is not ReviewAction.EDIT or review.editable]
    known = [action for action in actions if action in _CHOICES]
    options = [Option(value=action.value, text=plain(_CHOICES[action], 75)) for action in known]
    blocks: list[Block] = [
        SectionBlock(text=plain(summary_of(review).title)),
        InputBlock(block_id=CHOICE, label="Your answer", element=RadioButtonsElement(action_id=INPUT, options=options)),
        InputBlock(
            block_id=REASON,
            label="Reason (kept in the audit)",
            element=PlainTextInputElement(action_id=INPUT, multiline=True, min_length=1, max_length=REASON_CHARS),
        ),
        *(_input(field) for field in fields_of(review)),
    ]
    return _view("Answer the review", blocks, submit="Answer", metadata=value_of(review)).to_dict()


def told_modal(title: str, sentence: str) -> dict[str, Any]:
    """A modal that says one thing and has nothing to fill in."""
    return _view(title, [SectionBlock(text=plain(sentence))], submit=None, metadata="").to_dict()


def _view(title: str, blocks: list[Block], *, submit: str | None, metadata: str) -> View:
    return View(
        type="modal",
        callback_id=CALLBACK,
        title=plain(title, 24),
        submit=plain(submit, 24) if submit else None,
        close=plain("Close", 24),
        blocks=blocks,
        private_metadata=metadata,
    )


def _input(field: Field) -> InputBlock:
    initial = field.initial[:REASON_CHARS] or None
    element = (
        NumberInputElement(action_id=INPUT, initial_value=initial, min_value="0")
        if field.number
        else PlainTextInputElement(
            action_id=INPUT, initial_value=initial and clean(initial, 500), max_length=REASON_CHARS
        )
    )
    return InputBlock(block_id=field.block, label=plain(field.label, 200), element=element, optional=True)


def read(review: Review, values: Mapping[str, Any]) -> Filled:
    """What was filled in: only fields that differ from what was shown become edits."""
    errors: dict[str, str] = {}
    chosen = _selected(values)
    reason = _given(values, REASON)
    if chosen is None:
        errors[CHOICE] = "Choose one of the answers"
    if not reason:
        errors[REASON] = "Say why; it is kept in the audit"
    edits: dict[str, Any] = {}
    for field in fields_of(review):
        given = _given(values, field.block)
        if given in {"", field.initial, clean(field.initial, 500)}:
            continue
        if field.number and not (given.isascii() and given.isdigit() and len(given) <= 9):
            errors[field.block] = "A whole number of units"
            continue
        _put(edits, field.path, int(given) if field.number else given)
    if chosen is ReviewAction.EDIT and not edits and not errors:
        errors[CHOICE] = "Change at least one field below, or approve as proposed"
    if chosen is not None and chosen is not ReviewAction.EDIT and edits:
        errors[CHOICE] = f"You changed fields; choose “{_CHOICES[ReviewAction.EDIT]}” or undo the changes"
    return Filled(action=chosen or ReviewAction.APPROVE, reason=reason, edits=edits, errors=errors)


def block_for(review: Review, pointer: str | None) -> str:
    """The input an error about ``/edits/...`` belongs to; the choice when it is about none in particular."""
    path = tuple((pointer or "").removeprefix("/edits/").split("/"))
    for field in fields_of(review):
        if field.path == path or field.block == "/".join(path):
            return field.block
    near = [field.block for field in fields_of(review) if field.path[: len(path)] == path]
    return near[0] if near else CHOICE


def error_text(sentence: str) -> str:
    """A sentence as it stands below an input."""
    return inert(sentence, 150)


def _put(edits: dict[str, Any], path: tuple[str, ...], value: Plain) -> None:
    for part in path[:-1]:
        edits = edits.setdefault(part, {})
    edits[path[-1]] = value


def _element(values: Mapping[str, Any], block: str) -> Mapping[str, Any]:
    held = values.get(block)
    element = held.get(INPUT) if isinstance(held, dict) else None
    return element if isinstance(element, dict) else {}


def _given(values: Mapping[str, Any], block: str) -> str:
    value = _element(values, block).get("value")
    return value.strip()[:REASON_CHARS] if isinstance(value, str) else ""


def _selected(values: Mapping[str, Any]) -> ReviewAction | None:
    option = _element(values, CHOICE).get("selected_option")
    value = option.get("value") if isinstance(option, dict) else None
    return next((action for action in ReviewAction if action.value == value), None)
