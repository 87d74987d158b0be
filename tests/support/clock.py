"""Time that only moves when a test moves it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta


class ManualClock:
    """A Clock driven by hand; waiting moves it forward at once."""

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self._now

    def paused(self) -> float:
        return 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._now)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if not event.is_set():
            self.waits.append(seconds)
            self.advance(max(0.0, seconds))
        return event.is_set()

    def advance(self, seconds: float) -> None:
        self._now += seconds
