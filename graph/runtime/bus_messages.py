"""How a message lies in a Redis stream or under broker headers, and what the buses declare about themselves.

Stream layout, flat so that any Lua script may append the same entry in the step that writes other keys:
``k`` = message key, ``b`` = body text, ``h`` = headers as a JSON object of text (absent when there are none),
``ts`` = publish time in ms since 1970. Any further field is handed to consumers as a header of that name.
"""

import importlib
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import orjson

from domain.errors import ConfigError, MalformedPayload
from domain.ports import Message

KEY_FIELD = "k"
BODY_FIELD = "b"
HEADERS_FIELD = "h"
PUBLISHED_FIELD = "ts"

DELIVERY_CAP = 5
"""Deliveries of one message to one group before it becomes a dead letter."""
DEDUPE_TTL_S = 7 * 24 * 3600
"""How long a dedupe key is remembered."""


class Capability(StrEnum):
    """What one broker can do and another can not; a bus lists what it has in ``capabilities``."""

    TRIMS = "trims"
    """``trim`` drops what every group has acknowledged; without it the broker's own retention does."""
    KNOWS_AGE = "knows_age"
    """``lag`` knows the age of messages not delivered yet; without it only of delivered ones."""
    COUNTS_EVERYWHERE = "counts_everywhere"
    """``lag`` counts what other processes hold unacknowledged; without it only this process's share."""
    SHARES_EVENLY = "shares_evenly"
    """Consumers of a group share message by message; without it they share whole partitions of keys."""
    CLAIMS_ANYWHERE = "claims_anywhere"
    """``claim`` takes over from any process; without it the broker hands a dead process's messages to ``read``."""


def utc_now() -> datetime:
    """The default clock of a bus."""
    return datetime.now(UTC)


def epoch_ms(at: datetime) -> int:
    """Milliseconds since 1970 of a zone-aware instant."""
    return int(at.timestamp() * 1000)


def from_epoch_ms(ms: int) -> datetime:
    """The UTC instant of milliseconds since 1970."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def broker_library(module: str, *, extra: str) -> Any:
    """A client library that only some installations carry.

    Raises:
        ConfigError: it is not installed; the message names the extra to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"The {extra} bus needs {module}: run pip install 'signalbox[{extra}]'.") from error


def stream_fields(message: Message, at_ms: int) -> dict[str, str]:
    """The fields of a stream entry for a message published at ``at_ms`` (ms since 1970)."""
    fields = {KEY_FIELD: message.key, BODY_FIELD: message.body, PUBLISHED_FIELD: str(at_ms)}
    if message.headers:
        fields[HEADERS_FIELD] = orjson.dumps(message.headers).decode()
    return fields


def parse(fields: Mapping[str, str]) -> Message:
    """The message of a stream entry; fields outside the layout become headers, and the body stays opaque text.

    Raises:
        MalformedPayload: the entry has no key or body, or its headers are not a JSON object of text.
    """
    if KEY_FIELD not in fields or BODY_FIELD not in fields:
        raise MalformedPayload(
            f"stream entry has fields {sorted(fields)[:8]} but not both '{KEY_FIELD}' and '{BODY_FIELD}'"
        )
    headers = {name: value for name, value in fields.items() if name not in _LAYOUT}
    headers.update(_headers(fields.get(HEADERS_FIELD, "")))
    return Message(key=fields[KEY_FIELD], headers=headers, body=fields[BODY_FIELD])


_LAYOUT = frozenset({KEY_FIELD, BODY_FIELD, HEADERS_FIELD, PUBLISHED_FIELD})


def _headers(text: str) -> dict[str, str]:
    if text in {"", "{}"}:
        return {}
    try:
        headers = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MalformedPayload(f"stream entry's headers ('{HEADERS_FIELD}') are not JSON: {error}") from error
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise MalformedPayload(f"stream entry's headers ('{HEADERS_FIELD}') are not a JSON object of text values")
    return headers
