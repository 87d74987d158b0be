"""H.264 video files with the overlay, playable up to the last second however the program ends."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from itertools import chain, count
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.files.disk import Disk
from pipeline.files.writing import WrittenFile
from pipeline.frames import Packet
from pipeline.media.muxer import MUXERS, DamagedError, Segment
from pipeline.outputs.encoded_feed import EncodedFeed
from pipeline.outputs.paths import check_ending, check_template, filled
from pipeline.outputs.protocols import Output, OutputContext, View
from pipeline.outputs.retry import Retry

from .settings import Video


class VideoOutput(Output):
    """One film a camera, each of which goes on after an error of its disk while the others feel nothing."""

    name = "video"
    every_picture = True

    def __init__(self, settings: Video, context: OutputContext) -> None:
        cameras = tuple(context.cameras)
        check_template("video.path", settings.path, cameras)
        check_ending("video.path", settings.path, tuple(MUXERS))
        self._films = {
            camera: _Film(
                filled(settings.path, camera), EncodedFeed(camera, settings.bitrate, overlay=settings.overlay)
            )
            for camera in cameras
        }
        stats = context.stats
        self._retries = {
            camera: Retry(self.name, str(film.path), stats.outputs[self.name], stats.clock)
            for camera, film in self._films.items()
        }

    def open(self) -> None:
        """Make the folders and the files, and hold them; what was in them stays until the first picture."""
        for film in self._films.values():
            film.open()

    def show(self, view: View) -> bool:
        """Encode one picture and write what is ready."""
        camera = view.result.frame.camera
        film = self._films[camera]
        return bool(self._retries[camera].attempt(partial(film.show, view), film.interrupt))

    def close(self) -> None:
        """Finish all files."""
        for camera, film in self._films.items():
            try:
                film.close()
            except OutputError as error:
                self._retries[camera].failed(error)
                self._retries[camera].lost()


class _Film:
    """The files of one camera: a picture of another size, or an error, starts NAME.2.mp4, then NAME.3.mp4.

    A number that is taken, by whomever, is left out.
    """

    def __init__(self, path: Path, feed: EncodedFeed) -> None:
        self.path = path
        self._feed = feed
        self._disk: Disk | None = None
        self._file: WrittenFile | None = None
        """The first one, as long as nothing was written."""
        self._segment: Segment | None = None

    def open(self) -> None:
        """Make and hold the first file; raises OutputError."""
        self._file = WrittenFile(self.path)
        self._disk = Disk(self.path)

    def show(self, view: View) -> bool:
        """Add a picture; raises OutputError, and whatever the encoder does."""
        if self._segment is not None and self._segment.moved:
            self._end()
            self._feed.rest()
        packet = self._feed.encode(view)
        if self._segment is not None and not _alike(packet, self._segment.first):
            self._end()
        if self._segment is None:
            self._segment = self._begun(packet)
        self._segment.write(packet)
        return True

    def interrupt(self) -> None:
        """Finish the file as far as can be, after an error; the next picture is a keyframe."""
        self._feed.rest()
        with suppress(OutputError):
            self.close()

    def close(self) -> None:
        """Finish the file; harmless when called twice. Raises OutputError."""
        file, self._file = self._file, None
        if file is not None:
            file.discard_if_empty()
        self._end()

    def _end(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.close()

    def _begun(self, packet: Packet) -> Segment:
        file, self._file = self._file, None
        if self._disk is not None:
            self._disk.check()
        try:
            return Segment(file or self._next(), packet)
        except DamagedError as error:
            raise OutputError(f"cannot write {self.path}: the encoder made nothing that can be read: {error}") from None

    def _next(self) -> WrittenFile:
        """Make the file with the next free number."""
        numbered = (self.path.with_name(f"{self.path.stem}.{number}{self.path.suffix}") for number in count(2))
        return WrittenFile(next(path for path in chain([self.path], numbered) if not os.path.lexists(path)), new=True)


def _alike(packet: Packet, first: Packet) -> bool:
    return (packet.width, packet.height) == (first.width, first.height)
