"""Clips on demand: the seconds around now of any camera, from its recording or else from memory."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol

from .. import config
from ..address import kind
from ..clock import Clock
from ..errors import OutputError
from ..frames import Packet
from .past import Past
from .paths import make_room
from .segment import MUXERS
from .shelf import BOXES
from .splice import Splice

LONGEST = 3600.0
"""Most seconds before, and after, the moment."""
_ADVICE = "add an output such as record: out/{camera}-{time}.mp4"


class Footage(Protocol):
    """Where the seconds of one clip are."""

    wait: float
    """Seconds after its end when all of it is there."""

    def pour(self, splice: Splice) -> None:
        """Put all of it into a file; raises OutputError."""
        ...

    def beside(self) -> Path:
        """A name for its file; raises OutputError where none can be chosen."""
        ...

    def release(self) -> None:
        """Let go of what is held for it."""
        ...


class Recordings(Protocol):
    """An output that has recordings of all cameras."""

    def footage(self, camera: str, before: float, after: float) -> Footage:
        """The seconds around now."""
        ...


class Clip:
    """The seconds around the moment it was asked for; a context manager that lets go of them."""

    def __init__(self, camera: str, footage: Footage, after: float) -> None:
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
            make_room(target)
            try:
                self._pour(target)
            except OutputError:
                for each in (target, target.with_suffix(BOXES)):
                    with suppress(OSError):
                        each.unlink()
                raise
            return target

    def data(self) -> bytes:
        """The same as the bytes of an MP4 file, without touching the disk; raises OutputError."""
        with self._named():
            memory = io.BytesIO()
            self._pour(memory)
            return memory.getvalue()

    def _pour(self, target: Path | io.BytesIO) -> None:
        with Splice(target) as splice:
            self._footage.pour(splice)

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

    def __init__(self, cameras: Mapping[str, config.Camera], clock: Clock) -> None:
        self.recordings: Recordings | None = None
        """Where the recordings are, if there are any; nothing is kept in memory then."""
        self._clock = clock
        self._pasts = {
            name: Past(name, camera.capture.keep)
            for name, camera in cameras.items()
            if camera.capture.keep and kind(camera.source) in ("file", "network")
        }

    def packet(self, packet: Packet) -> None:
        """Take one packet of any camera."""
        if self.recordings is None and (past := self._pasts.get(packet.camera)) is not None:
            past.put(packet)

    def reach(self, camera: str) -> float:
        """Seconds before now that a clip of a camera may hold; 0 where none can be had."""
        if self.recordings is not None:
            return LONGEST
        return self._pasts[camera].seconds if camera in self._pasts else 0.0

    def ask(self, camera: str, before: float, after: float) -> Clip:
        """A clip of the last `before` seconds and the next `after`, which have to pass; raises OutputError."""
        if not (0 <= before <= LONGEST and 0 <= after <= LONGEST):
            raise OutputError(f"{camera}: a clip has at most {LONGEST:g} s before and {LONGEST:g} s after")
        if self.recordings is not None:
            return Clip(camera, self.recordings.footage(camera, before, after), after)
        past = self._pasts.get(camera)
        if past is None:
            raise OutputError(f"{camera}: no clip: nothing of it is kept; {_ADVICE}")
        if before > past.seconds:
            raise OutputError(f"{camera}: no clip: only {past.seconds:g} s are kept; {_ADVICE}")
        now = self._clock.monotonic()
        return Clip(camera, past.want(now - before, now + after), after)

    def cut(self, camera: str, before: float, after: float, path: str | Path | None) -> Path:
        """The same as a file, for which it waits."""
        with self.ask(camera, before, after) as clip:
            self._clock.wait(threading.Event(), clip.wait)
            return clip.save(path)
