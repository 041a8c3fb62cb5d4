"""Every metric there is: its name, unit, labels and one sentence. Instruments are made from these and from nothing else.

``ops_`` is about agents and their orders, ``signalbox_`` about the machine, ``gen_ai_`` follows OpenTelemetry's GenAI names.
No ids of orders, customers or reviews in labels: labels take few values.
"""

from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_AGENT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_HTTP_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0)
_MODEL_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_PERSON_S = (10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0, 259200.0)


class Kind(StrEnum):
    """What a metric is to Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The names a query may use."""
        match self.kind:
            case Kind.COUNTER:
                return (f"{self.name}_total",)
            case Kind.GAUGE:
                return (self.name,)
            case Kind.HISTOGRAM:
                return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")

    @property
    def told(self) -> str:
        """The text of ``# HELP``."""
        return f"{self.meaning} Unit: {self.unit}."

    def counter(self, registry: CollectorRegistry) -> Counter:
        """The instrument, where this is a counter."""
        return Counter(self.name, self.told, self.labels, registry=registry)

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        """The instrument, where this is a gauge."""
        return Gauge(self.name, self.told, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        """The instrument, where this is a histogram."""
        return Histogram(self.name, self.told, self.labels, buckets=self.buckets, registry=registry)


def _counter(name: str, unit: str, meaning: str, *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.COUNTER, unit=unit, meaning=meaning, labels=labels)


def _gauge(name: str, unit: str, meaning: str, *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.GAUGE, unit=unit, meaning=meaning, labels=labels)


def _seconds(name: str, meaning: str, *labels: str, buckets: tuple[float, ...]) -> Metric:
    return Metric(name=name, kind=Kind.HISTOGRAM, unit="seconds", meaning=meaning, labels=labels, buckets=buckets)


AGENT_SECONDS = _seconds(
    "ops_agent_duration_seconds", "Time an agent took to decide.", "agent", buckets=_AGENT_S
)  # fmt: skip
DECISIONS = _counter(
    "ops_decisions", "decisions", "Decisions journaled, by agent, its word and its mode.", "agent", "decision", "mode"
)
OVERRIDES = _counter(
    "ops_overrides", "conclusions", "Conclusions of agents that people changed: approve, reject, or edit.",
    "agent", "action",
)  # fmt: skip
AUTONOMY = _gauge(
    "ops_autonomy_level", "share, 0 to 1", "Share of decisions an agent makes by itself where it earns autonomy.",
    "tenant", "agent", "version", "action", "market", "band",
)  # fmt: skip
STUCK = _gauge(
    "ops_stuck_orders", "orders", "Orders at one stage for more than twice its expected time, no person being asked.",
    "stage",
)  # fmt: skip
OPEN = _gauge("ops_open_orders", "orders", "Orders on their way, by the stage they are at.", "stage")
LATE_PERSON = _gauge(
    "ops_late_reviews", "orders", "Orders that have waited for a person more than twice the expected time."
)
FUNNEL = _gauge(
    "ops_funnel_orders", "orders",
    "Orders accepted in the last hour, by stage: reached it, still before it, or ended before it; the three add up.",
    "stage", "outcome",
)  # fmt: skip
LLM_COST = _counter("ops_llm_cost_usd", "US dollars", "Cost of model calls.", "agent", "model")
LLM_CALLS = _counter(
    "ops_llm_calls", "calls", "Calls to model providers by how they ended.", "agent", "model", "outcome"
)
LLM_ANSWERS = _counter(
    "ops_llm_answers", "questions", "Questions by how they ended: answered, or why not.", "agent", "prompt", "result"
)
LLM_BUDGET = _gauge(
    "ops_llm_budget_used_ratio", "share, 0 to 1 and above", "The day's model budget that is spent, at the tenant who has "
    "spent most of it.", "agent",
)  # fmt: skip
LLM_TOKENS = _counter(
    "gen_ai_client_token_usage", "tokens", "Tokens used, by kind.", "agent", "model", "gen_ai_token_type"
)
LLM_SECONDS = _seconds(
    "gen_ai_client_operation_duration_seconds", "Time of one call to a provider.", "model", buckets=_MODEL_S
)

ORDERS = _counter("signalbox_orders", "orders", "Orders that reached a progress.", "progress")
INTAKE = _counter(
    "signalbox_intake", "deliveries", "Deliveries at the door, by channel and what became of them.", "channel", "result"
)
REVIEWS = _counter("signalbox_reviews", "reviews", "Reviews by what happened to them.", "event")
REVIEWS_OPEN = _gauge("signalbox_reviews_open", "cases", "Cases nobody has decided.", "queue")
REVIEWS_OVERDUE = _gauge("signalbox_reviews_overdue", "cases", "Open cases past their deadline.", "queue")
REVIEW_SECONDS = _seconds(
    "signalbox_review_decision_seconds", "Time from the question to a person's answer.", "queue", buckets=_PERSON_S
)
FAILURES = _counter(
    "signalbox_work_failures", "units of work", "Work that failed: delivered again, or buried.", "kind", "result"
)
QUEUE = _gauge("signalbox_queue_messages", "messages", "Messages not yet handled.", "topic", "group")
QUEUE_AGE = _gauge(
    "signalbox_queue_oldest_seconds", "seconds", "Age of the oldest message not yet handled.", "topic", "group"
)
DEAD_LETTERS = _gauge("signalbox_dead_letters", "messages", "Messages nobody could handle, kept with their reason.")
PARKED = _gauge("signalbox_parked_orders", "orders", "Orders that wait for stock or for a stock feed.")
BREAKERS = _gauge(
    "signalbox_open_breakers",
    "warehouses",
    "Warehouses whose stock feed is so late that nothing is accepted from them.",
)
FEED_AGE = _gauge(
    "signalbox_feed_age_seconds",
    "seconds",
    "Age of the newest count a warehouse pushed, by the feed's own time.",
    "warehouse",
)
FEED_STATE = _gauge(
    "signalbox_feed_state", "1 for the state in force, else 0", "State of a warehouse's breaker.", "warehouse", "state"
)
DEGRADED = _gauge("signalbox_degraded", "1 or 0", "Whether the simplified policies of peak days are in force.")
UNREGISTERED = _gauge(
    "signalbox_unregistered_emitters", "senders", "Senders of events that are neither agent nor registered automation."
)
CLOCKS = _counter(
    "signalbox_clock_steps", "clocks", "Promises with a deadline that were warned, breached, met, met late or stopped.",
    "kind", "step",
)  # fmt: skip
CLOCK_SECONDS = _seconds(
    "signalbox_clock_answer_seconds", "Time from what started a promise to what met it, late ones included.", "kind",
    buckets=_PERSON_S,
)  # fmt: skip
HTTP_REQUESTS = _counter("signalbox_http_requests", "requests", "Requests answered.", "method", "route", "status")
HTTP_SECONDS = _seconds(
    "signalbox_http_request_duration_seconds", "Time from a request's first byte to the answer's first byte.", "route",
    buckets=_HTTP_S,
)  # fmt: skip
HTTP_REFUSALS = _counter(
    "signalbox_http_refusals", "requests", "Requests refused or failed, by problem code.", "route", "code"
)

METRICS: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All of them, in the order above."""
