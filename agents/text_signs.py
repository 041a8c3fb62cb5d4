"""Signs in what strangers write, told from words alone in four languages: features for rules and for the audit.

They decide nothing. Text that talks to a machine is marked, so that a person sees that somebody tried.
"""

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import yaml

from domain.errors import ConfigError

SIGNS_FILE = Path(__file__).with_name("text_signs.yaml")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{20,}={0,2}")
_LONGEST = 6_000


class TextSigns:
    """One version's word lists."""

    def __init__(self, version: str, signs: Mapping[str, Iterable[str]], addressed: Iterable[str]) -> None:
        """``signs`` are patterns by sign; ``addressed`` are those of text that talks to a machine."""
        self.version = version
        self._signs = {name: _joined(patterns) for name, patterns in signs.items()}
        self._addressed = _joined(addressed)

    @property
    def names(self) -> tuple[str, ...]:
        """Every sign there is."""
        return tuple(self._signs)

    def found(self, text: str) -> tuple[str, ...]:
        """The signs in a text."""
        plain = plain_text(text)
        return tuple(name for name, pattern in self._signs.items() if pattern.search(plain))

    def addresses_machine(self, text: str) -> bool:
        """Whether a text gives orders to a program, also when it hides them in invisible signs or Base64."""
        return any(self._addressed.search(part) for part in (plain_text(text), *_decoded(_visible(text))))


def plain_text(text: str) -> str:
    """The text in one normal form, without signs nobody sees, in lower case."""
    return _visible(text).casefold()


def _visible(text: str) -> str:
    normal = unicodedata.normalize("NFKC", text[:_LONGEST])
    return "".join(sign for sign in normal if unicodedata.category(sign) != "Cf")


@cache
def shipped_signs() -> TextSigns:
    """The lists that ship.

    Raises:
        ConfigError: a pattern in the file cannot be read.
    """
    raw = yaml.safe_load(SIGNS_FILE.read_text(encoding="utf-8"))
    return TextSigns(raw["version"], raw["signs"], raw["addressed_to_machine"])


def _joined(patterns: Iterable[str]) -> re.Pattern[str]:
    text = "|".join(f"(?:{pattern})" for pattern in patterns)
    try:
        return re.compile(text)
    except re.error as error:
        raise ConfigError(f"{SIGNS_FILE.name}: {text!r} is no pattern: {error}") from None


def _decoded(text: str) -> list[str]:
    """What Base64 in a text says."""
    return [said for piece in _BASE64.findall(text) if (said := _base64(piece))]


def _base64(piece: str) -> str:
    try:
        raw = base64.b64decode(piece + "=" * (-len(piece) % 4), validate=True)
        return plain_text(raw.decode("utf-8"))
    except (binascii.Error, UnicodeDecodeError):
        return ""
