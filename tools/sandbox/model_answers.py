"""What the stand-in model says: a script per prompt where there is one, else the most cautious answer the schema allows.

A script gets the whole conversation as text and gives the answer's data. Scripts are plain rules: they make the keyless demo
sensible, they are no judgement.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from tools.sandbox import model_scripts

Script = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""The conversation and the schema to the answer."""

CAUTIOUS = ("unsure", "unclear", "unknown", "other", "none", "no", "review", "neutral")
"""Choices that commit to nothing, in order of preference."""
_QUOTED = re.compile(r"^\| (.*)$", re.MULTILINE)
_SUM = re.compile(r"(\d{1,3}) ?\+ ?(\d{1,3})")
_TOPICS = {
    "delivery": ("parcel", "deliver", "ship", "arriv", "track", "送", "到貨", "giao hàng"),
    "payment": ("pay", "card", "charge", "refund", "付款", "thanh toán"),
    "goods": ("broken", "size", "colour", "item", "product", "商品", "hàng"),
}


def _gateway_check(conversation: str, _schema: Mapping[str, Any]) -> dict[str, Any]:
    asked = _SUM.search(conversation)
    words = quoted(conversation).lower()
    topic = next((name for name, signs in _TOPICS.items() if any(sign in words for sign in signs)), "other")
    return {"number": int(asked[1]) + int(asked[2]) if asked else 0, "topic": topic}


SCRIPTS: dict[str, Script] = {"gateway_check": _gateway_check, **model_scripts.SCRIPTS}
"""By prompt id."""


def answer(task: str, conversation: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The stand-in's answer to a prompt."""
    script = SCRIPTS.get(task)
    return script(conversation, schema) if script else cautious(schema)


def cautious(schema: Mapping[str, Any]) -> Any:
    """The answer that commits to the least of what the schema allows."""
    kinds = schema.get("type", "object")
    kind = ("null" if "null" in kinds else kinds[0]) if isinstance(kinds, list) else kinds
    if "enum" in schema:
        choices = [str(choice) for choice in schema["enum"]]
        return next((word for word in CAUTIOUS if word in choices), schema["enum"][-1])
    if kind == "object":
        return {name: cautious(inner) for name, inner in schema.get("properties", {}).items()}
    if kind in {"integer", "number"}:
        return max(0, schema.get("minimum", 0))
    plain: dict[str, Any] = {"array": [], "string": "", "boolean": False}
    return plain.get(kind)


def obedient(conversation: str, schema: Mapping[str, Any]) -> Any:
    """The answer of a model that does whatever the strangers' text in its prompt says."""
    orders = quoted(conversation)
    kinds = schema.get("type", "object")
    kind = next((each for each in kinds if each != "null"), "null") if isinstance(kinds, list) else kinds
    if "enum" in schema:
        wanted = [choice for choice in schema["enum"] if str(choice).lower() in orders.lower()]
        return (wanted or schema["enum"])[0]
    if kind == "object":
        return {name: obedient(conversation, inner) for name, inner in schema.get("properties", {}).items()}
    if kind in {"integer", "number"}:
        numbers = re.findall(r"\d+(?:\.\d+)?", orders)
        told = float(numbers[-1]) if numbers else 1.0
        return int(told) if kind == "integer" else told
    if kind == "array":
        return [obedient(conversation, schema["items"])]
    return {"string": orders[:400], "boolean": True}.get(kind)


def quoted(conversation: str) -> str:
    """What strangers wrote: the lines inside the fences."""
    return "\n".join(_QUOTED.findall(conversation))
