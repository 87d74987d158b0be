"""The newest seconds of cameras that nobody records, in memory: what a clip of them is made of."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ..errors import OutputError
from ..frames import Packet
from .segment import CODECS
from .splice import MOST_BYTES, Piece, Splice
from .timeline import PacketTimeline

_MOST_BYTES = 24_000_000
_UNTIL_READ = 0.1


class Past:
    """One camera's newest groups of pictures, each from its keyframe on; safe from any thread."""

    def __init__(self, camera: str, seconds: float) -> None:
        self.seconds = seconds
        """How far back it reaches, where the pictures are not too large for the memory."""
        self._camera = camera
        self._lock = threading.Lock()
        self._groups: deque[list[Packet]] = deque()
        self._bytes = 0
        self._wanted: set[Remembered] = set()

    def put(self, packet: Packet) -> None:
        """Take the camera's next packet and forget those that are too old, or too many."""
        with self._lock:
            groups = self._groups
            if groups and packet.key and _kind(packet) != _kind(groups[-1][0]):
                self._clear()
            if packet.codec not in CODECS or not (groups or packet.key):
                return
            if packet.key:
                groups.append([])
            groups[-1].append(packet)
            self._bytes += len(packet.data)
            oldest = packet.captured - self.seconds
            while len(groups) > 1 and (groups[1][0].captured <= oldest or self._bytes > _MOST_BYTES):
                self._bytes -= sum(len(each.data) for each in groups.popleft())
            if self._bytes > _MOST_BYTES:
                self._clear()
            for wanted in self._wanted:
                wanted.put(packet)

    def want(self, start: float, end: float) -> Remembered:
        """Hold what lies between these monotonic seconds, the end of which may be yet to come, until it is let go."""
        with self._lock:
            first = max((at for at, group in enumerate(self._groups) if group[0].captured <= start), default=0)
            kept = [packet for group in list(self._groups)[first:] for packet in group]
            wanted = Remembered(self._camera, kept, end, self._forget)
            self._wanted.add(wanted)
        return wanted

    def _forget(self, wanted: Remembered) -> None:
        with self._lock:
            self._wanted.discard(wanted)

    def _clear(self) -> None:
        self._groups.clear()
        self._bytes = 0


class Remembered:
    """The seconds of one clip, as packets that are shared with everybody else."""

    wait = _UNTIL_READ
    """Seconds after its end when all of it is there."""

    def __init__(self, camera: str, packets: list[Packet], end: float, forget: Callable[[Remembered], None]) -> None:
        self._camera = camera
        self._packets = packets
        self._bytes = sum(len(packet.data) for packet in packets)
        self._end = end
        self._forget = forget

    def put(self, packet: Packet) -> None:
        """Take what comes until the end; pictures of another kind begin anew."""
        if packet.captured > self._end or self._bytes > MOST_BYTES:
            return
        if packet.key and self._packets and _kind(packet) != _kind(self._packets[0]):
            self._packets, self._bytes = [], 0
        if self._packets or packet.key:
            self._packets.append(packet)
            self._bytes += len(packet.data)

    def pour(self, splice: Splice) -> None:
        """Put all that is there into a file; raises OutputError where there is nothing, or too much."""
        packets = list(self._packets)
        if not packets:
            raise OutputError("no picture came yet")
        if self._bytes > MOST_BYTES:
            raise OutputError(f"more than {MOST_BYTES / 1e6:g} MB; ask for fewer seconds")
        timeline = PacketTimeline()
        splice.takes_like(packets[0])
        for packet in packets:
            splice.add(Piece(packet.data, packet.key, *timeline.place(packet)))

    def beside(self) -> Path:
        """Refuse to choose a file: nothing is recorded that it could stand beside."""
        raise OutputError("it is not recorded: name a file for its clip")

    def release(self) -> None:
        """Let go of the packets."""
        self._forget(self)
        self._packets = []


def _kind(packet: Packet) -> tuple[str, int, int]:
    return packet.codec, packet.width, packet.height
