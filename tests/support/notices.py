"""The lines for a person that a run logs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.cli.log_format import handled_by
from pipeline.notice import NOTICE


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(NOTICE)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == NOTICE:
            self._lines.append(record.getMessage())


@contextmanager
def heard() -> Iterator[list[str]]:
    """Collect the lines for a person meanwhile, from all threads."""
    lines: list[str] = []
    with handled_by(_Lines(lines)):
        yield lines
