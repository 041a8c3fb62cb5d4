"""A person's edits to an order: checked as strictly as a channel's payload, applied as a new version."""

from datetime import datetime
from typing import Any

from pydantic import ValidationError

from domain.address import Address
from domain.errors import UnprocessableOrder
from domain.order import Order, OrderIssue
from domain.values import Plain

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
