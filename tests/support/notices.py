"""The lines for a person that a run logs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.notice import NOTICE


class _Collector(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(NOTICE)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == NOTICE:
            self._lines.append(record.getMessage())


@contextmanager
def _handled(handler: logging.Handler) -> Iterator[None]:
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
def heard() -> Iterator[list[str]]:
    """Collect the lines for a person meanwhile, from all threads."""
    lines: list[str] = []
    with _handled(_Lines(lines)):
        yield lines


@contextmanager
def logged() -> Iterator[list[logging.LogRecord]]:
    """Collect all records from INFO on meanwhile, from all threads."""
    records: list[logging.LogRecord] = []
    with _handled(_Collector(records)):
        yield records
