"""A person's edits to an order: checked as strictly as a channel's payload, applied as a new version."""

from datetime import datetime
from typing import Any

from pydantic import ValidationError

from agents.taught import option_situation
from domain.address import Address
from domain.errors import UnprocessableOrder
from domain.event import Event
from domain.example import Edit
from domain.order import Order, OrderIssue
from domain.review import Review, ReviewAnswer
from domain.values import Plain
from graph.runtime.orders import OrderRecord, happening

_MENDED = {OrderIssue.NO_ADDRESS, OrderIssue.NO_COUNTRY}


def edited(order: Order, edits: dict[str, Plain], *, at: datetime) -> Order:
    """The order with the edits applied.

    ``ship_to`` replaces the named address fields; ``lines`` maps a line id to its new ``sku`` or ``quantity_open``;
    ``deliver_by`` is an ISO time or null; ``shipping_option`` is text.

    Raises:
        UnprocessableOrder: an edit names what the order does not have, or a value that does not fit.
    """
    document: dict[str, Any] = order.model_dump(mode="json")
    for name, value in edits.items():
        match name:
            case "ship_to":
                document["ship_to"] |= _mapping(name, value)
            case "lines":
                document["lines"] = _lines(order, _mapping(name, value))
            case "deliver_by" | "shipping_option":
                document[name] = value
            case _:
                raise UnprocessableOrder(f"{name} cannot be edited", pointer=f"/edits/{name}")
    document["updated_at"] = max(at, order.updated_at).isoformat()
    try:
        changed = Order.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        pointer = "/edits/" + "/".join(str(part) for part in first["loc"])
        raise UnprocessableOrder(f"the edit does not fit: {first['msg']}", pointer=pointer) from None
    return changed.model_copy(update={"issues": _remaining(changed)})


def _mapping(name: str, value: Plain) -> dict[str, Plain]:
    if not isinstance(value, dict):
        raise UnprocessableOrder(f"{name} must be an object", pointer=f"/edits/{name}")
    unknown = sorted(set(value) - set(Address.model_fields)) if name == "ship_to" else []
    if unknown:
        raise UnprocessableOrder(f"an address has no {', '.join(unknown)}", pointer=f"/edits/{name}/{unknown[0]}")
    return value


def _lines(order: Order, changes: dict[str, Plain]) -> list[dict[str, Any]]:
    lines = {line.line_id: line.model_dump(mode="json") for line in order.lines}
    for line_id, change in changes.items():
        if line_id not in lines:
            raise UnprocessableOrder(f"the order has no line {line_id}", pointer=f"/edits/lines/{line_id}")
        if not isinstance(change, dict) or set(change) - {"sku", "quantity_open"}:
            raise UnprocessableOrder(
                "of a line, sku and quantity_open can be edited", pointer=f"/edits/lines/{line_id}"
            )
        lines[line_id] |= change
        if lines[line_id]["quantity_open"] > lines[line_id]["quantity"]:
            raise UnprocessableOrder("more units than were bought", pointer=f"/edits/lines/{line_id}/quantity_open")
    return list(lines.values())


def _remaining(order: Order) -> tuple[OrderIssue, ...]:
    mended = set()
    if order.ship_to.deliverable:
        mended |= _MENDED
    if all(line.sku for line in order.open_lines):
        mended.add(OrderIssue.NO_SKU)
    return tuple(issue for issue in order.issues if issue not in mended)


def accepted(record: OrderRecord, review: Review, answer: ReviewAnswer) -> list[Event]:
    """What an accepted edit may teach, as the happening of its order.

    Only how the shipping option's words are to be read: addresses, lines and dates are one customer's own.
    """
    situation = option_situation(record.order) if record.order and "shipping_option" in answer.edits else None
    if record.order is None or situation is None:
        return []
    edit = Edit(
        situation=situation,
        before=record.order.shipping_option,
        after=answer.edits["shipping_option"],
        review_id=review.review_id,
        edited_by=answer.decided_by,
        roles=answer.roles,
        via=answer.via,
        proposed_by=review.proposed_by,
        reason=answer.reason,
    )
    return [happening(record, "order.edit.accepted", edit.model_dump(mode="json"), at=answer.decided_at)]
