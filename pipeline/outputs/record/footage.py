"""A few seconds around a moment, cut out of recordings without encoding anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import av

from pipeline.errors import OutputError
from pipeline.files.names import for_ffmpeg
from pipeline.frames import Presentation
from pipeline.media.muxer import LIMITS, MuxPacket, Remuxer
from pipeline.media.timestamps import TICKS_PER_S
from pipeline.outputs.clips.arrival import ClipArrival

from .retention import RecordingStore
from .sidecar import BoxesFile, lines

_MAX_REORDER_S = 1.0
"""Seconds, at most, that a picture is shown after its place in the file."""


class RecordingFile(NamedTuple):
    """One file of a recording."""

    path: Path
    began: float
    """Monotonic seconds of its first picture, which no change of the wall clock moves."""
    date: datetime
    """UTC wall time of the same."""
    presentation: Presentation
    """How its pictures are to be shown."""


class RecordedClip:
    """The seconds of one clip, in the files of a recording."""

    patience = 10.0
    """Seconds after its end that the writer may take to say that all of it is in the files."""

    def __init__(
        self, camera: str, files: Sequence[RecordingFile], store: RecordingStore, start: float, end: float
    ) -> None:
        """Take all files there are, and the monotonic seconds; more may be appended to `files` meanwhile."""
        self.arrival = ClipArrival()
        self.end = end
        """Monotonic seconds of its end."""
        self._camera = camera
        self._all = files
        self._store = store
        self._start = start
        self._zero: float | None = None
        self._files: list[RecordingFile] = []
        self._released = False

    def write_to(self, remuxer: Remuxer) -> None:
        """Put all that is there into a file, and the boxes beside it; raises OutputError where there is nothing."""
        self._files = _covering(list(self._all), self._start, self.end)
        for file in self._files:
            with suppress(av.error.InvalidDataError), av.open(for_ffmpeg(file.path), options=LIMITS) as recorded:
                self._copy(file, recorded, remuxer)
        if self._zero is None:
            raise OutputError("nothing of that time was recorded")
        if isinstance(remuxer.target, Path):
            self._copy_boxes(remuxer.target, self._zero)

    def beside(self) -> Path:
        """Return a name for its file beside the recordings, taken by no other file yet."""
        if self._store.missing:
            raise OutputError("the disk is as full as it may get; free some space")
        chosen = _covering(list(self._all), self._start, self.end)
        if not chosen:
            raise OutputError("nothing of that time was recorded")
        first = chosen[0]
        plain = self._store.path(self._camera, first.date + timedelta(seconds=max(0.0, self._start - first.began)))
        path, count = plain.with_name(f"{plain.stem}-clip{plain.suffix}"), 1
        while path.exists():
            count += 1
            path = plain.with_name(f"{plain.stem}-clip-{count}{plain.suffix}")
        return path

    @property
    def released(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._released

    def release(self) -> None:
        """Nothing is held, but what is being cut may be much."""
        self._released = True

    def _copy(self, file: RecordingFile, recorded: av.container.InputContainer, remuxer: Remuxer) -> None:
        stream = recorded.streams.video[0]
        if not remuxer.empty and not remuxer.takes(stream, file.presentation):
            return
        sounds = False
        for packet in self._wanted(file, recorded, stream):
            if self._zero is None:
                remuxer.takes(stream, file.presentation)
                self._zero = file.began + _seconds(packet.dts, packet)
            sounds = sounds or (bool(recorded.streams.audio) and remuxer.takes_sound(recorded.streams.audio[0]))
            shift = file.began - self._zero
            shown, decoded = (_ticks(shift + _seconds(each, packet)) for each in (packet.pts, packet.dts))
            is_sound = packet.stream.type == "audio"
            if not is_sound or (sounds and decoded >= 0):
                remuxer.add(MuxPacket(bytes(packet), packet.is_keyframe, shown, decoded, is_sound))

    def _wanted(
        self, file: RecordingFile, recorded: av.container.InputContainer, stream: av.VideoStream
    ) -> Iterator[av.Packet[Any]]:
        """Packets from the last keyframe before the start to the end, with the sound behind that keyframe."""
        held: list[av.Packet[Any]] = []
        ahead = self._start - file.began - _MAX_REORDER_S
        if self._zero is None and ahead > 0 and stream.time_base:
            # Where that cannot be done, it is read from its beginning.
            with suppress(av.FFmpegError):
                recorded.seek(round(ahead / stream.time_base), stream=stream)
        for packet in recorded.demux(stream, *recorded.streams.audio[:1]):
            if self._released:
                raise OutputError("nobody waits for it any more")
            if packet.pts is None or packet.dts is None or not packet.size:
                continue
            moment = file.began + _seconds(packet.pts, packet)
            is_sound = packet.stream.type == "audio"
            if moment > self.end and is_sound:
                continue
            if moment > self.end:
                break
            if self._zero is None and (moment < self._start or is_sound):
                held = [packet] if packet.is_keyframe and not is_sound else [*held, packet] if held else held
                continue
            yield from held
            held = []
            yield packet

    def _copy_boxes(self, target: Path, zero: float) -> None:
        events = [(file.began - zero, event) for file in self._files for event in lines(file.path)]
        if not events:
            return
        boxes = BoxesFile(target)
        try:
            for shift, event in events:
                at = shift + float(event.pop("t"))
                if 0 <= at <= self.end - zero:
                    boxes.write(at, event)
        finally:
            boxes.close()


def _covering(files: list[RecordingFile], start: float, end: float) -> list[RecordingFile]:
    """Return the files, oldest first, that hold something of the time between."""
    there = [file for file in files if file.path.exists() and file.began < end]
    first = max((at for at, file in enumerate(there) if file.began <= start), default=0)
    return there[first:]


def _seconds(ticks: int | None, packet: av.Packet[Any]) -> float:
    return float((ticks or 0) * packet.time_base)


def _ticks(seconds: float) -> int:
    return round(seconds * TICKS_PER_S)
