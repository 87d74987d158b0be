"""A few seconds around a moment, cut out of recordings without encoding anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av

from ..clock import Clock
from ..errors import OutputError
from .boxes import BoxesFile, lines
from .paths import unwritable
from .shelf import Shelf
from .timeline import TICKS

LONGEST = 3600.0
"""Most seconds before, and after, the moment."""
_UNTIL_WRITTEN = 1.0
"""Seconds after which a picture stands in its file for sure: a fragment, and some more."""


class Take(NamedTuple):
    """One file of a recording."""

    path: Path
    began: datetime
    """Wall time of its first picture."""


def cut(
    camera: str, takes: Sequence[Take], shelf: Shelf, span: tuple[datetime, datetime], after: float, clock: Clock
) -> Path:
    """Wait until `after` seconds past the end of `span` are recorded and put all of it into one file of its own."""
    start, asked = span
    if not (0 <= (asked - start).total_seconds() <= LONGEST and 0 <= after <= LONGEST):
        raise OutputError(f"{camera}: a clip has at most {LONGEST:g} s before and {LONGEST:g} s after")
    end = asked + timedelta(seconds=after)
    clock.wait(threading.Event(), after + _UNTIL_WRITTEN)
    if shelf.missing:
        raise OutputError(f"{camera}: no clip: the disk is as full as it may get; free some space")
    chosen = _covering(list(takes), start, end)
    if not chosen:
        raise OutputError(f"{camera}: nothing of that time was recorded")
    plain = shelf.path(camera, max(start, chosen[0].began))
    path, count = plain.with_name(f"{plain.stem}-clip{plain.suffix}"), 1
    while path.exists():
        count += 1
        path = plain.with_name(f"{plain.stem}-clip-{count}{plain.suffix}")
    try:
        _Splice(path, chosen, start, end).write()
    except (OSError, ValueError, av.FFmpegError) as error:
        for each in (path, path.with_suffix(".jsonl")):
            with suppress(OSError):
                each.unlink()
        raise error if isinstance(error, OutputError) else unwritable(path, error) from error
    return path


def _covering(takes: list[Take], start: datetime, end: datetime) -> list[Take]:
    """The files, oldest first, that hold something of the time between."""
    there = [take for take in takes if take.path.exists() and take.began < end]
    first = max((at for at, take in enumerate(there) if take.began <= start), default=0)
    return there[first:]


class _Splice:
    """Copies packets of several files into a new one."""

    def __init__(self, path: Path, takes: list[Take], start: datetime, end: datetime) -> None:
        self._path = path
        self._takes = takes
        self._start = start
        self._end = end
        self._zero: datetime | None = None
        self._kind: tuple[Any, ...] = ()
        self._stream: Any = None
        self._dts = -1

    def write(self) -> None:
        options = {"movflags": "faststart"} if self._path.suffix == ".mp4" else {}
        with av.open(str(self._path), "w", options=options) as container:
            for take in self._takes:
                with suppress(av.error.InvalidDataError), av.open(str(take.path)) as recorded:
                    self._copy(take, recorded, container)
            if self._zero is None:
                raise OutputError(f"{self._path}: nothing of that time was recorded")
        self._copy_boxes()

    def _copy(self, take: Take, recorded: av.container.InputContainer, container: av.container.OutputContainer) -> None:
        stream = recorded.streams.video[0]
        context = stream.codec_context
        kind = (context.name, context.width, context.height, context.extradata)
        if self._stream is not None and kind != self._kind:
            return
        for packet in self._wanted(take, recorded, stream):
            if self._stream is None:
                self._stream = container.add_stream_from_template(stream, opaque=True)
                self._stream.time_base = Fraction(1, TICKS)
                self._kind = kind
                self._zero = take.began + _seconds(packet.dts, packet)
            assert self._zero is not None
            shift = take.began - self._zero
            written = av.Packet(bytes(packet))
            written.time_base = Fraction(1, TICKS)
            written.dts = self._dts = max(self._dts + 1, _ticks(shift + _seconds(packet.dts, packet)))
            written.pts = max(written.dts, _ticks(shift + _seconds(packet.pts, packet)))
            written.is_keyframe = packet.is_keyframe
            written.stream = self._stream
            container.mux_one(written)

    def _wanted(
        self, take: Take, recorded: av.container.InputContainer, stream: av.VideoStream
    ) -> Iterator[av.Packet[Any]]:
        """Packets from the last keyframe before the start to the end."""
        held: list[av.Packet[Any]] = []
        for packet in recorded.demux(stream):
            if packet.pts is None or packet.dts is None or not packet.size:
                continue
            moment = take.began + _seconds(packet.pts, packet)
            if moment > self._end:
                break
            if self._stream is None and moment < self._start:
                held = [packet] if packet.is_keyframe else [*held, packet]
                continue
            yield from held
            held = []
            yield packet

    def _copy_boxes(self) -> None:
        assert self._zero is not None
        found = [(take.began - self._zero, event) for take in self._takes for event in lines(take.path)]
        if not found:
            return
        boxes = BoxesFile(self._path)
        try:
            for shift, event in found:
                at = shift.total_seconds() + float(event.pop("t"))
                if 0 <= at <= (self._end - self._zero).total_seconds():
                    boxes.write(at, event)
        finally:
            boxes.close()


def _seconds(ticks: int | None, packet: av.Packet[Any]) -> timedelta:
    return timedelta(seconds=float((ticks or 0) * packet.time_base))


def _ticks(moment: timedelta) -> int:
    return round(moment.total_seconds() * TICKS)
