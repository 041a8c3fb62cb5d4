"""Personal data in what Signalbox writes down: where it stands in an order, and how a text is rid of it.

Decision facts stay: codes, amounts, countries, times, versions. What names or reaches a person goes.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from domain.order import Order

GONE = "[erased]"

_PERSONAL_KEYS = frozenset(
    {
        "email", "phone", "recipient", "line1", "line2", "company", "district", "postcode", "note", "body", "subject",
        "customer_id", "ip", "device_id", "card_fingerprint", "card_bin",
    }
)  # fmt: skip
"""Fields that hold nothing but personal data, wherever they stand."""
_FREE_TEXT_KEYS = frozenset({"reason", "why", "detail", "text", "comment", "message", "question", "said", "title"})
"""Fields people write into: there, anything that looks like a number of a person goes too."""
_LOOKS_PERSONAL = re.compile(
    r"[\w.+-]+@[\w-]+\.[\w.-]+"  # e-mail
    r"|(?<!\d)(?:\d[ -]?){12,18}\d(?!\d)"  # card
    r"|\b[STFGM]\d{7}[A-Z]\b"  # NRIC, FIN
    r"|\b[A-Z]{1,2}\d{6}\(?[0-9A]\)?"  # HKID
    r"|\+\d[\d ()-]{6,}\d"  # phone in international form
)
_LEAST_NAME_PART = 3


@dataclass(frozen=True)
class Person:
    """What is known of one person: enough to find them and to take them out."""

    ids: frozenset[str]
    """What an operator may know them by: customer id, e-mail, phone. Unique to the person."""
    values: frozenset[str]
    """Everything personal in their orders, the ids included. Some of it (a first name) others share."""

    @classmethod
    def of(cls, customer_id: str, orders: Iterable[Order], *, said: Iterable[str] = ()) -> "Person":
        """The person behind a customer id and their orders; ``said`` is what they wrote elsewhere."""
        found, texts = {customer_id}, set(said)
        for order in orders:
            who, pay, device = order.customer, order.payment, order.device
            found |= {who.customer_id, who.email, who.phone}
            texts |= {who.name, order.note, pay.card_fingerprint or "", device.ip or "", device.device_id or ""}
            for place in (order.ship_to, order.bill_to):
                if place is not None:
                    texts |= {place.name, place.company, place.line1, place.line2, place.postcode, place.phone}
        ids = frozenset(one for one in found if one.strip())
        return cls(ids=ids, values=ids | {one for one in texts if len(one.strip()) > 1})

    @cached_property
    def _known(self) -> re.Pattern[str]:
        return _any_of(self.values, re.IGNORECASE)

    @cached_property
    def _unique(self) -> re.Pattern[str]:
        return _any_of(self.ids, re.IGNORECASE)

    @cached_property
    def _name_parts(self) -> re.Pattern[str]:
        parts = {part for one in self.values for part in one.split() if part.isalpha()}
        return _any_of({part for part in parts if len(part) >= _LEAST_NAME_PART}, 0)

    def named_in(self, text: str) -> bool:
        """Whether one of the person's ids stands in a text."""
        return self._unique.search(text) is not None

    def without(self, text: str) -> str:
        """A text without the person's values."""
        return self._known.sub(GONE, text)

    def without_anybody(self, text: str) -> str:
        """A text people wrote, without the person and without anything that looks like somebody's number or address."""
        return self._name_parts.sub(GONE, _LOOKS_PERSONAL.sub(GONE, self.without(text)))

    def without_ids(self, document: str) -> str:
        """A JSON document about somebody else without the person's ids; the very same text when none is in it."""
        return _rewritten(document, lambda value: _mapped(value, lambda text: self._unique.sub(GONE, text)))

    def without_person(self, document: str) -> str:
        """A JSON document about the person without any personal data; the very same text when none is in it."""
        return _rewritten(document, self._cleaned)

    def _cleaned(self, value: Any, key: str = "", *, about_person: bool = False) -> Any:
        if isinstance(value, dict):
            human = not value.keys().isdisjoint({"line1", "email"})
            return {name: self._cleaned(part, name, about_person=human) for name, part in value.items()}
        if isinstance(value, list):
            return [self._cleaned(part, key) for part in value]
        if not isinstance(value, str) or not value:
            return value
        if key in _PERSONAL_KEYS or (key == "name" and about_person):
            return GONE
        return self.without_anybody(value) if key in _FREE_TEXT_KEYS else self.without(value)


def _any_of(values: Iterable[str], flags: int) -> re.Pattern[str]:
    """Matches any of the values as a whole word; the longest first."""
    ordered = sorted((one for one in values if one.strip()), key=len, reverse=True)
    return re.compile("|".join(_bounded(one) for one in ordered) or r"(?!)", flags)


def _bounded(value: str) -> str:
    word = r"[A-Za-z0-9]"
    before = f"(?<!{word})" if re.match(word, value) else ""
    after = f"(?!{word})" if re.match(word, value[-1]) else ""
    return before + re.escape(value) + after


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, dict):
        return {name: _mapped(part, change) for name, part in value.items()}
    if isinstance(value, list):
        return [_mapped(part, change) for part in value]
    return change(value) if isinstance(value, str) else value


def _rewritten(document: str, change: Any) -> str:
    try:
        before = orjson.loads(document)
    except orjson.JSONDecodeError:
        after = change(document)
        return str(after)
    after = change(before)
    return document if after == before else orjson.dumps(after).decode()
