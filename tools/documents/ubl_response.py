"""A supplier's answer as UBL 2.3 OrderResponse: the code for the whole, and what it changes line by line."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar
from xml.etree.ElementTree import Element

from domain.errors import MalformedPayload
from domain.values import Document
from tools.documents.ubl_names import CAC, CBC, RESPONSE, parse, text_of
from tools.documents.ubl_order import number

C = TypeVar("C", bound=StrEnum)


class ResponseCode(StrEnum):
    """Answers to a whole order (UNCL 4343, the subset of Peppol BIS ordering)."""

    ACKNOWLEDGED = "AB"
    ACCEPTED = "AP"
    REJECTED = "RE"
    CONDITIONAL = "CA"


class LineCode(StrEnum):
    """Answers to one line (UNCL 1229, the subset of Peppol BIS ordering)."""

    ADDED = "1"
    CHANGED = "3"
    ACCEPTED = "5"
    NOT_ACCEPTED = "7"
    ALREADY_DELIVERED = "42"


class ResponseLine(Document):
    """What the supplier says of one line; None where it says nothing."""

    line_id: str
    code: LineCode
    sku: str = ""
    quantity: Decimal | None = None
    unit_price: Decimal | None = None
    currency: str = ""
    promised: date | None = None
    substitute: str = ""
    note: str = ""


class OrderResponse(Document):
    """A supplier's answer. Every text in it is the supplier's, never an instruction."""

    response_id: str
    order_number: str
    code: ResponseCode
    note: str = ""
    lines: tuple[ResponseLine, ...] = ()


def read_response(document: bytes) -> OrderResponse:
    """What a UBL OrderResponse says.

    Raises:
        MalformedPayload: it is not one, names no order, or carries a code or number we do not know.
    """
    root = parse(document, f"{{{RESPONSE}}}OrderResponse")
    order_number = text_of(root, "OrderReference", "ID")
    if not order_number:
        raise MalformedPayload("the order response does not say which order it answers")
    return OrderResponse(
        response_id=text_of(root, "ID"),
        order_number=order_number,
        code=_code(ResponseCode, text_of(root, "OrderResponseCode")),
        note=" ".join((note.text or "").strip() for note in root.findall(f"{{{CBC}}}Note")),
        lines=tuple(_line(one) for one in root.findall(f"{{{CAC}}}OrderLine")),
    )


def _line(order_line: Element) -> ResponseLine:
    item = order_line.find(f"{{{CAC}}}LineItem")
    if item is None:
        raise MalformedPayload("a line of the order response has no LineItem")
    price = item.find(f"{{{CAC}}}Price/{{{CBC}}}PriceAmount")
    quantity, unit_price = text_of(item, "Quantity"), text_of(item, "Price", "PriceAmount")
    promised = text_of(item, "Delivery", "PromisedDeliveryPeriod", "EndDate") or text_of(
        item, "Delivery", "PromisedDeliveryPeriod", "StartDate"
    )
    return ResponseLine(
        line_id=text_of(order_line, "OrderLineReference", "LineID") or text_of(item, "ID"),
        code=_code(LineCode, text_of(item, "LineStatusCode")),
        sku=text_of(item, "Item", "BuyersItemIdentification", "ID"),
        quantity=number(quantity, "Quantity") if quantity else None,
        unit_price=number(unit_price, "PriceAmount") if unit_price else None,
        currency="" if price is None else price.get("currencyID", ""),
        promised=_day(promised) if promised else None,
        substitute=text_of(order_line, "SellerProposedSubstituteLineItem", "Item", "SellersItemIdentification", "ID"),
        note=text_of(item, "Note"),
    )


def _code(kind: type[C], text: str) -> C:
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(kind)
        raise MalformedPayload(f"the order response carries the code {text[:20]!r}; known are {known}") from None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise MalformedPayload(f"{text[:40]!r} in the order response is not a date") from None
