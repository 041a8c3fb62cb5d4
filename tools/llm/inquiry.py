"""One question on its way: its attempts so far, what it has cost, and the records of its calls."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain.cost import CallOutcome, CallRecord, Hold, Tokens
from domain.decision import Cost
from domain.ids import TenantId
from domain.language import Answered, Silence, Unanswered
from domain.prompt import Turn
from tools.llm.client import ProviderFailure, Reply
from tools.llm.plan import Model
from tools.llm.prices import Charge, PriceBook
from tools.llm.question import Question, estimated_input_tokens

ATTEMPTS = 3
"""Calls of one question, over all layers."""
GRACE_S = 30.0
"""A hold is called lost so long after its call must have ended."""
_FIRST_SHARE = 0.6
"""Of the time left goes to a call when another one could follow."""


class Silent(Exception):
    """There will be no answer to the question."""

    def __init__(self, silence: Silence, why: str) -> None:
        """``why`` is one sentence without personal data."""
        super().__init__(why)
        self.silence = silence
        self.why = why


class Inquiry:
    """The state of one question."""

    def __init__(self, question: Question, record_id: str, started_s: float, prices: PriceBook) -> None:
        """``started_s`` is the loop's time."""
        budget_s = question.request.time_budget_s or question.prompt.declared.time_budget_s
        self.question = question
        self.record_id = record_id
        self.deadline_s = started_s + budget_s
        self.turns: tuple[Turn, ...] = question.turns
        self.purpose = "ask"
        self.model: Model | None = None
        self.bad: str | None = None
        self.answered_by = ""
        self.failed: list[Model] = []
        """Models in the order they failed this question."""
        self.useless: set[Model] = set()
        """Models that cannot answer it, however often they are asked."""
        self.last = Silent(Silence.UNAVAILABLE, "no model was asked")
        self.flags: list[str] = []
        self._prices = prices
        self._records: list[CallRecord] = []

    def about(self) -> dict[str, str]:
        """For a log line."""
        request = self.question.request
        return {"agent": request.agent, "prompt": self.question.prompt_name, "record": self.record_id}

    def flag(self, flag: str) -> None:
        """Add a flag to the answer, once."""
        if flag not in self.flags:
            self.flags.append(flag)

    def limit_s(self, now_s: float, *, more: bool) -> float:
        """How long the next call may take."""
        left_s = self.deadline_s - now_s
        return max(0.001, left_s * _FIRST_SHARE if more else left_s)

    def estimate(self, model: Model, at: datetime) -> Charge:
        """What the next call may cost at most."""
        prompt = self.question.prompt
        asked = estimated_input_tokens(self.turns, prompt)
        return self._prices.charge(model.name, Tokens(input=asked, output=prompt.declared.max_output_tokens), at)

    def hold(self, model: Model, call_id: str, at: datetime, day: str, *, attempt: int) -> Hold:
        """The next call as it would be booked if this process died in it.

        Raises:
            Silent: the question has its own limit, and this would pass it.
        """
        question, request = self.question, self.question.request
        charge = self.estimate(model, at)
        if request.max_usd_micro is not None and self.cost.usd_micro + charge.usd_micro > request.max_usd_micro:
            raise Silent(
                Silence.BUDGET, f"another call could cost more than the {request.max_usd_micro / 1e6:.4f} USD set"
            )
        record = CallRecord(
            call_id=call_id,
            record_id=self.record_id,
            tenant=TenantId(request.tenant),
            agent=request.agent,
            entity_type=request.entity_type,
            entity_id=request.entity_id,
            day=day,
            at=at,
            prompt=question.prompt.prompt_id,
            prompt_version=question.prompt.version,
            prompt_digest=question.prompt.digest,
            inputs_digest=question.inputs_digest,
            model=model.name,
            attempt=attempt,
            purpose=self.purpose,
            outcome=CallOutcome.LOST,
            usd_micro=charge.usd_micro,
            estimate_usd_micro=charge.usd_micro,
            estimated=True,
            price_unknown=not charge.known,
        )
        budget_s = request.time_budget_s or question.prompt.declared.time_budget_s
        return Hold(record=record, ends_in_s=budget_s + GRACE_S)

    def draft(self, hold: Hold) -> "Draft":
        """The record of a call that begins."""
        return Draft(self, hold.record, self._prices)

    def booked(self, record: CallRecord) -> None:
        """Count a finished call."""
        self._records.append(record)
        if record.estimated and record.usd_micro:
            self.flag("usage_estimated")
        if record.price_unknown:
            self.flag("price_unknown")

    @property
    def cost(self) -> Cost:
        """All calls so far."""
        return Cost(
            input_tokens=sum(each.tokens.input for each in self._records),
            output_tokens=sum(each.tokens.output for each in self._records),
            usd_micro=sum(each.usd_micro for each in self._records),
        )

    def answered(self, data: dict[str, Any]) -> Answered:
        """The question's answer."""
        if self.purpose == "repair":
            self.flag("repaired")
        return Answered(data=data, **self._asked())

    def unanswered(self, silent: Silent) -> Unanswered:
        """The question's silence."""
        self.flag(silent.silence.value)
        return Unanswered(silence=silent.silence, why=silent.why, **self._asked())

    def _asked(self) -> dict[str, Any]:
        return {
            "record_id": self.record_id,
            "prompt": self.question.prompt_name,
            "model": self.answered_by or (self._records[-1].model if self._records else None),
            "cost": self.cost,
            "calls": len(self._records),
            "flags": tuple(self.flags),
        }


@dataclass
class Draft:
    """A call's record while it is being made."""

    inquiry: Inquiry
    begun: CallRecord
    prices: PriceBook
    outcome: CallOutcome = CallOutcome.TIMEOUT
    detail: str = "it was not waited for"
    changes: dict[str, Any] = field(default_factory=dict)

    def took(self, reply: Reply) -> None:
        """A completion came: charge what it used, or the estimate when it does not say."""
        self.outcome, self.detail = CallOutcome.INVALID, "it was not read to the end"
        self.changes = {"model_answered": reply.model, "request_id": reply.request_id}
        if reply.tokens is not None:
            charge = self.prices.charge(self.begun.model, reply.tokens, self.begun.at)
            self.changes |= {
                "tokens": reply.tokens,
                "usd_micro": charge.usd_micro,
                "estimated": False,
                "price_unknown": not charge.known,
            }

    def failed(self, failure: ProviderFailure) -> None:
        """No completion came; what the provider says it did not do costs nothing."""
        self.outcome, self.detail = failure.outcome, failure.why
        self.changes["request_id"] = failure.request_id
        if failure.outcome is CallOutcome.FAILED:
            self.changes |= {"usd_micro": 0, "estimated": False, "price_unknown": False}

    def useless(self, why: str, masked: str) -> None:
        """A completion that is no answer."""
        self.outcome, self.detail = CallOutcome.INVALID, why
        self.changes["bad_answer"] = masked

    def record(self, seconds: float) -> CallRecord:
        """The finished record, counted."""
        changes = {"outcome": self.outcome, "detail": self.detail, "latency_ms": round(seconds * 1000), **self.changes}
        record = self.begun.model_copy(update=changes)
        self.inquiry.booked(record)
        return record
