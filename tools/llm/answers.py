"""A model's text as data, or what is wrong with it. Strict: nothing is guessed, mended or filled in."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from domain.json_schema import faults
from domain.language import Check
from domain.prompt import Prompt
from tools.llm.languages import name_of, reads_as
from tools.llm.masking import Masker

LONGEST_ANSWER = 32 * 1024
"""Characters."""


class BadAnswer(Exception):
    """The text is no answer; each fault is one sentence without the model's or a person's words."""

    def __init__(self, found: Sequence[str]) -> None:
        """``found`` goes back to the model once."""
        super().__init__("; ".join(found))
        self.faults = tuple(found)


def read_answer(
    content: str | None, finish: str, prompt: Prompt, *, language: str, masker: Masker, check: Check | None
) -> Mapping[str, Any]:
    """The data of an answer that is whole, of the schema's shape, in the language, and passes the caller's check.

    Raises:
        BadAnswer: it is not.
    """
    data = _parsed(content, finish)
    found = faults(prompt.schema, data)
    if found or not isinstance(data, dict):
        raise BadAnswer(found)
    declared = prompt.declared
    found += masker.token_faults(data, (*declared.texts, *declared.unmask))
    found += [
        f"$.{name} must be in {name_of(language)}"
        for name in declared.texts
        if isinstance(data[name], str) and not reads_as(data[name], language)
    ]
    if not found and check is not None:
        found += check(data)
    if found:
        raise BadAnswer(found)
    return data


def _parsed(content: str | None, finish: str) -> Any:
    if content is None or not content.strip():
        raise BadAnswer(["the answer is empty"])
    if finish == "length":
        raise BadAnswer(["the answer was cut off; be shorter"])
    if len(content) > LONGEST_ANSWER:
        raise BadAnswer([f"the answer is longer than {LONGEST_ANSWER} characters"])
    try:
        data = orjson.loads(content)
        unique = _unique(content)
    except (orjson.JSONDecodeError, RecursionError):
        raise BadAnswer(["the answer is not one JSON object and nothing else"]) from None
    if not unique:
        raise BadAnswer(["the answer names a field twice"])
    return data


def _unique(content: str) -> bool:
    """Whether no object of a valid JSON text names a field twice."""
    unique = True

    def pairs(found: list[tuple[str, Any]]) -> None:
        nonlocal unique
        unique = unique and len({name for name, _ in found}) == len(found)

    json.loads(content, object_pairs_hook=pairs)
    return unique
