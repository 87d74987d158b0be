"""The times of pictures, as files and streams need them: from 0, in ticks, increasing whatever a camera says."""

from __future__ import annotations

from pipeline.frames import Packet

TICKS_PER_S = 90_000
"""A second, in the time base of everything that is encoded or written."""

_MAX_STEP_S = 10.0


class PictureTimeline:
    """Turns the times of pictures into strictly increasing ticks from 0; a jump back is joined seamlessly."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self._previous = 0.0
        self._interval = 1 / 30
        self._ticks = -1

    def ticks(self, seconds: float) -> int:
        """Ticks of 1/90000 s for a picture taken at `seconds`."""
        if self._offset is None:
            self._offset = -seconds
        elif seconds <= self._previous:
            self._offset += self._previous - seconds + self._interval
        else:
            self._interval = seconds - self._previous
        self._previous = seconds
        self._ticks = max(self._ticks + 1, round((seconds + self._offset) * TICKS_PER_S))
        return self._ticks


class PacketTimeline:
    """Turns the times of packets into ticks from 0; a jump of the camera's own timeline is joined seamlessly."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """When the newest packet is to be decoded."""
        self.interval = 1 / 30
        """Seconds between the two newest packets."""
        self._base: float | None = None
        self._ticks = -1

    def place(self, packet: Packet) -> tuple[int, int]:
        """When the packet is to be shown and to be decoded, in ticks of 1/90000 s."""
        self.seconds = self._decoded(packet)
        shown = self.seconds if packet.pts is None or self._base is None else packet.pts - self._base
        self._ticks = max(self._ticks + 1, round(self.seconds * TICKS_PER_S))
        return max(self._ticks, round(shown * TICKS_PER_S)), self._ticks

    def place_of(self, seconds: float) -> float:
        """Return where a moment of the camera's own timeline stands, in seconds."""
        return seconds - (self._base or 0.0)

    def _decoded(self, packet: Packet) -> float:
        stamp = packet.pts if packet.dts is None else packet.dts
        if self._base is None:
            self._base = stamp or 0.0
            return 0.0
        if stamp is None:
            return self.seconds + self.interval
        step = stamp - self._base - self.seconds
        if not 0 < step <= _MAX_STEP_S:
            self._base += step - self.interval
            return self.seconds + self.interval
        self.interval = step
        return stamp - self._base
