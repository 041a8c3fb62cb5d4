"""What customers are told about risk decisions."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from agents.fraud_detection import FraudJudge, rules_edition
from agents.fraud_rules import RULES
from agents.fraud_table import shipped_table
from agents.fraud_texts import LANGUAGES, TEXTS_FILE, customer_text, parse_texts, shipped_texts, text_language
from domain.decision import Outcome, Verdict
from domain.errors import ConfigError
from tests.support.agent_world import NOW
from tests.support.fraud_signs import FIRES, QUIET


def stopped_by(code: str, outcome: Outcome = Outcome.HOLD) -> Verdict:
    given: dict[str, Any] = {"usd_cents": 5_000, "ship_country": "HK"} | FIRES[code]
    signals = replace(QUIET, **given)
    verdict = FraudJudge(rules_edition()).judge(signals, at=NOW)
    return verdict.model_copy(update={"outcome": outcome})


@pytest.mark.parametrize("code", [code for code in RULES if shipped_table().rules[code].points > 0])
@pytest.mark.parametrize("locale", ["zh-Hant-TW", "zh-Hans-CN", "vi-VN", "en-AU"])
def test_a_text_gives_nothing_away(code: str, locale: str) -> None:
    """F10: every code that can stop an order has a text in four languages, without value, limit, code or figure."""
    verdict = stopped_by(code)
    text = customer_text(verdict, locale)
    assert text
    reason = next(reason for reason in verdict.reasons if reason.code == code)
    for told in (reason.threshold, reason.code, shipped_table().rules[code].rule_id, "fraud", "詐", "诈", "gian lận"):
        assert told is None or told not in text
    assert not any(sign.isdigit() for sign in text)


def test_the_heaviest_reason_is_spoken_of() -> None:
    """F10: of several reasons the heaviest decides what is said; unknown ones are spoken of in general."""
    signals = replace(QUIET, usd_cents=5_000, cvv="fail", **FIRES["PHONE_INVALID"])
    verdict = FraudJudge(rules_edition()).judge(signals, at=NOW).model_copy(update={"outcome": Outcome.REVIEW})
    texts = shipped_texts()
    assert customer_text(verdict, "en") == texts.of("payment", "en")
    assert customer_text(stopped_by("GOOD_HISTORY"), "vi") == texts.of("other", "vi")
    assert customer_text(stopped_by("CVV_FAIL", Outcome.REJECT), "en") == texts.of("rejected", "en")
    assert customer_text(stopped_by("CVV_FAIL", Outcome.PROCEED), "en") is None


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("zh-TW", "zh-Hant"), ("zh_HK", "zh-Hant"), ("zh-Hant", "zh-Hant"), ("zh-CN", "zh-Hans"), ("zh", "zh-Hans"),
        ("zh-Hans-HK", "zh-Hans"), ("VI", "vi"), ("ja-JP", "en"), ("", "en"),
    ],
)  # fmt: skip
def test_language_follows_script_then_region(locale: str, language: str) -> None:
    """F10: a reader of traditional signs is not given simplified ones."""
    assert text_language(locale) == language


def test_incomplete_or_telling_texts_are_refused() -> None:
    """F10: a missing language or a figure in a text is refused when the file is read."""
    raw: dict[str, Any] = yaml.safe_load(TEXTS_FILE.read_text(encoding="utf-8"))
    for language in LANGUAGES:
        broken = {**raw, "texts": {**raw["texts"], "payment": {**raw["texts"]["payment"], language: ""}}}
        with pytest.raises(ConfigError, match=f"no {language} text"):
            parse_texts(broken)
    telling = {**raw, "texts": {**raw["texts"], "other": {**raw["texts"]["other"], "en": "more than 3 cards"}}}
    with pytest.raises(ConfigError, match="figure"):
        parse_texts(telling)
