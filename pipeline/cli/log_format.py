"""How log records leave the program: as lines for a person, as lines that journald sorts, or as JSON."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pipeline.notice import NOTICE
from pipeline.redaction import scrub

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (NOTICE, 5), (logging.INFO, 6))
"""Least level of a record and its priority, as in sd-daemon(3)."""
_DEBUG_PRIORITY = 7
_FIELDS = ("camera", "output", "figures", "summary", "exit_code")
"""Fields that records may carry, as they are called in JSON."""


class LogFormat(StrEnum):
    """What records look like on standard error."""

    TEXT = "text"
    JSON = "json"


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message, and the fields that it carries."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without secrets whatever the record holds."""
        event: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": scrub(record.getMessage()),
        }
        event |= {field: getattr(record, field) for field in _FIELDS if getattr(record, field, None) is not None}
        if record.exc_info:
            event["traceback"] = scrub(self.formatException(record.exc_info))
        return json.dumps(event, default=str)


class JournalLines(logging.Formatter):
    """A record as text behind its priority, such as `<4>`, which journald takes off and keeps."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines: each has the priority, for journald knows nothing of lines that belong together."""
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), _DEBUG_PRIORITY)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


class _Printer(logging.Handler):
    """Hands every formatted record to whoever prints."""

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record; where nobody reads it, there is nobody to tell that either."""
        with suppress(OSError):
            self._write(self.format(record))


def under_journald() -> bool:
    """Tell whether standard error goes to journald, which says so in JOURNAL_STREAM."""
    try:
        there = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM", "") == f"{there.st_dev}:{there.st_ino}"


@contextmanager
def handled_by(handler: logging.Handler) -> Iterator[None]:
    """Meanwhile give a handler the records of the package from INFO on, from whichever thread they come."""
    log = logging.getLogger("pipeline")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


@contextmanager
def logging_to(write: Callable[[str], None], chosen: LogFormat) -> Iterator[None]:
    """Meanwhile print the records of the package with `write`.

    A person at a terminal gets the lines that are meant for persons: how cameras are doing stands in the status.
    JSON and journald get everything from INFO on.
    """
    printer = _Printer(write)
    if chosen is LogFormat.JSON:
        printer.setFormatter(JsonLines())
    elif under_journald():
        printer.setFormatter(JournalLines())
    else:
        printer.addFilter(lambda record: record.levelno == NOTICE or record.levelno >= logging.ERROR)
    with handled_by(printer):
        yield
