"""OpenTelemetry traces, off unless somebody switches them on: then one order is one trace through API, bus, graph and agents.

Names follow OpenTelemetry's GenAI conventions, kept here as our own constants while those are in development. Attributes
are names, versions, words and counts: no texts of orders, customers or models, and of an error only its type.
"""

import inspect
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from domain.cost import CallRecord

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span, Tracer

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
AGENT_NAME, AGENT_ID, AGENT_VERSION = "gen_ai.agent.name", "gen_ai.agent.id", "gen_ai.agent.version"
WORKFLOW = "gen_ai.workflow.name"
CONVERSATION = "gen_ai.conversation.id"
"""The thread: a hash of tenant, workflow and entity."""
REQUEST_MODEL, RESPONSE_MODEL = "gen_ai.request.model", "gen_ai.response.model"
INPUT_TOKENS, OUTPUT_TOKENS = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
CACHED_TOKENS, REASONING_TOKENS = "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.reasoning.output_tokens"
TOOL_NAME, TOOL_TYPE, TOOL_CALL = "gen_ai.tool.name", "gen_ai.tool.type", "gen_ai.tool.call.id"
DECISION, OUTCOME, MODE = "signalbox.decision", "signalbox.outcome", "signalbox.mode"
TENANT = "signalbox.tenant"
ERROR = "error.type"

INVOKE_WORKFLOW, INVOKE_AGENT, CHAT, EXECUTE_TOOL = "invoke_workflow", "invoke_agent", "chat", "execute_tool"
PARENT = "traceparent"
"""The header of messages and requests that carries a trace on (W3C Trace Context)."""

T = TypeVar("T")
Value = str | int | bool


class _Tracing:
    """What is on in this process; None is off."""

    tracer: "Tracer | None" = None


class Unrecorded:
    """A span nobody records."""

    def note(self, **_attributes: Value) -> None:
        """Drop the attributes."""

    def name(self, _name: str) -> None:
        """Keep no name."""


class Recorded:
    """A span that is recorded."""

    def __init__(self, span: "Span") -> None:
        self._span = span

    def note(self, **attributes: Value) -> None:
        """Add attributes; two underscores in a name stand for a dot."""
        for name, value in attributes.items():
            self._span.set_attribute(name.replace("__", "."), value)

    def name(self, name: str) -> None:
        """Give the span its final name."""
        self._span.update_name(name)


Spanned = Unrecorded | Recorded
_UNRECORDED = Unrecorded()
_OFF: AbstractContextManager[Spanned] = nullcontext(_UNRECORDED)


def switch_on(processor: "SpanProcessor") -> None:
    """Record from now on; the processor takes every finished span."""
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  # costs nothing while tracing is off
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  # see above

    provider = TracerProvider(resource=Resource.create({"service.name": "signalbox"}), shutdown_on_exit=False)
    provider.add_span_processor(processor)
    _Tracing.tracer = provider.get_tracer("signalbox")


def switch_off() -> None:
    """Record nothing from now on."""
    _Tracing.tracer = None


def is_on() -> bool:
    """Whether spans are recorded."""
    return _Tracing.tracer is not None


def span(
    name: str, attributes: Mapping[str, Value] | None = None, *, parent: Mapping[str, str] | None = None
) -> AbstractContextManager[Spanned]:
    """A span for the length of a block. ``parent`` are headers that may carry a trace on; without them the current span's."""
    tracer = _Tracing.tracer
    return _OFF if tracer is None else _recording(tracer, name, attributes or {}, parent)


@contextmanager
def _recording(
    tracer: "Tracer", name: str, attributes: Mapping[str, Value], parent: Mapping[str, str] | None
) -> Iterator[Spanned]:
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415  # see ``switch_on``

    context = None if parent is None else _carried(parent)
    with tracer.start_as_current_span(
        name, context=context, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as recorded:
        try:
            yield Recorded(recorded)
        except BaseException as failure:
            # The type alone: a message may hold what a customer wrote.
            recorded.set_attribute(ERROR, type(failure).__name__)
            recorded.set_status(Status(StatusCode.ERROR))
            raise


def _carried(headers: Mapping[str, str]) -> Any:
    from opentelemetry.context import Context  # noqa: PLC0415  # see ``switch_on``
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415  # see ``switch_on``
        TraceContextTextMapPropagator,
    )

    return TraceContextTextMapPropagator().extract({PARENT: headers.get(PARENT, "")}, context=Context())


def carry(headers: MutableMapping[str, str]) -> None:
    """Write the current trace into headers, so that whoever reads them goes on with it; nothing while off."""
    if parent := current():
        headers[PARENT] = parent


def current() -> str:
    """The current trace as a header value; empty while off or outside any span."""
    if _Tracing.tracer is None:
        return ""
    from opentelemetry.trace import get_current_span  # noqa: PLC0415  # see ``switch_on``

    held = get_current_span().get_span_context()
    return f"00-{held.trace_id:032x}-{held.span_id:016x}-{int(held.trace_flags):02x}" if held.is_valid else ""


def agent_span(agent: str, version: str, thread: str) -> AbstractContextManager[Spanned]:
    """The span of one question to an agent."""
    if _Tracing.tracer is None:
        return _OFF
    told = {OPERATION: INVOKE_AGENT, AGENT_NAME: agent, AGENT_ID: f"{agent}@{version}", AGENT_VERSION: version}
    return span(f"{INVOKE_AGENT} {agent}", {**told, CONVERSATION: thread})


def tool_span(name: str) -> AbstractContextManager[Spanned]:
    """The span of one call to an outside system."""
    if _Tracing.tracer is None:
        return _OFF
    return span(f"{EXECUTE_TOOL} {name}", {OPERATION: EXECUTE_TOOL, TOOL_NAME: name, TOOL_TYPE: "function"})


def chatted(record: CallRecord) -> None:
    """A span for a model call that is over."""
    tracer = _Tracing.tracer
    if tracer is None:
        return
    attributes: dict[str, Value] = {
        OPERATION: CHAT,
        PROVIDER: "openai",
        AGENT_NAME: record.agent,
        REQUEST_MODEL: record.model,
        RESPONSE_MODEL: record.model_answered,
        INPUT_TOKENS: record.tokens.input,
        OUTPUT_TOKENS: record.tokens.output,
        CACHED_TOKENS: record.tokens.cached,
        REASONING_TOKENS: record.tokens.reasoning,
        OUTCOME: record.outcome.value,
    }
    began = tracer.start_span(f"{CHAT} {record.model}", attributes=attributes, start_time=_nanos(record.at))
    began.end(end_time=_nanos(record.at + timedelta(milliseconds=record.latency_ms)))


def _nanos(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1000


class TracedSystem:
    """An outside system whose every call is a span."""

    def __init__(self, inner: object, name: str) -> None:
        """``inner`` is the system itself."""
        self._inner = inner
        self._name = name

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def traced(*given: Any, **named: Any) -> Any:
            with tool_span(f"{self._name}.{name}"):
                return await found(*given, **named)

        return traced


def traced(system: T, name: str) -> T:
    """The system with a span around every call, as long as tracing is on when this is asked; else itself."""
    return TracedSystem(system, name) if is_on() else system  # type: ignore[return-value]  # it answers to the same calls
