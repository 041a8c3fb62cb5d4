"""Log lines: JSON with ids, and nobody's data in them, at DEBUG and in the traceback of a crash."""

import logging
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import structlog
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import TypeAdapter

from api.cli.logs import logging_to_file
from domain.errors import MalformedPayload
from domain.order import OrderProgress
from graph.runtime import tracing
from tests.integration.test_otel_tracing import CANARIES, canary_order
from tests.support.system import fast_settings, running


@pytest.fixture(autouse=True)
def _quiet_again() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    logging.basicConfig(force=True)


def lines(file: Path) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in file.read_text().splitlines()]


async def test_a_whole_order_at_debug_leaves_nobody_in_the_log(tmp_path: Path) -> None:
    """reliability/S05: an order full of canaries is carried at DEBUG; lines are JSON with its id, metrics and log hold no canary."""
    file = tmp_path / "lines.log"
    with logging_to_file(file, "debug"):
        async with running(fast_settings(tmp_path / "home")) as rig:
            order = canary_order()
            record = await rig.run({k: v for k, v in order.items() if k != "note"}, at=OrderProgress.FULFILLED)
            bad = await rig.submit(
                order | {"external_id": "bad-1", "lines": [{"sku": CANARIES[1], "quantity": CANARIES[0]}]}
            )
            await rig.idle()
            page = rig.box.store.metrics.page().decode()
        assert record.order_id != bad
    told = lines(file)
    assert {"worker.started", "worker.stopped"} <= {line["event"] for line in told}
    assert all(line["level"] and line["timestamp"] for line in told)
    text = file.read_text() + page
    assert not [canary for canary in CANARIES if canary in text]


def test_a_crash_names_types_and_places_and_no_words_of_others(tmp_path: Path) -> None:
    """reliability/S05: tracebacks of ours and of libraries, chained and grouped, hold no canary; our own sentences stay."""
    file, log = tmp_path / "lines.log", structlog.get_logger("crash")
    with logging_to_file(file, "debug"):
        try:
            try:
                TypeAdapter(int).validate_python(CANARIES[0])
            except ValueError as quoting:
                raise RuntimeError(f"could not read {CANARIES[1]}") from quoting
        except RuntimeError as failure:
            log.exception("crashed", order="storefront-1")
            logging.getLogger("library").exception("it crashed")
            log.warning("grouped", exc_info=ExceptionGroup(CANARIES[2], [failure, KeyError(CANARIES[3])]))
        log.warning("ours", exc_info=MalformedPayload("line 3 has no total"))
    text = file.read_text()
    assert not [canary for canary in CANARIES if canary in text]
    crashed, foreign, grouped, ours = lines(file)
    for line in (crashed, foreign, grouped):
        assert "RuntimeError" in str(line["exception"])
        assert "ValidationError" in str(line["exception"])
        assert "test_logs.py:" in str(line["exception"])
    assert "KeyError" in str(grouped["exception"])
    assert crashed["order"] == "storefront-1"
    assert ours["exception"] == "MalformedPayload: line 3 has no total"


def test_a_line_names_its_trace(tmp_path: Path) -> None:
    """Issue 6.3: while tracing is on, lines carry the trace's id, so that one leads to the other."""
    exporter = InMemorySpanExporter()
    tracing.switch_on(SimpleSpanProcessor(exporter))
    try:
        with logging_to_file(tmp_path / "lines.log", "info"), tracing.span("work"):
            structlog.get_logger("a").info("inside")
    finally:
        tracing.switch_off()
    (line,), (span,) = lines(tmp_path / "lines.log"), exporter.get_finished_spans()
    assert line["trace_id"] == f"{span.context.trace_id:032x}"
