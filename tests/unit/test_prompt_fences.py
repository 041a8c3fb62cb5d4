"""Strangers' text in every shipped prompt: fenced, quoted, and in no other place."""

import pytest

from domain.language import LanguageRequest
from prompts.library import shipped_prompts
from tests.support.prompt_samples import SAMPLES
from tools.llm.question import prepare


@pytest.mark.parametrize("prompt", list(shipped_prompts()), ids=lambda each: f"{each.prompt_id}-{each.version}")
def test_strangers_text_stands_in_fences_only(prompt: object) -> None:
    """P19: every line of an untrusted variable is quoted inside a fence, and none is in the system turn."""
    shipped = next(each for each in shipped_prompts() if each == prompt)
    sample = SAMPLES[shipped.prompt_id]
    for locale in shipped.declared.languages:
        request = LanguageRequest(
            agent=shipped.agent, prompt=shipped.prompt_id, version=shipped.version, tenant="t", entity_type="order",
            entity_id="o", locale=locale, **sample,
        )  # fmt: skip
        system, user = prepare(request, shipped, secret="0123456789abcdef").turns
        for value in sample["untrusted"].values():
            for line in filter(None, str(value).split("\n")):
                assert line not in system.text
                assert user.text.count(line) == user.text.count(f"| {line}") > 0
