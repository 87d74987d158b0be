"""Network streams and files through PyAV: RTSP, HTTP, HLS, MJPEG, RTMP, and whatever FFmpeg reads from disk."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import av
import av.container.core

from .. import address
from ..config import Capture
from ..errors import SourceError
from ..frames import Packet
from .faults import explain
from .patience import Patience, PatientClock, resolve
from .repacker import Repacker
from .source import Sample
from .yuv import Scalers, YuvPicture

Packets = Generator["av.Packet[Any]", None, None]

_MOST_PIXELS = 8192 * 8192
_FINISHED = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".ts", ".mpg", ".mpeg", ".flv")

# See patience.py; PyAV has no public way to end a wait.
setattr(av.container.core, "time", PatientClock())  # noqa: B010


class FfmpegSource:
    """A network stream or a file, read with FFmpeg."""

    def __init__(self, source: str, settings: Capture, stopping: threading.Event | None = None) -> None:
        """Take an address or a path; once `stopping` is set, a blocked `open` or `read` ends within 0.2 s."""
        address.remember(source)
        self._source = source
        self._name = address.redacted(source)
        self._scheme = address.scheme(source) if address.kind(source) == "network" else ""
        self._settings = settings
        self._patience = Patience(stopping)
        self.local = not self._scheme
        self.live = not self.local and not self._finished()
        self.fps = 0.0
        self.description = ""
        self.corrupt = 0
        """Packets and pictures left out so far because they were damaged."""
        self.tap: Callable[[Packet], None] | None = None
        self._container: av.container.InputContainer | None = None
        self._repacker = Repacker()
        self._packets = _nothing()
        self._frames: deque[tuple[av.VideoFrame, float]] = deque()
        self._scalers = Scalers()
        self._started = self._in_pieces = False
        self._last = 0.0

    def open(self) -> None:
        """Connect and learn the format, within open_timeout in all."""
        self.close()
        if self.local:
            self._check_file()
        limit = time.monotonic() + self._settings.open_timeout
        with self._patience.until(limit):
            if not self.local and (host := urlsplit(self._name).hostname):
                try:
                    resolve(host, self._patience)
                except SourceError as error:
                    raise SourceError(f"{self._name}: {error}", error.reason) from None
            stream = self._connect(self._options(thorough=False))
            if stream.codec_context is not None and not stream.codec_context.width and self._scheme.startswith("rtsp"):
                self.close()
                stream = self._connect(self._options(thorough=True))
        self._prepare(stream)
        self._started, self._last = False, time.monotonic()

    def read(self) -> Sample | None:
        """The next picture; None at the end of a file, SourceError at the end of a live stream or after silence."""
        while not self._frames:
            packet = self._next_packet()
            if packet is None:
                if self.live:
                    raise SourceError(f"{self._name}: the stream ended", "ended")
                return None
            self._decode(packet)
        frame, spent = self._frames.popleft()
        self._started, self._last = True, time.monotonic()
        return Sample(YuvPicture(frame, self._scalers), frame.time if frame.pts is not None else None, spent)

    def close(self) -> None:
        """Hang up."""
        container, self._container = self._container, None
        # Ends the limit of the read it stands in, which must not be left to judge the hanging up.
        self._packets.close()
        self._packets = _nothing()
        self._frames.clear()
        if container is not None:
            container.close()

    def _finished(self) -> bool:
        return self._scheme in ("http", "https") and urlsplit(self._name).path.lower().endswith(_FINISHED)

    def _check_file(self) -> None:
        path = Path(self._source)
        if path.is_dir():
            raise SourceError(f"{self._name}: this is a folder; name one video file in it", "unreadable")
        if path.is_file() and not path.stat().st_size:
            raise SourceError(f"{self._name}: the file is empty", "unreadable")

    def _options(self, *, thorough: bool) -> dict[str, str]:
        settings = self._settings
        if self.local:
            return {}
        # A net under Patience, in microseconds: longer than any wait that is allowed.
        longest = str(round(1e6 * (settings.open_timeout + max(settings.start_timeout, settings.read_timeout))))
        options = {"timeout": longest, "rw_timeout": longest}
        if self.live:
            options["analyzeduration"] = "1000000"
        # No nobuffer: it throws away what was read while probing, which is the keyframe many cameras start with.
        if self._scheme.startswith("rtsp"):
            udp = settings.transport == "udp"
            options |= {
                "rtsp_transport": settings.transport,
                "allowed_media_types": "video",
                "probesize": "1000000" if thorough else "32768",
                "analyzeduration": "2000000" if thorough else "100000",
                "fpsprobesize": "0",
                "max_delay": "100000" if udp else "0",
                "reorder_queue_size": "64" if udp else "0",
                "buffer_size": "1048576",
            }
        if self._scheme.startswith("rtmp"):
            options |= {"rtmp_live": "live", "rtmp_buffer": "100"}
        return options

    def _connect(self, options: dict[str, str]) -> av.VideoStream:
        # The prefix keeps a colon in a file's name from being read as a protocol.
        where = f"file:{self._source}" if self.local else address.connectable(self._source)
        limits = (self._settings.open_timeout, max(self._settings.start_timeout, self._settings.read_timeout))
        try:
            container = av.open(where, options=options, timeout=limits)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._fault(error, f"no answer within {self._settings.open_timeout:g} s") from None
        self._container = container
        if not container.streams.video:
            self.close()
            raise SourceError(f"{self._name}: there are no pictures in it", "unsupported")
        return container.streams.video[0]

    def _prepare(self, stream: av.VideoStream) -> None:
        assert self._container is not None
        decoder = stream.codec_context
        if decoder is None:
            self.close()
            raise SourceError(f"{self._name}: its codec cannot be decoded; set the camera to H.264", "unsupported")
        if self.live and (self._container.duration or 0) > 0 and self._scheme.startswith("http"):
            self.live = False
        # Frame threads hold back one picture each, which only files can afford, and only with cores to spare.
        cores = os.cpu_count() or 1
        decoder.thread_type = "SLICE" if self.live or cores <= 4 else "AUTO"
        decoder.thread_count = min(2 if self.live else 4, cores)
        decoder.options = {"max_pixels": str(_MOST_PIXELS)}
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        self.fps = rate if 1 <= rate <= 240 else 0.0
        size = f" {decoder.width}x{decoder.height}" if decoder.width else ""
        how = f" over {self._settings.transport}" if self._scheme.startswith("rtsp") else ""
        pace = f" at {self.fps:.4g} fps" if self.fps and not self.live else ""
        self.description = f"{decoder.name}{size}{how}{pace}"
        self._repacker = Repacker(decoder.name, decoder.extradata or b"", live=self.live)
        # Such a stream comes in files of some seconds each, with silence between them.
        self._in_pieces = self._container.format.name in ("hls", "dash")
        self._packets = cast(Packets, self._container.demux(stream))

    def _next_packet(self) -> av.Packet[Any] | None:
        settings = self._settings
        now = time.monotonic()
        limit = now + settings.read_timeout
        if self.local:
            limit = now + 3600
        elif self.live and (not self._started or self._in_pieces):
            limit = self._last + settings.start_timeout
        elif self.live:
            limit = min(limit, self._last + settings.stall_timeout)
        silence = f"no picture for {limit - self._last:.2g} s"
        with self._patience.until(limit):
            try:
                packet = next(self._packets, None)
            except (av.FFmpegError, OSError) as error:
                if self.live or not self._started or self._patience.ended:
                    raise self._fault(error, silence) from None
                self.corrupt += 1
                return None
            # At the limit FFmpeg first gives back what it held of the last picture: old news by now.
            if self._patience.ended:
                raise self._fault(None, silence)
        return packet

    def _decode(self, packet: av.Packet[Any]) -> None:
        begun = time.monotonic()
        if self.tap is not None and (repacked := self._repacker.take(packet, begun)) is not None:
            self.tap(repacked)
            begun = time.monotonic()
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):
            self.corrupt += 1
            return
        spent = (time.monotonic() - begun) / max(1, len(frames))
        for frame in frames:
            if isinstance(frame, av.VideoFrame) and not (self.live and frame.is_corrupt):
                self._frames.append((frame, spent))
            else:
                self.corrupt += 1

    def _fault(self, error: Exception | None, silence: str) -> SourceError:
        if self._patience.stopping.is_set():
            return SourceError(f"{self._name}: stopped", "ended")
        if error is None or self._patience.ended:
            return SourceError(f"{self._name}: {silence}", "timed out")
        reason, words = explain(error, playing=self._started)
        return SourceError(f"{self._name}: {words}", reason)


def _nothing() -> Packets:
    yield from ()
