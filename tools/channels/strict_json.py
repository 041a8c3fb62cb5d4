"""The one JSON entrance of every channel: strict, bounded, exact. Numbers with a point arrive as Decimal, never as float.

What JSON leaves to taste (duplicate keys, NaN, 1e400, lone surrogates, other charsets) is refused here, in one sentence.
"""

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

import orjson

from domain.errors import MalformedPayload, PayloadTooLarge

Json = dict[str, Any] | list[Any] | str | int | Decimal | bool | None
"""A parsed document: no floats."""

_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_MAX_INTEGER = 2**63 - 1
_MAX_NUMBER_CHARS = 40
_MAX_EXPONENT = 30


@dataclass(frozen=True, kw_only=True)
class ParseLimits:
    """How much a document may hold before it is refused unread."""

    max_bytes: int = 2 * 1024 * 1024
    max_depth: int = 64
    max_nodes: int = 100_000
    """Keys and values together."""


DEFAULT_LIMITS = ParseLimits()


def load_json(raw: bytes | str, limits: ParseLimits = DEFAULT_LIMITS) -> Json:
    """Parse one JSON document (UTF-8 only).

    Raises:
        PayloadTooLarge: more bytes than allowed.
        MalformedPayload: not strict JSON, too deep, or too many values.
    """
    check_size(raw, limits)
    text = _decode(raw)
    _check_shape(text, limits)
    try:
        document: Json = json.loads(
            text, object_pairs_hook=_unique, parse_float=_decimal, parse_int=_integer, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        raise MalformedPayload(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    if _SURROGATE_ESCAPE.search(text):
        _check_surrogates(text)
    return document


def load_object(raw: bytes | str, limits: ParseLimits = DEFAULT_LIMITS) -> dict[str, Any]:
    """Parse one JSON document that must be an object.

    Raises:
        PayloadTooLarge: more bytes than allowed.
        MalformedPayload: not strict JSON, or not an object.
    """
    document = load_json(raw, limits)
    if not isinstance(document, dict):
        raise MalformedPayload("the body is JSON but not an object; send one object", pointer="")
    return document


def check_size(raw: bytes | str, limits: ParseLimits) -> None:
    """Refuse a body that is longer than allowed.

    Raises:
        PayloadTooLarge: it is.
    """
    if len(raw) > limits.max_bytes:
        raise PayloadTooLarge(f"the body has {len(raw)} bytes; at most {limits.max_bytes} are accepted")


def _decode(raw: bytes | str) -> str:
    if isinstance(raw, str):
        text = raw
        if not raw.isascii():
            try:
                raw.encode()
            except UnicodeEncodeError:
                raise MalformedPayload("the body holds a lone surrogate, which is not text") from None
    else:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedPayload(f"the body is not UTF-8 at byte {error.start}; send JSON in UTF-8") from None
    if text.startswith("\ufeff"):
        raise MalformedPayload("the body begins with a byte order mark; send plain UTF-8")
    return text


def _check_shape(text: str, limits: ParseLimits) -> None:
    """Bound values and depth from the punctuation alone, before anything is built."""
    bare = _STRING.sub("", text)
    if bare.count(",") + bare.count(":") + bare.count("{") + bare.count("[") >= limits.max_nodes:
        raise MalformedPayload(f"the body holds more than {limits.max_nodes} values; send a smaller document")
    depth = 0
    for bracket in _BRACKET.findall(bare):
        depth += 1 if bracket in "[{" else -1
        if depth > limits.max_depth:
            raise MalformedPayload(f"the body is nested deeper than {limits.max_depth} levels")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keyed = dict(pairs)
    if len(keyed) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise MalformedPayload(f"the key {twice[:60]!r} appears twice in one object")
    return keyed


def _integer(digits: str) -> int:
    if len(digits) > 20 or abs(value := int(digits)) > _MAX_INTEGER:
        raise MalformedPayload("the body holds a whole number beyond 64 bits; send it as text")
    return value


def _decimal(digits: str) -> Decimal:
    value = Decimal(digits) if len(digits) <= _MAX_NUMBER_CHARS else None
    if value is None or abs(value.adjusted()) > _MAX_EXPONENT:
        raise MalformedPayload("the body holds a number out of range or with too many digits")
    return value


def _refuse_constant(word: str) -> NoReturn:
    raise MalformedPayload(f"{word} is not JSON; send a number or null")


def _check_surrogates(text: str) -> None:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        raise MalformedPayload("the body escapes a lone surrogate, which is not text") from None
