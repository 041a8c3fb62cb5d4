"""The stand-in provider's side of the money: how it counts tokens and what it charges. Kept apart from our own ledger."""

import math
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from domain.values import Document, canonical_json

BYTES_PER_TOKEN = 4
"""The declared approximation: a token is four bytes of UTF-8, begun ones count."""
PER_MESSAGE = 4
_MILLION = Decimal(1_000_000)
PRICES: dict[str, tuple[Decimal, Decimal, Decimal]] = {
    "standin-small": (Decimal("0.10"), Decimal("0.05"), Decimal("0.40")),
    "standin-medium": (Decimal("0.50"), Decimal("0.25"), Decimal("2.00")),
    "standin-large": (Decimal("2.50"), Decimal("1.25"), Decimal("10.00")),
}
"""US dollars per million tokens: fresh input, cached input, output. Other names cost what the large one costs."""


class Usage(Document):
    """What one call used."""

    input: int
    cached: int
    output: int
    reasoning: int

    def as_told(self) -> dict[str, Any]:
        """In the provider's words."""
        return {
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "total_tokens": self.input + self.output,
            "prompt_tokens_details": {"cached_tokens": self.cached},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning},
        }


class Bill:
    """Everything charged so far, exactly."""

    def __init__(self) -> None:
        self.usd = Decimal(0)
        self.calls = 0
        self.by_model: Counter[str] = Counter()
        self._prefixes: set[tuple[str, str]] = set()

    def measure(self, model: str, messages: Sequence[dict[str, Any]], schema: object, content: str) -> Usage:
        """Count a call; a beginning of the conversation that was sent before is read from the cache."""
        sizes = [_tokens(str(message.get("content") or "")) + PER_MESSAGE for message in messages]
        first = str(messages[0].get("content")) if messages else ""
        cached = sizes[0] if sizes and (model, first) in self._prefixes else 0
        self._prefixes.add((model, first))
        reasoning = 16 if model.endswith("-large") else 0
        asked = sum(sizes) + _tokens(canonical_json(schema))
        return Usage(input=asked, cached=cached, output=_tokens(content) + reasoning, reasoning=reasoning)

    def charge(self, model: str, usage: Usage) -> None:
        """Put a call on the bill."""
        fresh, cached, output = PRICES.get(model, PRICES["standin-large"])
        cost = fresh * (usage.input - usage.cached) + cached * usage.cached + output * usage.output
        self.usd += cost / _MILLION
        self.calls += 1
        self.by_model[model] += 1


def _tokens(text: str) -> int:
    return math.ceil(len(text.encode()) / BYTES_PER_TOKEN)
