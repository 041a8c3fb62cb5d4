"""An order's story as people read it: the explanation's entries with a kind, a headline, and a score's rules where there are any."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from api.services import Json

_EFFECT, _REVIEW, _PROGRESS = "effect.", "review.", "progress."
_SHOWN = ("detail", "channel", "shop", "source", "total", "platform_status", "version", "arrival", "issues", "deadline")
_TOLD_BEFORE = frozenset({"reason", "reasons", "review_id", "kind", "key", "reference"})


_CUSTOMER = {
    "accepted": "We have your order and are working on it.",
    "running": "We have your order and are working on it.",
    "in_review": "We have your order. A colleague is looking at it before it goes on.",
    "backordered": "Something you ordered is not in stock right now. We keep your order and send it as soon as it is.",
    "fulfilled": "Your order is being prepared for shipping.",
    "cancelled": "Your order was cancelled.",
    "closed_externally": "Your order was completed or cancelled where you placed it; please look there.",
    "dead_letter": "We have your order. Something technical holds it up, and a colleague is looking at it.",
}


def for_customer(state: str) -> str:
    """What may be told to the customer: where the order stands, never a reason, score or name of ours."""
    return _CUSTOMER.get(state, "We have your order and are working on it.")


def without_opinions(explanation: Json) -> Json:
    """The explanation while a blind review is open: nothing of what the agents concluded."""
    kept = [entry for entry in explanation["entries"] if not entry["decision"]]
    return explanation | {"entries": kept, "overrides": []}


def told(explanation: Json) -> Json:
    """The explanation with its entries made readable, oldest first."""
    entries = explanation["entries"]
    began = _at(entries[0]) if entries else None
    steps = [_step(entry, began) for entry in entries]
    return explanation | {"steps": steps, "latest": _latest(steps), "questions": explanation["reviews"]}


def _step(entry: Json, began: datetime | None) -> Json:
    happening = entry["event"].partition(".")[2]
    kind = _kind(entry, happening)
    stated = _mapping(entry["facts"].get("facts"))
    return entry | {
        "kind": kind,
        "title": _title(kind, happening, entry),
        "word": _word(kind, happening, entry),
        "after": _after(entry, began),
        "who": entry["actor"],
        "trace": [_rule(one) for one in stated.get("rules") or [] if isinstance(one, dict)],
        "score": stated.get("score"),
        "conflict": _conflict(entry),
        "said": _said(entry["facts"]),
        "stated": {name: value for name, value in stated.items() if name not in {"rules", "score"}},
        "inputs": _mapping(entry["facts"].get("inputs")),
    }


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _kind(entry: Json, happening: str) -> str:
    if happening.startswith(_EFFECT):
        return "effect"
    if happening.startswith(_REVIEW):
        return "review"
    if happening.startswith(_PROGRESS):
        return "progress"
    if entry["decision"]:
        return "decision"
    return "person" if str(entry["actor"]).startswith(("person:", "user:")) else "event"


def _title(kind: str, happening: str, entry: Json) -> str:
    match kind:
        case "decision":
            return str(entry["actor"])
        case "effect":
            return str(entry["facts"].get("kind") or happening)
        case "progress":
            return f"now {happening.removeprefix(_PROGRESS)}"
        case _:
            return happening


def _word(kind: str, happening: str, entry: Json) -> str:
    match kind:
        case "decision":
            return str(entry["decision"])
        case "effect":
            return happening.removeprefix(_EFFECT)
        case "progress":
            return happening.removeprefix(_PROGRESS)
        case "review":
            return str(entry["facts"].get("action") or happening.removeprefix(_REVIEW))
        case _:
            return ""


def _at(entry: Json) -> datetime:
    return datetime.fromisoformat(entry["at"])


def _after(entry: Json, began: datetime | None) -> str:
    """How long after the beginning (``+35 ms``)."""
    if began is None:
        return ""
    ms = (_at(entry) - began).total_seconds() * 1000
    if ms < 1000:
        return f"+{ms:.0f} ms"
    return f"+{ms / 1000:.1f} s" if ms < 60_000 else f"+{ms / 60_000:.0f} min"


def _rule(one: Json) -> Json:
    return {"code": str(one.get("code", "")), "points": one.get("points", 0)}


def _conflict(entry: Json) -> list[Any]:
    found = entry["facts"].get("conflicts") or entry["facts"].get("conflict") or []
    return found if isinstance(found, list) else [found]


def _said(facts: Json) -> list[tuple[str, Any]]:
    found = [(name, facts[name]) for name in _SHOWN if facts.get(name) not in (None, "", [], {})]
    return [(name, value) for name, value in found if name not in _TOLD_BEFORE]


def _latest(steps: list[Json]) -> dict[str, Json]:
    """Each agent's last decision."""
    return {step["actor"]: step for step in steps if step["kind"] == "decision"}
