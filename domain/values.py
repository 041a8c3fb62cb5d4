"""The base of every document in the domain: frozen, strict about unknown fields, exact in JSON."""

import hashlib
from typing import Any, Self

import orjson
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeAliasType

Plain = TypeAliasType("Plain", "str | int | bool | list[Plain] | dict[str, Plain] | None")
"""What graph state, effect arguments and decision facts may hold: no float, no tuple, no int keys."""


_LEAST, _GREATEST = -(2**63), 2**63 - 1


def require_plain(value: object, at: str = "value") -> None:
    """Check that a value is exactly ``Plain``, so that it comes back from any store as it went in.

    Raises:
        TypeError: a part of it is of another type (float, tuple, enum, date, int keys).
        ValueError: an integer beyond 64 bits, or text with half a character (a lone surrogate).
    """
    if value is None or type(value) is bool:
        return
    if type(value) is str:
        if not value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in value):
            raise ValueError(f"{at} holds a lone surrogate; only Unicode text can be stored.")
    elif type(value) is int:
        if not _LEAST <= value <= _GREATEST:
            raise ValueError(f"{at} is an integer beyond 64 bits; keep it as text.")
    elif type(value) is list:
        for position, part in enumerate(value):
            require_plain(part, f"{at}[{position}]")
    elif type(value) is dict:
        _require_plain_object(value, at)
    else:
        kind = type(value).__name__
        raise TypeError(f"{at} is a {kind}; state holds text, integers, booleans, null, lists and objects only.")


def _require_plain_object(value: dict[object, object], at: str) -> None:
    for key, part in value.items():
        if type(key) is not str:
            raise TypeError(f"{at} has the key {key!r}; keys must be text.")
        require_plain(key, f"{at}'s key")
        require_plain(part, f"{at}.{key}")


class Document(BaseModel):
    """A frozen value that crosses process edges as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    def to_json(self) -> str:
        """The document as compact JSON; ``from_json`` gives an equal value back."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Parse a document.

        Raises:
            pydantic.ValidationError: the text is not this document.
        """
        return cls.model_validate_json(text)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, so that equal values have equal text."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def digest(value: Any) -> str:
    """SHA-256 (64 hex characters) of the canonical JSON of a plain value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
