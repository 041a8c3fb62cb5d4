"""Customer messages by locale, with slots that only our own records fill."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

import yaml

from domain.errors import ConfigError

MESSAGE_FILE = Path(__file__).with_name("messages.yaml")
SLOTS = frozenset({"number", "parcels", "carriers"})
DEFAULT_LOCALE = "en"
TRADITIONAL = frozenset({"hant", "tw", "hk", "mo"})


@dataclass(frozen=True, kw_only=True)
class Template:
    """Subject and body of one message in one language."""

    subject: str
    body: str


@dataclass(frozen=True, kw_only=True)
class MessageTable:
    """Every message of one version."""

    version: str
    templates: Mapping[tuple[str, str], Template]
    """By locale and occasion."""

    @property
    def locales(self) -> frozenset[str]:
        """The languages there are."""
        return frozenset(locale for locale, _ in self.templates)

    def language(self, tag: str) -> str:
        """The language a BCP 47 tag is served in: script and region decide for Chinese, unknown ones get English."""
        subtags = tag.replace("_", "-").casefold().split("-")
        if subtags[0] == "zh":
            return "zh-Hant" if TRADITIONAL & set(subtags[1:]) and "hans" not in subtags else "zh-Hans"
        return subtags[0] if subtags[0] in self.locales else DEFAULT_LOCALE


def parse_messages(raw: Mapping[str, Any]) -> MessageTable:
    """The table from its YAML form.

    Raises:
        ConfigError: a language lacks an occasion, or a text has an unknown slot.
    """
    templates = {
        (locale, occasion): Template(subject=text["subject"], body=text["body"])
        for locale, occasions in raw["locales"].items()
        for occasion, text in occasions.items()
    }
    expected = {occasion for locale, occasion in templates if locale == DEFAULT_LOCALE}
    for locale in raw["locales"]:
        if {occasion for of, occasion in templates if of == locale} != expected:
            raise ConfigError(f"messages: {locale} must have exactly the occasions {sorted(expected)}")
    for (locale, occasion), template in templates.items():
        unknown = _slots(template.subject) | _slots(template.body)
        if not unknown <= SLOTS:
            raise ConfigError(f"messages: {locale} {occasion} has an unknown slot {sorted(unknown - SLOTS)}")
    return MessageTable(version=raw["version"], templates=templates)


def _slots(text: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in Formatter().parse(text) if name is not None)


@cache
def shipped_messages() -> MessageTable:
    """The messages that ship with this version of the agent."""
    return parse_messages(yaml.safe_load(MESSAGE_FILE.read_text(encoding="utf-8")))
