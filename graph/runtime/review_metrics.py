"""What the review desk tells Prometheus: open and overdue cases, time to decide, what people changed. No ids in labels."""

from collections import Counter as Tally
from collections.abc import Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from domain.review import Review, ReviewAnswer
from domain.review_case import overruled

DECISION_BUCKETS_S = (10, 30, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400, 259200)


class ReviewMetrics:
    """The desk's instruments of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """``registry`` is the one the process exposes."""
        self._open = Gauge(
            "signalbox_reviews_open", "Cases nobody has decided, by queue.", ["queue"], registry=registry
        )
        self._overdue = Gauge(
            "signalbox_reviews_overdue", "Open cases past their deadline, by queue.", ["queue"], registry=registry
        )
        self._seconds = Histogram(
            "signalbox_review_decision_seconds",
            "Time from the question to a person's answer, seconds.",
            ["queue"],
            buckets=DECISION_BUCKETS_S,
            registry=registry,
        )
        self._overrides = Counter(
            "signalbox_review_overrides_total",
            "Conclusions of agents that people changed, by agent and what they did (approve, reject, edit).",
            ["agent", "action"],
            registry=registry,
        )

    def answered(self, review: Review, answer: ReviewAnswer) -> None:
        """Count a person's answer."""
        waited = (answer.decided_at - review.created_at).total_seconds()
        self._seconds.labels(review.queue).observe(max(0.0, waited))
        for agent in overruled(review, answer.action):
            self._overrides.labels(agent, answer.action.value).inc()

    def standing(self, reviews: Iterable[Review], now: datetime) -> None:
        """Show what is open now."""
        open_now: Tally[str] = Tally()
        late: Tally[str] = Tally()
        for review in reviews:
            open_now[review.queue] += 1
            late[review.queue] += review.deadline < now
        self.forget()
        for queue, count in open_now.items():
            self._open.labels(queue).set(count)
            self._overdue.labels(queue).set(late[queue])

    def forget(self) -> None:
        """Show nothing: another process does."""
        self._open.clear()
        self._overdue.clear()
