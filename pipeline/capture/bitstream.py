"""Compressed pictures as others can use them: Annex B, with parameter sets in front of every keyframe."""

from __future__ import annotations

import heapq
from contextlib import suppress
from typing import Any, cast

import av

from pipeline.frames import AS_CODED, Packet, Presentation
from pipeline.media.nal import (
    PARAMETER_SETS,
    PICTURES,
    avc_record,
    hevc_record,
    joined,
    prefixed_units,
    unit_type,
    units,
)

_REORDERED_COUNT = 4
"""Pictures that may overtake another one where B-frames are sent."""


class AnnexBRepacker:
    """The repacker of one stream; nothing comes before its first keyframe."""

    def __init__(
        self,
        codec: str = "",
        extradata: bytes = b"",
        *,
        live: bool = False,
        presentation: Presentation = AS_CODED,
    ) -> None:
        """Take FFmpeg's name of the codec and what the container or description says of it."""
        self.presentation = presentation
        """What every packet is given; may be set anew as soon as more is known."""
        self._codec = codec
        self._live = live
        self._reorders = False
        self._waiting: list[float] = []
        self._decoded = 0.0
        self._sets = b""
        self._size = (0, 0)
        self._prefix = 0
        """Bytes of the length in front of each unit; 0 where start codes separate them."""
        if codec in PARAMETER_SETS and extradata[:1] == b"\1":
            self._prefix, sets = avc_record(extradata) if codec == "h264" else hevc_record(extradata)
            self._sets = joined(sets)
        elif codec in PARAMETER_SETS:
            self._sets = joined(self._parameter_sets(extradata))

    def take(self, packet: av.Packet[Any], captured: float) -> Packet | None:
        """Return the packet for everybody, with an empty camera; None before the first keyframe and at the end."""
        data = bytes(packet)
        if not data:
            return None
        if self._prefix:
            data = joined(prefixed_units(data, self._prefix))
        key = bool(packet.is_keyframe)
        if key:
            data = self._complete(data)
        if not all(self._size):
            return None
        base = packet.time_base
        pts, dts = (
            None if ticks is None else float(ticks * base.numerator / base.denominator)
            for ticks in (packet.pts, packet.dts)
        )
        if self._live and pts is not None:
            dts = self._decoding_time(pts) if self._reorders else pts
        return Packet("", self._codec, data, key, pts, dts, captured, *self._size, self.presentation)

    def _decoding_time(self, pts: float) -> float:
        """Return when to decode a picture: as those before it are shown, for streams with B-frames do not say it."""
        if len(self._waiting) < _REORDERED_COUNT:
            start = min(self._waiting, default=pts)
            heapq.heappush(self._waiting, pts)
            self._decoded = start - 0.01 * (_REORDERED_COUNT + 1 - len(self._waiting))
        else:
            self._decoded = max(self._decoded, heapq.heappushpop(self._waiting, pts))
        return self._decoded

    def _complete(self, data: bytes) -> bytes:
        """Return a keyframe with its parameter sets; note them, and the size that they mean."""
        types = PARAMETER_SETS.get(self._codec)
        known = self._sets
        if types is not None:
            sets = self._parameter_sets(data)
            if types <= {unit_type(unit, self._codec) for unit in sets}:
                self._sets = joined(sets)
            else:
                data = self._sets + data
        if not all(self._size) or self._sets != known:
            self._learn(data)
        return data

    def _learn(self, keyframe: bytes) -> None:
        """Find out the size, and whether there are B-frames, by decoding one picture."""
        with suppress(av.FFmpegError, ValueError):
            decoder = cast(av.VideoCodecContext, av.CodecContext.create(self._codec, "r"))
            decoder.thread_count = 1
            for frame in [*decoder.decode(av.Packet(keyframe)), *decoder.decode(None)]:
                self._size = frame.width, frame.height
            self._reorders = decoder.has_b_frames

    def _parameter_sets(self, data: bytes) -> list[bytes]:
        """Return the parameter sets in front of the picture."""
        sets = []
        for unit in units(data):
            kind = unit_type(unit, self._codec)
            if kind in PARAMETER_SETS[self._codec]:
                sets.append(unit)
            elif kind in PICTURES[self._codec]:
                break
        return sets
