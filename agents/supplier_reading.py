"""A supplier's answer read by a model: classes and figures as a proposal beside the rules' reading, nothing more.

Every figure must stand in the letter as the model copies it; the program converts it. A mention of payment details by either
reader counts.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from agents.letter_locale import LetterLocale, letter_locale, letter_locales
from agents.model_samples import Support, sample
from agents.text_signs import shipped_signs
from domain.language import LanguageRequest, Personal, PersonalKind
from domain.model_proposal import MODEL, ModelProposal
from domain.money import STORAGE_EXPONENT
from domain.ports import LanguagePort
from domain.purchasing import PurchaseOrder
from domain.values import Document, Plain

NAME = PROMPT = "supplier_reply"
ALONE = frozenset({"accept", "reject", "question", "out_of_office", "other"})
_ISO = re.compile(r"(20\d\d)\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})")
_DAY_FIRST = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](20\d\d)")
_LONGEST = 6_000


class LineReading(Document):
    """What was said of one line; None where nothing was. An empty ``line_id`` speaks of the whole order."""

    line_id: str
    quantity: int | None = None
    unit_price: Decimal | None = None
    currency: str = ""
    promised: date | None = None
    substitute: str = ""


class ReplyReading(Document):
    """One answer as a model read it."""

    classes: tuple[str, ...]
    lines: tuple[LineReading, ...]
    bank_details: bool


async def read_reply(
    language: LanguagePort,
    order: PurchaseOrder,
    *,
    subject: str,
    mail: str,
    by_rules: Sequence[str] = (),
    usd_cents: int | None = None,
) -> ModelProposal[ReplyReading]:
    """What an answer amounts to; ``value`` is None without a usable answer, and the rules' reading stands alone.

    ``by_rules`` are the classes the rules read; where the model reads others, five answers are compared.
    """
    terms = letter_locale(
        order.vendor.language if order.vendor.language in letter_locales() else "en", order.vendor.country
    )
    text = _normal(f"{subject}\n{mail}"[:_LONGEST])
    request = LanguageRequest(
        agent=NAME, prompt=PROMPT, tenant=order.tenant, entity_type="purchase_order", entity_id=order.number, locale="en",
        trusted={"order": _order(order)}, untrusted={"subject": subject, "mail": mail}, personal=_personal(order),
    )  # fmt: skip
    asked = await sample(
        language,
        request,
        key=lambda data: ",".join(sorted(data["classes"])),
        check=lambda data: _faults(data, order, terms, text),
        usd_cents=usd_cents,
        inconclusive=lambda data: sorted(data["classes"]) != sorted(by_rules),
    )
    marked = ("instructions_in_text",) if shipped_signs().addresses_machine(text) else ()
    told: dict[str, Any] = {
        "flags": (*marked, *asked.flags), "versions": asked.versions, "cost": asked.cost, "samples": asked.asked,
    }  # fmt: skip
    if asked.chosen is None:
        return ModelProposal[ReplyReading](value=None, source=MODEL, confidence=0.0, **told)
    data = asked.chosen.data
    agrees = sorted(data["classes"]) == sorted(by_rules)
    return ModelProposal[ReplyReading](
        value=ReplyReading(
            classes=tuple(data["classes"]),
            lines=tuple(_line(one, terms) for one in data["lines"]),
            bank_details=bool(data["bank_details"]),
        ),
        source=MODEL,
        confidence=Support(agreement=asked.agreement, checks=1.0 if agrees else 0.5).confidence,
        checks=("figures_in_letter", "lines_of_order", "currency", *(("rules_agree",) if agrees else ())),
        agreeing=asked.agreeing,
        record_id=asked.chosen.record_id,
        **told,
    )


def _order(order: PurchaseOrder) -> dict[str, Plain]:
    return {
        "number": order.number,
        "currency": order.currency,
        "deliver_until": order.deliver_until.isoformat(),
        "lines": [
            {
                "line_id": line.line_id, "sku": line.sku, "supplier_sku": line.supplier_sku, "quantity": line.quantity,
                "unit_price": f"{line.unit_price:f}",
            }
            for line in order.lines
        ],
    }  # fmt: skip


def _personal(order: PurchaseOrder) -> tuple[Personal, ...]:
    contact = order.vendor.contact
    names = (
        f"{contact.given_name} {contact.family_name}",
        f"{contact.family_name} {contact.given_name}",
        f"{contact.family_name}{contact.given_name}",
    )
    found = [Personal(kind=PersonalKind.NAME, value=name.strip()) for name in names if contact.given_name]
    return (
        *found,
        Personal(kind=PersonalKind.EMAIL, value=order.vendor.email),
        Personal(kind=PersonalKind.EMAIL, value=order.buyer.email),
    )


def _faults(data: Mapping[str, Any], order: PurchaseOrder, terms: LetterLocale, text: str) -> list[str]:
    """What no letter of ours and no line of the order supports."""
    known, found = {line.line_id for line in order.lines} | {""}, []
    if len(data["classes"]) > 1 and ALONE & set(data["classes"]):
        found.append("$.classes gives a class that stands alone together with another")
    for n, line in enumerate(data["lines"]):
        if line["line_id"] not in known:
            found.append(f"$.lines[{n}].line_id is not a line of the order")
        for field in ("quantity", "unit_price", "date", "substitute"):
            if line[field] and _normal(line[field]) not in text:
                found.append(f"$.lines[{n}].{field} does not stand in the letter as written")
        found += [f"$.lines[{n}].{field} is no figure we can read" for field in _unreadable(line, terms)]
        if line["currency"] and not _currency_stated(line["currency"], order, text):
            found.append(f"$.lines[{n}].currency is neither the order's nor named in the letter")
    return found


def _unreadable(line: Mapping[str, Any], terms: LetterLocale) -> list[str]:
    read = {
        "quantity": _count(line["quantity"], terms),
        "unit_price": _number(line["unit_price"], terms),
        "date": _day(line["date"], terms),
    }
    return [field for field, value in read.items() if line[field] and value is None]


def _currency_stated(code: str, order: PurchaseOrder, text: str) -> bool:
    return code in STORAGE_EXPONENT and (code == order.currency or code.casefold() in text)


def _line(line: Mapping[str, Any], terms: LetterLocale) -> LineReading:
    return LineReading(
        line_id=line["line_id"],
        quantity=_count(line["quantity"], terms),
        unit_price=_number(line["unit_price"], terms),
        currency=line["currency"] or "",
        promised=_day(line["date"], terms),
        substitute=line["substitute"] or "",
    )


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _number(text: str | None, terms: LetterLocale) -> Decimal | None:
    """A figure with the letter's separators; None for anything else."""
    found = re.search(r"\d[\d.,' ]*", unicodedata.normalize("NFKC", text or ""))
    if not found:
        return None
    plain = found[0].strip(" .,'").replace(terms.thousands, "").replace(" ", "").replace("'", "")
    try:
        return Decimal(plain.replace(terms.decimal, "."))
    except InvalidOperation:
        return None


def _count(text: str | None, terms: LetterLocale) -> int | None:
    value = _number(text, terms)
    return int(value) if value is not None and value == value.to_integral_value() and 0 <= value < 10**9 else None


def _day(text: str | None, terms: LetterLocale) -> date | None:
    plain = unicodedata.normalize("NFKC", text or "")
    stated, _ = terms.dates_in(plain)
    if stated:
        return stated[0]
    for pattern, order in ((_ISO, (1, 2, 3)), (_DAY_FIRST, (3, 2, 1))):
        if found := pattern.search(plain):
            try:
                return date(*(int(found[place]) for place in order))
            except ValueError:
                return None
    return None
