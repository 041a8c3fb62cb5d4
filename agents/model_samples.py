"""Asking a model several times and measuring how far its answers can be trusted, without ever asking it.

Source of the features: agreement of samples, deterministic checks passed, share of what is stated that was retrieved
(a model's own statement of confidence is too high to be used).
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from domain.decision import Cost
from domain.language import Answer, Answered, Check, LanguageRequest, Unanswered
from domain.ports import LanguagePort
from domain.values import canonical_json

SAMPLES = 5
"""Answers where one is not enough."""
DEAR_USD_CENTS = 5_000
"""Above this exposure one answer is not enough."""
UNCALIBRATED_CAP = 0.69
"""An opinion nobody has measured against people's answers stays below acting."""
_FIRST_SHARE = 0.6
"""Of the time goes to the first answer: fixed, so that the question is the same when the decision is replayed."""
_WEIGHTS = {"bias": -3.2, "agreement": 3.0, "checks": 0.7, "retrieval": 0.6}
"""Starting values of the logistic regression, until people's answers give better ones."""


@dataclass(frozen=True, kw_only=True)
class Support:
    """What speaks for an answer."""

    agreement: float
    """Share of the samples that say the same, drawn towards one half when there are few."""
    checks: float = 1.0
    """Share of the deterministic checks passed."""
    retrieval: float = 1.0
    """Share of what is stated that was found in the records."""

    @property
    def confidence(self) -> float:
        """Probability that an expert would say the same; below acting as long as nobody has measured it."""
        parts = {"agreement": self.agreement, "checks": self.checks, "retrieval": self.retrieval}
        logit = _WEIGHTS["bias"] + sum(_WEIGHTS[name] * value for name, value in parts.items())
        return min(UNCALIBRATED_CAP, round(1 / (1 + math.exp(-logit)), 4))


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """What came of asking: the answer most samples gave, or why there is none."""

    chosen: Answered | None
    asked: int
    agreeing: int
    answers: tuple[Answer, ...]

    @property
    def silence(self) -> str:
        """Why there is no answer; empty when there is one."""
        if self.chosen is not None:
            return ""
        return next((one.silence.value for one in self.answers if isinstance(one, Unanswered)), "no_majority")

    @property
    def agreement(self) -> float:
        """(agreeing + 1) / (asked + 2): Laplace's rule, so that one answer alone is no agreement."""
        return (self.agreeing + 1) / (self.asked + 2)

    @property
    def cost(self) -> Cost:
        """All samples together."""
        return Cost(
            input_tokens=sum(one.cost.input_tokens for one in self.answers),
            output_tokens=sum(one.cost.output_tokens for one in self.answers),
            usd_micro=sum(one.cost.usd_micro for one in self.answers),
        )

    @property
    def versions(self) -> dict[str, str]:
        """Prompt and model, for the decision's versions."""
        return (self.chosen or self.answers[0]).versions

    @property
    def flags(self) -> tuple[str, ...]:
        """What happened on the way (``model:repaired``), and that there was no answer (``model_silent:budget``)."""
        silent = {one.silence.value for one in self.answers if isinstance(one, Unanswered)}
        met = sorted({flag for one in self.answers for flag in one.flags if flag not in silent})
        told = tuple(f"model:{flag}" for flag in met)
        return told if self.chosen is not None else (*told, f"model_silent:{self.silence}")


async def sample(
    language: LanguagePort,
    request: LanguageRequest,
    *,
    key: Callable[[Mapping[str, Any]], str],
    check: Check | None = None,
    usd_cents: int | None = 0,
    inconclusive: Callable[[Mapping[str, Any]], bool] = lambda _: False,
    budget_s: float | None = None,
) -> Sampled:
    """Ask once; five times when much is at stake, nobody knows how much, or the first answer is inconclusive.

    ``key`` is the part of an answer on which samples agree or not; ``budget_s`` is the time for everything.

    Raises:
        ConfigError: the prompt does not exist, or the request does not fit it.
    """

    async def ask(share: float) -> Answer:
        limit_s = None if budget_s is None else budget_s * share
        return await language.ask(replace(request, time_budget_s=limit_s), check=check)

    dear = usd_cents is None or usd_cents > DEAR_USD_CENTS
    if dear:
        return _counted(await asyncio.gather(*(ask(1.0) for _ in range(SAMPLES))), key)
    first = await ask(_FIRST_SHARE)
    if not isinstance(first, Answered) or not inconclusive(first.data):
        return _counted([first], key)
    more = await asyncio.gather(*(ask(1 - _FIRST_SHARE) for _ in range(SAMPLES - 1)))
    return _counted([first, *more], key)


def _counted(answers: Sequence[Answer], key: Callable[[Mapping[str, Any]], str]) -> Sampled:
    given = [one for one in answers if isinstance(one, Answered)]
    votes = Counter(key(one.data) for one in given)
    chosen, agreeing = None, 0
    if votes:
        (most, agreeing), *others = votes.most_common(2)
        if not others or others[0][1] < agreeing:
            # Not the first to come: which one that is depends on the network, and a replay must choose the same.
            chosen = min((one for one in given if key(one.data) == most), key=_order)
    return Sampled(chosen=chosen, asked=len(answers), agreeing=agreeing, answers=tuple(sorted(answers, key=_order)))


def _order(answer: Answer) -> tuple[str, str]:
    return (canonical_json(answer.data) if isinstance(answer, Answered) else "", answer.record_id)
