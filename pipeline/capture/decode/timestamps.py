"""The times of a file's pictures: strictly increasing, whatever its container knows of them."""

from __future__ import annotations

import heapq

_MAX_WAITING_COUNT = 64


class Timeline:
    """The timeline of one reading of a file, in seconds."""

    def __init__(self, fps: float, *, decoding_order: bool = False) -> None:
        """Take the declared rate; `decoding_order` is for containers without times of presentation: they are sorted."""
        self._step = 1 / (fps or 25.0)
        self._sorts = decoding_order
        self._waiting: list[float] = []
        self._last: float | None = None

    def packet(self, seconds: float | None) -> None:
        """Note that a packet with this time goes to the decoder."""
        if self._sorts and seconds is not None and len(self._waiting) < _MAX_WAITING_COUNT:
            heapq.heappush(self._waiting, seconds)

    def refused(self) -> None:
        """Note that the decoder made no picture of the last packet."""
        if self._waiting:
            self._waiting.remove(max(self._waiting))
            heapq.heapify(self._waiting)

    def picture(self, seconds: float | None) -> float | None:
        """Return the time of the next picture, which the decoder calls `seconds`; None where the file has no times."""
        if seconds is None:
            return None
        if self._waiting:
            seconds = heapq.heappop(self._waiting)
        if self._last is not None and seconds <= self._last:
            seconds = self._last + self._step
        self._last = seconds
        return seconds
