"""Where traces go: to an OTLP collector or to stderr, as the settings say; nowhere without them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from domain.errors import ConfigError
from graph.bootstrap.settings import Settings
from graph.runtime import tracing
from tools.connectors.directory import Systems


@contextmanager
def tracing_as_set(settings: Settings) -> Iterator[None]:
    """Record traces for the length of the block, when the settings say so, and flush them in the end.

    Raises:
        ConfigError: the exporter is not installed, or its settings are wrong.
    """
    if settings.tracing == "off":
        yield
        return
    processor = _processor(settings)
    tracing.switch_on(processor)
    try:
        yield
    finally:
        tracing.switch_off()
        processor.shutdown()


def _processor(settings: Settings) -> Any:
    from opentelemetry.sdk.trace.export import (  # noqa: PLC0415  # costs nothing while tracing is off
        BatchSpanProcessor,
        ConsoleSpanExporter,
    )

    if settings.tracing == "console":
        import sys  # noqa: PLC0415  # see above

        return BatchSpanProcessor(ConsoleSpanExporter(out=sys.stderr))
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415  # an extra
            OTLPSpanExporter,
        )
    except ImportError:
        raise ConfigError(
            "SIGNALBOX_TRACING is otlp and the exporter is not installed; install signalbox with the extra 'tracing'"
        ) from None
    endpoint = settings.tracing_url.rstrip("/") + "/v1/traces" if settings.tracing_url else None
    return BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint))


def traced_systems(systems: Systems) -> Systems:
    """Every outside system with a span around its calls, while tracing is on; else as they are."""
    if not tracing.is_on():
        return systems
    named = ("payment", "oms", "crm", "erp", "channels", "messages", "purchasing", "listings", "wms")
    wrapped: dict[str, Any] = {name: tracing.traced(getattr(systems, name), name) for name in named}
    carriers = {code: tracing.traced(port, f"carrier.{code}") for code, port in systems.carriers.items()}
    return replace(systems, carriers=carriers, **wrapped)
