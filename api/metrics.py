"""What the API counts about itself: requests, their time, and every refusal by its code. No ids, no tenants in labels."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ApiMetrics:
    """The instruments of one application, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "signalbox_http_requests", "Requests answered", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "signalbox_http_request_duration_seconds",
            "Time from the request's first byte to the answer's first byte",
            ["route"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 10),
            registry=self._registry,
        )
        self._refusals = Counter(
            "signalbox_http_refusals",
            "Requests refused or failed, by problem code",
            ["route", "code"],
            registry=self._registry,
        )

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
