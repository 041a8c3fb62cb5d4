"""The mechanical checks every letter to a supplier passes before a person sees it, and again before it is sent.

A finding is a reason not to send. Figures are compared with the purchase order's, never with what a model says.
"""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from agents.letter_draft import MODEL, Letter, Prose, slot_values
from agents.letter_language import number_words, wrong_language
from agents.letter_locale import SLOT, SLOTS, LetterLocale, canonical
from domain.money import STORAGE_EXPONENT
from domain.purchasing import PurchaseOrder
from domain.values import Document

_ID = re.compile(r"\b[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*-?\d[A-Z0-9-]*\b")
_NUMBER = re.compile(r"\d(?:[\d.,'’ \u00a0\u202f]*\d)?")
_SYMBOL = re.compile(
    r"[$€£¥₫₩฿￥＄]|NT\$|HK\$|US\$|美元|美金|人民幣|人民币|新台幣|新臺幣|台幣|港幣|港币|越南盾|đô la", re.IGNORECASE
)
_CODE = re.compile(rf"\b({'|'.join(sorted(STORAGE_EXPONENT))}|RMB|NTD)\b")
_STRANGE_DIGIT = re.compile(r"[^\x00-\x7f]")
_MAIL_OR_LINK = re.compile(r"https?://|www\.|[\w.+-]+@[\w-]+\.\w+", re.IGNORECASE)


class Finding(Document):
    """One reason not to send a letter."""

    check: str
    sentence: str


def _finding(check: str, sentence: str) -> Finding:
    return Finding(check=check, sentence=sentence)


def check_prose(prose: Prose, locale: LetterLocale) -> tuple[Finding, ...]:
    """What is wrong with prose that should have slots for every figure and none of its own."""
    found = []
    used = SLOT.findall(prose.body) + SLOT.findall(prose.subject)
    unknown, missing = sorted(set(used) - SLOTS), sorted(SLOTS - set(SLOT.findall(prose.body)))
    if unknown:
        found.append(_finding("slots", f"there is no slot {', '.join(unknown)}"))
    if missing:
        found.append(_finding("slots", f"the letter leaves out {', '.join(missing)}"))
    if SLOT.findall(prose.body).count("table") > 1:
        found.append(_finding("slots", "the table of lines is in the letter more than once"))
    bare = SLOT.sub(" ", f"{prose.subject}\n{prose.body}")
    digits = sorted({c for c in canonical(bare) if c.isnumeric() and not _is_letter(c)})
    if digits:
        found.append(_finding("figures", f"a figure outside the slots: {' '.join(digits)}"))
    return (*found, *_wording(bare, locale))


def check_letter(letter: Letter, order: PurchaseOrder, locale: LetterLocale) -> tuple[Finding, ...]:
    """What is wrong with a finished letter, measured against its purchase order."""
    text = f"{letter.subject}\n{letter.body}"
    values = slot_values(order, locale)
    found = [*_form(text), *_addressee(letter, order, values)]
    bare = _without_table(letter.body, values["table"], found)
    for name in ("po_number", "ship_to", "buyer", "incoterm", "payment_terms"):
        if values[name] not in bare:
            found.append(_finding("records", f"{name.replace('_', ' ')} does not read as in the purchase order"))
    if values["po_number"] not in letter.subject:
        found.append(_finding("ids", f"the subject does not name {values['po_number']}"))
    bare = f"{letter.subject}\n{bare}"
    for name in ("ship_to", "buyer", "incoterm", "payment_terms", "salutation"):
        bare = bare.replace(values[name], " ")
    bare = canonical(bare)
    bare = _ids(bare, values["po_number"], found)
    bare = _dates(bare, order, locale, found)
    _numbers(bare, order, locale, found)
    _currency(bare, order, found)
    found += _wording(bare, locale)
    used = " ".join(text.split())
    found += [
        _finding("glossary", f"the term {term} is not used")
        for term in locale.glossary
        if term not in used.casefold() and term not in used
    ]
    if SLOT.search(text):
        found.append(_finding("slots", "a slot was left unfilled"))
    return tuple(found)


def regenerate_once(
    draft: Callable[[tuple[Finding, ...]], Prose], locale: LetterLocale
) -> tuple[Prose | None, tuple[Finding, ...]]:
    """Ask for prose, and once more with the findings; None when the second is no better: a person writes it."""
    findings: tuple[Finding, ...] = ()
    for _ in range(2):
        prose = draft(findings)
        findings = check_prose(prose, locale)
        if not findings:
            return prose, ()
    return None, findings


def _is_letter(character: str) -> bool:
    """Chinese characters that also mean numbers are judged as words, with what stands around them."""
    return character.isalpha()


def _wording(bare: str, locale: LetterLocale) -> list[Finding]:
    """Checks on the words alone: numbers in words, currencies, promises, terms, language, links."""
    lower = bare.casefold()
    found = [_finding("numerals", f"a number in words: {word}") for word in number_words(bare, locale)]
    found += [
        _finding("promise", f"it promises something: {word}") for word in locale.promises if word.casefold() in lower
    ]
    found += [
        _finding("glossary", f"{term} is not a term of {locale.language}")
        for term in locale.foreign
        if term.casefold() in lower
    ]
    found += [
        _finding("payment", f"{w} states another term")
        for ws in locale.false_friends.values()
        for w in ws
        if w.casefold() in lower
    ]
    if _MAIL_OR_LINK.search(bare):
        found.append(_finding("links", "an address or link that no record holds"))
    wrong = wrong_language(SLOT.sub(" ", bare), locale)
    if wrong:
        found.append(_finding("language", wrong))
    if (symbol := _SYMBOL.search(bare)) is not None:
        found.append(_finding("currency", f"a currency in words or signs: {symbol.group()}"))
    return list(dict.fromkeys(found))


def _form(text: str) -> list[Finding]:
    """Characters that show one thing and mean another."""
    hidden = {c for c in text if canonical(c) == "" and c not in "\n"}
    digits = {c for c in text if _STRANGE_DIGIT.match(c) and c.isdecimal()}
    letters = {c for c in text if "\uff21" <= c <= "\uff5a"}
    found = []
    if hidden:
        found.append(_finding("form", "invisible or direction-changing characters"))
    if digits or letters:
        found.append(_finding("form", f"digits or letters of another width: {''.join(sorted(digits | letters))}"))
    return found


def _addressee(letter: Letter, order: PurchaseOrder, values: dict[str, str]) -> list[Finding]:
    found = []
    if letter.to != order.vendor.email:
        found.append(_finding("addressee", f"it goes to {letter.to}, not to the address of the vendor master"))
    if letter.reply_to != order.buyer.email:
        found.append(_finding("addressee", "answers would go to another address than ours"))
    if not letter.body.lstrip().startswith(values["salutation"]):
        found.append(_finding("addressee", f"it does not begin with {values['salutation']}"))
    return found


def _without_table(body: str, table: str, found: list[Finding]) -> str:
    if body.count(table) != 1:
        found.append(_finding("table", "the table of lines is not the purchase order's"))
    return body.replace(table, " ")


def _ids(bare: str, number: str, found: list[Finding]) -> str:
    bare = bare.replace(number, " ")
    unknown = sorted(set(_ID.findall(bare)))
    if unknown:
        found.append(_finding("ids", f"an id no record holds: {', '.join(unknown[:3])}"))
    return bare


def _dates(bare: str, order: PurchaseOrder, locale: LetterLocale, found: list[Finding]) -> str:
    stated, bare = locale.dates_in(bare)
    expected = {order.deliver_from, order.deliver_until, order.reply_by}
    if set(stated) != expected:
        wrong = sorted(str(day) for day in set(stated) - expected)
        lacking = sorted(str(day) for day in expected - set(stated))
        found.append(
            _finding(
                "dates", f"dates differ: {', '.join(wrong) or 'none'} stated, {', '.join(lacking) or 'none'} missing"
            )
        )
    return bare


def _numbers(bare: str, order: PurchaseOrder, locale: LetterLocale, found: list[Finding]) -> None:
    stated = [_parsed(text, locale) for text in _NUMBER.findall(bare)]
    expected = order.total.decimal
    if expected not in stated:
        found.append(_finding("numbers", f"the total {expected} is not stated"))
    others = [str(number) for number in stated if number != expected]
    if others:
        found.append(_finding("numbers", f"numbers no record holds: {', '.join(others[:5])}"))


def _parsed(text: str, locale: LetterLocale) -> Decimal | None:
    """A number with this language's separators; None when it groups or points like another language."""
    whole, point, part = text.partition(locale.decimal)
    groups = whole.split(locale.thousands)
    if not all(g.isdigit() for g in groups) or (point and not part.isdigit()):
        return None
    if len(groups) > 1 and (len(groups[0]) > 3 or any(len(group) != 3 for group in groups[1:])):
        return None
    try:
        return Decimal("".join(groups) + (f".{part}" if point else ""))
    except InvalidOperation:
        return None


def _currency(bare: str, order: PurchaseOrder, found: list[Finding]) -> None:
    stated = set(_CODE.findall(bare))
    if stated != {order.currency}:
        wrong = ", ".join(sorted(stated - {order.currency})) or "none"
        found.append(_finding("currency", f"the currency is {order.currency}; stated besides: {wrong}"))


def confidence(letter: Letter, findings: tuple[Finding, ...]) -> float:
    """How sure a draft may be of itself: by checks passed, never by a model's own word."""
    if findings:
        return 0.0
    return 0.69 if letter.source == MODEL else 0.9
