"""Compressed pictures into video files: segments that survive a kill, and splices of several places."""

from __future__ import annotations

import io
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import av
from av.container import InputContainer, OutputContainer

from pipeline.errors import OutputError, unwritable
from pipeline.files.names import for_ffmpeg
from pipeline.files.writing import WrittenFile
from pipeline.frames import AS_CODED, MAX_PICTURE_PIXELS, Packet, Presentation, Sound

from .presentation import to_matrix
from .timestamps import TICKS_PER_S, PacketTimeline

# Half-second fragments, each complete in the file as soon as it ends, bound what a kill can take.
MUXERS = {
    ".mp4": {
        "movflags": "empty_moov+default_base_moof+frag_keyframe",
        "frag_duration": "500000",
        "flush_packets": "1",
    },
    ".mkv": {"cluster_time_limit": "500", "flush_packets": "1"},
}
"""Endings that a file may have, with the options of their muxers."""
_FORMATS = {".mp4": "mp4", ".mkv": "matroska"}
CODECS = ("h264", "hevc", "mjpeg")
"""What can be written without encoding it anew."""
SOUND_CODECS = ("aac", "opus", "mp3", "mp3float")
"""Sound that every kind of file takes as it is."""
_MAX_SOUND_DRIFT_S = 3.0
_INTERLEAVE_US = "500000"
"""Microseconds for which pictures wait for their sound, or sound for its pictures."""


LIMITS = {"max_pixels": str(MAX_PICTURE_PIXELS)}
"""What is asked of every decoder that opens a file or learns of what a file is to hold."""


class DamagedError(Exception):
    """A keyframe that no file can start with."""


def readable(keyframe: Packet) -> InputContainer:
    """Return a stream of that one picture, as a model for the stream of a file; DamagedError if it cannot be read."""
    try:
        sample = av.open(io.BytesIO(keyframe.data), "r", format=keyframe.codec, options=LIMITS)
    except (av.FFmpegError, ValueError) as error:
        raise DamagedError(str(error)) from error
    if not sample.streams.video or not sample.streams.video[0].width:
        sample.close()
        raise DamagedError("no size")
    return sample


def add_stream(
    container: OutputContainer, model: av.VideoStream, presentation: Presentation = AS_CODED
) -> av.VideoStream:
    """Give a container a stream for pictures such as those of `model`, which are to be shown in that way."""
    stream = container.add_stream_from_template(model, opaque=True)
    stream.time_base = Fraction(1, TICKS_PER_S)
    if presentation.turned:
        stream.set_display_matrix(to_matrix(presentation, model.width, model.height))
    return stream


class Segment:
    """A file that starts with a keyframe; OutputError once it cannot be written any more."""

    def __init__(self, file: WrittenFile, first: Packet, sound: Sound | None = None) -> None:
        """Write anew, for the kind of pictures that `first`, a keyframe, is; DamagedError if it cannot be read.

        `sound` is a piece of the kind that is to stand beside them, if any. The file belongs to the segment from now
        on: where it cannot be begun, it is closed and what is new removed.
        """
        self.path = file.path
        self.size = 0
        """Bytes of pictures so far."""
        self.first = first
        self.readable_until = float("-inf")
        """Monotonic seconds of the newest picture that stands in the file for sure, with all before it."""
        self.newest = first.captured
        """Monotonic seconds of the newest picture."""
        self._file = file
        self._timeline = PacketTimeline()
        self._ended = self._failed = False
        self.sound_kind = "" if sound is None else sound.kind
        """The kind of its sound; empty where it has none."""
        self._sound: Any = None
        self._sound_shift = 0.0
        self._sounded = -1.0
        try:
            sample = readable(first)
        except DamagedError:
            file.discard()
            raise
        try:
            file.clear()
            with sample:
                ending = self.path.suffix.lower()
                options = MUXERS[ending] | ({"max_interleave_delta": _INTERLEAVE_US} if sound else {})
                self._container = av.open(file, "w", format=_FORMATS[ending], options=options)
                self._stream = add_stream(self._container, sample.streams.video[0], first.presentation)
            if sound:
                with av.open(io.BytesIO(sound.sample)) as model:
                    self._sound = self._container.add_stream_from_template(model.streams.audio[0], opaque=True)
        except (OSError, ValueError, av.FFmpegError) as error:
            file.discard()
            raise unwritable(self.path, error) from error

    def write(self, packet: Packet) -> float:
        """Add a packet; where it then stands in the file, in seconds. A jump of the camera's timeline is joined."""
        written = av.Packet(packet.data)
        written.time_base = Fraction(1, TICKS_PER_S)
        written.pts, written.dts = self._timeline.place(packet)
        written.is_keyframe = packet.key
        written.stream = self._stream
        before = self._file.written
        self._mux(written)
        if self._file.written > before and self.size:
            # A fragment is written when the picture behind it comes; with sound, pictures may wait for that.
            self.readable_until = self.newest - (1.0 if self._sound is not None else 0.0)
        self.newest = packet.captured
        self.size += len(packet.data)
        return float(written.pts) / TICKS_PER_S

    def write_sound(self, sound: Sound, *, by_capture: bool = False) -> None:
        """Add sound beside its pictures; what comes before them, or is of another kind, is left out.

        `by_capture` places it by when it was read, for pictures whose times are not the camera's own.
        """
        if self._sound is None or sound.kind != self.sound_kind or not self.size:
            return
        placed = sound.captured - self.first.captured if by_capture else self._timeline.place_of(sound.pts)
        at = placed + self._sound_shift
        if abs(at - self._timeline.seconds) > _MAX_SOUND_DRIFT_S:
            # A camera whose sound counts by another clock, or whose clock has jumped: it sounds when it comes.
            self._sound_shift += self._timeline.seconds - at
            at = self._timeline.seconds
        if at < 0 or at <= self._sounded:
            return
        self._sounded = at
        packet = av.Packet(sound.data)
        packet.time_base = Fraction(1, TICKS_PER_S)
        packet.pts = packet.dts = round(at * TICKS_PER_S)
        packet.stream = self._sound
        self._mux(packet)

    def _mux(self, packet: av.Packet[Any]) -> None:
        try:
            self._container.mux_one(packet)
        except (OSError, ValueError, av.FFmpegError) as error:
            self._failed = True
            with suppress(OutputError):
                self.close()
            raise unwritable(self.path, error) from error

    @property
    def seconds(self) -> float:
        """From the first picture to the end of the newest."""
        return self._timeline.seconds + self._timeline.interval

    @property
    def moved(self) -> bool:
        """Whether somebody has renamed or deleted the file."""
        return self._file.moved

    def close(self) -> None:
        """End the file, which is removed where no picture got into it; harmless when called twice."""
        if self._ended:
            return
        self._ended = True
        try:
            self._container.close()
        except (OSError, ValueError, av.FFmpegError) as error:
            self._failed = True
            raise unwritable(self.path, error) from error
        finally:
            if (self._failed or not self.size) and not self._file.moved and not holds_pictures(self.path):
                self._file.discard()
            self._file.close()


def holds_pictures(path: Path) -> bool:
    """Tell whether a file has any picture; one that cannot be read at the moment is taken to have some."""
    try:
        with av.open(for_ffmpeg(path)) as container:
            return any(packet.size for stream in container.streams.video for packet in container.demux(stream))
    except (av.error.InvalidDataError, av.error.EOFError):
        return False
    except (OSError, ValueError, av.FFmpegError):
        return True


MAX_CLIP_BYTES = 64_000_000
"""Bytes of pictures that a file in memory may hold."""
_INDEX_BYTES = 48
"""At most so many tell where a picture stands; reserved in front, so that players need not read to the end first."""


class MuxPacket(NamedTuple):
    """One compressed picture, or piece of sound, and its place in the new file."""

    data: bytes
    key: bool
    pts: int
    """When it is shown, in ticks of 1/90000 s."""
    dts: int
    """When it is decoded; may not fall from piece to piece."""
    is_sound: bool = False
    """Whether it is sound, which counts its times by itself."""


class Remuxer:
    """One new file; as a context manager it finishes the file and turns what FFmpeg raises into OutputError."""

    def __init__(self, target: Path | io.BytesIO) -> None:
        """Take the place to write to; in memory it becomes an MP4."""
        self.target = target
        self._pieces: list[MuxPacket] = []
        self._bytes = 0
        self._kind: tuple[Any, ...] = ()
        self._stream: Any = None
        self._sound: Any = None
        self._sound_kind: tuple[Any, ...] = ()
        self._dts = self._sound_dts = -1
        if isinstance(target, Path):
            options = {"movflags": "faststart"} if target.suffix.lower() == ".mp4" else {}
            self._container = av.open(for_ffmpeg(target), "w", options=options)
        else:
            self._container = av.open(target, "w", format="mp4")

    @property
    def empty(self) -> bool:
        """Whether no kind of pictures was chosen yet."""
        return self._stream is None

    def takes(self, stream: av.VideoStream, presentation: Presentation) -> bool:
        """Return whether pictures of this stream, shown so, fit behind those that are there; the first decides."""
        context = stream.codec_context
        kind = (context.name, context.width, context.height, context.extradata, presentation)
        if self._stream is None:
            self._kind = kind
            self._stream = add_stream(self._container, stream, presentation)
        return kind == self._kind

    def takes_sound(self, stream: av.AudioStream) -> bool:
        """Return whether sound of this stream fits too; the first decides, which must come before any picture."""
        context = stream.codec_context
        kind = (context.name, context.rate, context.layout.name, context.extradata)
        if self._sound is None and self._dts < 0 and not self._pieces:
            self._sound_kind = kind
            self._sound = self._container.add_stream_from_template(stream, opaque=True)
        return self._sound is not None and kind == self._sound_kind

    def takes_like(self, packet: Packet) -> bool:
        """Do the same for a stream that begins with this keyframe."""
        try:
            with readable(packet) as sample:
                return self.takes(sample.streams.video[0], packet.presentation)
        except DamagedError as error:
            raise OutputError("its first picture is damaged; try again in a few seconds") from error

    def add(self, piece: MuxPacket) -> None:
        """Add the next picture of a stream that it takes; raises OutputError where a file in memory grows too large."""
        if isinstance(self.target, Path):
            self._mux(piece)
            return
        self._bytes += len(piece.data)
        if self._bytes > MAX_CLIP_BYTES:
            raise OutputError(f"more than {MAX_CLIP_BYTES / 1e6:g} MB; ask for fewer seconds")
        self._pieces.append(piece)

    def __enter__(self) -> Remuxer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._finish()
                return
            except (OSError, ValueError, av.FFmpegError) as caught:
                error = caught
        with suppress(OSError, ValueError, av.FFmpegError):
            self._container.close()
        if isinstance(error, OSError | ValueError | av.FFmpegError) and not isinstance(error, OutputError):
            raise unwritable(self.target if isinstance(self.target, Path) else "it", error) from error

    def _finish(self) -> None:
        if self._pieces:
            self._container.options["moov_size"] = str(4096 + _INDEX_BYTES * len(self._pieces))
        for piece in self._pieces:
            self._mux(piece)
        self._container.close()

    def _mux(self, piece: MuxPacket) -> None:
        packet = av.Packet(piece.data)
        packet.time_base = Fraction(1, TICKS_PER_S)
        if piece.is_sound:
            packet.pts = packet.dts = self._sound_dts = max(self._sound_dts + 1, piece.dts)
            packet.stream = self._sound
        else:
            packet.dts = self._dts = max(self._dts + 1, piece.dts)
            packet.pts = max(packet.dts, piece.pts)
            packet.stream = self._stream
        packet.is_keyframe = piece.key
        self._container.mux_one(packet)
