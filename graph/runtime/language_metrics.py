"""What Prometheus sees of model calls: tokens, money, time, and why there was no answer. No ids, no tenants in labels."""

from prometheus_client import CollectorRegistry

from domain.cost import CallRecord
from domain.language import Answer, LanguageRequest, Unanswered
from graph.runtime import metric_names as names
from graph.runtime import tracing


class LanguageMetrics:
    """Implements ``LanguageObserver``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """The instruments join the process's registry."""
        self._cost = names.LLM_COST.counter(registry)
        self._calls = names.LLM_CALLS.counter(registry)
        self._answers = names.LLM_ANSWERS.counter(registry)
        self._tokens = names.LLM_TOKENS.counter(registry)
        self._seconds = names.LLM_SECONDS.histogram(registry)

    def called(self, record: CallRecord) -> None:
        """Count a call, and put it into the trace."""
        tracing.chatted(record)
        self._cost.labels(record.agent, record.model).inc(record.usd_micro / 1_000_000)
        self._calls.labels(record.agent, record.model, record.outcome.value).inc()
        self._tokens.labels(record.agent, record.model, "input").inc(record.tokens.input)
        self._tokens.labels(record.agent, record.model, "output").inc(record.tokens.output)
        self._seconds.labels(record.model).observe(record.latency_ms / 1000)

    def asked(self, request: LanguageRequest, answer: Answer, *, seconds: float) -> None:
        """Count a question."""
        result = answer.silence.value if isinstance(answer, Unanswered) else "answered"
        self._answers.labels(request.agent, request.prompt, result).inc()
