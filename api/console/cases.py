"""What the review pages show of a case: the queue's rows, the filters, and what a posted edit form changes."""

from datetime import datetime, timedelta
from typing import Any

from api.services import Json
from domain.address import Address
from domain.order import Order
from domain.review import Review, ReviewState
from domain.review_case import CaseFile, shown
from domain.review_policy import ReviewPolicy
from graph.runtime.audit_reviews import ReviewRecord

URGENT = timedelta(minutes=30)
SOON = timedelta(hours=2)


def hidden(review: Review) -> bool:
    """Whether the machine's opinion is kept from the decider for now."""
    return review.blind and review.state is ReviewState.OPEN


def urgency(deadline: datetime | None, now: datetime) -> str:
    """``over``, ``urgent``, ``soon`` or ``calm``, by the time left."""
    if deadline is None:
        return "calm"
    left = deadline - now
    if left <= timedelta(0):
        return "over"
    return "urgent" if left <= URGENT else "soon" if left <= SOON else "calm"


def row(file: CaseFile, policy: ReviewPolicy, now: datetime) -> Json:
    """An open case as a row of the queue; of a blind one nothing the machine thinks."""
    review, case, seen = file.review, file.case, shown(file.review)
    facts, priority = seen["facts"], policy.priority(file.review, now)
    return {
        "review_id": review.review_id,
        "entity_id": review.entity_id,
        "queue": review.queue,
        "stage": review.stage,
        "channel": facts.get("channel") or review.entity_type,
        "number": facts.get("number") or review.entity_id,
        "total": facts.get("total"),
        "usd": facts.get("usd_equivalent"),
        "ship_to": facts.get("ship_to") or "",
        "recommendation": seen["recommendation"],
        "confidence": seen["confidence"],
        "reasons": list(seen["reasons"]),
        "agents": _doubting(seen["reasons"]),
        "blind": hidden(review),
        "digest": review.content_digest,
        "deadline": review.deadline,
        "created_at": review.created_at,
        "urgency": urgency(review.deadline, now),
        "status": file.status(now).value,
        "holder": case.holder(now),
        "assignee": case.assignee,
        "escalated_to": case.escalated_to,
        "snoozed_until": case.snoozed_until,
        "approved_by": case.approval.by if case.approval else "",
        "comments": len(case.comments),
        "per_hour": f"{priority.usd_minor_per_hour / 100:,.2f}",
        "priority": priority.why,
    }


def closed_row(record: ReviewRecord) -> Json:
    """A closed review as a row of the history."""
    return record.model_dump(
        include={"review_id", "entity_id", "stage", "recommendation", "action", "reason", "via"}
    ) | {
        "decided_by": record.decided_by or "",
        "decided_at": record.decided_at,
        "requested_at": record.requested_at,
    }


def _doubting(reasons: list[str]) -> list[str]:
    """The agents whose sentences raised the question, each once."""
    named = (sentence.partition(":")[0] for sentence in reasons if ":" in sentence)
    return list(dict.fromkeys(name for name in named if name.replace("_", "").isalnum()))


def matches(found: Json, text: str) -> bool:
    """Whether the words of a row contain what was typed."""
    names = ("review_id", "entity_id", "number", "channel", "queue", "ship_to", "reason", "decided_by")
    words = [str(found.get(name) or "") for name in names]
    return text.lower() in " ".join([*words, *found.get("reasons", ())]).lower()


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
