"""The newest seconds of cameras that nobody records, in memory: what a clip of them is made of."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.frames import Packet
from pipeline.media.muxer import CODECS, MAX_CLIP_BYTES, MuxPacket, Remuxer
from pipeline.media.timestamps import PacketTimeline

from .arrival import ClipArrival
from .memory_budget import CROWDED

_MAX_RING_BYTES = 24_000_000


class PacketRingBuffer:
    """One camera's newest groups of pictures, each from its keyframe on; safe from any thread."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        """How far back it reaches, where the pictures are not too large for the memory."""
        self.refusal = ""
        """Why it can hold nothing of this camera, if so."""
        self._lock = threading.Lock()
        self._groups: deque[list[Packet]] = deque()
        self._bytes = 0
        self._wanted: set[BufferedClip] = set()

    def put(self, packet: Packet) -> None:
        """Take the camera's next packet and forget those that are too old, or too many."""
        with self._lock:
            groups = self._groups
            if groups and packet.key and packet.kind != groups[-1][0].kind:
                self._clear()
            if packet.codec not in CODECS:
                self.refusal = f"{packet.codec} cannot be copied; record it with boxes: burnt"
                return
            if not (groups or packet.key):
                return
            if packet.key:
                if groups:
                    self.refusal = ""
                groups.append([])
            groups[-1].append(packet)
            self._bytes += len(packet.data)
            oldest = packet.captured - self.seconds
            while len(groups) > 1 and (groups[1][0].captured <= oldest or self._bytes > _MAX_RING_BYTES):
                self._bytes -= sum(len(each.data) for each in groups.popleft())
            if self._bytes > _MAX_RING_BYTES:
                self._clear()
                self.refusal = f"more than {_MAX_RING_BYTES / 1e6:g} MB lie between its keyframes; record it"
            for wanted in self._wanted:
                wanted.put(packet)

    def want(self, start: float, end: float, take: Callable[[int], bool]) -> BufferedClip:
        """Hold what lies between these monotonic seconds, the end of which may be yet to come, until it is let go.

        `take` is asked for every byte that is held for it.
        """
        with self._lock:
            groups = list(self._groups)
            # What comes next may need the newest group even if all of it is too early.
            kept = [
                packet for group in groups if group[-1].captured >= start or group is groups[-1] for packet in group
            ]
            wanted = BufferedClip(kept, start, end, take, self._forget)
            self._wanted.add(wanted)
        return wanted

    def _forget(self, wanted: BufferedClip) -> None:
        with self._lock:
            self._wanted.discard(wanted)

    def _clear(self) -> None:
        self._groups.clear()
        self._bytes = 0


class BufferedClip:
    """The seconds of one clip, as packets that are shared with everybody else."""

    patience = 1.0
    """Seconds after its end that the next picture may take, which says that all of it is there."""

    def __init__(
        self,
        packets: list[Packet],
        start: float,
        end: float,
        take: Callable[[int], bool],
        forget: Callable[[BufferedClip], None],
    ) -> None:
        self.arrival = ClipArrival()
        self._packets = packets
        self._bytes = sum(len(packet.data) for packet in packets)
        self._take = take
        self._refused = not take(self._bytes)
        self._start = start
        self._end = end
        self._forget = forget

    def put(self, packet: Packet) -> None:
        """Take what comes until the end; pictures of another kind, and the first after an outage, begin anew."""
        if packet.captured > self._end or self._bytes > MAX_CLIP_BYTES or self._refused:
            self.arrival.give()
            return
        if packet.key and self._packets and (self._early or packet.kind != self._packets[0].kind):
            self._packets, self._bytes = [], 0
        if self._packets or packet.key:
            self._refused = not self._take(len(packet.data))
            self._packets.append(packet)
            self._bytes += len(packet.data)

    def write_to(self, remuxer: Remuxer) -> None:
        """Put all that is there into a file; raises OutputError where there is nothing, or too much."""
        packets = list(self._packets)
        if not packets or self._early:
            raise OutputError("no picture came in that time")
        if self._bytes > MAX_CLIP_BYTES:
            raise OutputError(f"more than {MAX_CLIP_BYTES / 1e6:g} MB; ask for fewer seconds")
        if self._refused:
            raise OutputError(CROWDED)
        timeline = PacketTimeline()
        remuxer.takes_like(packets[0])
        for packet in packets:
            remuxer.add(MuxPacket(packet.data, packet.key, *timeline.place(packet)))

    @property
    def _early(self) -> bool:
        """Whether nothing of it is of its time yet, but only what pictures of that time may need."""
        return self._packets[-1].captured < self._start

    def beside(self) -> Path:
        """Refuse to choose a file: nothing is recorded that it could stand beside."""
        raise OutputError("it is not recorded: name a file for its clip")

    def release(self) -> None:
        """Let go of the packets."""
        self._forget(self)
        self._packets = []
