"""The letter that carries a purchase order: prose with slots, every figure filled in by the program."""

from html import escape

from agents.letter_locale import SLOT, LetterLocale, canonical
from domain.address import Address
from domain.purchasing import PurchaseOrder
from domain.values import Document

TEMPLATE = "template"
MODEL = "model"


class Prose(Document):
    """Subject and body with slots; whoever wrote it wrote no figure."""

    subject: str
    body: str
    source: str
    """``template``: our own localised letter; ``model``: drafted by a language model."""


class Letter(Document):
    """A letter ready to be shown, checked and sent."""

    language: str
    to: str
    reply_to: str
    subject: str
    body: str
    html: str
    table: str
    """The table of lines inside the body, as the program made it."""
    source: str


def own_prose(order: PurchaseOrder, locale: LetterLocale) -> Prose:
    """Our own letter for an order."""
    body = locale.letter.body
    if order.version > 1:
        head, _, rest = body.partition("\n\n")
        body = f"{head}\n\n{locale.letter.amendment}\n\n{rest}"
    return Prose(subject=locale.letter.subject, body=body, source=TEMPLATE)


def fill(prose: Prose, order: PurchaseOrder, locale: LetterLocale) -> Letter:
    """Put the order's figures into the slots. Unknown slots are left as they are, for the checks to find."""
    values = slot_values(order, locale)
    body = SLOT.sub(lambda slot: values.get(slot[1], slot[0]), prose.body).rstrip() + "\n"
    subject = SLOT.sub(lambda slot: values.get(slot[1], slot[0]), prose.subject)
    parts = SLOT.split(prose.body)
    html = "".join(
        (_html_table(order, locale) if part == "table" else escape(values.get(part, f"{{{{{part}}}}}")))
        if i % 2
        else escape(part)
        for i, part in enumerate(parts)
    )
    return Letter(
        language=locale.language,
        to=order.vendor.email,
        reply_to=order.buyer.email,
        subject=_one_line(subject),
        body=body,
        html=f'<!doctype html><html lang="{locale.language}"><body><div style="white-space:pre-line">{html}</div></body></html>',
        table=values["table"],
        source=prose.source,
    )


def slot_values(order: PurchaseOrder, locale: LetterLocale) -> dict[str, str]:
    """What goes into each slot, from the order alone."""
    return {
        "salutation": locale.greeting(order.vendor.contact),
        "po_number": order.number if order.version == 1 else f"{order.number}-{order.version}",
        "table": _table(order, locale),
        "total": locale.show_money(order.total),
        "incoterm": f"{order.incoterm.value} {_safe(order.incoterm_place)} (Incoterms 2020)",
        "payment_terms": locale.payment_words(order.payment),
        "deliver_from": locale.show_date(order.deliver_from),
        "deliver_until": locale.show_date(order.deliver_until),
        "reply_by": locale.show_date(order.reply_by),
        "ship_to": _place(order.ship_to),
        "buyer": _safe(order.buyer.legal_name),
    }


def rows(order: PurchaseOrder, locale: LetterLocale) -> list[list[str]]:
    """The lines, heading first; figures in one neutral form (point, no grouping), currency in the heading."""
    words = locale.table
    heading = [
        words["line"], words["item"], words["supplier_item"], words["description"], words["hs"], words["quantity"],
        words["unit"], f"{words['price']} ({order.currency})", f"{words['amount']} ({order.currency})",
    ]  # fmt: skip
    return [heading] + [
        [
            line.line_id,
            line.sku,
            line.supplier_sku,
            _safe(line.description),
            line.hs_code,
            str(line.quantity),
            locale.units.get(line.unit, line.unit),
            f"{line.unit_price:f}",
            f"{line.amount.decimal:f}",
        ]
        for line in order.lines
    ]


def _table(order: PurchaseOrder, locale: LetterLocale) -> str:
    return "\n".join(" | ".join(cell or "-" for cell in row) for row in rows(order, locale))


def _html_table(order: PurchaseOrder, locale: LetterLocale) -> str:
    heading, *lines = rows(order, locale)
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heading)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f'<table border="1" cellpadding="4" style="border-collapse:collapse"><tr>{head}</tr>{body}</table>'


def _place(place: Address) -> str:
    parts = (
        place.company,
        place.line1,
        place.line2,
        place.district,
        place.city,
        place.region,
        place.postcode,
        place.country,
    )
    return _safe(", ".join(part for part in parts if part))


def _safe(text: str) -> str:
    """Text from records as it may stand in a letter: visible, on one line, without anything that looks like a slot."""
    return _one_line(canonical(text)).replace("{{", "{ {").replace("|", "/")


def _one_line(text: str) -> str:
    return " ".join(text.split())
