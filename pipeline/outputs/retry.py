"""The one way in which outputs go on after an error: told once, counted, and tried again after growing pauses."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pipeline.clock import Clock
from pipeline.concurrency.backoff import HEALTHY_S, Backoff
from pipeline.errors import OutputGoneError, PipelineError, unwritable
from pipeline.notice import notify
from pipeline.stats.registry import OutputStats

log = logging.getLogger(__name__)

Outcome = TypeVar("Outcome")

_NEVER_S = float("inf")
_NOW_S = float("-inf")


class Retry:
    """One part of an output, such as a camera's file: the error it has, if any, and when to try again.

    Safe from any thread, though only one at a time may `attempt`.
    """

    def __init__(self, output: str, part: str, stats: OutputStats, clock: Clock) -> None:
        """Take the name of the output and what of it this is; both stand in what is told."""
        self._output = output
        self._part = part
        self._stats = stats
        self._clock = clock
        self._lock = threading.Lock()
        self._backoff = Backoff(f"{output} {part}")
        self._error = self._reported = ""
        self._is_reported = False
        self._well_since = self._retry_at = _NOW_S

    @property
    def failing(self) -> bool:
        """Whether the last try failed."""
        return bool(self._error)

    @property
    def due(self) -> bool:
        """Whether something may be tried now: no pause lasts."""
        return self._clock.monotonic() >= self._retry_at

    @property
    def pause(self) -> float:
        """Seconds until the next try; 0 where one is due."""
        return max(0.0, self._retry_at - self._clock.monotonic())

    @property
    def error(self) -> str:
        """What is wrong; empty where all is well."""
        return self._error

    def attempt(
        self,
        write: Callable[[], Outcome],
        give_up: Callable[[], object] = lambda: None,
        *,
        settles: bool = True,
        counts: bool = True,
    ) -> Outcome | None:
        """Return what `write` does; None while a pause lasts, and after an error, when `give_up` lets go of its things.

        What is not written `counts` as lost, unless it is kept for later; OutputGoneError is raised on. A success that
        `settles` nothing is only a step on the way.
        """
        if not self.due:
            if counts:
                self.lost()
            return None
        try:
            outcome = write()
        except Exception as error:
            with suppress(Exception):
                give_up()
            self.failed(error)
            if counts:
                self.lost()
            if isinstance(error, OutputGoneError):
                raise
            return None
        if settles:
            self.worked()
        return outcome

    def failed(self, error: Exception) -> None:
        """Note an error: told where it is news, and followed by a pause."""
        text, now = said(error, self._part), self._clock.monotonic()
        gone = isinstance(error, OutputGoneError)
        with self._lock:
            well = 0.0 if self._error else now - self._well_since
            news = not self._error and (text != self._reported or well >= HEALTHY_S)
            self._error, self._reported = text, text if news else self._reported
            self._retry_at = now + (_NEVER_S if gone else self._backoff.next(well))
        self._stats.tell(self._part, text)
        if news:
            self._is_reported = True
            later = "" if gone else "; trying again"
            log.error("%s: %s%s", self._output, text, later, extra={"output": self._output})

    def worked(self) -> None:
        """Note a success; where it lasts, pauses begin anew."""
        if not self._error:
            return
        with self._lock:
            self._error, self._retry_at, self._well_since = "", _NOW_S, self._clock.monotonic()
            reported, self._is_reported = self._is_reported, False
        self._stats.tell(self._part, "")
        if reported:
            notify(log, f"{self._output}: {self._part}: well again", output=self._output)

    def lost(self) -> None:
        """Count one thing that is not written because of the error."""
        self._stats.lost(self._error)


def said(error: Exception, part: str) -> str:
    """Return the one line for what an output raised."""
    if isinstance(error, PipelineError):
        return str(error)
    if isinstance(error, OSError):
        return str(unwritable(Path(part), error))
    return f"cannot write {part}: unexpected {type(error).__name__}: {' '.join(str(error).split())}"
