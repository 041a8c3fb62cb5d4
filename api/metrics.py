"""What the API counts about itself: requests, their time, and every refusal by its code. No ids, no tenants in labels."""

from prometheus_client import CollectorRegistry, generate_latest

from graph.runtime import metric_names as names

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ApiMetrics:
    """The instruments of one application, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = names.HTTP_REQUESTS.counter(self._registry)
        self._seconds = names.HTTP_SECONDS.histogram(self._registry)
        self._refusals = names.HTTP_REFUSALS.counter(self._registry)

    def answered(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def refused(self, *, route: str, code: str) -> None:
        """Count one refusal; ``code`` is the problem's."""
        self._refusals.labels(route, code).inc()

    def exposition(self) -> bytes:
        """The instruments in the Prometheus text format."""
        return generate_latest(self._registry)
