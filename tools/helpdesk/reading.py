"""What the readers of help desks share: ids, times, and the sales channel a ticket names."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from domain.errors import MalformedPayload
from domain.order import Channel
from domain.ticket import LONGEST_ID
from tools.channels.strict_json import load_json

_CHANNELS = {channel.value.replace("_", ""): channel.value for channel in Channel}


def document(raw: bytes) -> Mapping[str, Any]:
    """The webhook's object.

    Raises:
        MalformedPayload: it is something else.
    """
    root = load_json(raw)
    if not isinstance(root, dict):
        raise MalformedPayload("the webhook is no JSON object")
    return root


def part(value: object) -> Mapping[str, Any]:
    """An object, or an empty one where there is none."""
    return value if isinstance(value, dict) else {}


def parts(value: object) -> list[Mapping[str, Any]]:
    """The objects of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def name(value: object) -> str:
    """An id or a short word on one line; numbers are taken as their digits."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return " ".join(str(value).split())[:200]


def required(value: object, what: str) -> str:
    """An id that must be there.

    Raises:
        MalformedPayload: it is not.
    """
    found = name(value)
    if not found:
        raise MalformedPayload(f"the webhook has no {what}")
    if len(found) > LONGEST_ID:
        raise MalformedPayload(f"the {what} has more than {LONGEST_ID} characters")
    return found


def instant(value: object, what: str) -> datetime:
    """Seconds since 1970 or an ISO 8601 time; one without an offset is UTC.

    Raises:
        MalformedPayload: it is neither.
    """
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            found = datetime.fromisoformat(value.strip())
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise MalformedPayload(f"{what} is no time")


def channel_of(words: Iterable[object]) -> str:
    """The first sales channel among words a ticket is marked with (``Shopee TW``, ``channel:lazada``); empty for none."""
    for word in words:
        for token in name(word).lower().replace("_", "").replace("-", " ").replace(":", " ").split():
            if token in _CHANNELS:
                return _CHANNELS[token]
    return ""
