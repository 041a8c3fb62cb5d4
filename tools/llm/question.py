"""A request made ready: checked against its prompt, personal data hidden, strangers' text fenced, turned into turns."""

import math
from dataclasses import dataclass

from domain.errors import ConfigError
from domain.language import LanguageRequest
from domain.prompt import Prompt, Turn
from domain.values import Plain, canonical_json, digest
from tools.llm.languages import chosen, name_of
from tools.llm.masking import Masker
from tools.llm.texts import cleaned, fenced, neutral, notice

_BYTES_PER_TOKEN = 2.5
"""Fewer than in any text we measured (English 4, Vietnamese 3, Chinese 3), so that an estimate errs upwards."""
_PER_TURN_TOKENS = 16


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is sent, and what is needed to read the answer."""

    prompt: Prompt
    request: LanguageRequest
    turns: tuple[Turn, ...]
    language: str
    masker: Masker
    inputs_digest: str
    """Of the request's variables as they were given, so that the same case has the same digest."""

    @property
    def prompt_name(self) -> str:
        """Id, version and digest of the prompt."""
        return f"{self.prompt.prompt_id}/{self.prompt.version}@{self.prompt.digest}"


def prepare(request: LanguageRequest, prompt: Prompt, *, secret: str) -> Question:
    """Make a request ready; ``secret`` marks its fences and is known to nobody else.

    Raises:
        ConfigError: its variables are not the ones the prompt's manifest names.
    """
    declared = prompt.declared
    _same("trusted", request, set(request.trusted), set(declared.trusted))
    _same("untrusted", request, set(request.untrusted), set(declared.untrusted))
    masker = Masker(request.personal, shown=declared.shown, tokens=declared.tokens)
    variables: dict[str, Plain] = {name: masker.hide_plain(value) for name, value in request.trusted.items()}
    for name, text in request.untrusted.items():
        variables[name] = fenced(name, masker.hide(neutral(text), guess=True), secret=secret)
    language = chosen(request.locale, declared.languages)
    system, *rest = prompt.render(variables, language=name_of(language))
    if declared.untrusted:
        system = Turn(system.role, f"{system.text}\n\n{notice(secret)}")
    return Question(
        prompt=prompt,
        request=request,
        turns=(system, *rest),
        language=language,
        masker=masker,
        inputs_digest=digest([prompt.digest, dict(request.trusted), dict(request.untrusted), language]),
    )


def repair(question: Question, bad: str | None, faults: tuple[str, ...]) -> tuple[Turn, ...]:
    """The turns that ask once more, saying what was wrong."""
    listed = "\n".join(f"- {fault}" for fault in faults)
    asked = (
        f"Your answer cannot be used:\n{listed}\nAnswer again with one JSON object that fits the schema, nothing else."
    )
    turns = question.turns
    if bad and len(bad) <= question.prompt.declared.max_output_tokens * 8:
        turns = (*turns, Turn("assistant", question.masker.hide(cleaned(bad), guess=True)))
    return (*turns, Turn("user", asked))


def estimated_input_tokens(turns: tuple[Turn, ...], prompt: Prompt) -> int:
    """An upper estimate of what a provider will count."""
    size = sum(len(turn.text.encode()) for turn in turns) + len(canonical_json(prompt.schema).encode())
    return math.ceil(size / _BYTES_PER_TOKEN) + _PER_TURN_TOKENS * len(turns)


def _same(what: str, request: LanguageRequest, given: set[str], declared: set[str]) -> None:
    if given != declared:
        wrong = sorted(given ^ declared)[0]
        says = "is not declared in" if wrong in given else "is missing; it is declared in"
        raise ConfigError(f"{request.agent} asks {request.prompt}: the {what} variable {wrong} {says} its manifest")
