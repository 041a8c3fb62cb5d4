"""Prose with slots written by a model for a reader outside: no figure, currency, link or promise of its own.

Every figure comes out of our records through a slot; what cannot be said with the slots is not said.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

import yaml

from agents.letter_language import wrong_language
from agents.letter_locale import letter_locale, letter_locales
from domain.errors import ConfigError
from domain.values import Document

WORDS_FILE = Path(__file__).with_name("slot_words.yaml")
SLOT = re.compile(r"\{\{\s*([a-z][a-z0-9_]*)\s*\}\}")
_BRACE = re.compile(r"[{}]")
_LINK = re.compile(
    r"https?:|www\.|[\w.+-]+@[\w-]+\.\w+|\b[\w-]+\.(?:com|net|org|io|cn|tw|hk|vn|shop|top|xyz|link)\b", re.IGNORECASE
)
_CURRENCY = re.compile(r"[$€£¥₫₩฿￥＄₱₹]|\b(?:USD|HKD|TWD|NTD|SGD|MYR|VND|JPY|KRW|THB|IDR|AUD|CNY|RMB|EUR|GBP|PHP)\b")
_SHORTEST_JUDGED = 40
"""Letters; a shorter text in the wrong language is caught with the longer one it belongs to."""
_TOKEN = re.compile(r"<[a-z_]+_\d+>|\[[a-z_]+ removed\]")


class Words(Document):
    """What prose in one language may not hold."""

    numbers: tuple[str, ...]
    """Patterns of numbers written out in words."""
    promises: tuple[str, ...]
    """Words that bind us to something no record says."""


@cache
def shipped_words() -> Mapping[str, Words]:
    """The word lists by language.

    Raises:
        ConfigError: the file holds something else.
    """
    try:
        raw = yaml.safe_load(WORDS_FILE.read_text(encoding="utf-8"))
        return {language: Words.model_validate(words) for language, words in raw["languages"].items()}
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{WORDS_FILE.name} cannot be read: {error}") from None


def written_languages() -> frozenset[str]:
    """Languages prose can be checked in, and so may be written in."""
    return frozenset(shipped_words())


def prose_faults(
    text: str,
    language: str,
    *,
    slots: Collection[str],
    needed: Collection[str] = (),
    at: str = "the text",
    most: int = 1_200,
) -> list[str]:
    """What is wrong with prose, one sentence per fault without its words; ``needed`` slots must be used."""
    used = SLOT.findall(text)
    bare = SLOT.sub(" ", text)
    found = []
    if unknown := sorted(set(used) - set(slots)):
        found.append(
            f"{at} uses the slot {unknown[0]}, which there is not; the slots are {', '.join(sorted(slots)) or 'none'}"
        )
    found += [f"{at} must use the slot {{{{{name}}}}}" for name in needed if name not in used]
    if _BRACE.search(bare):
        found.append(f"{at} has a brace outside a slot")
    if any(sign.isnumeric() and not sign.isalpha() for sign in unicodedata.normalize("NFKC", bare)):
        found.append(f"{at} states a figure; figures come from slots only")
    words = shipped_words()[language]
    lower = unicodedata.normalize("NFKC", bare).casefold()
    found += [f"{at} writes a number in words" for pattern in words.numbers if re.search(pattern, lower)][:1]
    found += [f"{at} promises something no record says" for word in words.promises if re.search(word, lower)][:1]
    if _CURRENCY.search(bare):
        found.append(f"{at} names a currency; amounts come from slots only")
    if _LINK.search(bare):
        found.append(f"{at} has a link or an address that no record holds")
    if _TOKEN.search(bare):
        found.append(f"{at} uses a mark that stands for personal data")
    if any(unicodedata.category(sign) in {"Cf", "Co", "Cs"} for sign in bare):
        found.append(f"{at} has invisible signs")
    if len(text) > most:
        found.append(f"{at} is longer than {most} characters")
    return found + _language_faults(bare, language, at)


def filled(text: str, values: Mapping[str, str]) -> str:
    """The prose with the slots filled from records."""
    return SLOT.sub(lambda slot: values[slot[1]], text)


def _language_faults(bare: str, language: str, at: str) -> list[str]:
    """Script and words of the languages we write letters in; the gateway has judged the others by their script."""
    if language not in letter_locales():
        return []
    letters = "".join(sign for sign in bare if sign.isalpha())
    if len(letters) < _SHORTEST_JUDGED:
        return []
    wrong = wrong_language(bare, letter_locale(language))
    return [f"{at} is not in the language asked for"] if wrong else []
