"""Keeps cameras' secrets out of every log and every traceback, whoever writes them."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from pipeline.address.parse import scrub

_formatter = logging.Formatter()


def guard_logs() -> None:
    """From now on take secrets out of each log record of this process when it is made; harmless when repeated."""
    make = logging.getLogRecordFactory()
    if not isinstance(make, _CleanRecords):
        logging.setLogRecordFactory(_CleanRecords(make))


@contextmanager
def guarded_tracebacks() -> Iterator[None]:
    """Meanwhile print what nobody catches, on any thread, without secrets."""
    before = sys.excepthook, sys.unraisablehook, threading.excepthook
    sys.excepthook = _print
    sys.unraisablehook = lambda caught: _print(caught.exc_type, caught.exc_value, caught.exc_traceback)
    threading.excepthook = lambda caught: _print(caught.exc_type, caught.exc_value, caught.exc_traceback)
    try:
        yield
    finally:
        sys.excepthook, sys.unraisablehook, threading.excepthook = before


class _CleanRecords:
    """A factory of log records; a filter would have to stand on every logger and handler there will ever be."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def __call__(self, *arguments: Any, **named: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._make(*arguments, **named)
        try:
            said = record.getMessage()
        except Exception:
            # Logging itself reports arguments that do not fit, and prints them raw.
            record.args, said = (), str(record.msg)
        if (clean := scrub(said)) != said:
            record.msg, record.args = clean, ()
        if record.exc_info and isinstance(record.exc_info, tuple):
            record.exc_text = scrub(_formatter.formatException(record.exc_info))
        if record.stack_info:
            record.stack_info = scrub(record.stack_info)
        return record


def _print(kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    if sys.stderr is not None:
        sys.stderr.write(scrub(text))
