"""What the review desk tells Prometheus: open and overdue cases, time to decide, what people changed. No ids in labels."""

from collections import Counter as Tally
from collections.abc import Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry

from domain.review import Review, ReviewAnswer
from domain.review_case import overruled
from graph.runtime import metric_names as names


class ReviewMetrics:
    """The desk's instruments of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """``registry`` is the one the process exposes."""
        self._open = names.REVIEWS_OPEN.gauge(registry)
        self._overdue = names.REVIEWS_OVERDUE.gauge(registry)
        self._seconds = names.REVIEW_SECONDS.histogram(registry)
        self._overrides = names.OVERRIDES.counter(registry)

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
