"""A camera's timestamps as one line of time that only grows: they name the pictures that pages are sent."""

from __future__ import annotations

from collections import deque

from pipeline.frames import Packet

_JUMP = 1.0
_STEP = 1 / 30
_KEPT = 900


class Stamps:
    """Gives every picture a stamp in microseconds and finds it again; a stamp never comes twice.

    Streams whose clock jumps, starts again or is silent go on where the wall clock says.
    """

    def __init__(self) -> None:
        self._shift = 0.0
        self._last: tuple[float, float] | None = None
        self._newest = -1
        self._stamps: dict[int, int] = {}
        self._unnamed: deque[int] = deque(maxlen=_KEPT)

    def place(self, packet: Packet) -> int:
        """The stamp of a compressed picture, in microseconds."""
        pts = packet.pts
        if self._last is None:
            self._shift = 0.0 if pts is None else -pts
            self._last = (0.0 if pts is None else pts) - _STEP, packet.captured - _STEP
        last, read = self._last
        elapsed = max(0.0, packet.captured - read)
        shown = last + _STEP if pts is None else pts
        stamp = round((shown + self._shift) * 1e6)
        if abs(shown - last) > _JUMP + elapsed or (packet.key and stamp <= self._newest):
            self._shift = (self._newest / 1e6) + max(_STEP, elapsed) - shown
            self._stamps.clear()
            self._unnamed.clear()
            stamp = round((shown + self._shift) * 1e6)
        self._last = shown, packet.captured
        self._newest = max(self._newest, stamp)
        if pts is None:
            self._unnamed.append(stamp)
        else:
            self._stamps[_ticks(pts)] = stamp
            if len(self._stamps) > _KEPT:
                self._stamps.pop(next(iter(self._stamps)))
        return stamp

    def find(self, pts: float | None) -> int | None:
        """The stamp of the picture with that time on its source's own line; each is found once."""
        if pts is None:
            return self._unnamed.popleft() if self._unnamed else None
        return self._stamps.pop(_ticks(pts), None)

    def settle(self, stamp: int) -> None:
        """Pictures without a time that come before `stamp` are not asked for any more."""
        while self._unnamed and self._unnamed[0] < stamp:
            self._unnamed.popleft()


def _ticks(pts: float) -> int:
    return round(pts * 1e6)
