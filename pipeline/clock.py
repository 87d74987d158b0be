"""Where time comes from, so that tests can drive it by hand, and a pause of the whole process costs nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

PULSE_S = 0.1
"""How often the clock is looked at, at least, while any thread of ours runs."""
LONGEST_GAP_S = 0.5
"""How long nobody may look at it before the process is taken to have been paused."""


class Clock(Protocol):
    """The things Lookout asks of time."""

    def monotonic(self) -> float:
        """Seconds that never jump; all ages and deadlines are counted in them."""
        ...

    def paused(self) -> float:
        """Seconds that `monotonic` has left out so far, because the whole process did not run."""
        ...

    def now(self) -> datetime:
        """The wall clock in UTC, for people and files only."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until `event` is set or `seconds` have passed; True if it was set."""
        ...


class RunningTime:
    """Monotonic seconds during which the process ran.

    A process that is stopped (SIGSTOP, a paused container, a machine that sleeps) cannot look at the clock. While
    somebody is known to look at it again and again, a long gap between two looks therefore is such a pause, whoever is
    the first to look afterwards. Safe from any thread.
    """

    def __init__(self, machine: Callable[[], float] = time.monotonic) -> None:
        """Take the machine's own monotonic seconds."""
        self._machine = machine
        self._lock = threading.Lock()
        self._seen = machine()
        self._paused = 0.0
        self._pulses = 0

    def monotonic(self) -> float:
        """Return the seconds, and take this for a look at the clock."""
        with self._lock:
            now = self._machine()
            if self._pulses and now - self._seen > LONGEST_GAP_S:
                self._paused += now - self._seen
            self._seen = now
            return now - self._paused

    def paused(self) -> float:
        """Return the seconds left out so far."""
        with self._lock:
            return self._paused

    def pulse(self, wait: Callable[[float], object]) -> None:
        """Look at the clock until `wait`, called with the seconds to the next look, returns true."""
        self.monotonic()
        with self._lock:
            self._pulses += 1
        try:
            while not wait(PULSE_S):
                self.monotonic()
        finally:
            with self._lock:
                self._pulses -= 1


PROCESS = RunningTime()
"""The time of this process."""


class SystemClock:
    """The clock of the machine, and of the process as far as nobody sees the difference."""

    def monotonic(self) -> float:
        return PROCESS.monotonic()

    def paused(self) -> float:
        return PROCESS.paused()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(max(0.0, seconds))
