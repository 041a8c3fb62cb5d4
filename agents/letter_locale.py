"""How one language writes letters to suppliers: dates, numbers, money, forms of address, terms. One file a language."""

import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import ValidationError

from domain.errors import ConfigError
from domain.money import Money
from domain.purchasing import BaseDate, Contact, PaymentMethod, PaymentTerms
from domain.values import Document

LOCALES = Path(__file__).with_name("letter_locales")
SLOT = re.compile(r"\{\{\s*([a-z_]+)\s*\}\}")
SLOTS = frozenset({
    "salutation", "po_number", "table", "total", "incoterm", "payment_terms", "deliver_from", "deliver_until", "ship_to",
    "reply_by", "buyer",
})  # fmt: skip
"""What the program fills in. A letter must use every one of them."""


class Salutation(Document):
    """Forms of address."""

    named: str
    unnamed: str
    titles: dict[str, str]


class LetterText(Document):
    """The letter of ours, prose with slots."""

    subject: str
    amendment: str
    body: str


class LetterLocale(Document):
    """One language's file."""

    language: str
    script: Literal["hant", "hans", "latin"]
    day_format: str
    month_names: tuple[str, ...] = ()
    date_patterns: tuple[str, ...]
    thousands: str
    decimal: str
    money: str
    salutation: Salutation
    payment: dict[str, str]
    table: dict[str, str]
    units: dict[str, str]
    letter: LetterText
    glossary: tuple[str, ...]
    """Terms a letter uses, exactly these."""
    foreign: tuple[str, ...]
    """Terms of another language or region that mean something else here, or nothing."""
    regional: dict[str, dict[str, str]] = {}
    """Replacements for a country that writes the same script."""
    false_friends: dict[str, tuple[str, ...]]
    """Words that state another payment term than the one meant, by base date."""
    promises: tuple[str, ...]
    """Words that bind us to something no record says."""

    def show_date(self, day: date) -> str:
        """A date as a letter states it."""
        name = self.month_names[day.month - 1] if self.month_names else ""
        return self.day_format.format(year=day.year, month=day.month, day=day.day, month_name=name)

    def show_number(self, value: Decimal | int) -> str:
        """A number with this language's separators."""
        text = f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"
        return text.translate({ord(","): self.thousands, ord("."): self.decimal})

    def show_money(self, amount: Money) -> str:
        """An amount with its ISO code."""
        return self.money.format(currency=amount.currency, amount=self.show_number(amount.decimal))

    def greeting(self, contact: Contact) -> str:
        """The opening line for a contact; the general one where the needed name is not known."""
        form = self.salutation.named
        wanted = contact.given_name if "{given}" in form else contact.family_name
        if not wanted.strip():
            return self.salutation.unnamed
        titles = self.salutation.titles
        known = [titles[word] for word in (contact.title, contact.gender) if word and word in titles]
        title = known[0] if known else titles[""]
        return form.format(family=contact.family_name, given=contact.given_name, title=title)

    def payment_words(self, terms: PaymentTerms) -> str:
        """A payment term in words that state from when it counts."""
        at_once = terms.net_days == 0 and terms.base_date is BaseDate.INVOICE
        phrase = self.payment["at_once" if at_once else terms.base_date.value].format(days=terms.net_days)
        if terms.deposit_percent:
            phrase = self.payment["deposit"].format(percent=terms.deposit_percent, rest=phrase)
        how = self.payment["letter_of_credit" if terms.method is PaymentMethod.LETTER_OF_CREDIT else "transfer"]
        return f"{phrase}（{how}）" if self.script != "latin" else f"{phrase}, {how}"

    def dates_in(self, text: str) -> tuple[list[date | None], str]:
        """Every date stated in a text, None for an impossible one, and the text without them."""
        found: list[date | None] = []

        def take(match: re.Match[str]) -> str:
            parts = match.groupdict()
            name = parts.get("month_name")
            if name is not None and name.title() not in self.month_names:
                return match.group()
            month = self.month_names.index(name.title()) + 1 if name is not None else int(parts["month"])
            try:
                found.append(date(int(parts["year"]), month, int(parts["day"])))
            except ValueError:
                found.append(None)
            return " "

        for pattern in self.date_patterns:
            text = re.sub(pattern, take, text)
        return found, text

    def in_region(self, country: str) -> "LetterLocale":
        """The locale with a country's own terms in place of the language's usual ones."""
        swaps = self.regional.get(country)
        if not swaps:
            return self
        text = self.model_dump_json()
        for usual, own in swaps.items():
            text = text.replace(usual, own)
        swapped = LetterLocale.model_validate_json(text)
        foreign = tuple(term for term in self.foreign if term not in swaps.values()) + tuple(swaps)
        return swapped.model_copy(update={"foreign": foreign})


@cache
def letter_locales(folder: Path = LOCALES) -> Mapping[str, LetterLocale]:
    """Every language there is a file for.

    Raises:
        ConfigError: a file cannot be read, lacks something, or its letter misses a slot; the message names the file.
    """
    found = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            locale = LetterLocale.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
            for pattern in locale.date_patterns:
                re.compile(pattern)
        except ValidationError as bad:
            first = bad.errors()[0]
            raise ConfigError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        except (OSError, yaml.YAMLError, re.error) as bad:
            raise ConfigError(f"{path} cannot be used: {bad}") from None
        missing = SLOTS - set(SLOT.findall(locale.letter.body))
        if missing:
            raise ConfigError(f"{path}: the letter does not use {', '.join(sorted(missing))}")
        found[locale.language] = locale
    return found


def letter_locale(language: str, country: str = "") -> LetterLocale:
    """A supplier's language with its country's terms.

    Raises:
        ConfigError: there is no file for the language; the message lists those there are.
    """
    known = letter_locales()
    if language not in known:
        raise ConfigError(
            f"no letters are written in {language!r}; known are {', '.join(known)}; add a file to {LOCALES}"
        )
    return known[language].in_region(country)


def canonical(text: str) -> str:
    """A text as it reads: one form of every character, no invisible or direction-changing ones."""
    return "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
