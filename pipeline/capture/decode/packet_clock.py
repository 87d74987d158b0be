"""The times of packets that come without any: a camera's are those of their arrival, a file's follow from its rate."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av

_TIME_BASE = Fraction(1, 1_000_000)
_NO_TIMESTAMPS_FLAGS = 0x80
_MIN_STEP_S = 0.0001
_USUAL_RATE_FPS = 25.0


class PacketClock:
    """The clock of one connection; used by one thread."""

    def __init__(self, container: av.container.InputContainer | None = None, fps: float = 0.0, *, live: bool) -> None:
        """Take the container, whose format says whether it has times, and the declared rate, 0 where unknown."""
        self.needed = container is not None and has_no_times(container, live=live)
        """Whether no packet has a time that means anything."""
        self._live = live
        self._step = 1 / (fps or _USUAL_RATE_FPS)
        self._last: float | None = None

    def stamp(self, packet: av.Packet[Any], now: float) -> None:
        """Give a packet that was read at `now`, in monotonic seconds, the time that it lacks."""
        if self.needed:
            # Also for the last one, which is empty: the pictures that it sets free take its unit of time.
            packet.time_base = _TIME_BASE
            packet.pts = packet.dts = None
        elif self._live or not packet.time_base:
            return
        if not packet.size:
            return
        if packet.pts is None and packet.dts is None:
            packet.pts = packet.dts = round(self._following(now) / packet.time_base)
        ticks = packet.pts if packet.dts is None else packet.dts
        self._last = float((ticks or 0) * packet.time_base)

    def _following(self, now: float) -> float:
        """Return the time of the next packet in seconds."""
        if self._live:
            return now if self._last is None else max(now, self._last + _MIN_STEP_S)
        return 0.0 if self._last is None else self._last + self._step


def has_no_times(container: av.container.InputContainer, *, live: bool) -> bool:
    """Tell whether a format holds pictures alone, so that all times that FFmpeg gives them are made up."""
    in_a_row = container.format.name == "image2" or container.format.name.endswith("_pipe")
    return bool(container.format.flags & _NO_TIMESTAMPS_FLAGS) or (live and in_a_row)
