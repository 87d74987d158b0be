"""Limits to the silence of a live source: its first picture, its later ones, and its data each have their own limit."""

from __future__ import annotations

from collections import deque

from pipeline.config.cameras import Capture

STALL_INTERVAL_COUNT = 5.0
"""So many usual pauses between two pictures are never taken for a stall, however slow the camera is."""

_MIN_ARRIVAL_COUNT = 4
_ARRIVAL_COUNT = 9
_MAX_INTERVAL_S = 60.0


class StallTimeouts:
    """The pace that one source has shown, over all of its connections; times in monotonic seconds."""

    def __init__(self, settings: Capture) -> None:
        self._settings = settings
        self._arrivals: deque[float] = deque(maxlen=_ARRIVAL_COUNT)
        self._stamps: deque[float] = deque(maxlen=_ARRIVAL_COUNT)
        self._known: float | None = None
        self._declared: float | None = None
        self._misled = False
        self.last = 0.0
        """When the last good picture came, or when the connection was opened."""
        self._opened = self._data = 0.0
        self.started = False
        """Whether a picture has come on this connection."""

    def opened(self, now: float, fps: float = 0.0) -> None:
        """Note a new connection; `fps` is the declared rate, 0 where unknown."""
        if self.started:
            self._known = self._measured()
            # A camera that gives a picture or two and is called stalled may just be slower than it says.
            self._misled = self._known is None
        self._declared = 1 / fps if fps else None
        self._arrivals.clear()
        self._stamps.clear()
        self.last = self._data = self._opened = now
        self.started = False

    def data(self, now: float) -> None:
        """Note that something came, whether or not it becomes a picture."""
        self._data = now

    def picture(self, now: float, pts: float | None = None) -> None:
        """Note that a good picture came."""
        self._arrivals.append(now)
        if pts is not None:
            self._stamps.append(pts)
        self.last = self._data = now
        self.started = True

    def deadline(self, *, in_pieces: bool = False) -> float:
        """Return until when to wait; `in_pieces` for a stream in files of some seconds, silent between them."""
        settings = self._settings
        pace = self._interval()
        if not self.started or in_pieces or pace is None:
            return self.last + max(settings.start_timeout, settings.stall_timeout if self.started else 0.0)
        data = self._data + max(settings.read_timeout, STALL_INTERVAL_COUNT * pace)
        return min(data, self.last + max(settings.stall_timeout, STALL_INTERVAL_COUNT * pace))

    def _interval(self) -> float | None:
        """Return the seconds from picture to picture as far as known."""
        if (measured := self._measured()) is not None:
            return measured
        return self._known if self._known is not None else None if self._misled else self._declared

    def _measured(self) -> float | None:
        if len(self._arrivals) < _MIN_ARRIVAL_COUNT:
            return None
        pace = _mean(self._arrivals)
        # A camera may begin with a burst of old pictures: their own times still tell its pace.
        if self._arrivals[-1] - self._opened < self._settings.start_timeout and _mean(self._stamps) <= _MAX_INTERVAL_S:
            pace = max(pace, _mean(self._stamps))
        return pace


def _mean(times: deque[float]) -> float:
    return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0
