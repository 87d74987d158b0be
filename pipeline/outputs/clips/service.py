"""Clips on demand: the seconds around now of any camera, from its recording or else from memory."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Protocol

from pipeline.clock import Clock
from pipeline.config.file_claims import FileClaims
from pipeline.errors import OutputError, unwritable
from pipeline.files.names import named
from pipeline.files.writing import WrittenFile, put_in_place
from pipeline.frames import Packet
from pipeline.media.muxer import MUXERS, Remuxer
from pipeline.outputs.record.retention import BOXES

from .arrival import ClipArrival
from .ring_buffer import PacketRingBuffer

MAX_SIDE_S = 3600.0
"""Most seconds before, and after, the moment."""
_ADVICE = "add an output such as record: out/{camera}-{time}.mp4"


class ClipSource(Protocol):
    """The source of the seconds of one clip."""

    arrival: ClipArrival
    """Says when all of it is there, which is some time after its end."""
    patience: float
    """Seconds after its end for which that word is waited for, before it is made of what is there."""

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
        self.arrival = recorded.arrival
        self.patience = recorded.patience
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

    def __init__(self, camera: str, footage: ClipSource, after: float, claims: FileClaims) -> None:
        self.after = after
        """Seconds from the asking until its end."""
        self.arrival = footage.arrival
        """Says after that when it can be written."""
        self.patience = footage.patience
        """Seconds after its end for which to wait for that word."""
        self._camera = camera
        self._footage = footage
        self._claims = claims

    def save(self, path: str | Path | None = None) -> Path:
        """Write an .mp4 or .mkv file, beside the recordings if no path is given; raises OutputError."""
        with self._named():
            target = self._footage.beside() if path is None else named(path)
            if target.suffix.lower() not in MUXERS:
                raise OutputError(f"its file must end in {' or '.join(MUXERS)}, got {target}")
            for each in (target, target.with_suffix(BOXES)):
                self._claims.check_free(each)
            # Held meanwhile, so that neither a run nor another clip takes it.
            place = WrittenFile(target)
            try:
                if not place.regular:
                    raise OutputError(f"cannot write {target}: it is a device; name a file")
                self._put_in_place(Path(os.path.realpath(target)), target, there=bool(place.size))
            except BaseException:
                place.discard()
                raise
            place.close()
            return target

    def data(self) -> bytes:
        """Return the same as the bytes of an MP4 file, without touching the disk; raises OutputError."""
        with self._named():
            memory = io.BytesIO()
            self._write_to(memory)
            return memory.getvalue()

    def _put_in_place(self, real: Path, target: Path, *, there: bool) -> None:
        """Write beside the file, whose name may be that of a link, and only a whole clip takes its place."""
        boxes = real.with_suffix(BOXES)
        try:
            with TemporaryDirectory(prefix=".clip-", dir=real.parent) as folder:
                made = Path(folder) / real.name
                try:
                    self._write_to(made)
                except OutputError as error:
                    text = str(error).replace(str(made.with_suffix("")), str(target.with_suffix("")))
                    raise OutputError(text) from error
                if made.with_suffix(BOXES).exists():
                    put_in_place(made.with_suffix(BOXES), boxes)
                elif there:
                    # Boxes of the film that was there would be painted onto this one.
                    boxes.unlink(missing_ok=True)
                made.replace(real)
        except OutputError:
            raise
        except (OSError, ValueError) as error:
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

    def __init__(
        self,
        kept: Mapping[str, float],
        clock: Clock,
        ended: threading.Event | None = None,
        claims: FileClaims | None = None,
    ) -> None:
        """Take the seconds to keep of each camera that gives packets; `ended` says that none will give any more.

        `claims` are the files that no clip may take the place of.
        """
        self._claims = claims or FileClaims()
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
        return Clip(camera, footage, after, self._claims)

    def cut(self, camera: str, before: float, after: float, path: str | Path | None) -> Path:
        """Return the same as a file, for which it waits, though not for what comes no more."""
        with self.ask(camera, before, after) as clip:
            ended = self._clock.wait(self._ended, after)
            if self.recordings is not None or not ended:
                self._clock.wait(clip.arrival.event, clip.patience)
            return clip.save(path)

    def _refusal(self, camera: str) -> str:
        """Why no clip of a camera can be had, if so."""
        if self.recordings is not None:
            return self.recordings.refusal(camera)
        buffer = self._buffers.get(camera)
        return f"nothing of it is kept; {_ADVICE}" if buffer is None else buffer.refusal
