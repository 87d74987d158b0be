"""Compressed pictures as others can use them: Annex B, with parameter sets in front of every keyframe."""

from __future__ import annotations

import heapq
from contextlib import suppress
from typing import Any, cast

import av

from pipeline.frames import AS_CODED, MAX_PICTURE_PIXELS, Packet
from pipeline.media.nal import (
    PARAMETER_SETS,
    PICTURES,
    avc_record,
    hevc_record,
    joined,
    length_prefix,
    prefixed_units,
    unit_type,
    units,
)
from pipeline.media.presentation import with_pixel_aspect

from .decode.presentation_tracker import PresentationTracker

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
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
        presentations: PresentationTracker | None = None,
    ) -> None:
        """Take FFmpeg's name of the codec, what the container or description says of it, and how packets are shown.

        Whoever has seen a packet in `presentations` then gives it here.
        """
        self._presentations = presentations or PresentationTracker()
        self._codec = codec
        self._live = live
        self._reorders = False
        self._waiting: list[float] = []
        self._decoded = 0.0
        self._sets = b""
        self._size = (0, 0)
        self._pixel_aspect = AS_CODED.pixel_aspect
        """What the pictures themselves say."""
        self._prefix = length_prefix(codec, extradata)
        if self._prefix:
            self._sets = joined((avc_record(extradata) if codec == "h264" else hevc_record(extradata))[1])
        elif codec in PARAMETER_SETS:
            self._sets = joined(self._parameter_sets(extradata))

    def take(self, packet: av.Packet[Any], captured: float) -> Packet | None:
        """Return the packet for everybody, with an empty camera; None before the first keyframe and at the end."""
        data = bytes(packet)
        if not data:
            return None
        if self._prefix:
            data = joined(prefixed_units(data, self._prefix))
        elif self._codec == "mjpeg":
            # Between the parts of a page stands text, which is read with them where it names no kind or no length.
            data = data[max(0, data.find(_JPEG_START)) : data.rfind(_JPEG_END) + len(_JPEG_END)] or data
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
        presentation = self._presentations.of_packet(*self._size)
        if key and presentation.pixel_aspect != self._pixel_aspect:
            data = with_pixel_aspect(data, self._codec, presentation.pixel_aspect)
        return Packet("", self._codec, data, key, pts, dts, captured, *self._size, presentation)

    def learn(self, frame: av.VideoFrame, decoder: av.VideoCodecContext) -> None:
        """Take the size, and whether there are B-frames, from the first keyframe's picture and what has decoded it."""
        self._size = frame.width, frame.height
        self._reorders = decoder.has_b_frames
        self._pixel_aspect = decoder.sample_aspect_ratio or AS_CODED.pixel_aspect

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
        self._size = (0, 0)
        with suppress(av.FFmpegError, ValueError):
            decoder = cast(av.VideoCodecContext, av.CodecContext.create(self._codec, "r"))
            decoder.thread_count = 1
            decoder.options = {"max_pixels": str(MAX_PICTURE_PIXELS)}
            for frame in [*decoder.decode(av.Packet(keyframe)), *decoder.decode(None)]:
                self.learn(frame, decoder)

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
