"""Clips on demand: the seconds around now of any camera, from its recording or else from memory."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Protocol

from pipeline.clock import Clock
from pipeline.errors import OutputError, unwritable
from pipeline.frames import Packet
from pipeline.media.muxer import MUXERS, Remuxer
from pipeline.outputs.paths import make_room
from pipeline.outputs.record.retention import BOXES

from .ring_buffer import PacketRingBuffer

MAX_SIDE_S = 3600.0
"""Most seconds before, and after, the moment."""
_ADVICE = "add an output such as record: out/{camera}-{time}.mp4"


class ClipSource(Protocol):
    """The source of the seconds of one clip."""

    wait: float
    """Seconds after its end when all of it is there."""

    def write_to(self, remuxer: Remuxer) -> None:
        """Put all of it into a file; raises OutputError."""
        ...

    def beside(self) -> Path:
        """Return a name for its file; raises OutputError where none can be chosen."""
        ...

    def release(self) -> None:
        """Let go of what is held for it."""
        ...


class Recordings(Protocol):
    """An output that has recordings of all cameras."""

    def footage(self, camera: str, before: float, after: float) -> ClipSource:
        """Return the seconds around now."""
        ...

    def refusal(self, camera: str) -> str:
        """Why nothing of a camera can be recorded; empty where it can."""
        ...


class _FallbackSource:
    """The seconds in the recording, or those in memory where it has none of them: its disk may be full or gone."""

    def __init__(self, recorded: ClipSource, buffered: ClipSource) -> None:
        self.wait = max(recorded.wait, buffered.wait)
        self._recorded = recorded
        self._buffered = buffered

    def write_to(self, remuxer: Remuxer) -> None:
        try:
            self._recorded.write_to(remuxer)
        except (OSError, ValueError):
            if not remuxer.empty:
                raise
            self._buffered.write_to(remuxer)

    def beside(self) -> Path:
        return self._recorded.beside()

    def release(self) -> None:
        self._recorded.release()
        self._buffered.release()


class Clip:
    """The seconds around the moment it was asked for; a context manager that lets go of them."""

    def __init__(self, camera: str, footage: ClipSource, after: float) -> None:
        self.wait = after + footage.wait
        """Seconds until it can be written."""
        self._camera = camera
        self._footage = footage

    def save(self, path: str | Path | None = None) -> Path:
        """Write an .mp4 or .mkv file, beside the recordings if no path is given; raises OutputError."""
        with self._named():
            target = self._footage.beside() if path is None else Path(path).expanduser()
            if target.suffix.lower() not in MUXERS:
                raise OutputError(f"its file must end in {' or '.join(MUXERS)}, got {target}")
            there = target.exists()
            make_room(target)
            try:
                self._put_in_place(target)
                return target
            except BaseException:
                if not there:
                    target.unlink(missing_ok=True)
                raise

    def data(self) -> bytes:
        """Return the same as the bytes of an MP4 file, without touching the disk; raises OutputError."""
        with self._named():
            memory = io.BytesIO()
            self._write_to(memory)
            return memory.getvalue()

    def _put_in_place(self, target: Path) -> None:
        """Write beside the target, and only a whole clip takes the place of what is there."""
        try:
            with TemporaryDirectory(prefix=".clip-", dir=target.parent) as folder:
                made = Path(folder) / target.name
                try:
                    self._write_to(made)
                except OutputError as error:
                    text = str(error).replace(str(made.with_suffix("")), str(target.with_suffix("")))
                    raise OutputError(text) from error
                boxes = made.with_suffix(BOXES)
                if boxes.exists():
                    boxes.replace(target.with_suffix(BOXES))
                elif target.stat().st_size:
                    # Boxes of the film that was there would be painted onto this one.
                    target.with_suffix(BOXES).unlink(missing_ok=True)
                made.replace(target)
        except OutputError:
            raise
        except OSError as error:
            raise unwritable(target, error) from error

    def _write_to(self, target: Path | io.BytesIO) -> None:
        with Remuxer(target) as remuxer:
            self._footage.write_to(remuxer)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OutputError as error:
            raise OutputError(f"{self._camera}: no clip: {error}") from error

    def __enter__(self) -> Clip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._footage.release()


class Clips:
    """Makes clips of all cameras; safe from any thread."""

    def __init__(self, kept: Mapping[str, float], clock: Clock, ended: threading.Event | None = None) -> None:
        """Take the seconds to keep of each camera that gives packets; `ended` says that none will give any more."""
        self.recordings: Recordings | None = None
        """Where the recordings are, if there are any."""
        self._clock = clock
        self._ended = ended or threading.Event()
        self._buffers = {name: PacketRingBuffer(seconds) for name, seconds in kept.items() if seconds}

    def packet(self, packet: Packet) -> None:
        """Take one packet of any camera."""
        if (buffer := self._buffers.get(packet.camera)) is not None:
            buffer.put(packet)

    def keeps(self, camera: str) -> bool:
        """Return whether it wants the packets of a camera."""
        return camera in self._buffers

    def reach(self, camera: str) -> float:
        """Return the seconds before now that a clip of a camera may hold; 0 where none can be had."""
        if self._refusal(camera):
            return 0.0
        return self._buffers[camera].seconds if self.recordings is None else MAX_SIDE_S

    def ask(self, camera: str, before: float, after: float, take: Callable[[int], bool] = lambda count: True) -> Clip:
        """Return a clip of the last `before` seconds and the next `after`, which have to pass; raises OutputError.

        `take` says whether so many bytes more may be held in memory for it.
        """
        if not (0 <= before <= MAX_SIDE_S and 0 <= after <= MAX_SIDE_S):
            raise OutputError(f"{camera}: a clip has at most {MAX_SIDE_S:g} s before and {MAX_SIDE_S:g} s after")
        if refusal := self._refusal(camera):
            raise OutputError(f"{camera}: no clip: {refusal}")
        if before > (reach := self.reach(camera)):
            raise OutputError(f"{camera}: no clip: only {reach:g} s are kept; {_ADVICE}")
        now, buffer = self._clock.monotonic(), self._buffers.get(camera)
        kept = None if buffer is None else buffer.want(now - before, now + after, take)
        recorded = None if self.recordings is None else self.recordings.footage(camera, before, after)
        footage = _FallbackSource(recorded, kept) if recorded and kept else recorded or kept
        assert footage is not None
        return Clip(camera, footage, after)

    def cut(self, camera: str, before: float, after: float, path: str | Path | None) -> Path:
        """Return the same as a file, for which it waits, though not for what comes no more."""
        with self.ask(camera, before, after) as clip:
            self._clock.wait(self._ended, after)
            self._clock.wait(threading.Event(), clip.wait - after)
            return clip.save(path)

    def _refusal(self, camera: str) -> str:
        """Why no clip of a camera can be had, if so."""
        if self.recordings is not None:
            return self.recordings.refusal(camera)
        buffer = self._buffers.get(camera)
        return f"nothing of it is kept; {_ADVICE}" if buffer is None else buffer.refusal
