"""The reader of streams and files with an eye on every packet, and an ear for FFmpeg's complaints."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av
import av.logging

from pipeline.capture.health.corruption import Complaints, listen
from pipeline.capture.sources.ffmpeg import FfmpegSource
from pipeline.clock import Clock
from pipeline.config.cameras import Capture
from pipeline.media.nal import PARAMETER_SETS, unit_type, units

from .timing import Arrival

_ERRORS = (
    ("lost packets", re.compile(r"RTP: missed (\d+) packets")),
    ("missing parameter sets", re.compile(r"non-existing [SPV]PS|[SPV]PS (id out of range|\d+ does not exist)")),
    ("missing references", re.compile(r"[Mm]issing reference|Could not find ref|unref short|co located POC|no frame!")),
    ("damaged pictures", re.compile(r"error while decoding|concealing|bytestream|left block unavailable|decode_slice")),
)
_LEVELS = {"h264": 10.0, "hevc": 30.0}


class PacketProbe(FfmpegSource):
    """The source that Lookout would read, with an eye on every packet."""

    def __init__(self, source: str, settings: Capture, stopping: threading.Event, clock: Clock) -> None:
        super().__init__(source, settings, stopping)
        self._clock = clock
        self.arrivals: list[Arrival] = []
        self.heard: list[tuple[int, str, str]] = []
        """What FFmpeg complained of."""
        self.b_frames = 0
        self.in_band: bool | None = None
        self.decoder: av.VideoCodecContext | None = None

    def sends(self) -> bool:
        """Tell whether a packet comes in time."""
        return self._next_packet() is not None

    def audio(self) -> tuple[str, ...]:
        """Return the codecs of the sound that is not left out from the start."""
        container = self._connection.container
        streams = container.streams.audio if container else ()
        return tuple(stream.codec_context.name for stream in streams if stream.codec_context)

    @property
    def level(self) -> str:
        """The level of H.264 or H.265, such as 4.1; empty where it is unknown."""
        if self.decoder is None or self.decoder.name not in _LEVELS or (self.decoder.level or 0) <= 0:
            return ""
        return f"{self.decoder.level / _LEVELS[self.decoder.name]:.1f}"

    @contextmanager
    def _listening(self) -> Iterator[Complaints]:
        with super()._listening() as heard:
            yield heard
        self.heard += heard

    def _prepare(self, stream: av.VideoStream, decoder: av.VideoCodecContext) -> None:
        super()._prepare(stream, decoder)
        self.decoder = decoder
        # FFmpeg's complaints are only heard from the thread that reads.
        self.decoder.thread_count = 1

    def _decode(self, packet: av.Packet[Any]) -> None:
        if packet.size:
            stamp = packet.dts if packet.pts is None else packet.pts
            pts = float(stamp * packet.time_base) if stamp is not None and packet.time_base else None
            self.arrivals.append(Arrival(self._clock.monotonic(), pts, packet.is_keyframe, packet.size))
            if packet.is_keyframe and not self.in_band and self.decoder and self.decoder.name in PARAMETER_SETS:
                codec = self.decoder.name
                self.in_band = any(unit_type(unit, codec) in PARAMETER_SETS[codec] for unit in units(bytes(packet)))
        with listen() as heard:
            super()._decode(packet)
        self.heard += heard
        self.b_frames += sum(frame.pict_type == av.video.frame.PictureType.B for frame, _ in self._frames)


def by_kind(heard: Complaints) -> dict[str, int]:
    """Count the complaints of each kind, and the packets lost."""
    counts: Counter[str] = Counter()
    for level, _, text in heard:
        for kind, pattern in _ERRORS:
            if match := pattern.search(text):
                counts[kind] += int(match[1]) if match.re.groups and (match[1] or "").isdigit() else 1
                break
        else:
            counts["other errors"] += level <= av.logging.ERROR
    return {kind: count for kind, count in counts.items() if count}
