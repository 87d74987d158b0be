"""Network streams and files through PyAV: RTSP, HTTP, HLS, MJPEG, RTMP, and whatever FFmpeg reads from disk."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, cast
from urllib.parse import urlsplit

import av
import av.container.core

from pipeline import redaction
from pipeline.address import parse as addresses
from pipeline.capture.bitstream import AnnexBRepacker
from pipeline.capture.decode.on_demand import OnDemandDecoder
from pipeline.capture.decode.pictures import Scalers, YuvPicture
from pipeline.capture.decode.timestamps import Timeline
from pipeline.capture.health.corruption import Complaints, CorruptionTracker, listen
from pipeline.capture.health.stall import StallTimeouts
from pipeline.capture.source import Sample
from pipeline.clock import Clock
from pipeline.config.root import Capture
from pipeline.errors import SourceError
from pipeline.frames import AS_CODED, Packet, Presentation

from .deadline import DeadlineClock, Patience, resolve
from .ffmpeg_errors import explain

MOST_PIXELS = 8192 * 8192
"""No picture may be larger, whatever a stream says of itself."""


def options(settings: Capture, scheme: str, *, live: bool, thorough: bool) -> dict[str, str]:
    """The options for an address with this scheme, or for a file where it is empty.

    `thorough` takes longer over learning the format, for cameras that do not describe it.
    """
    # Also for the decoder that learns the format, which would make room for pictures of any size.
    limits = {"max_pixels": str(MOST_PIXELS)}
    if not scheme:
        return limits
    # A net under Patience, in microseconds: longer than any wait that is allowed.
    longest = str(round(1e6 * (settings.open_timeout + max(settings.start_timeout, settings.read_timeout))))
    options = limits | {"timeout": longest, "rw_timeout": longest}
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


Packets = Generator["av.Packet[Any]", None, None]

_FINISHED = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".ts", ".mpg", ".mpeg", ".flv")

# See deadline.py; PyAV has no public way to end a wait.
setattr(av.container.core, "time", DeadlineClock())  # noqa: B010


class FfmpegSource:
    """A network stream or a file, read with FFmpeg."""

    gives_packets = True

    def __init__(self, source: str, settings: Capture, stopping: threading.Event | None = None) -> None:
        """Take an address or a path; once `stopping` is set, a blocked `open` or `read` ends within 0.2 s."""
        redaction.remember(source)
        self._source = source
        self._name = redaction.redacted(source)
        self._scheme = addresses.scheme(source) if addresses.kind(source) == "network" else ""
        self._settings = settings
        self._patience = Patience(stopping)
        self.local = not self._scheme
        self.live = not self.local and not self._finished()
        self.fps = 0.0
        self.description = ""
        self.corrupt = 0
        """Packets and pictures left out so far because they were damaged."""
        self.tap: Callable[[Packet], None] | None = None
        self.wanted: Callable[[], bool] | None = None
        self._container: av.container.InputContainer | None = None
        self._repacker = AnnexBRepacker()
        self._packets = _nothing()
        self._frames: deque[tuple[av.VideoFrame, float]] = deque()
        self._scalers = Scalers()
        self._pixel_aspect = AS_CODED.pixel_aspect
        self._in_pieces = False
        self._silence = StallTimeouts(settings)
        self._damage = CorruptionTracker()
        self._nap = OnDemandDecoder()
        self._timeline = Timeline(0.0)

    @classmethod
    def check(cls, address: str) -> None:
        """See at no cost whether a path can name a video; raises SourceError."""
        if addresses.kind(address) != "network":
            _check_file(address)

    @classmethod
    def from_address(
        cls, address: str, settings: Capture, stopping: threading.Event | None, clock: Clock | None
    ) -> FfmpegSource:
        """Make the source of an address or a path; cameras have their own time."""
        return cls(address, settings, stopping)

    def open(self) -> None:
        """Connect and learn the format, within open_timeout in all."""
        self.close()
        if self.local:
            _check_file(self._source)
        limit = time.monotonic() + self._settings.open_timeout
        with self._patience.until(limit):
            if not self.local and (host := urlsplit(self._name).hostname):
                try:
                    resolve(host, self._patience)
                except SourceError as error:
                    raise SourceError(f"{self._name}: {error}", error.reason) from None
            stream = self._connect(thorough=False)
            if stream.codec_context is not None and not stream.codec_context.width and self._scheme.startswith("rtsp"):
                self.close()
                stream = self._connect(thorough=True)
        self._prepare(stream)
        self._silence.opened(time.monotonic(), self.fps)

    def read(self) -> Sample | None:
        """The next picture; None at the end of a file, SourceError at the end of a live stream or after silence.

        The pictures of a live stream are marked where they are in doubt; time without a good one counts as silence.
        """
        while not self._frames:
            packet = self._next_packet()
            if packet is None:
                if self.live:
                    raise SourceError(f"{self._name}: the stream ended", "ended")
                return None
            left_out = self.corrupt
            self._tell(packet)
            if self.wanted is not None and not self._nap.decodes(packet, wanted=self.wanted()):
                if (sample := self._pass(packet)) is not None:
                    return sample
                continue
            self._decode(packet)
            if self.live and self._silence.started and self.corrupt > left_out and not self._frames:
                return Sample(None, None, 0.0, damaged=True)
        frame, spent = self._frames.popleft()
        seconds = frame.time if frame.pts is not None else None
        picture = YuvPicture(frame, self._scalers, self._pixel_aspect)
        if not self._silence.started:
            self._repacker.presentation = picture.presentation
        if self.live and self._damage.judge(frame):
            self.corrupt += 1
            return Sample(picture, seconds, spent, damaged=True)
        self._silence.picture(time.monotonic(), seconds)
        return Sample(picture, seconds if self.live else self._timeline.picture(seconds), spent)

    def close(self) -> None:
        """Hang up."""
        container, self._container = self._container, None
        if container is not None and container.streams.video and (decoder := container.streams.video[0].codec_context):
            # Its threads may be about to complain, for which they need the lock that PyAV holds while it frees them.
            decoder.flush_buffers()
        # Ends the limit of the read it stands in, which must not be left to judge the hanging up.
        self._packets.close()
        self._packets = _nothing()
        self._frames.clear()
        if container is not None:
            container.close()

    def _finished(self) -> bool:
        return self._scheme in ("http", "https") and urlsplit(self._name).path.lower().endswith(_FINISHED)

    def _connect(self, *, thorough: bool) -> av.VideoStream:
        # The prefix keeps a colon in a file's name from being read as a protocol.
        where = f"file:{self._source}" if self.local else addresses.connectable(self._source)
        told = options(self._settings, self._scheme, live=self.live, thorough=thorough)
        limits = (self._settings.open_timeout, max(self._settings.start_timeout, self._settings.read_timeout))
        try:
            container = av.open(where, options=told, timeout=limits)
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
        if decoder.width * decoder.height > MOST_PIXELS:
            size = f"{decoder.width}x{decoder.height}"
            self.close()
            raise SourceError(f"{self._name}: pictures of {size} are too large to be decoded", "unsupported")
        if self.live and (self._container.duration or 0) > 0 and self._scheme.startswith("http"):
            self.live = False
        # Frame threads hold back one picture each, which only files can afford, and only with cores to spare.
        cores = os.cpu_count() or 1
        decoder.thread_type = "SLICE" if self.live or cores <= 4 else "AUTO"
        decoder.thread_count = min(2 if self.live else 4, cores)
        decoder.options = {"max_pixels": str(MOST_PIXELS)}
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        self.fps = rate if 1 <= rate <= 240 else 0.0
        size = f" {decoder.width}x{decoder.height}" if decoder.width else ""
        how = f" over {self._settings.transport}" if self._scheme.startswith("rtsp") else ""
        pace = f" at {self.fps:.4g} fps" if self.fps and not self.live else ""
        self.description = f"{decoder.name}{size}{how}{pace}"
        self._pixel_aspect = stream.sample_aspect_ratio or AS_CODED.pixel_aspect
        presentation = Presentation(pixel_aspect=self._pixel_aspect)
        self._repacker = AnnexBRepacker(
            decoder.name, decoder.extradata or b"", live=self.live, presentation=presentation
        )
        # Such a stream comes in files of some seconds each, with silence between them.
        self._in_pieces = self._container.format.name in ("hls", "dash")
        self._damage = CorruptionTracker(decoder if self.live else None)
        self._nap = OnDemandDecoder(decoder)
        self._timeline = Timeline(self.fps, decoding_order=not self.live and self._container.format.name == "avi")
        self._packets = cast(Packets, self._container.demux(stream))

    def _next_packet(self) -> av.Packet[Any] | None:
        now = time.monotonic()
        if self.local:
            limit = now + 3600
        elif self.live:
            limit = self._silence.deadline(in_pieces=self._in_pieces)
        else:
            limit = now + self._settings.read_timeout
        kind = "undamaged picture" if self._damage.lasting else "picture"
        silence = f"no {kind} for {limit - self._silence.last:.2g} s"
        with self._patience.until(limit), self._listening() as heard:
            try:
                packet = next(self._packets, None)
            except (av.FFmpegError, OSError) as error:
                if self.live or not self._silence.started or self._patience.ended:
                    raise self._fault(error, silence) from None
                self.corrupt += 1
                return None
            # At the limit FFmpeg first gives back what it held of the last picture: old news by now.
            if self._patience.ended:
                raise self._fault(None, silence)
        if packet is not None:
            self._silence.data(time.monotonic())
            self._damage.packet(packet, heard)
        return packet

    def _listening(self) -> AbstractContextManager[Complaints]:
        return listen() if self.live and self._scheme.startswith("rtsp") else nullcontext(())

    def _tell(self, packet: av.Packet[Any]) -> None:
        if self.tap is not None and (repacked := self._repacker.take(packet, time.monotonic())) is not None:
            self.tap(repacked)

    def _pass(self, packet: av.Packet[Any]) -> Sample | None:
        """What a packet that is not decoded says by itself; None before the first keyframe and at the end."""
        if not self._nap.begun or not packet.size:
            return None
        seconds = self._nap.seconds(packet, live=self.live)
        picture, begun = None, time.monotonic()
        if packet.is_keyframe and not self._silence.started:
            with suppress(av.FFmpegError, ValueError):
                frame = next(iter(self._nap.alone(packet)), None)
                if frame is not None:
                    picture = YuvPicture(frame, self._scalers, self._pixel_aspect)
                    self._repacker.presentation = picture.presentation
        damaged = self.live and self._damage.judge_packet(packet)
        if damaged:
            self.corrupt += 1
        else:
            self._silence.picture(time.monotonic(), seconds)
        return Sample(picture, seconds, time.monotonic() - begun if picture else 0.0, damaged)

    def _decode(self, packet: av.Packet[Any]) -> None:
        begun = time.monotonic()
        self._timeline.packet(_seconds(packet))
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):
            self.corrupt += 1
            self._damage.refused()
            self._timeline.refused()
            return
        spent = (time.monotonic() - begun) / max(1, len(frames))
        for frame in frames:
            if isinstance(frame, av.VideoFrame):
                self._frames.append((frame, spent))
            else:
                self.corrupt += 1

    def _fault(self, error: Exception | None, silence: str) -> SourceError:
        if self._patience.stopping.is_set():
            return SourceError(f"{self._name}: stopped", "ended")
        if error is None or self._patience.ended:
            return SourceError(f"{self._name}: {silence}", "timed out")
        reason, words = explain(error, playing=self._silence.started)
        return SourceError(f"{self._name}: {words}", reason)


def _check_file(source: str) -> None:
    name = redaction.redacted(source)
    try:
        found = os.stat(source)
    except FileNotFoundError:
        # A row of pictures, such as street%03d.png, is no file by itself.
        if "%" not in source:
            raise SourceError(f"{name}: no such file", "not found") from None
        return
    except (OSError, ValueError):
        return
    if stat.S_ISDIR(found.st_mode):
        raise SourceError(f"{name}: this is a folder; name one video file in it", "unreadable")
    if stat.S_ISREG(found.st_mode) and not found.st_size:
        raise SourceError(f"{name}: the file is empty", "unreadable")


def _seconds(packet: av.Packet[Any]) -> float | None:
    if packet.pts is None or packet.time_base is None:
        return None
    return float(packet.pts * packet.time_base)


def _nothing() -> Packets:
    yield from ()
