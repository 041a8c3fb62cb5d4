"""One call to one model through LangChain's OpenAI client: structured output by JSON schema, no hidden retries.

The client is bound to the event loop it is first used in, as its connections are.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from domain.cost import CallOutcome, Tokens
from domain.prompt import Prompt, Turn
from tools.llm.plan import Model
from tools.llm.wire import CheckedTransport, Wire, current, tokens_of

CONNECT_S = 2.0
_CHOOSE_THEIR_OWN = ("o1", "o3", "o4", "gpt-5")
"""Models that refuse a temperature."""
_TURNS = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
_UNSENT = frozenset({"minLength", "maxLength", "pattern", "minItems", "maxItems"})
"""Words of a schema that not every provider takes; our own check holds them."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A chat completion as it came."""

    content: str | None
    refusal: str
    finish: str
    model: str
    request_id: str
    tokens: Tokens | None
    """None when the usage is missing or makes no sense."""
    tools: bool = False
    """Whether it asked for a tool, which it was not given."""


class ProviderFailure(Exception):
    """A call without a completion."""

    def __init__(self, outcome: CallOutcome, why: str, *, again: bool, retry_after_s: float | None = None) -> None:
        """``again`` says whether another try at the same model could help."""
        super().__init__(why)
        self.outcome = outcome
        self.why = why
        self.again = again
        self.retry_after_s = retry_after_s
        self.request_id = ""


class Client:
    """Every model of a plan, over one pool of connections."""

    def __init__(self) -> None:
        """Nothing is opened before the first call."""
        self._http: httpx2.AsyncClient | None = None
        self._chains: dict[tuple[Model, str], Runnable[LanguageModelInput, Any]] = {}

    async def aclose(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None
        self._chains.clear()

    async def complete(self, model: Model, prompt: Prompt, turns: Sequence[Turn], *, limit_s: float) -> Reply:
        """Ask once, for ``limit_s`` at most.

        Raises:
            ProviderFailure: no completion came.
        """
        wire = Wire()
        current.set(wire)
        try:
            async with asyncio.timeout(limit_s):
                said = [_TURNS[turn.role](turn.text) for turn in turns]
                await self._chain(model, prompt).ainvoke(said, _traced_as(prompt))
        except TimeoutError:
            raise ProviderFailure(CallOutcome.TIMEOUT, f"no answer within {limit_s:.1f} s", again=False) from None
        except Exception as failure:  # noqa: BLE001  # the edge of the client library: what counts is what the wire says
            if not wire.answered:
                raise _failure(wire, failure) from None
        return Reply(
            content=wire.content,
            refusal=wire.refusal,
            finish=wire.finish,
            model=wire.model,
            request_id=wire.request_id,
            tokens=tokens_of(wire.usage),
            tools=wire.tools,
        )

    def _chain(self, model: Model, prompt: Prompt) -> Runnable[LanguageModelInput, Any]:
        key = (model, f"{prompt.prompt_id}/{prompt.digest}")
        if key not in self._chains:
            chat = self._chat(model, prompt)
            spec = {"name": prompt.prompt_id, "strict": True, "schema": sent_schema(prompt.schema)}
            # The body with_structured_output(method="json_schema") sends, without its parser, which mends broken JSON
            # and costs more time than everything else here: the answer is read from the wire, strictly.
            body = {"response_format": {"type": "json_schema", "json_schema": spec}}
            self._chains[key] = chat.bind(extra_body=body)
        return self._chains[key]

    def _chat(self, model: Model, prompt: Prompt) -> ChatOpenAI:
        if self._http is None:
            limits = httpx2.Limits(max_connections=64, max_keepalive_connections=16)
            self._http = httpx2.AsyncClient(
                transport=CheckedTransport(httpx2.AsyncHTTPTransport(limits=limits)),
                follow_redirects=False,
                trust_env=False,
            )
        declared = prompt.declared
        free = model.name.startswith(_CHOOSE_THEIR_OWN)
        return ChatOpenAI(
            model=model.name,
            base_url=model.provider.base_url,
            api_key=SecretStr(model.provider.api_key.get_secret_value() or "none"),
            organization="",
            openai_proxy="",
            temperature=None if free else declared.temperature,
            max_completion_tokens=declared.max_output_tokens,
            timeout=httpx2.Timeout(declared.time_budget_s, connect=CONNECT_S),
            max_retries=0,
            use_responses_api=False,
            http_async_client=self._http,
        )


def _traced_as(prompt: Prompt) -> RunnableConfig:
    """How traces name a call, where there are traces."""
    about = {"agent": prompt.agent, "prompt": prompt.prompt_id, "prompt_version": f"{prompt.version}@{prompt.digest}"}
    return {"run_name": f"{prompt.agent} {prompt.prompt_id}", "metadata": about}


def sent_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without what some providers refuse."""
    kept = {word: value for word, value in schema.items() if word not in _UNSENT}
    if "properties" in kept:
        kept["properties"] = {name: sent_schema(inner) for name, inner in kept["properties"].items()}
    if "items" in kept:
        kept["items"] = sent_schema(kept["items"])
    return kept


def _failure(wire: Wire, error: Exception) -> ProviderFailure:
    """What a call without a completion means; what may have cost the provider work counts as broken."""
    if wire.fault:
        found = ProviderFailure(CallOutcome.BROKEN, wire.fault, again=True)
    elif not wire.sent:
        found = _unsent(error)
    elif wire.status == httpx2.codes.TOO_MANY_REQUESTS:
        found = ProviderFailure(CallOutcome.FAILED, "the provider says that we ask too often (429)", again=True)
        found.retry_after_s = _seconds(wire.retry_after)
    elif wire.status in {httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN}:
        why = f"the provider refuses our key ({wire.status}); correct SIGNALBOX_LLM_API_KEY"
        found = ProviderFailure(CallOutcome.FAILED, why, again=False)
    elif 300 <= wire.status < 500:
        why = f"the provider does not take the request ({wire.status}); check the address and the model's name"
        found = ProviderFailure(CallOutcome.FAILED, why, again=False)
    else:
        found = ProviderFailure(CallOutcome.BROKEN, f"the provider failed ({wire.status})", again=True)
        found.retry_after_s = _seconds(wire.retry_after)
    found.request_id = wire.request_id
    return found


def _unsent(error: Exception) -> ProviderFailure:
    """Without a reply: nothing was done if no connection was made; otherwise nobody knows."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.UnsupportedProtocol):
            return ProviderFailure(CallOutcome.FAILED, "the provider cannot be reached", again=True)
        if isinstance(cause, httpx2.TimeoutException):
            return ProviderFailure(CallOutcome.TIMEOUT, "the provider went silent", again=False)
        cause = cause.__cause__ or cause.__context__
    return ProviderFailure(CallOutcome.BROKEN, "the connection broke before an answer", again=True)


def _seconds(retry_after: str) -> float | None:
    """Seconds of a ``Retry-After`` header; a date is as good as none, because nobody's clock is ours."""
    try:
        value = float(retry_after)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
