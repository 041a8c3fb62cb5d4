"""An explanation as the customer may hear it, in four languages: nothing of how we tell, only what was looked at and by whom."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import yaml

from domain.review import ReviewState
from graph.runtime.explanation import Explanation

LANGUAGES = ("en", "zh-Hant", "zh-Hans", "vi")
_TEXTS = Path(__file__).with_name("customer_story.yaml")
_CHECKS = ("fraud_detection", "compliance", "inventory_reservation", "order_routing", "tax", "shipping_method")
_JOINT = {"en": ", ", "vi": ", ", "zh-Hant": "、", "zh-Hans": "、"}


def for_customer(explained: Explanation) -> dict[str, str]:
    """What a customer may be told of an order, by language; empty for anything but an order."""
    if explained.entity_type != "order":
        return {}
    open_question = any(step.state is ReviewState.OPEN for step in explained.reviews)
    answered = any(step.state is ReviewState.DECIDED for step in explained.reviews)
    asked = {entry.actor for entry in explained.entries if entry.decision is not None}
    checks = [name for name in _CHECKS if name in asked]
    state = "in_review" if open_question else explained.outcome
    return {language: _told(texts, language, state, checks, answered) for language, texts in _texts().items()}


def _told(texts: Mapping[str, str], language: str, state: str, checks: list[str], by_person: bool) -> str:
    sentences = [texts.get(state, texts["accepted"])]
    if checks:
        looked_at = _JOINT[language].join(texts[name] for name in checks)
        sentences += [texts["automated"].format(checks=looked_at), texts["by_person" if by_person else "by_machine"]]
    return ("" if language.startswith("zh") else " ").join(sentences)


@lru_cache(maxsize=1)
def _texts() -> dict[str, dict[str, str]]:
    read = yaml.safe_load(_TEXTS.read_text(encoding="utf-8"))
    return {language: read[language] for language in LANGUAGES}
