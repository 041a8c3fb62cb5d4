"""What Prometheus sees of model calls: tokens, money, time, and why there was no answer. No ids, no tenants in labels."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from domain.cost import CallRecord
from domain.language import Answer, LanguageRequest, Unanswered

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class LanguageMetrics:
    """Implements ``LanguageObserver``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """The instruments join the process's registry."""
        self._cost = Counter(
            "ops_llm_cost_usd", "Cost of model calls, US dollars.", ["agent", "model"], registry=registry
        )
        self._calls = Counter(
            "ops_llm_calls", "Calls to model providers by how they ended.", ["agent", "model", "outcome"],
            registry=registry,
        )  # fmt: skip
        self._answers = Counter(
            "ops_llm_answers", "Questions by how they ended: answered, or why not.", ["agent", "prompt", "result"],
            registry=registry,
        )  # fmt: skip
        self._tokens = Counter(
            "gen_ai_client_token_usage", "Tokens used, by kind.", ["agent", "model", "gen_ai_token_type"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "gen_ai_client_operation_duration_seconds", "Time of one call to a provider, seconds.", ["model"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip

    def called(self, record: CallRecord) -> None:
        """Count a call."""
        self._cost.labels(record.agent, record.model).inc(record.usd_micro / 1_000_000)
        self._calls.labels(record.agent, record.model, record.outcome.value).inc()
        self._tokens.labels(record.agent, record.model, "input").inc(record.tokens.input)
        self._tokens.labels(record.agent, record.model, "output").inc(record.tokens.output)
        self._seconds.labels(record.model).observe(record.latency_ms / 1000)

    def asked(self, request: LanguageRequest, answer: Answer, *, seconds: float) -> None:
        """Count a question."""
        result = answer.silence.value if isinstance(answer, Unanswered) else "answered"
        self._answers.labels(request.agent, request.prompt, result).inc()
