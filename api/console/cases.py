"""What the review pages show of a question: the queue's rows, and the case with what a blind sample must hide taken out."""

from datetime import datetime, timedelta
from typing import Any

from api.services import Json
from domain.address import Address
from domain.order import Order

URGENT = timedelta(minutes=30)
SOON = timedelta(hours=2)
_HIDDEN_WHEN_BLIND = ("recommendation", "confidence", "reasons")


def hidden(review: Json) -> bool:
    """Whether the machine's opinion is kept from the decider for now."""
    return bool(review.get("blind")) and review.get("state") == "open"


def without_opinion(review: Json) -> Json:
    """The review as a blind decider sees it: nothing the machine concluded."""
    if not hidden(review):
        return review
    facts = {name: value for name, value in review["facts"].items() if name not in {"decisions", "grounds"}}
    return review | {"facts": facts, "recommendation": "", "confidence": None, "reasons": []}


def urgency(review: Json, now: datetime) -> str:
    """``over``, ``urgent``, ``soon`` or ``calm``, by the time left."""
    if not review.get("deadline"):
        return "calm"
    left = datetime.fromisoformat(review["deadline"]) - now
    if left <= timedelta(0):
        return "over"
    return "urgent" if left <= URGENT else "soon" if left <= SOON else "calm"


def row(review: Json, now: datetime) -> Json:
    """A review as a row of the queue."""
    seen = without_opinion(review)
    facts = seen.get("facts") or {}
    return {
        "review_id": seen["review_id"],
        "entity_id": seen["entity_id"],
        "stage": seen["stage"] or "",
        "channel": facts.get("channel", ""),
        "number": facts.get("number", ""),
        "total": facts.get("total"),
        "usd": facts.get("usd_equivalent"),
        "ship_to": facts.get("ship_to", ""),
        "recommendation": seen["recommendation"] or "",
        "confidence": seen.get("confidence"),
        "reasons": seen.get("reasons") or [],
        "agents": _doubting(seen.get("reasons") or []),
        "blind": hidden(review),
        "deadline": seen.get("deadline"),
        "created_at": seen.get("created_at") or seen.get("requested_at"),
        "urgency": urgency(seen, now),
        "assignee": seen.get("assignee") or "",
        "state": seen["state"],
        "decided_by": _answer(seen).get("decided_by") or "",
        "decided_at": _answer(seen).get("decided_at"),
        "action": _answer(seen).get("action") or "",
        "why": _answer(seen).get("reason") or "",
    }


def _answer(review: Json) -> Json:
    answer: Json = review.get("answer") or review
    return answer


def _doubting(reasons: list[str]) -> list[str]:
    """The agents whose sentences raised the question, each once."""
    named = (sentence.partition(":")[0] for sentence in reasons if ":" in sentence)
    return list(dict.fromkeys(name for name in named if name.replace("_", "").isalnum()))


def matches(shown: Json, *, text: str, stage: str, urgent: bool) -> bool:
    """Whether a row passes the queue's filters."""
    where = (
        f"{shown['review_id']} {shown['entity_id']} {shown['number']} {shown['channel']} {' '.join(shown['reasons'])}"
    )
    return (
        text.lower() in where.lower()
        and stage in ("", shown["stage"])
        and (not urgent or shown["urgency"] in {"over", "urgent"})
    )


ADDRESS_FIELDS = tuple(Address.model_fields)


def edits(order: Order, given: dict[str, str]) -> dict[str, Any]:
    """What a posted form changes: only fields that differ from the order, so that an untouched form edits nothing.

    Field names: ``ship_to.<field>``, ``lines.<line id>.sku``, ``lines.<line id>.quantity_open``, ``deliver_by``,
    ``shipping_option``. Whether values fit is for the workflow to say.
    """
    changed: dict[str, Any] = {}
    address = {
        name: given[f"ship_to.{name}"] for name in ADDRESS_FIELDS
        if f"ship_to.{name}" in given and given[f"ship_to.{name}"] != getattr(order.ship_to, name)
    }  # fmt: skip
    if address:
        changed["ship_to"] = address
    lines = {line.line_id: found for line in order.lines if (found := _line_edits(line.line_id, order, given))}
    if lines:
        changed["lines"] = lines
    option = given.get("shipping_option")
    if option is not None and option != (order.shipping_option or ""):
        changed["shipping_option"] = option
    until = given.get("deliver_by")
    if until is not None and until != deliver_by(order):
        changed["deliver_by"] = f"{until}:00Z" if until else None
    return changed


def deliver_by(order: Order) -> str:
    """The promised time as a form field shows it, UTC; empty for none."""
    return f"{order.deliver_by:%Y-%m-%dT%H:%M}" if order.deliver_by else ""


def _line_edits(line_id: str, order: Order, given: dict[str, str]) -> dict[str, Any]:
    line = next(one for one in order.lines if one.line_id == line_id)
    found: dict[str, Any] = {}
    sku, units = given.get(f"lines.{line_id}.sku"), given.get(f"lines.{line_id}.quantity_open")
    if sku is not None and sku != line.sku:
        found["sku"] = sku
    if units is not None and units != str(line.quantity_open):
        found["quantity_open"] = int(units) if units.isascii() and units.isdigit() else units
    return found
