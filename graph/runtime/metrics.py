"""The runtime's instruments of one process, and the page a scraper reads. Names and units: ``metric_names``."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest

from domain.autonomy import Standing
from domain.decision import Decision
from domain.order import OrderProgress
from graph.runtime import metric_names as names


class Metrics:
    """The instruments of one process."""

    def __init__(self) -> None:
        """A registry of its own, so that several systems in one process do not mix."""
        self.registry = CollectorRegistry()
        self._agent_seconds = names.AGENT_SECONDS.histogram(self.registry)
        self._decisions = names.DECISIONS.counter(self.registry)
        self._progress = names.ORDERS.counter(self.registry)
        self._intake = names.INTAKE.counter(self.registry)
        self._reviews = names.REVIEWS.counter(self.registry)
        self._failures = names.FAILURES.counter(self.registry)
        self._autonomy = names.AUTONOMY.gauge(self.registry)
        self._clock_steps = names.CLOCKS.counter(self.registry)
        self._clock_seconds = names.CLOCK_SECONDS.histogram(self.registry)
        self.queue = names.QUEUE.gauge(self.registry)
        self.queue_age = names.QUEUE_AGE.gauge(self.registry)
        self.parked = names.PARKED.gauge(self.registry)
        self.open_breakers = names.BREAKERS.gauge(self.registry)
        self.degraded = names.DEGRADED.gauge(self.registry)
        self.unregistered = names.UNREGISTERED.gauge(self.registry)

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

    def clock_stepped(self, kind: str, step: str, *, after_s: float | None = None) -> None:
        """Count a step of a clock; ``after_s`` is how long it took until what it waited for happened."""
        self._clock_steps.labels(kind, step).inc()
        if after_s is not None:
            self._clock_seconds.labels(kind).observe(after_s)

    def page(self) -> bytes:
        """The Prometheus text page."""
        return generate_latest(self.registry)
