"""Typed reading of untrusted JSON: every value is checked where it is read, every refusal names its JSON pointer."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from domain.errors import CurrencyMismatch, MalformedAmount, UnprocessableOrder
from domain.money import Money, exponent

T = TypeVar("T")

MAX_TEXT = 500
MAX_NOTE = 5_000
MAX_QUANTITY = 1_000_000

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]")
_UNSAFE_IN_NOTE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]")
_NEWLINES = re.compile("\r\n?|[\u2028\u2029]")
_AMOUNT = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,8})?", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_EARLIEST_S, _LATEST_S = 946_684_800, 4_102_444_800  # 2000-01-01 and 2100-01-01
_EARLIEST, _LATEST = datetime.fromtimestamp(_EARLIEST_S, UTC), datetime.fromtimestamp(_LATEST_S, UTC)


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """One line of untrusted text: control and direction-override characters out, at most ``limit`` characters.

    Emoji (with their joiners), CJK and Vietnamese stay as sent.
    """
    if not text.isprintable():
        text = _UNSAFE.sub(" ", text)
    return text.strip()[:limit]


def clean_note(text: str) -> str:
    """Untrusted text of several lines: as ``clean``, but newlines stay and more characters are kept."""
    if not text.isprintable():
        text = _UNSAFE_IN_NOTE.sub(" ", _NEWLINES.sub("\n", text))
    return text.strip()[:MAX_NOTE]


def sum_of(amounts: Iterable[Money | None], currency: str) -> Money:
    """The sum of the amounts that are there, zero ``currency`` when there are none.

    Raises:
        CurrencyMismatch: one is in another currency.
    """
    minor = 0
    for amount in amounts:
        if amount is not None:
            if amount.currency != currency:
                raise CurrencyMismatch(f"{amount.currency} and {currency} cannot be combined")
            minor += amount.amount_minor
    return Money(amount_minor=minor, currency=currency)


class Fields:
    """One JSON object with the pointer it was found at."""

    __slots__ = ("_values", "pointer")

    def __init__(self, values: dict[str, Any], pointer: str = "") -> None:
        self._values = values
        self.pointer = pointer

    def at(self, key: str) -> str:
        """The JSON pointer of a member."""
        return f"{self.pointer}/{key.replace('~', '~0').replace('/', '~1')}"

    def refuse(self, key: str, what: str) -> UnprocessableOrder:
        """The error that says ``what`` is wrong with a member."""
        pointer = self.at(key) if key else self.pointer
        return UnprocessableOrder(f"{pointer or 'the document'} {what}", pointer=pointer)

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def raw(self, key: str) -> Any:
        """The member as parsed; None when absent."""
        return self._values.get(key)

    def text(self, key: str, limit: int = MAX_TEXT) -> str:
        """The member as one clean line; empty when absent. Numbers are written out."""
        value = self._values.get(key)
        if value is None:
            return ""
        if isinstance(value, str):
            return clean(value, limit)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self.refuse(key, "is not text")
        return str(value)

    def note(self, key: str) -> str:
        """The member as clean text of several lines; empty when absent."""
        value = self._values.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.refuse(key, "is not text")
        return clean_note(value)

    def identifier(self, key: str) -> str:
        """The member as an id: the same for ``450789469`` and ``"450789469"``."""
        value = self._values.get(key)
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(text, str) or not _IDENTIFIER.fullmatch(text):
            raise self.refuse(key, "is not an id: 1 to 64 letters, digits, dots, dashes or underscores")
        return text

    def count_id(self, key: str) -> int:
        """The member as an id that is a whole number, however it was written."""
        text = self.identifier(key)
        if not text.isdigit():
            raise self.refuse(key, "is not an id in digits")
        return int(text)

    def flag(self, key: str) -> bool:
        """The member as a boolean; False when absent."""
        value = self._values.get(key)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self.refuse(key, "is not true or false")
        return value

    def count(self, key: str) -> int | None:
        """The member as a number of units; None when absent. Digits in text and ``2.0`` are units too."""
        value = self._values.get(key)
        if value is None:
            return None
        if isinstance(value, str) and _AMOUNT.fullmatch(value):
            value = Decimal(value)
        if isinstance(value, Decimal) and value == value.to_integral_value():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(key, "is not a whole number")
        if not 0 <= value <= MAX_QUANTITY:
            raise self.refuse(key, f"is not between 0 and {MAX_QUANTITY}")
        return value

    def number(self, key: str) -> Decimal | None:
        """The member as an exact number; None when absent."""
        value = self._values.get(key)
        if value is None:
            return None
        if isinstance(value, str) and _AMOUNT.fullmatch(value):
            return Decimal(value)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self.refuse(key, "is not a number")
        return Decimal(value)

    def money(self, key: str, currency: str, *, signed: bool = False) -> Money | None:
        """The member (a decimal as text, or a number, in major units) as money; None when absent or empty."""
        value = self._values.get(key)
        if value is None or value == "":
            return None
        text = format(value, "f") if isinstance(value, Decimal) else str(value)
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal) or not _AMOUNT.fullmatch(text):
            raise self.refuse(key, "is not an amount of money: digits with at most one point")
        try:
            money = Money.parse(text, currency)
        except MalformedAmount:
            digits = exponent(currency)
            raise self.refuse(key, f"has more digits after the point than {currency} has ({digits})") from None
        if money.amount_minor < 0 and not signed:
            raise self.refuse(key, "is a negative amount")
        return money

    def currency(self, key: str) -> str:
        """The member as a currency we know."""
        code = self.text(key).upper()
        try:
            exponent(code)
        except MalformedAmount:
            raise self.refuse(key, f"names a currency we do not know ({code[:8]!r}); send an ISO 4217 code") from None
        return code

    def moment(self, key: str) -> datetime | None:
        """The member as an ISO 8601 time with an offset, in UTC; None when absent or empty."""
        value = self._values.get(key)
        if value is None or value == "":
            return None
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            moment = None
        if moment is None or moment.utcoffset() is None or not _EARLIEST < moment < _LATEST:
            raise self.refuse(key, "is not an ISO 8601 time with an offset")
        return moment.astimezone(UTC)

    def unix(self, key: str) -> datetime | None:
        """The member as Unix seconds, in UTC; None when absent or 0."""
        value = self._values.get(key)
        if isinstance(value, Decimal) and value == value.to_integral_value():
            value = int(value)
        if value is None or (value == 0 and not isinstance(value, bool)):
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not _EARLIEST_S < value < _LATEST_S:
            raise self.refuse(key, "is not a time in Unix seconds between the years 2000 and 2100")
        return datetime.fromtimestamp(value, UTC)

    def object(self, key: str) -> "Fields | None":
        """The member as an object; None when absent."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.refuse(key, "is not an object")
        return Fields(value, self.at(key))

    def objects(self, key: str) -> "Iterator[Fields]":
        """The member as a list of objects; nothing when absent."""
        value = self._values.get(key)
        if value is None:
            return
        if not isinstance(value, list):
            raise self.refuse(key, "is not a list")
        here = self.at(key)
        for i, item in enumerate(value):
            if not isinstance(item, dict):
                raise UnprocessableOrder(f"{here}/{i} is not an object", pointer=f"{here}/{i}")
            yield Fields(item, f"{here}/{i}")

    def texts(self, key: str) -> list[str]:
        """The member as a list of clean lines; empty when absent."""
        value = self._values.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.refuse(key, "is not a list of texts")
        return [clean(item) for item in value]

    def required(self, key: str, value: T | None) -> T:
        """``value``, which was read from ``key`` and must be there."""
        if value is None:
            raise self.refuse(key, "is missing")
        return value
