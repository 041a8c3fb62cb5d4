"""The part of JSON Schema (2020-12) that answers of models are described in, and holding a document against it.

A small closed part on purpose: every object names all its fields and allows no other, every text and list has a limit.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST_TEXT = 8_000
LONGEST_LIST = 200
_NOTES = frozenset({"title", "description", "type", "enum"})
_OWN = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern"}),
    "integer": frozenset({"minimum", "maximum"}),
    "number": frozenset({"minimum", "maximum"}),
    "boolean": frozenset(),
    "null": frozenset(),
}
_FAULTS_SHOWN = 8


def schema_problems(schema: object, at: str = "$") -> Iterator[str]:
    """What keeps a schema from being used, one sentence each."""
    if not isinstance(schema, dict):
        yield f"{at} is not an object"
        return
    kinds = _kinds(schema)
    if at == "$" and kinds != ["object"]:
        yield "$ must be of type object"
    unknown = [kind for kind in kinds if kind not in _OWN]
    if unknown or not kinds:
        yield f"{at}.type must be one of {', '.join(_OWN)}, or a list of these"
        return
    allowed = _NOTES.union(*(_OWN[kind] for kind in kinds))
    for word in sorted(set(schema) - allowed):
        yield f"{at}.{word} is not supported for {' or '.join(kinds)}"
    if "object" in kinds:
        yield from _object_problems(schema, at)
    if "array" in kinds:
        yield from schema_problems(schema.get("items"), f"{at}.items")
    if "pattern" in schema:
        yield from _pattern_problems(schema["pattern"], at)


def _object_problems(schema: Mapping[str, Any], at: str) -> Iterator[str]:
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        yield f"{at}.properties must name the fields"
        return
    if schema.get("additionalProperties") is not False:
        yield f"{at}.additionalProperties must be false"
    if sorted(schema.get("required", ())) != sorted(properties):
        yield f"{at}.required must list every field; one that may be absent has a type list with null"
    for name, inner in properties.items():
        yield from schema_problems(inner, f"{at}.{name}")


def _pattern_problems(pattern: object, at: str) -> Iterator[str]:
    try:
        re.compile(str(pattern))
    except re.error as error:
        yield f"{at}.pattern is no regular expression: {error}"


def faults(schema: Mapping[str, Any], value: object) -> list[str]:
    """Where a document does not fit a supported schema, without quoting the document; empty when it fits."""
    found = []
    for fault in _faults(schema, value, "$"):
        found.append(fault)
        if len(found) == _FAULTS_SHOWN:
            break
    return found


def _faults(schema: Mapping[str, Any], value: object, at: str) -> Iterator[str]:
    kinds = _kinds(schema)
    kind = _kind_of(value, kinds)
    if kind is None:
        yield f"{at} must be {' or '.join(kinds)}"
        return
    if "enum" in schema and not any(type(value) is type(each) and value == each for each in schema["enum"]):
        yield f"{at} must be one of {', '.join(map(str, schema['enum']))}"
    elif isinstance(value, dict):
        yield from _object_faults(schema, value, at)
    elif isinstance(value, list):
        yield from _list_faults(schema, value, at)
    elif isinstance(value, str):
        yield from _text_faults(schema, value, at)
    elif kind in {"integer", "number"} and isinstance(value, int | float):
        yield from _number_faults(schema, value, at)


def _object_faults(schema: Mapping[str, Any], value: Mapping[str, object], at: str) -> Iterator[str]:
    properties: Mapping[str, Any] = schema["properties"]
    for name in properties:
        if name not in value:
            yield f"{at}.{name} is missing"
    if set(value) - set(properties):
        yield f"{at} may only have the fields {', '.join(properties)}"
    for name, inner in properties.items():
        if name in value:
            yield from _faults(inner, value[name], f"{at}.{name}")


def _list_faults(schema: Mapping[str, Any], value: list[object], at: str) -> Iterator[str]:
    least, most = schema.get("minItems", 0), schema.get("maxItems", LONGEST_LIST)
    if not least <= len(value) <= most:
        yield f"{at} must have {least} to {most} items"
        return
    for position, item in enumerate(value):
        yield from _faults(schema["items"], item, f"{at}[{position}]")


def _text_faults(schema: Mapping[str, Any], value: str, at: str) -> Iterator[str]:
    least, most = schema.get("minLength", 0), schema.get("maxLength", LONGEST_TEXT)
    if not least <= len(value) <= most:
        yield f"{at} must have {least} to {most} characters"
    elif any("\ud800" <= sign <= "\udfff" for sign in value):
        yield f"{at} must be Unicode text"
    elif "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{at} must match {schema['pattern']}"


def _number_faults(schema: Mapping[str, Any], value: float, at: str) -> Iterator[str]:
    least, most = schema.get("minimum", -(2**53)), schema.get("maximum", 2**53)
    # what is not a number (NaN) is between nothing
    if not least <= value <= most:
        yield f"{at} must be between {least} and {most}"


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    kind = schema.get("type")
    return [str(each) for each in kind] if isinstance(kind, list) else [str(kind)]


def _kind_of(value: object, kinds: list[str]) -> str | None:
    if isinstance(value, bool):
        is_a = {"boolean"}
    elif isinstance(value, int):
        is_a = {"integer", "number"}
    elif isinstance(value, float):
        is_a = {"number"}
    elif isinstance(value, str):
        is_a = {"string"}
    elif isinstance(value, list):
        is_a = {"array"}
    elif isinstance(value, dict):
        is_a = {"object"}
    else:
        is_a = {"null"} if value is None else set()
    return next((kind for kind in kinds if kind in is_a), None)
