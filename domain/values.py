"""The base of every document in the domain: frozen, strict about unknown fields, exact in JSON."""

import hashlib
from typing import Any, Self

import orjson
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeAliasType

Plain = TypeAliasType("Plain", "str | int | bool | list[Plain] | dict[str, Plain] | None")
"""What graph state, effect arguments and decision facts may hold: no float, no tuple, no int keys."""


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
