"""Every metric there is: name, unit and one sentence each. No order ids in labels."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from domain.autonomy import Standing
from domain.decision import Decision
from domain.order import OrderProgress

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The instruments of one process."""

    def __init__(self) -> None:
        """A registry of its own, so that several systems in one process do not mix."""
        self.registry = CollectorRegistry()
        self._agent_seconds = Histogram(
            "signalbox_agent_duration_seconds",
            "Time an agent took to decide, seconds.",
            ["agent"],
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self._decisions = Counter(
            "signalbox_decisions_total",
            "Decisions journaled, by agent, its word and the mode it was made in.",
            ["agent", "decision", "mode"],
            registry=self.registry,
        )
        self._progress = Counter(
            "signalbox_orders_total", "Orders that reached a progress.", ["progress"], registry=self.registry
        )
        self._intake = Counter(
            "signalbox_intake_total",
            "Deliveries at the door, by channel and what became of them (accepted, duplicate, refused kind).",
            ["channel", "result"],
            registry=self.registry,
        )
        self._reviews = Counter(
            "signalbox_reviews_total", "Reviews by what happened to them.", ["event"], registry=self.registry
        )
        self._failures = Counter(
            "signalbox_work_failures_total",
            "Units of work that failed and will be delivered again, or were dead-lettered.",
            ["kind", "result"],
            registry=self.registry,
        )
        self.queue = Gauge(
            "signalbox_queue_messages", "Messages not yet handled, by topic and group.", ["topic", "group"],
            registry=self.registry,
        )  # fmt: skip
        self.queue_age = Gauge(
            "signalbox_queue_oldest_seconds", "Age of the oldest message not yet handled, seconds.", ["topic", "group"],
            registry=self.registry,
        )  # fmt: skip

        self.parked = Gauge(
            "signalbox_parked_orders", "Orders that wait for stock or for a stock feed.", registry=self.registry
        )
        self.open_breakers = Gauge(
            "signalbox_open_breakers", "Warehouses whose stock feed is so late that nothing is accepted from them.",
            registry=self.registry,
        )  # fmt: skip
        self.degraded = Gauge(
            "signalbox_degraded", "1 while the simplified policies of peak days are in force, else 0.",
            registry=self.registry,
        )  # fmt: skip

        self._autonomy = Gauge(
            "signalbox_autonomy_level",
            "Share of decisions an agent makes by itself in a segment it earns autonomy for, 0 to 1.",
            ["tenant", "agent", "version", "action", "market", "band"],
            registry=self.registry,
        )

    def earned(self, standings: Iterable[Standing]) -> None:
        """Show how much agents decide by themselves."""
        for standing in standings:
            of = standing.segment
            self._autonomy.labels(of.tenant, of.agent, of.version, of.action, of.market, of.band.value).set(
                standing.level.share / 10_000
            )

    def decided(self, decision: Decision) -> None:
        """Count a decision and its time."""
        self._agent_seconds.labels(decision.agent).observe(decision.processing_time_ms / 1000)
        self._decisions.labels(decision.agent, decision.decision, decision.mode.value).inc()

    def reached(self, progress: OrderProgress) -> None:
        """Count an order that reached a progress."""
        self._progress.labels(progress.value).inc()

    def delivered(self, channel: str, result: str) -> None:
        """Count a delivery at the door."""
        self._intake.labels(channel, result).inc()

    def reviewed(self, event: str) -> None:
        """Count what happened to a review."""
        self._reviews.labels(event).inc()

    def failed(self, kind: str, result: str) -> None:
        """Count work that could not be finished."""
        self._failures.labels(kind, result).inc()

    def page(self) -> bytes:
        """The Prometheus text page."""
        return generate_latest(self.registry)
