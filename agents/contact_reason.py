"""Why a customer writes: by key words in four languages (cr-1.0), or by a model where words are not enough (cr-2.0)."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from agents.model_samples import Support, sample
from agents.text_signs import plain_text, shipped_signs
from domain.errors import ConfigError
from domain.language import LanguageRequest, Personal
from domain.model_proposal import MODEL, RULES, ModelProposal
from domain.ports import LanguagePort
from domain.support_reason import Reason, Topic, parse_reason

NAME = "contact_reason"
PROMPT = "contact_reason"
WORDS_FILE = Path(__file__).with_name("contact_reason.yaml")
BY_RULES, BY_MODEL = "rules-1", "cr-2.0"
UNKNOWN = "unclear"
_GENERIC = frozenset({"wismo/late", "presales"})
"""Reasons whose words ("when", "do you have") also occur in messages about something else, which then goes first."""
_SURE, _CLOSE = 0.85, 0.6
"""Declared: the share of right answers on the labelled contacts, where one reason leads and where two come close."""


@cache
def shipped_words(file: Path = WORDS_FILE) -> Mapping[str, re.Pattern[str]]:
    """Patterns by reason name, most specific first.

    Raises:
        ConfigError: the file cannot be read, or names a reason there is not.
    """
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))["reasons"]
        for name in raw:
            parse_reason(name)
        return {name: re.compile("|".join(f"(?:{each})" for each in patterns)) for name, patterns in raw.items()}
    except (KeyError, TypeError, re.error) as bad:
        raise ConfigError(f"{file.name} cannot be used: {bad}") from None


def by_rules(text: str) -> Reason | None:
    """The reason whose words occur most, details before bare topics; None when no word is known."""
    plain = plain_text(text)
    counted = {name: len(pattern.findall(plain)) for name, pattern in shipped_words().items()}
    ranked = sorted(
        (name for name, hits in counted.items() if hits),
        key=lambda name: (name not in _GENERIC, counted[name], "/" in name),
        reverse=True,
    )
    if not ranked:
        return None
    best = parse_reason(ranked[0])
    rivals = [
        name
        for name in ranked[1:]
        if counted[name] == counted[ranked[0]] and parse_reason(name).topic is not best.topic
    ]
    return best.model_copy(update={"by": BY_RULES, "confidence": _CLOSE if rivals else _SURE})


async def classify(
    language: LanguagePort,
    text: str,
    *,
    tenant: str,
    contact_id: str,
    personal: tuple[Personal, ...] = (),
    version: str = BY_RULES,
) -> ModelProposal[Reason]:
    """The reason of a contact; ``cr-2.0`` asks a model and falls back to the words when there is no answer.

    Raises:
        ConfigError: there is no such version.
    """
    if version not in {BY_RULES, "cr-1.0", BY_MODEL}:
        raise ConfigError(f"there is no {NAME} {version}; known are cr-1.0 and {BY_MODEL}")
    own = by_rules(text)
    marked = ("instructions_in_text",) if shipped_signs().addresses_machine(text) else ()
    if version != BY_MODEL or not text.strip():
        return _ruled(own, marked)
    request = LanguageRequest(
        agent=NAME, prompt=PROMPT, tenant=tenant, entity_type="contact", entity_id=contact_id, locale="en",
        trusted={"reasons": list(names())}, untrusted={"message": text}, personal=personal,
    )  # fmt: skip
    asked = await sample(
        language,
        request,
        key=lambda data: str(data["reason"]),
        check=_faults,
        # The words have no opinion or another one: then one answer is not enough.
        inconclusive=lambda data: own is None or not str(data["reason"]).startswith(own.topic.value),
    )
    if asked.chosen is None or asked.chosen.data["reason"] == UNKNOWN:
        proposal = _ruled(own, (*marked, *asked.flags))
        return proposal.model_copy(update={"cost": asked.cost, "versions": proposal.versions | asked.versions})
    reason = parse_reason(str(asked.chosen.data["reason"]))
    checks = ("known_reason", *(("words_agree",) if own is not None and own.topic is reason.topic else ()))
    support = Support(agreement=asked.agreement, checks=len(checks) / 2)
    return ModelProposal[Reason](
        value=reason.model_copy(update={"by": BY_MODEL, "confidence": support.confidence}),
        source=MODEL,
        confidence=support.confidence,
        checks=checks,
        flags=(*marked, *asked.flags),
        samples=asked.asked,
        agreeing=asked.agreeing,
        versions=asked.versions,
        cost=asked.cost,
        record_id=asked.chosen.record_id,
    )


def features(text: str) -> dict[str, Any]:
    """Declared features of a contact, for rules promoted from confirmed answers."""
    plain = plain_text(text)
    found: dict[str, Any] = {
        f"words.{name}": True for name, pattern in shipped_words().items() if pattern.search(plain)
    }
    return found | {f"sign.{sign}": True for sign in shipped_signs().found(text)} | {"question": "?" in plain}


@cache
def names() -> tuple[str, ...]:
    """Every reason, by name."""
    return tuple(dict.fromkeys((*shipped_words(), *(topic.value for topic in Topic))))


def _faults(data: Mapping[str, Any]) -> list[str]:
    if data["reason"] in {*names(), UNKNOWN}:
        return []
    return ["$.reason must be one of the reasons listed, or unclear"]


def _ruled(own: Reason | None, flags: tuple[str, ...]) -> ModelProposal[Reason]:
    """What the words say; nothing, when they say nothing."""
    return ModelProposal[Reason](
        value=own,
        source=RULES,
        confidence=own.confidence if own is not None else 0.0,
        flags=flags,
        versions={"rules": BY_RULES},
    )
