"""Where log lines of this process go: stderr or a file, as JSON unless a person reads along."""

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import structlog

from domain.errors import SignalboxError
from graph.runtime import tracing


def with_trace(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The id of the trace a line belongs to, while tracing is on."""
    if parent := tracing.current():
        event["trace_id"] = parent.split("-")[1]
    return event


def without_words(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A failure as its types and places.

    What it says is kept only where we wrote it: other libraries quote what they were given, and that may be somebody's
    address.
    """
    given = event.pop("exc_info", None)
    failure = given[1] if isinstance(given, tuple) else sys.exc_info()[1] if given is True else given
    if isinstance(failure, BaseException):
        event["exception"] = "\n".join(_told(failure))
    return event


def _told(failure: BaseException) -> Iterator[str]:
    seen: set[int] = set()
    while True:
        seen.add(id(failure))
        for frame in traceback.extract_tb(failure.__traceback__):
            yield f"{frame.filename}:{frame.lineno} {frame.name}"
        yield f"{type(failure).__name__}: {failure}" if isinstance(failure, SignalboxError) else type(failure).__name__
        for part in failure.exceptions if isinstance(failure, BaseExceptionGroup) else ():
            yield from _told(part)
        cause = failure.__cause__ or (None if failure.__suppress_context__ else failure.__context__)
        if cause is None or id(cause) in seen:
            return
        yield "which came from"
        failure = cause


_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    with_trace,
    without_words,
]


def log_to_stderr(level: str) -> None:
    """Log lines of ``level`` (debug, info, warning, error) and above go to stderr."""
    _configure(sys.stderr, level, readable=sys.stderr.isatty())


@contextmanager
def logging_to_file(path: Path, level: str) -> Iterator[None]:
    """Log lines go to the end of a file for the length of the block, so that a screen stays what it is."""
    with path.open("a", encoding="utf-8") as file:
        _configure(file, level, readable=False)
        try:
            yield
        finally:
            log_to_stderr("error")


def _configure(stream: TextIO, level: str, *, readable: bool) -> None:
    """Our own lines and those of libraries, in one form."""
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer = structlog.dev.ConsoleRenderer() if readable else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*_SHARED, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    processors = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_SHARED, processors=processors))
    # Libraries chat at info; theirs is worth reading from warning on.
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
