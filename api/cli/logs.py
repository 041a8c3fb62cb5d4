"""Where log lines of this process go: stderr or a file, as JSON unless a person reads along."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import structlog

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
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
    exceptions = [] if readable else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[*_SHARED, *exceptions, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    processors = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *exceptions, renderer]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_SHARED, processors=processors))
    # Libraries chat at info; theirs is worth reading from warning on.
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
