"""What a customer may be told about a risk decision: what happens next, never which rule, limit or suspicion."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from domain.decision import Decision, Outcome, Verdict
from domain.errors import ConfigError

TEXTS_FILE = Path(__file__).with_name("fraud_texts.yaml")
LANGUAGES = ("en", "zh-Hant", "zh-Hans", "vi")
_TRADITIONAL = frozenset({"hant", "tw", "hk", "mo"})
_REJECTED, _OTHER = "rejected", "other"


@dataclass(frozen=True, kw_only=True)
class CustomerTexts:
    """One sentence or two per group of reasons and language."""

    version: str
    group_of: Mapping[str, str]
    """Group by reason code; a code without one is spoken of in general words."""
    texts: Mapping[str, Mapping[str, str]]

    def of(self, group: str, language: str) -> str:
        """The text of a group."""
        return self.texts[group][language]


def customer_text(decision: Decision | Verdict, locale: str, texts: CustomerTexts | None = None) -> str | None:
    """What to tell the customer about a fraud decision, in the language of a BCP 47 locale; None when nothing waits.

    A rejection has one text whatever its reasons. Otherwise the heaviest reason decides what is said.
    """
    known = texts or shipped_texts()
    if decision.outcome in {Outcome.PROCEED, Outcome.LIMIT}:
        return None
    language = text_language(locale)
    if decision.outcome is Outcome.REJECT:
        return known.of(_REJECTED, language)
    against = [reason for reason in decision.reasons if (reason.points or 0) > 0 and reason.code in known.group_of]
    heaviest = max(against, key=lambda reason: reason.points or 0, default=None)
    return known.of(known.group_of[heaviest.code] if heaviest else _OTHER, language)


def text_language(locale: str) -> str:
    """The language we have texts in that suits a locale: script, then region, decide for Chinese; else English."""
    parts = locale.replace("_", "-").casefold().split("-")
    if parts[0] == "zh":
        if "hans" in parts:
            return "zh-Hans"
        return "zh-Hant" if _TRADITIONAL & set(parts) else "zh-Hans"
    return "vi" if parts[0] == "vi" else "en"


def parse_texts(raw: Mapping[str, Any]) -> CustomerTexts:
    """The texts from their YAML form.

    Raises:
        ConfigError: a group or a language is missing, or a text holds a figure.
    """
    texts = raw["texts"]
    for group in (*raw["groups"], _REJECTED, _OTHER):
        for language in LANGUAGES:
            text = texts.get(group, {}).get(language)
            if not text:
                raise ConfigError(f"fraud texts: {group} has no {language} text; add it to the file")
            if any(sign.isdigit() for sign in text):
                raise ConfigError(f"fraud texts: {group} in {language} holds a figure; say it without")
    group_of = {code: group for group, codes in raw["groups"].items() for code in codes}
    return CustomerTexts(version=raw["version"], group_of=group_of, texts=texts)


@cache
def shipped_texts() -> CustomerTexts:
    """The texts that ship."""
    return parse_texts(yaml.safe_load(TEXTS_FILE.read_text(encoding="utf-8")))
