"""The measuring of a source for a while: how it opens, what it sends, how it keeps time, and what goes wrong."""

from __future__ import annotations

import math
import os
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pipeline import redaction
from pipeline.address import parse as addresses
from pipeline.address.faults import parse
from pipeline.capture import open_source
from pipeline.capture.source import Source
from pipeline.capture.sources import source_class
from pipeline.capture.sources.deadline import Deadline, resolve
from pipeline.capture.sources.ffmpeg import FfmpegSource
from pipeline.capture.sources.ffmpeg_errors import REFUSED
from pipeline.clock import Clock
from pipeline.config.cameras import Capture
from pipeline.errors import SourceError
from pipeline.frames import Picture
from pipeline.stats.histogram import Histogram, Spread

from .packet_probe import PacketProbe, by_kind
from .rtsp_describe import RtspDescription, describe
from .timing import Arrival, StreamTiming, rhythm
from .v4l2 import Mode, offered

Progress = Callable[[float, str], None]

_DESCRIBE_S = 3.0
_TRIAL_S = 3.0
_GLANCE_S = 0.2
_HOPELESS = ("refused", "unauthorized", "not found", "unreachable")


@dataclass(slots=True)
class Measurement:
    """Everything that was learnt of one source; seconds unless named otherwise, None where it cannot be said."""

    kind: addresses.Kind
    live: bool = True
    error: str = ""
    """Why it gave no picture, or none any more; empty if all went well."""
    reason: str = ""
    """The error in one word, as in a camera's state."""
    measured: float = 0.0
    """From the first picture to the last read; 0 if none came."""
    open: float | None = None
    first_picture: float | None = None
    """From the beginning of opening."""
    transport: str = ""
    transports: dict[str, str] = field(default_factory=dict)
    """For tcp and udp: works, or why it does not."""
    said: RtspDescription | None = None
    """What the camera says of itself over RTSP."""
    negotiated: str = ""
    codec: str = ""
    profile: str = ""
    level: str = ""
    width: int = 0
    height: int = 0
    pixel_format: str = ""
    reorder: int = 0
    """Pictures that the decoder must hold back for B-frames."""
    b_frames: int = 0
    """Decoded pictures that were B-frames."""
    declared_fps: float | None = None
    rhythm: StreamTiming = field(default_factory=StreamTiming)
    decode: Spread = field(default_factory=lambda: Histogram().spread())
    """Milliseconds a picture, on one core."""
    in_band: bool | None = None
    """Whether parameter sets come with the pictures."""
    audio: tuple[str, ...] = ()
    corrupt: int = 0
    """Packets and pictures that could not be used."""
    errors: dict[str, int] = field(default_factory=dict)
    """What the decoder complained of after the first picture, by kind."""
    still: float = 0.0
    """Longest time in which the picture did not change at all."""
    load: float | None = None
    """Programs that wanted to run for each core of this machine, in the last minute."""
    device: str = ""
    modes: tuple[Mode, ...] = ()


def probe(
    address: str,
    settings: Capture,
    seconds: float,
    clock: Clock,
    stopping: threading.Event,
    progress: Progress = lambda share, doing: None,
) -> Measurement:
    """Measure the source at an address for so long; what fails is part of the answer."""
    redaction.remember(address)
    kind = _kind(address)
    measurement = Measurement(kind)
    rehearsed = bool(parse(address)[0])
    rtsp = kind == "network" and addresses.scheme(address).startswith("rtsp") and not rehearsed
    try:
        if rtsp:
            progress(0.0, "asking")
            measurement.transport = settings.transport
            _ask(address, measurement, stopping, clock)
        if kind == "webcam":
            real = addresses.inner(address)
            measurement.device, measurement.modes = offered(f"/dev/video{real}" if real.isdigit() else real)
        try:
            source = _source(address, settings, stopping, clock, rehearsed)
            _watch(source, measurement, seconds, clock, stopping, progress)
        except SourceError as error:
            described = measurement.said is not None and measurement.said.status == 200
            if not described or measurement.first_picture is not None or error.reason in _HOPELESS:
                raise
            measurement.transports[settings.transport] = error.reason
            measurement.transport = _other(settings.transport)
            changed = settings.model_copy(update={"transport": measurement.transport})
            try:
                _watch(PacketProbe(address, changed, stopping, clock), measurement, seconds, clock, stopping, progress)
            except SourceError as second:
                measurement.transports[measurement.transport] = second.reason
                if measurement.first_picture is None:
                    measurement.transport = settings.transport
                    raise error from None
                raise
    except SourceError as error:
        measurement.error, measurement.reason = str(error), error.reason
    spoilt = measurement.first_picture is None and measurement.corrupt > 0
    if rtsp and (measurement.first_picture is not None or spoilt):
        measurement.transports[measurement.transport] = "damaged" if spoilt else "works"
        if (other := _other(measurement.transport)) not in measurement.transports and not stopping.is_set():
            progress(1.0, f"trying {other}")
            measurement.transports[other] = _trial(address, settings, other, stopping, clock)
    return measurement


def _kind(address: str) -> addresses.Kind:
    """Tell which sort of source is measured; a scheme that no plug-in knows names a file."""
    kind = addresses.kind(address)
    try:
        return "file" if kind == "plugin" and source_class(address) is FfmpegSource else kind
    except SourceError:
        return kind


def _source(address: str, settings: Capture, stopping: threading.Event, clock: Clock, rehearsed: bool) -> Source:
    if not rehearsed and source_class(address) is FfmpegSource:
        return PacketProbe(address, settings, stopping, clock)
    return open_source(address, settings, stopping, clock)


def _ask(address: str, measurement: Measurement, stopping: threading.Event, clock: Clock) -> None:
    """Let the camera describe itself; SourceError where that already shows that no picture will come."""
    name = redaction.redacted(address)
    deadline = Deadline(stopping)
    host = urlsplit(name).hostname
    with deadline.until(clock.monotonic() + _DESCRIBE_S):
        if host:
            resolve(host, deadline)
    measurement.said = describe(address, _DESCRIBE_S)
    if measurement.said.protocol == "rtsp" and measurement.said.status in (401, 403):
        raise SourceError(f"{name}: {REFUSED}", "unauthorized")
    if measurement.said.protocol == "rtsp" and measurement.said.status == 404:
        raise SourceError(f"{name}: there is no such stream", "not found")
    if measurement.said.protocol in ("http", "other"):
        raise SourceError(f"{name}: this port does not speak RTSP", "unsupported")
    measurement.audio = measurement.said.audio


def _watch(
    source: Source,
    measurement: Measurement,
    seconds: float,
    clock: Clock,
    stopping: threading.Event,
    progress: Progress,
) -> None:
    begun = clock.monotonic()
    first: float | None = None
    decode = Histogram()
    arrivals: list[Arrival] = []
    glance = _Glance()
    before = 0
    try:
        source.open()
        measurement.open = clock.monotonic() - begun
        # Opening and the first picture have limits of their own; a slow machine must not use up the measuring.
        limit = math.inf
        while (now := clock.monotonic()) < limit and not stopping.is_set():
            progress(*(0.0, "opening") if first is None else ((now - first) / seconds, "measuring"))
            sample = source.read()
            if sample is None:
                break
            at = clock.monotonic()
            if first is None:
                first, limit = at, at + seconds
            arrivals.append(Arrival(at, sample.pts))
            measurement.corrupt += sample.damaged
            if sample.damaged or sample.picture is None:
                continue
            if measurement.first_picture is None:
                measurement.first_picture = at - begun
                first, limit = at, at + seconds
                before = len(source.heard) if isinstance(source, PacketProbe) else 0
                measurement.width, measurement.height = sample.picture.width, sample.picture.height
            decode.add(sample.decode)
            glance.at(sample.picture, at if source.live else sample.pts or 0.0)
    finally:
        measurement.live = source.live
        measurement.measured = 0.0 if measurement.first_picture is None or first is None else clock.monotonic() - first
        measurement.load = os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else None
        measurement.negotiated = source.description
        measurement.declared_fps = (measurement.said.fps if measurement.said else 0.0) or source.fps or None
        measurement.decode, measurement.still = decode.spread(), glance.still
        if isinstance(source, PacketProbe):
            arrivals = source.arrivals
            _format(source, measurement)
            measurement.errors = by_kind(source.heard[before:])
        measurement.rhythm = rhythm(arrivals, live=source.live)
        source.close()


def _format(source: PacketProbe, measurement: Measurement) -> None:
    measurement.b_frames, measurement.in_band = source.b_frames, source.in_band
    measurement.audio = measurement.audio or source.audio()
    decoder = source.decoder
    if decoder is None:
        return
    measurement.codec, measurement.profile = decoder.name, decoder.profile or ""
    measurement.pixel_format = decoder.pix_fmt or ""
    measurement.level = source.level
    measurement.reorder = decoder.reorder_depth or int(decoder.has_b_frames)


class _Glance:
    """The watch for still pictures, by a small copy now and then."""

    def __init__(self) -> None:
        self.still = 0.0
        self._seen: int | None = None
        self._since = self._last = 0.0

    def at(self, picture: Picture, now: float) -> None:
        """Compare with the last one, unless that was a moment ago."""
        if self._seen is not None and 0 <= now - self._last < _GLANCE_S:
            return
        seen = zlib.crc32(picture.resized(96, 54).tobytes())
        if seen != self._seen or now < self._last:
            self._seen, self._since = seen, now
        self._last = now
        self.still = max(self.still, now - self._since)


def _trial(address: str, settings: Capture, transport: str, stopping: threading.Event, clock: Clock) -> str:
    short = {"transport": transport, "open_timeout": _TRIAL_S, "start_timeout": _TRIAL_S}
    source = PacketProbe(address, settings.model_copy(update=short), stopping, clock)
    try:
        source.open()
        return "works" if source.sends() else "ended"
    except SourceError as error:
        return error.reason
    finally:
        source.close()


def _other(transport: str) -> str:
    return "udp" if transport == "tcp" else "tcp"
