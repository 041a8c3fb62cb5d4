"""Personal data on its way to a model and back: shown, replaced by a token, or removed, as the prompt's manifest says."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from domain.language import NEVER_SHOWN, Personal, PersonalKind
from domain.values import Plain

TOKEN = re.compile(r"<([a-z_]+)_(\d+)>")
_REMOVED = re.compile(r"\[(?:" + "|".join(kind.value for kind in PersonalKind) + r") removed\]")
_SHORTEST_VALUE = 2
_SHORTEST_NAME_PART = 4
_LONGEST_BAD_ANSWER = 2_000

_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
_CARD = re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?![\w.])")
_PHONE = re.compile(
    r"\+\d(?:[ ().-]{0,2}\d){7,14}(?!\d)"  # with a plus it is one, wherever it stands
    r"|(?<![\w#/-])(?<!\d[.,])\(?\d(?:[ ().-]{0,2}\d){7,14}(?![\w/-]|,\d)"
)
_NOT_A_PHONE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[ T]\d{1,2})?\Z|\d{1,3}(?:\.\d{3})+\Z|\d{1,2}[.]\d{1,2}[.]\d{4}\Z")
_NATIONAL_ID = re.compile(
    r"(?<!\w)(?:[A-Z]{1,2}\d{6} ?\([0-9A]\)|[STFGM]\d{7}[A-Z]|[A-Z][12]\d{8})(?!\w)", re.IGNORECASE
)
_BANK_ACCOUNT = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")


class Masker:
    """The personal data of one request. Tokens are given out in the order the data is met."""

    def __init__(
        self, personal: Iterable[Personal], *, shown: Iterable[PersonalKind], tokens: Iterable[PersonalKind]
    ) -> None:
        """``shown`` and ``tokens`` are the manifest's; whatever is in neither is removed."""
        self._shown = frozenset(shown) - NEVER_SHOWN
        self._tokens = frozenset(tokens) - NEVER_SHOWN
        self._given: dict[str, str] = {}
        self._numbers = {kind: count(1) for kind in PersonalKind}
        self._known = _known(personal)
        by_text = sorted(self._known, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_bounded, by_text)), re.IGNORECASE) if by_text else None

    def hide(self, text: str, *, guess: bool) -> str:
        """The text with personal data as the manifest allows; ``guess`` also looks for what nobody listed."""
        return self._hide(text, guess, self._mark)

    def hide_all(self, text: str) -> str:
        """The beginning of a text with every personal datum removed, also those the model was shown: for keeping."""
        for token, value in self._given.items():
            text = text.replace(value, f"[{token[1:].rpartition('_')[0]} removed]")
        return self._hide(text[:_LONGEST_BAD_ANSWER], True, lambda kind, _: f"[{kind.value} removed]")

    def hide_plain(self, value: Plain) -> Plain:
        """A structured value of ours with the known personal data in its texts hidden."""
        if isinstance(value, str):
            return self.hide(value, guess=False)
        if isinstance(value, list):
            return [self.hide_plain(part) for part in value]
        if isinstance(value, dict):
            return {name: self.hide_plain(part) for name, part in value.items()}
        return value

    def token_faults(self, data: Mapping[str, Any], fields: Sequence[str]) -> list[str]:
        """What is wrong with the tokens of an answer: invented ones, or the mark of removed data in a reader's text."""
        found = []
        for name in fields:
            text = _text(data.get(name))
            if any(token.group() not in self._given for token in TOKEN.finditer(text)):
                found.append(f"$.{name} uses a mark that was not given")
            if _REMOVED.search(text):
                found.append(f"$.{name} must not repeat the note that something was removed")
        return found

    def reveal(self, data: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
        """The answer with tokens replaced by what they stand for, in these top-level fields only."""
        return {name: self._reveal(value) if name in fields else value for name, value in data.items()}

    def _reveal(self, value: Any) -> Any:
        if isinstance(value, str):
            return TOKEN.sub(lambda token: self._given.get(token.group(), token.group()), value)
        if isinstance(value, list):
            return [self._reveal(part) for part in value]
        if isinstance(value, dict):
            return {name: self._reveal(part) for name, part in value.items()}
        return value

    def _hide(self, text: str, guess: bool, mark: Callable[[PersonalKind, str], str]) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(lambda hit: mark(self._known[hit.group().casefold()], hit.group()), text)
        if not guess:
            return text
        text = _EMAIL.sub(lambda hit: mark(PersonalKind.EMAIL, hit.group()), text)
        text = _BANK_ACCOUNT.sub(lambda hit: mark(PersonalKind.BANK_ACCOUNT, hit.group()), text)
        text = _NATIONAL_ID.sub(lambda hit: mark(PersonalKind.NATIONAL_ID, hit.group()), text)
        text = _CARD.sub(lambda hit: mark(PersonalKind.CARD, hit.group()) if _luhn(hit.group()) else hit.group(), text)
        return _PHONE.sub(
            lambda hit: hit.group() if _NOT_A_PHONE.match(hit.group()) else mark(PersonalKind.PHONE, hit.group()), text
        )

    def _mark(self, kind: PersonalKind, value: str) -> str:
        if kind in self._shown:
            return value
        if kind not in self._tokens:
            return f"[{kind.value} removed]"
        for token, known in self._given.items():
            if known.casefold() == value.casefold() and token.startswith(f"<{kind.value}_"):
                return token
        token = f"<{kind.value}_{next(self._numbers[kind])}>"
        self._given[token] = value
        return token


def _known(personal: Iterable[Personal]) -> dict[str, PersonalKind]:
    """Each known text in one case with its kind; a name's longer words count as well."""
    found: dict[str, PersonalKind] = {}
    for datum in personal:
        value = datum.value.strip()
        if len(value) >= _SHORTEST_VALUE:
            found.setdefault(value.casefold(), datum.kind)
    for datum in personal:
        if datum.kind is PersonalKind.NAME:
            for part in datum.value.split():
                if len(part) >= _SHORTEST_NAME_PART:
                    found.setdefault(part.casefold(), datum.kind)
    return found


def _bounded(text: str) -> str:
    """The text as a pattern; words are whole words, other scripts have no word boundaries."""
    before = r"(?<!\w)" if text[0].isascii() else ""
    after = r"(?!\w)" if text[-1].isascii() and text[-1].isalnum() else ""
    return before + re.escape(text) + after


def _luhn(text: str) -> bool:
    digits = [int(sign) for sign in text if sign.isdigit()][::-1]
    return sum(d if i % 2 == 0 else sum(divmod(2 * d, 10)) for i, d in enumerate(digits)) % 10 == 0


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(map(_text, value))
    if isinstance(value, dict):
        return "\n".join(map(_text, value.values()))
    return ""
