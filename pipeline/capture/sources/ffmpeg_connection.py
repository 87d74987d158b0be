"""One address opened with FFmpeg: looked up, connected, and held to what can be decoded."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

import av
import av.container.core
from av.stream import Discard, Disposition

from pipeline.address import parse as addresses
from pipeline.capture.decode.packet_clock import has_no_times
from pipeline.clock import PROCESS
from pipeline.config.cameras import Capture
from pipeline.errors import SourceError
from pipeline.frames import MAX_PICTURE_PIXELS
from pipeline.redaction import redacted, remember

from .deadline import Deadline, DeadlineClock, resolve
from .ffmpeg_errors import explain

_NET_US = "2000000000"
"""The limit that FFmpeg itself is given, in microseconds: its longest, for only Deadline leaves pauses out."""
_LIMIT_S = int(_NET_US) / 1e6

_SIZELESS = frozenset({"hls", "dash", "mpjpeg"})
"""Formats whose size says nothing: a playlist has its own, and cameras that send pictures for ever invent one."""

_PLAIN_SCHEMES = ("http", "https", "tcp", "udp")
"""What brings bytes of any kind, so that FFmpeg has to guess."""
# FFmpeg would read a megabyte before it takes JPEG pictures for what they are, and then 25 of them as a row of files;
# nor is the rate of a camera waited for, which may send one picture a second.
_GUESS = {
    "formatprobesize": "65536",
    "fpsprobesize": "0",
    "max_ts_probe": "0",
    "format_whitelist": ",".join(sorted(av.formats_available - {"jpeg_pipe"})),
}

# See deadline.py; PyAV has no public way to end a wait.
setattr(av.container.core, "time", DeadlineClock())  # noqa: B010


class FfmpegConnection:
    """The container of one address, opened any number of times; used by one thread."""

    def __init__(self, address: str, settings: Capture, stopping: threading.Event | None) -> None:
        """Take an address or a path; once `stopping` is set, a call into FFmpeg ends within 0.2 s."""
        remember(address)
        self._pictures_alone = False
        """Whether the address is known to give JPEG pictures with anything between them."""
        self._settings = settings
        self.name = redacted(address)
        """The address as it may be shown."""
        self.scheme = addresses.scheme(address) if addresses.kind(address) == "network" else ""
        """Empty for a file."""
        self.local = not self.scheme
        """Whether it is a file of this machine."""
        self._address = addresses.local_path(address) if self.local else address
        self.live = not self.local
        """Whether it goes on by itself; of a network address only an answer shows that it does not."""
        self.deadline = Deadline(stopping)
        self.container: av.container.InputContainer | None = None
        self.finished = False
        """Whether the server has said where the stream ends, which for one picture means nothing."""
        self.sound = False
        """Whether to ask a camera for its sound too."""
        self.fps = 0.0
        """Declared frames a second, or 0 where unknown."""
        self.description = ""
        """What was negotiated; empty before opening."""

    def open(self, *, played: bool) -> tuple[av.VideoStream, av.VideoCodecContext]:
        """Connect and learn the format, within open_timeout in all; return the stream of pictures and its decoder.

        `played` says whether pictures came from the connection before. Raises SourceError; what is open must be closed
        before.
        """
        if self.local:
            check_file(self._address)
        with self.deadline.until(PROCESS.monotonic() + self._settings.open_timeout):
            if not self.local and (host := urlsplit(self.name).hostname):
                try:
                    resolve(host, self.deadline)
                except SourceError as error:
                    raise SourceError(f"{self.name}: {error}", error.reason) from None
            stream = self._connect(thorough=False, played=played)
            if stream.codec_context is not None and not stream.codec_context.width and self.scheme.startswith("rtsp"):
                self.close()
                stream = self._connect(thorough=True, played=played)
        decoder = self._decodable(stream)
        self._tune(decoder)
        self._describe(stream, decoder)
        return stream, decoder

    def close(self) -> None:
        """Hang up; harmless when called twice."""
        container, self.container = self.container, None
        if container is None:
            return
        for stream in container.streams.video:
            if decoder := stream.codec_context:
                # Its threads may be about to complain and need the lock for it that PyAV holds while it frees them.
                decoder.flush_buffers()
        container.close()

    def failure(self, error: Exception | None, silence: str, *, played: bool) -> SourceError:
        """Return what an error means; `silence` is for the words where there is none, or where it is the deadline's."""
        if self.deadline.stopping.is_set():
            return SourceError(f"{self.name}: stopped", "ended")
        if error is None or self.deadline.passed:
            return SourceError(f"{self.name}: {silence}", "timed out")
        reason, words = explain(error, playing=played, local=self.local)
        return SourceError(f"{self.name}: {words}", reason)

    @property
    def gives_one_picture(self) -> bool:
        """Whether what is open is a picture, or pictures in a row, rather than a film."""
        alone = self.format in ("mjpeg", "image2") or self.format.endswith("_pipe")
        return self.scheme.startswith("http") and alone

    @property
    def format(self) -> str:
        """FFmpeg's name of the container's format, such as rtsp, hls or avi; empty while closed."""
        return self.container.format.name if self.container is not None else ""

    def _connect(self, *, thorough: bool, played: bool) -> av.VideoStream:
        # The prefix keeps a colon in a file's name from being read as a protocol.
        where = f"file:{self._address}" if self.local else addresses.connectable(self._address)
        chosen = options(self._settings, self.scheme, live=self.live, thorough=thorough)
        silence = f"no answer within {self._settings.open_timeout:g} s"
        if self.sound and "allowed_media_types" in chosen:
            chosen["allowed_media_types"] = "video+audio"
        try:
            # The limit of PyAV is as far away as FFmpeg's own: only Deadline knows how long each wait may be.
            container = self._lenient(where, chosen)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self.failure(error, silence, played=played) from None
        self.container = container
        if self.deadline.passed:
            # What FFmpeg had learnt when it was cut off may be anything.
            self.close()
            raise self.failure(None, silence, played=played)
        if not container.streams.video:
            self.close()
            raise SourceError(f"{self.name}: there are no pictures in it", "unsupported")
        stream = chosen_stream(container.streams.video, self._settings.quality)
        # What nobody reads is not fetched either.
        for other in container.streams:
            if other is not stream and not (self.sound and other.type == "audio"):
                other.discard = Discard.all
        return stream

    def _lenient(self, where: str, chosen: dict[str, str]) -> av.container.InputContainer:
        """Open as FFmpeg does, or else look for JPEG pictures, whatever stands between them."""
        if not (self.live and self.scheme in _PLAIN_SCHEMES):
            return av.open(where, "r", options=chosen, timeout=_LIMIT_S)
        refused: Exception = av.InvalidDataError(0, "no pictures")
        with suppress(av.InvalidDataError, ValueError):
            try:
                if self._pictures_alone:
                    raise refused
                container = av.open(where, "r", options=chosen | _GUESS, timeout=_LIMIT_S)
                if container.format.name != "mpjpeg" or _width(container):
                    return container
                container.close()
            except (av.InvalidDataError, ValueError) as error:
                refused = error
            container = av.open(where, "r", format="mjpeg", options=chosen, timeout=_LIMIT_S)
            if _width(container):
                self._pictures_alone = True
                return container
            container.close()
        self._pictures_alone = False
        raise refused

    def _decodable(self, stream: av.VideoStream) -> av.VideoCodecContext:
        decoder = stream.codec_context
        if decoder is None:
            self.close()
            raise SourceError(f"{self.name}: its codec cannot be decoded; set the camera to H.264", "unsupported")
        if decoder.width * decoder.height > MAX_PICTURE_PIXELS:
            size = f"{decoder.width}x{decoder.height}"
            self.close()
            raise SourceError(f"{self.name}: pictures of {size} are too large to be decoded", "unsupported")
        return decoder

    def _tune(self, decoder: av.VideoCodecContext) -> None:
        assert self.container is not None
        self.finished = self._finished()
        if self.live and self.finished and not self.gives_one_picture:
            self.live = False
        # Frame threads hold back one picture each, which only files can afford, and only with cores to spare.
        cores = os.cpu_count() or 1
        decoder.thread_type = "SLICE" if self.live or cores <= 4 else "AUTO"
        decoder.thread_count = min(2 if self.live else 4, cores)
        decoder.options = {"max_pixels": str(MAX_PICTURE_PIXELS)}

    def _finished(self) -> bool:
        """Tell whether the server has said where the stream ends: nothing but a file over HTTP has a length."""
        assert self.container is not None
        if not self.scheme.startswith("http"):
            return False
        has_size = self.container.size > 0 and self.format not in _SIZELESS
        # That of MP4 is the sum of the pieces that came so far, of however many.
        has_duration = (self.container.duration or 0) > 0 and "mp4" not in self.format
        return has_size or has_duration

    def _describe(self, stream: av.VideoStream, decoder: av.VideoCodecContext) -> None:
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        if self.container is not None and has_no_times(self.container, live=self.live):
            # What FFmpeg says of such a stream is made up, unless the pictures themselves declare it.
            rate = float(decoder.framerate or (0 if self.live else rate))
        self.fps = rate if 1 <= rate <= 240 else 0.0
        size = f" {decoder.width}x{decoder.height}" if decoder.width else ""
        how = f" over {self._settings.transport}" if self.scheme.startswith("rtsp") else ""
        pace = f" at {self.fps:.4g} fps" if self.fps and not self.live else ""
        self.description = f"{decoder.name}{size}{how}{pace}"


def options(settings: Capture, scheme: str, *, live: bool, thorough: bool) -> dict[str, str]:
    """Return the options for an address with this scheme, or for a file where it is empty.

    `thorough` takes longer over learning the format, for cameras that do not describe it.
    """
    # Also for the decoder that learns the format, which would make room for pictures of any size.
    limits = {"max_pixels": str(MAX_PICTURE_PIXELS)}
    if not scheme:
        return limits
    options = limits | {"timeout": _NET_US, "rw_timeout": _NET_US}
    if live:
        options["analyzeduration"] = "1000000"
    # No nobuffer: it throws away what was read while probing, which is the keyframe many cameras start with.
    if scheme.startswith("rtsp"):
        udp = settings.transport == "udp"
        # FFmpeg tells of lost packets only where it queues; without loss the queue delays nothing.
        options |= {
            "rtsp_transport": settings.transport,
            "allowed_media_types": "video",
            "probesize": "1000000" if thorough else "32768",
            "analyzeduration": "2000000" if thorough else "100000",
            "fpsprobesize": "0",
            "max_delay": "100000" if udp else "0",
            "reorder_queue_size": "64" if udp else "8",
            "buffer_size": "1048576",
        }
    if scheme.startswith("rtmp"):
        options |= {"rtmp_live": "live", "rtmp_buffer": "100"}
    return options


def chosen_stream(streams: Sequence[av.VideoStream], quality: str) -> av.VideoStream:
    """Return the stream with the largest or the smallest pictures; covers, and what is not understood, come last."""

    def worth(stream: av.VideoStream) -> tuple[bool, bool, int, int]:
        pixels, rate = stream.width * stream.height, stream.bit_rate or 0
        sign = -1 if quality == "smallest" else 1
        cover = bool(stream.disposition & Disposition.attached_pic)
        return not cover, pixels > 0, sign * pixels, sign * rate

    return max((each for each in streams if each.codec_context is not None), key=worth, default=streams[0])


def _width(container: av.container.InputContainer) -> int:
    """Return the width of the pictures in pixels; 0 where there are none, or none that could be understood."""
    return container.streams.video[0].width if container.streams.video else 0


def check_file(source: str) -> None:
    """See at no cost whether a path can name a video; raises SourceError."""
    name = redacted(source)
    source = addresses.local_path(source)
    try:
        status = os.stat(source)
    except FileNotFoundError:
        # A row of pictures, such as street%03d.png, is no file by itself.
        if "%" not in source:
            raise SourceError(f"{name}: no such file", "not found") from None
        return
    except (OSError, ValueError):
        return
    if stat.S_ISDIR(status.st_mode):
        raise SourceError(f"{name}: this is a folder; name one video file in it", "unreadable")
    if stat.S_ISREG(status.st_mode) and not status.st_size:
        raise SourceError(f"{name}: the file is empty", "unreadable")
