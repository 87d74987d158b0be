"""Compressed pictures as others can use them: Annex B, with parameter sets in front of every keyframe."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

import av

from pipeline.frames import Packet

_START = b"\0\0\0\1"
_PARAMETER_SETS = {"h264": frozenset({7, 8}), "hevc": frozenset({32, 33, 34})}
"""For each codec the types of units that a decoder must have seen before a keyframe."""
_REORDERED = 4
"""Pictures that may overtake another one where B-frames are sent."""


class Repacker:
    """What one stream sends, repacked; nothing comes before its first keyframe."""

    def __init__(self, codec: str = "", extradata: bytes = b"", *, live: bool = False) -> None:
        """Take FFmpeg's name of the codec and what the container or description says of it."""
        self._codec = codec
        self._live = live
        self._reorders = False
        self._waiting: list[float] = []
        self._decoded = 0.0
        self._sets = b""
        self._size = (0, 0)
        self._prefix = 0
        """Bytes of the length in front of each unit; 0 where start codes separate them."""
        if codec in _PARAMETER_SETS and extradata[:1] == b"\1":
            self._prefix, units = _avcc(extradata) if codec == "h264" else _hvcc(extradata)
            self._sets = _joined(units)
        elif codec in _PARAMETER_SETS:
            self._sets = _joined(self._parameter_sets(extradata))

    def take(self, packet: av.Packet[Any], captured: float) -> Packet | None:
        """The packet for everybody, with an empty camera; None before the first keyframe and at the end."""
        data = bytes(packet)
        if not data:
            return None
        if self._prefix:
            data = _joined(_prefixed(data, self._prefix))
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
        return Packet("", self._codec, data, key, pts, dts, captured, *self._size)

    def _decoding_time(self, pts: float) -> float:
        """When a picture is to be decoded: as those before it are shown, for streams with B-frames do not say it."""
        if len(self._waiting) < _REORDERED:
            start = min(self._waiting, default=pts)
            heapq.heappush(self._waiting, pts)
            self._decoded = start - 0.01 * (_REORDERED + 1 - len(self._waiting))
        else:
            self._decoded = max(self._decoded, heapq.heappushpop(self._waiting, pts))
        return self._decoded

    def _complete(self, data: bytes) -> bytes:
        """A keyframe with its parameter sets; notes them, and the size that they mean."""
        types = _PARAMETER_SETS.get(self._codec)
        known = self._sets
        if types is not None:
            units = self._parameter_sets(data)
            if types <= {self._type(unit) for unit in units}:
                self._sets = _joined(units)
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
        """The parameter sets in front of the picture."""
        types = _PARAMETER_SETS[self._codec]
        found = []
        for unit in _started(data):
            if self._type(unit) in types:
                found.append(unit)
            elif self._type(unit) < 6 if self._codec == "h264" else self._type(unit) < 32:
                break
        return found

    def _type(self, unit: bytes) -> int:
        return unit[0] & 31 if self._codec == "h264" else unit[0] >> 1 & 63


def _started(data: bytes) -> Iterator[bytes]:
    """The units between start codes."""
    at = data.find(_START[1:])
    while at >= 0:
        end = data.find(_START[1:], at + 3)
        unit = data[at + 3 : end if end >= 0 else None]
        if end >= 0:
            unit = unit.rstrip(b"\0")
        if unit:
            yield unit
        at = end


def _prefixed(data: bytes, prefix: int) -> Iterator[bytes]:
    """The units behind their lengths; what is cut off is left out."""
    at = 0
    while at + prefix < len(data):
        length = int.from_bytes(data[at : at + prefix], "big")
        at += prefix
        if length and at + length <= len(data):
            yield data[at : at + length]
        at += length


def _joined(units: Iterator[bytes] | list[bytes]) -> bytes:
    return b"".join(_START + unit for unit in units)


def _avcc(record: bytes) -> tuple[int, list[bytes]]:
    """Length of the lengths, and the parameter sets, of an MP4's AVCDecoderConfigurationRecord."""
    units, at = [], 5
    for mask in (31, 255):
        count = record[at] & mask if at < len(record) else 0
        at += 1
        for _ in range(count):
            length = int.from_bytes(record[at : at + 2], "big")
            units.append(record[at + 2 : at + 2 + length])
            at += 2 + length
    return (record[4] & 3) + 1 if len(record) > 4 else 4, units


def _hvcc(record: bytes) -> tuple[int, list[bytes]]:
    """Length of the lengths, and the parameter sets, of an MP4's HEVCDecoderConfigurationRecord."""
    units, at = [], 23
    for _ in range(record[22] if len(record) > 22 else 0):
        kind, count = record[at] & 63, int.from_bytes(record[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            length = int.from_bytes(record[at : at + 2], "big")
            if kind in _PARAMETER_SETS["hevc"]:
                units.append(record[at + 2 : at + 2 + length])
            at += 2 + length
    return (record[21] & 3) + 1 if len(record) > 21 else 4, units
