"""The one way to a language model: every question within its time, its attempts and its money, every call on record.

A question has three attempts in all, whatever they are spent on: the same model again, the next one, or one repair.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from domain.cost import CallOutcome, CallRecord, Denied, Hold, Purse
from domain.errors import StoreUnavailable
from domain.language import Answer, Answered, Check, LanguageRequest, Silence
from domain.ports import LanguageObserver
from domain.prompt import PromptPort
from tools.llm.answers import BadAnswer, read_answer
from tools.llm.client import Client, ProviderFailure, Reply
from tools.llm.inquiry import ATTEMPTS, Inquiry, Silent
from tools.llm.limits import Breaker, Pace
from tools.llm.plan import Model, ModelPlan
from tools.llm.prices import PriceBook
from tools.llm.question import prepare, repair

log = structlog.get_logger(__name__)

LEAST_TIME_S = 0.05
"""With less time left than this nothing is asked any more."""
_BACKOFF_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What the gateway works with."""

    prompts: PromptPort
    prices: PriceBook
    purse: Purse
    observer: LanguageObserver
    now: Callable[[], datetime]
    new_id: Callable[[], str]


class Gateway:
    """Implements ``LanguagePort``. One instance serves a process; it belongs to the event loop it is first used in."""

    def __init__(
        self, tools: Tools, plan: ModelPlan | None, *, calls_per_s: float = 20.0, client: Client | None = None
    ) -> None:
        """Without a plan every question is answered with silence."""
        self._tools = tools
        self._plan = plan
        self._client = client or Client()
        self._breakers = {model: Breaker() for model in (plan.models if plan else ())}
        self._pace = Pace(calls_per_s)
        self._later: set[asyncio.Task[None]] = set()

    async def settled(self) -> None:
        """Every call that is over has been booked, or left to be booked as lost."""
        await asyncio.gather(*self._later)

    async def aclose(self) -> None:
        """Book what is still to be booked and close the connections."""
        await self.settled()
        await self._client.aclose()

    async def ask(self, request: LanguageRequest, *, check: Check | None = None) -> Answer:
        """Answer the request, or say why there is no answer.

        Raises:
            ConfigError: the prompt does not exist, or the request's variables are not the ones its manifest names.
        """
        prompt = self._tools.prompts.find(request.prompt, request.version)
        question = prepare(request, prompt, secret=secrets.token_hex(8))
        started_s = asyncio.get_running_loop().time()
        inquiry = Inquiry(question, self._tools.new_id(), started_s, self._tools.prices)
        try:
            answer: Answer = await self._pursue(inquiry, check)
        except Silent as silent:
            answer = inquiry.unanswered(silent)
            say = log.debug if silent.silence is Silence.NOT_CONFIGURED else log.warning
            say("language.silent", silence=silent.silence.value, why=silent.why, **inquiry.about())
        seconds = asyncio.get_running_loop().time() - started_s
        self._tools.observer.asked(request, answer, seconds=seconds)
        return answer

    async def _pursue(self, inquiry: Inquiry, check: Check | None) -> Answered:
        """Ask until there is an answer.

        Raises:
            Silent: there will be none.
        """
        if self._plan is None:
            raise Silent(
                Silence.NOT_CONFIGURED,
                "no language model is configured; set SIGNALBOX_LLM_BASE_URL and SIGNALBOX_LLM_MODEL",
            )
        chain = self._plan.chain(inquiry.question.prompt.declared.tier)
        for attempt in range(1, ATTEMPTS + 1):
            model = self._choose(inquiry, chain)
            try:
                reply, model = await self._call(inquiry, chain, model, attempt, check)
            except ProviderFailure as failure:
                await self._after_failure(inquiry, chain, model, failure)
                continue
            except BadAnswer as bad:
                if inquiry.purpose == "repair":
                    raise Silent(Silence.INVALID, f"useless also after a repair: {bad}") from None
                inquiry.turns, inquiry.purpose = repair(inquiry.question, inquiry.bad, bad.faults), "repair"
                inquiry.last, inquiry.model = Silent(Silence.INVALID, str(bad)), model
                continue
            if model != chain[0] and "cheaper_model" not in inquiry.flags:
                inquiry.flag("fallback_model")
            return inquiry.answered(reply)
        raise inquiry.last

    def _choose(self, inquiry: Inquiry, chain: tuple[Model, ...]) -> Model:
        """The model to ask now.

        Raises:
            Silent: none can be asked.
        """
        now = asyncio.get_running_loop().time()
        left_s = inquiry.deadline_s - now
        if left_s < LEAST_TIME_S:
            raise Silent(Silence.TIMEOUT, f"the time is over; {inquiry.last.why}")
        usable = (model for model in chain if model not in inquiry.useless)
        for model in sorted(usable, key=lambda each: (inquiry.failed.count(each), each != inquiry.model)):
            if self._breakers[model].allows(now, within_s=left_s):
                return model
        if inquiry.last.silence is Silence.UNAVAILABLE and inquiry.failed:
            raise inquiry.last
        raise Silent(Silence.UNAVAILABLE, "every model is resting after repeated failures")

    async def _call(
        self, inquiry: Inquiry, chain: tuple[Model, ...], model: Model, attempt: int, check: Check | None
    ) -> tuple[dict[str, Any], Model]:
        """One call with its money set aside before and booked after; the data, and the model that gave it.

        Raises:
            ProviderFailure: no completion came.
            BadAnswer: what came is no answer.
            Silent: there is no money, no turn, or the model declined.
        """
        if not await self._pace.wait(until=inquiry.deadline_s - LEAST_TIME_S):
            raise Silent(Silence.UNAVAILABLE, "more questions are asked than the rate limit lets through in time")
        model, hold = await self._reserve(inquiry, chain, model, attempt)
        limit_s = inquiry.limit_s(asyncio.get_running_loop().time(), more=attempt < ATTEMPTS and len(chain) > 1)
        draft, started_s = inquiry.draft(hold), asyncio.get_running_loop().time()
        try:
            reply = await self._client.complete(model, inquiry.question.prompt, inquiry.turns, limit_s=limit_s)
            self._breakers[model].succeeded()
            draft.took(reply)
            data = self._read(inquiry, reply, check)
            draft.outcome, draft.detail = CallOutcome.ANSWERED, ""
            return data, model
        except ProviderFailure as failure:
            draft.failed(failure)
            inquiry.failed.append(model)
            raise
        except BadAnswer as bad:
            draft.useless(str(bad), inquiry.question.masker.hide_all(inquiry.bad or ""))
            raise
        except Silent as silent:
            draft.outcome, draft.detail = CallOutcome.REFUSED, silent.why
            raise
        finally:
            seconds = asyncio.get_running_loop().time() - started_s
            self._soon(self._settle(inquiry, draft.record(seconds)))

    async def _reserve(
        self, inquiry: Inquiry, chain: tuple[Model, ...], model: Model, attempt: int
    ) -> tuple[Model, Hold]:
        """Set the call's price aside; four fifths into the budget the cheapest model gets the call.

        Raises:
            Silent: there is no money, or nobody can say.
        """
        purse = self._tools.purse
        try:
            now, day = self._tools.now(), await purse.day(inquiry.question.request.tenant)
            hold = inquiry.hold(model, self._tools.new_id(), now, day, attempt=attempt)
            cheapest = min(chain, key=lambda each: inquiry.estimate(each, now).usd_micro)
            cheaper = inquiry.hold(cheapest, hold.record.call_id, now, day, attempt=attempt)
            usable = cheapest not in inquiry.useless and not self._breakers[cheapest].open
            if usable and cheaper.record.usd_micro < hold.record.usd_micro:
                hold = replace(hold, cheaper=cheaper.record)
            held = await purse.reserve(hold)
        except StoreUnavailable as away:
            raise Silent(Silence.UNAVAILABLE, f"no money can be set aside: {away}") from None
        if isinstance(held, Denied):
            raise Silent(Silence.CALL_CAP if held.by_cap else Silence.BUDGET, held.why)
        if held.cheaper:
            inquiry.flag("cheaper_model")
            return cheapest, cheaper
        return model, hold

    def _read(self, inquiry: Inquiry, reply: Reply, check: Check | None) -> dict[str, Any]:
        question = inquiry.question
        inquiry.answered_by = reply.model
        inquiry.bad = reply.content
        if reply.tools:
            inquiry.flag("tool_refused")
        if reply.refusal or reply.finish == "content_filter":
            raise Silent(Silence.REFUSED, "the model declined to answer")
        data = read_answer(
            reply.content, reply.finish, question.prompt,
            language=question.language, masker=question.masker, check=check,
        )  # fmt: skip
        return question.masker.reveal(data, question.prompt.declared.unmask)

    async def _after_failure(
        self, inquiry: Inquiry, chain: tuple[Model, ...], model: Model, failure: ProviderFailure
    ) -> None:
        """Note the failure, and wait when the same model is all there is."""
        now = asyncio.get_running_loop().time()
        failed_with = inquiry.failed[-1]
        self._breakers[failed_with].failed(now)
        timed_out = failure.outcome is CallOutcome.TIMEOUT
        inquiry.last = Silent(Silence.TIMEOUT if timed_out else Silence.UNAVAILABLE, failure.why)
        if not failure.again and not timed_out:
            inquiry.useless.add(failed_with)
        others = [each for each in chain if each not in inquiry.useless and each not in inquiry.failed]
        if failure.again and (not others or inquiry.purpose == "repair"):
            wait_s = failure.retry_after_s or _BACKOFF_S * 2 ** len(inquiry.failed)
            if now + wait_s + LEAST_TIME_S > inquiry.deadline_s:
                raise inquiry.last
            await asyncio.sleep(wait_s)

    async def _settle(self, inquiry: Inquiry, record: CallRecord) -> None:
        self._tools.observer.called(record)
        try:
            await self._tools.purse.settle(record)
        except StoreUnavailable as away:
            log.warning("language.unsettled", call=record.call_id, why=str(away), **inquiry.about())

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it even if whoever asked stops waiting; ``aclose`` waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)
