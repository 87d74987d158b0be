"""Measures a source for a while: how it opens, what it sends, how it keeps time, and what goes wrong on the way."""

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
from pipeline.clock import Clock
from pipeline.config.root import Capture
from pipeline.errors import SourceError
from pipeline.frames import Picture
from pipeline.stats.histogram import Histogram, Spread

from .packet_probe import PacketProbe, by_kind
from .rtsp_describe import RtspDescription, describe
from .timing import Arrival, StreamTiming, rhythm
from .v4l2 import Mode, offered

Progress = Callable[[float, str], None]

_DESCRIBE = 3.0
_TRIAL = 3.0
_GLANCE = 0.2
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
    kind = addresses.kind(address)
    found = Measurement(kind)
    rehearsed = bool(parse(address)[0])
    rtsp = kind == "network" and addresses.scheme(address).startswith("rtsp") and not rehearsed
    try:
        if rtsp:
            progress(0.0, "asking")
            found.transport = settings.transport
            _ask(address, found, stopping, clock)
        if kind == "webcam":
            real = addresses.inner(address)
            found.device, found.modes = offered(f"/dev/video{real}" if real.isdigit() else real)
        try:
            _watch(_source(address, settings, stopping, clock, rehearsed), found, seconds, clock, stopping, progress)
        except SourceError as error:
            described = found.said is not None and found.said.status == 200
            if not described or found.first_picture is not None or error.reason in _HOPELESS:
                raise
            found.transports[settings.transport] = error.reason
            found.transport = _other(settings.transport)
            changed = settings.model_copy(update={"transport": found.transport})
            try:
                _watch(PacketProbe(address, changed, stopping, clock), found, seconds, clock, stopping, progress)
            except SourceError as second:
                found.transports[found.transport] = second.reason
                if found.first_picture is None:
                    found.transport = settings.transport
                    raise error from None
                raise
    except SourceError as error:
        found.error, found.reason = str(error), error.reason
    spoilt = found.first_picture is None and found.corrupt > 0
    if rtsp and (found.first_picture is not None or spoilt):
        found.transports[found.transport] = "damaged" if spoilt else "works"
        if (other := _other(found.transport)) not in found.transports and not stopping.is_set():
            progress(1.0, f"trying {other}")
            found.transports[other] = _trial(address, settings, other, stopping, clock)
    return found


def _source(address: str, settings: Capture, stopping: threading.Event, clock: Clock, rehearsed: bool) -> Source:
    if not rehearsed and source_class(address) is FfmpegSource:
        return PacketProbe(address, settings, stopping, clock)
    return open_source(address, settings, stopping, clock)


def _ask(address: str, found: Measurement, stopping: threading.Event, clock: Clock) -> None:
    """Let the camera describe itself; SourceError where that already shows that no picture will come."""
    name = redaction.redacted(address)
    deadline = Deadline(stopping)
    host = urlsplit(name).hostname
    with deadline.until(clock.monotonic() + _DESCRIBE):
        if host:
            resolve(host, deadline)
    found.said = describe(address, _DESCRIBE)
    if found.said.protocol == "rtsp" and found.said.status in (401, 403):
        raise SourceError(f"{name}: user or password are wrong or missing", "unauthorized")
    if found.said.protocol == "rtsp" and found.said.status == 404:
        raise SourceError(f"{name}: there is no such stream", "not found")
    if found.said.protocol in ("http", "other"):
        raise SourceError(f"{name}: this port does not speak RTSP", "unsupported")
    found.audio = found.said.audio


def _watch(
    source: Source,
    found: Measurement,
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
        found.open = clock.monotonic() - begun
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
            found.corrupt += sample.damaged
            if sample.damaged or sample.picture is None:
                continue
            if found.first_picture is None:
                found.first_picture = at - begun
                first, limit = at, at + seconds
                before = len(source.heard) if isinstance(source, PacketProbe) else 0
                found.width, found.height = sample.picture.width, sample.picture.height
            decode.add(sample.decode)
            glance.at(sample.picture, at if source.live else sample.pts or 0.0)
    finally:
        found.live = source.live
        found.measured = 0.0 if found.first_picture is None or first is None else clock.monotonic() - first
        found.load = os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else None
        found.negotiated = source.description
        found.declared_fps = (found.said.fps if found.said else 0.0) or source.fps or None
        found.decode, found.still = decode.spread(), glance.still
        if isinstance(source, PacketProbe):
            arrivals = source.arrivals
            _format(source, found)
            found.errors = by_kind(source.heard[before:])
        found.rhythm = rhythm(arrivals, live=source.live)
        source.close()


def _format(source: PacketProbe, found: Measurement) -> None:
    found.b_frames, found.in_band = source.b_frames, source.in_band
    found.audio = found.audio or source.audio()
    decoder = source.decoder
    if decoder is None:
        return
    found.codec, found.profile, found.pixel_format = decoder.name, decoder.profile or "", decoder.pix_fmt or ""
    found.level = source.level
    found.reorder = decoder.reorder_depth or int(decoder.has_b_frames)


class _Glance:
    """Looks at a small copy of the picture now and then."""

    def __init__(self) -> None:
        self.still = 0.0
        self._seen: int | None = None
        self._since = self._last = 0.0

    def at(self, picture: Picture, now: float) -> None:
        """Compare with the last one, unless that was a moment ago."""
        if self._seen is not None and 0 <= now - self._last < _GLANCE:
            return
        seen = zlib.crc32(picture.resized(96, 54).tobytes())
        if seen != self._seen or now < self._last:
            self._seen, self._since = seen, now
        self._last = now
        self.still = max(self.still, now - self._since)


def _trial(address: str, settings: Capture, transport: str, stopping: threading.Event, clock: Clock) -> str:
    short = {"transport": transport, "open_timeout": _TRIAL, "start_timeout": _TRIAL}
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
