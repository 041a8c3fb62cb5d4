"""What the stand-in Slack checks and understands of Block Kit, as the real one documents it: limits, and who is mentioned."""

import re
from collections.abc import Iterator
from typing import Any

MAX_BLOCKS = {"message": 50, "modal": 100}
_LIMITS = {"header": 150, "section": 3000, "field": 2000, "context": 2000, "button": 75, "label": 2000}
_MENTION = re.compile(r"<(!channel|!here|!everyone|!subteam\^[A-Z0-9]+|@[UW][A-Z0-9]+)(?:\|[^>]*)?>")
_LINK = re.compile(r"<((?:https?|mailto|tel):[^|>]+)(?:\|[^>]*)?>")


def problems(blocks: Any, surface: str = "message") -> list[str]:
    """Why the real Slack would answer ``invalid_blocks``; empty when it would not."""
    if not isinstance(blocks, list) or len(blocks) > MAX_BLOCKS[surface]:
        return [f"not a list of at most {MAX_BLOCKS[surface]} blocks"]
    found: list[str] = []
    names = [str(block.get("block_id")) for block in blocks if isinstance(block, dict) and block.get("block_id")]
    if len(names) != len(set(names)):
        found.append("a block_id occurs twice")
    for at, block in enumerate(blocks):
        found += [f"block {at}: {why}" for why in _block_problems(block, surface)]
    return found


def _block_problems(block: Any, surface: str) -> list[str]:
    if not isinstance(block, dict):
        return ["not an object"]
    match block.get("type"):
        case "header":
            return _text(block.get("text"), "header", kinds={"plain_text"})
        case "section":
            fields = block.get("fields") or []
            told = _text(block["text"], "section") if "text" in block else ([] if fields else ["no text"])
            return (
                told + [w for f in fields for w in _text(f, "field")] + (["over 10 fields"] if len(fields) > 10 else [])
            )
        case "context":
            parts = block.get("elements") or []
            return [w for part in parts for w in _text(part, "context")] + (
                [] if 0 < len(parts) <= 10 else ["1 to 10 elements"]
            )
        case "actions":
            return _action_problems(block.get("elements") or [])
        case "input" if surface == "modal":
            return _text(block.get("label"), "label", kinds={"plain_text"})
        case "divider":
            return []
        case other:
            return [f"type {other!r} does not fit here"]


def _action_problems(elements: list[Any]) -> list[str]:
    found = [] if 0 < len(elements) <= 25 else ["1 to 25 elements"]
    actions = [str(each.get("action_id")) for each in elements]
    found += ["an action_id occurs twice"] if len(actions) != len(set(actions)) else []
    for each in elements:
        found += _text(each.get("text"), "button", kinds={"plain_text"})
        found += ["a value over 2000 characters"] if len(str(each.get("value", ""))) > 2000 else []
        found += ["a url over 3000 characters"] if len(str(each.get("url", ""))) > 3000 else []
        found += ["an action_id over 255 characters"] if len(str(each.get("action_id", ""))) > 255 else []
    return found


def _text(
    text: Any, place: str, *, kinds: frozenset[str] | set[str] = frozenset({"plain_text", "mrkdwn"})
) -> list[str]:
    if not isinstance(text, dict) or text.get("type") not in kinds or not isinstance(text.get("text"), str):
        return [f"{place}: not a text of the right type"]
    length = len(text["text"])
    return [] if 0 < length <= _LIMITS[place] else [f"{place}: {length} characters, {_LIMITS[place]} at most"]


def mentions(message: dict[str, Any]) -> list[str]:
    """Whom Slack would notify because of a message's markup."""
    return [hit for text in _marked_up(message) for hit in _MENTION.findall(text)]


def links(message: dict[str, Any]) -> list[str]:
    """What Slack would show as a link because of a message's markup."""
    return [hit for text in _marked_up(message) for hit in _LINK.findall(text)]


def _marked_up(message: dict[str, Any]) -> Iterator[str]:
    """Every text in which Slack reads markup: the message's own, and text objects of the type mrkdwn."""
    yield str(message.get("text", ""))
    stack: list[Any] = list(message.get("blocks") or [])
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            if node.get("type") == "mrkdwn":
                yield str(node.get("text", ""))
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
