"""The segments and parts of a camera's compressed pictures for HLS players; the newest few only."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from pipeline.clock import Clock
from pipeline.frames import Packet
from pipeline.media.fmp4 import MediaSample, head, parted, piece
from pipeline.media.muxer import DamagedError
from pipeline.media.timestamps import TICKS_PER_S, PacketTimeline

_MIN_SEGMENT_S = 0.95
_MAX_SEGMENT_S = 10.0
_PART_S = 0.25
_MAX_PAUSE_S = 3.0
_DAY_S = 86_400
_ROOM_RATIO = 1.5
"""How much longer than usual the next picture may take, before a part or a segment grows too long."""
_LISTED_S = 6.0
_MAX_STREAM_BYTES = 48_000_000
_EXPIRED_COUNT = 2
_MIN_SEGMENT_COUNT = 3


class Part(NamedTuple):
    """Some pictures in a row, as a piece of fragmented MP4."""

    data: bytes
    seconds: float
    key: bool
    """Whether decoding can start here."""


@dataclass(slots=True)
class MediaSegment:
    """One media segment: parts in a row."""

    number: int
    """Its media sequence number."""
    init: int
    """Number of the init segment that its parts need."""
    discontinuity: int
    """Its discontinuity sequence number."""
    discontinuous: bool
    """Whether it does not go on where the one before ended."""
    begins: datetime
    """UTC."""
    parts: list[Part] = field(default_factory=list)
    whole: bool = False

    @property
    def seconds(self) -> float:
        """Length of all parts together."""
        return sum(part.seconds for part in self.parts)

    @property
    def size(self) -> int:
        """Size of all parts together, in bytes."""
        return sum(len(part.data) for part in self.parts)


class Segmenter:
    """Cuts at keyframes, a second apart or more; not locked.

    Numbers start at the seconds since 1970, so that they grow over restarts: no player takes new for old.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.segments: deque[MediaSegment] = deque()
        """The segments that playlists list, oldest first; only the last may be incomplete."""
        self.expired: deque[MediaSegment] = deque(maxlen=_EXPIRED_COUNT)
        """Segments that a slow player may still ask for."""
        self.init_segments: dict[int, bytes] = {}
        self.size = (0, 0)
        """Width and height of the newest pictures as they are shown, in pixels."""
        self.target = 0
        """Longest segment in whole seconds, once promised; 0 before."""
        self.part_target = _PART_S
        """Longest part in seconds, as far as the camera keeps its pace."""
        self.keyframe = b""
        """The newest one with its parameter sets."""
        self._timeline = PacketTimeline()
        self._sets = b""
        self._samples: list[MediaSample] = []
        self._captured = float("-inf")
        self._decoded = 0
        self._at = 0
        self._interval = 1 / 30
        self._began = 0
        self._init = self._number = self._discontinuity = 0

    @property
    def ready(self) -> bool:
        """Whether there is a whole segment, without which players refuse a playlist."""
        return sum(segment.whole for segment in self.segments) >= _MIN_SEGMENT_COUNT

    @property
    def growing(self) -> bool:
        """Whether the last segment waits for more."""
        return bool(self.segments) and not self.segments[-1].whole

    def age(self) -> float:
        """Return the seconds since the newest picture was captured."""
        return self._clock.monotonic() - self._captured

    def put(self, packet: Packet) -> bool:
        """Take the next picture; return whether there is something new to serve."""
        sets, data = parted(packet.data)
        paused = packet.captured - self._captured > _MAX_PAUSE_S
        if not packet.key and (paused or not self.growing):
            return False
        shown, decoded = self._timeline.place(packet)
        self._advance(decoded)
        self._captured = packet.captured
        other = packet.key and sets != self._sets
        elapsed = (self._at - self._began) / TICKS_PER_S
        full = elapsed + _ROOM_RATIO * self._interval > (self.target or _MAX_SEGMENT_S) + 0.49
        changed = True
        if not self.growing or other or paused or full or (packet.key and elapsed >= _MIN_SEGMENT_S):
            self._end()
            if other and not self._change(packet, sets):
                return False
            self._begin(packet.captured, discontinuous=other or paused)
        elif (self._at - self._samples[0].decoded) / TICKS_PER_S + _ROOM_RATIO * self._interval > self.part_target:
            self._end_part()
        else:
            changed = False
        self._samples.append(MediaSample(data, packet.key, self._at, shown - decoded))
        return changed

    def promise(self) -> None:
        """Keep from now on to how long segments and parts have been, as a playlist must."""
        if not self.target:
            longest = max(1 + self._interval, *(segment.seconds for segment in self.segments))
            self.target = max(1, int(longest + 0.5))

    def relax(self) -> None:
        """Keep only what the next player needs to begin at once, because nobody watches."""
        self.target = 0
        self._forget()

    def clear(self) -> None:
        """Keep nothing."""
        self.target, self.part_target, self._sets = 0, _PART_S, b""
        self._samples = []
        for kept in (self.segments, self.expired, self.init_segments):
            kept.clear()

    def _advance(self, decoded: int) -> None:
        """Move on to the next picture's place; a pause takes no longer than a segment may."""
        step = max(1, decoded - self._decoded)
        self._decoded = decoded
        longest = self._began + round(((self.target or _MAX_SEGMENT_S) + 0.49) * TICKS_PER_S)
        self._at = min(self._at + step, max(longest, self._at + 1))
        self._interval += 0.1 * (min(1.0, step / TICKS_PER_S) - self._interval)

    def _change(self, keyframe: Packet, sets: bytes) -> bool:
        try:
            made = head(keyframe)
        except DamagedError:
            return False
        self._sets, self._init = sets, self._next()
        self.init_segments[self._init] = made
        self.keyframe = keyframe.data
        self.size = keyframe.shown_size
        return True

    def _next(self) -> int:
        return max(self._number + 1, int(self._clock.now().timestamp())) if not self.segments else self._number + 1

    def _begin(self, captured: float, *, discontinuous: bool) -> None:
        now = self._clock.now()
        if discontinuous:
            # Grows over restarts of a day too, and stays small: players keep lists as long as this number.
            seed = 0 if self.segments else int(now.timestamp()) % _DAY_S // 4
            self._discontinuity = max(self._discontinuity + 1, seed)
        self._number = self._next()
        self._began = self._at
        if not self.target:
            self.part_target = max(self.part_target, _ROOM_RATIO * self._interval)
        begins = now - timedelta(seconds=self._clock.monotonic() - captured)
        self.segments.append(MediaSegment(self._number, self._init, self._discontinuity, discontinuous, begins))

    def _end_part(self) -> None:
        samples, self._samples = self._samples, []
        if samples:
            seconds = (self._at - samples[0].decoded) / TICKS_PER_S
            data = piece(self._number, samples, self._at)
            self.segments[-1].parts.append(Part(data, seconds, samples[0].key))

    def _end(self) -> None:
        if self.growing:
            self._end_part()
            self.segments[-1].whole = True
            self._forget()

    def _forget(self) -> None:
        whole = [segment for segment in self.segments if segment.whole]
        seconds, size = sum(segment.seconds for segment in whole), sum(segment.size for segment in self.segments)
        enough = max(_LISTED_S, 4.0 * self.target) if self.target else 0.0
        for segment in whole[:-_MIN_SEGMENT_COUNT]:
            seconds -= segment.seconds
            if seconds < enough and size <= _MAX_STREAM_BYTES:
                break
            size -= segment.size
            self.expired.append(self.segments.popleft())
        if not self.target:
            self.expired.clear()
        used = {segment.init for segment in (*self.expired, *self.segments)} | {self._init}
        self.init_segments = {number: made for number, made in self.init_segments.items() if number in used}
