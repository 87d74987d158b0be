"""Network streams and files through PyAV: RTSP, HTTP, HLS, MJPEG, RTMP, and whatever FFmpeg reads from disk."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, cast

import av

from pipeline.address.parse import kind
from pipeline.capture.bitstream import AnnexBRepacker
from pipeline.capture.decode.on_demand import OnDemandDecoder
from pipeline.capture.decode.packet_clock import PacketClock
from pipeline.capture.decode.pictures import Scalers, Timeline, YuvPicture, refusal
from pipeline.capture.decode.presentation_tracker import PresentationTracker
from pipeline.capture.health.corruption import Complaints, CorruptionTracker, listen
from pipeline.capture.health.stall import StallTimeouts
from pipeline.capture.sound import SoundReader
from pipeline.capture.source import Sample
from pipeline.clock import PROCESS, Clock
from pipeline.config.cameras import Capture
from pipeline.errors import SourceError
from pipeline.frames import Packet, Sound

from .ffmpeg_connection import FfmpegConnection, check_file

Packets = Generator["av.Packet[Any]", None, None]

_FILE_WAIT_S = 3600.0
_SNAPSHOTS_FPS = 1.0
"""How often an address is asked again that gives one picture at a time."""


class FfmpegSource:
    """A network stream or a file, read with FFmpeg."""

    gives_packets = True

    def __init__(self, source: str, settings: Capture, stopping: threading.Event | None = None) -> None:
        """Take an address or a path; once `stopping` is set, a blocked `open` or `read` ends within 0.2 s."""
        self._connection = FfmpegConnection(source, settings, stopping)
        self._settings = settings
        self.local = self._connection.local
        self.live = self._connection.live
        self.fps = 0.0
        self.description = ""
        self.corrupt = 0
        """Packets and pictures left out so far because they were damaged."""
        self.tap: Callable[[Packet], None] | None = None
        self.wanted: Callable[[], bool] | None = None
        self.sound_tap: Callable[[Sound], None] | None = None
        self._sound: SoundReader | None = None
        self._repacker = AnnexBRepacker()
        self._packets = _nothing()
        self._frames: deque[tuple[av.VideoFrame, float]] = deque()
        self._scalers = Scalers()
        self._presentations = PresentationTracker()
        self._in_pieces = False
        self._stall = StallTimeouts(settings)
        self._corruption = CorruptionTracker()
        self._on_demand = OnDemandDecoder()
        self._timeline = Timeline(0.0)
        self._packet_clock = PacketClock(live=self.live)
        self._asked = 0.0
        self._read_count = 0

    @classmethod
    def check(cls, address: str) -> None:
        """See at no cost whether a path can name a video; raises SourceError."""
        if kind(address) != "network":
            check_file(address)

    @classmethod
    def from_address(
        cls, address: str, settings: Capture, stopping: threading.Event | None, clock: Clock | None
    ) -> FfmpegSource:
        """Make the source of an address or a path; cameras have their own time."""
        return cls(address, settings, stopping)

    def open(self) -> None:
        """Connect and learn the format, within open_timeout in all."""
        self.close()
        self._connection.sound = self.sound_tap is not None
        self._asked = PROCESS.monotonic()
        stream, decoder = self._connection.open(played=self._stall.started)
        self.live, self.fps = self._connection.live, self._connection.fps
        self.description = self._connection.description
        self._prepare(stream, decoder)
        self._stall.opened(PROCESS.monotonic(), self.fps)

    def read(self) -> Sample | None:
        """Return the next picture; None at the end of a file, SourceError at the end of a live stream or after silence.

        The pictures of a live stream are marked where they are in doubt; time without a good one counts as silence.
        """
        while not self._frames:
            packet = self._next_packet()
            if packet is None:
                if self.live and self._read_count == 1 and self._connection.gives_one_picture:
                    self._await_the_next_snapshot()
                    continue
                if self.live and not (self._connection.finished and self._read_count > 1):
                    raise SourceError(f"{self._connection.name}: the stream ended", "ended")
                return None
            left_out = self.corrupt
            self._presentations.packet(packet)
            self._tap_packet(packet)
            if self.wanted is not None and not self._on_demand.decodes(packet, wanted=self.wanted()):
                if (sample := self._undecoded(packet)) is not None:
                    return sample
                continue
            self._decode(packet)
            if self.live and self._stall.started and self.corrupt > left_out and not self._frames:
                return Sample(None, None, 0.0, damaged=True)
        frame, spent = self._frames.popleft()
        self._hold_to_what_can_be_shown(frame)
        seconds = frame.time if frame.pts is not None else None
        picture = YuvPicture(frame, self._scalers, self._presentations.of_picture(frame))
        if self.live and self._corruption.judge(frame):
            self.corrupt += 1
            return Sample(picture, seconds, spent, damaged=True)
        self._stall.picture(PROCESS.monotonic(), seconds)
        # Only those of a camera that says its times itself may jump, or be missing.
        timed = self.live and not self._packet_clock.needed
        return Sample(picture, seconds if timed else self._timeline.picture(seconds), spent)

    def close(self) -> None:
        """Hang up."""
        # Ends the limit of the read it stands in, which must not be left to judge the hanging up.
        self._packets.close()
        self._packets = _nothing()
        self._frames.clear()
        self._connection.close()

    def _await_the_next_snapshot(self) -> None:
        """Ask an address again that gives one picture each time; raises SourceError."""
        pause = 1 / (self._settings.fps or _SNAPSHOTS_FPS)
        self._connection.deadline.stopping.wait(max(0.0, self._asked + pause - PROCESS.monotonic()))
        self.open()

    def _hold_to_what_can_be_shown(self, frame: av.VideoFrame) -> None:
        if words := refusal(frame):
            raise SourceError(f"{self._connection.name}: {words}; record or set it as H.264", "unsupported")

    def _prepare(self, stream: av.VideoStream, decoder: av.VideoCodecContext) -> None:
        """Begin anew with what follows the packets of this connection."""
        assert self._connection.container is not None
        self._presentations = PresentationTracker(self._settings, stream, decoder)
        self._repacker = AnnexBRepacker(
            decoder.name, decoder.extradata or b"", live=self.live, presentations=self._presentations
        )
        # Such a stream comes in files of some seconds each, with silence between them.
        self._in_pieces = self._connection.format in ("hls", "dash")
        self._corruption = CorruptionTracker(decoder if self.live else None)
        self._on_demand = OnDemandDecoder(decoder)
        self._packet_clock = PacketClock(self._connection.container, self.fps, live=self.live)
        overtaken = self._packet_clock.needed and decoder.has_b_frames
        in_order = not self.live and self._connection.format == "avi"
        self._timeline = Timeline(self.fps, decoding_order=in_order or overtaken)
        self._read_count = 0
        sounds = self._connection.container.streams.audio[:1] if self.sound_tap is not None else ()
        self._sound = SoundReader(sounds[0]) if sounds else None
        self._packets = cast(Packets, self._connection.container.demux(stream, *sounds))

    def _next_packet(self) -> av.Packet[Any] | None:
        now = PROCESS.monotonic()
        if self.local:
            limit = now + _FILE_WAIT_S
        elif self.live:
            limit = self._stall.deadline(in_pieces=self._in_pieces)
        else:
            limit = now + self._settings.read_timeout
        wanting = "undamaged picture" if self._corruption.lasting else "picture"
        silence = f"no {wanting} for {limit - self._stall.last:.2g} s"
        with self._connection.deadline.until(limit), self._listening() as heard:
            try:
                packet = next(self._packets, None)
                while packet is not None and self._is_sound(packet):
                    packet = next(self._packets, None)
            except (av.FFmpegError, OSError) as error:
                if self.live or not self._stall.started or self._connection.deadline.passed:
                    raise self._connection.failure(error, silence, played=self._stall.started) from None
                self.corrupt += 1
                return None
            # At the limit FFmpeg first gives back what it held of the last picture: old news by now.
            if self._connection.deadline.passed:
                raise self._connection.failure(None, silence, played=self._stall.started)
        if packet is not None:
            self._read_count += packet.size > 0
            self._packet_clock.stamp(packet, PROCESS.monotonic())
            self._stall.data(PROCESS.monotonic())
            self._corruption.packet(packet, heard)
        return packet

    def _is_sound(self, packet: av.Packet[Any]) -> bool:
        """Pass a packet on if it is sound; return whether it is. It says nothing of how the pictures are."""
        if self._sound is None or packet.stream.type != "audio":
            return False
        sound = self._sound.take(packet, PROCESS.monotonic())
        if sound is not None and self.sound_tap is not None:
            self.sound_tap(sound)
        return True

    def _listening(self) -> AbstractContextManager[Complaints]:
        return listen() if self.live and self._connection.scheme.startswith("rtsp") else nullcontext(())

    def _tap_packet(self, packet: av.Packet[Any]) -> None:
        if self.tap is None:
            return
        if packet.is_keyframe and packet.size and not self._presentations.declared:
            # What the container says of how packets are shown is told by nothing but a picture of its decoder.
            with suppress(av.FFmpegError, ValueError):
                for frame in self._on_demand.alone(packet):
                    self._presentations.picture(frame)
                    self._repacker.learn(frame, packet.stream.codec_context)
        if (repacked := self._repacker.take(packet, PROCESS.monotonic())) is not None:
            self.tap(repacked)

    def _undecoded(self, packet: av.Packet[Any]) -> Sample | None:
        """Return what a packet that is not decoded says by itself; None before the first keyframe and at the end."""
        if not self._on_demand.begun or not packet.size:
            return None
        seconds = self._on_demand.seconds(packet, live=self.live)
        picture, begun = None, PROCESS.monotonic()
        if packet.is_keyframe and not self._stall.started:
            with suppress(av.FFmpegError, ValueError):
                frame = next(iter(self._on_demand.alone(packet)), None)
                if frame is not None and not refusal(frame):
                    picture = YuvPicture(frame, self._scalers, self._presentations.of_picture(frame))
        damaged = self.live and self._corruption.judge_packet(packet)
        if damaged:
            self.corrupt += 1
        else:
            self._stall.picture(PROCESS.monotonic(), seconds)
        return Sample(picture, seconds, PROCESS.monotonic() - begun if picture else 0.0, damaged)

    def _decode(self, packet: av.Packet[Any]) -> None:
        begun = PROCESS.monotonic()
        self._timeline.packet(_seconds(packet))
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):
            self.corrupt += 1
            self._corruption.refused()
            self._timeline.refused()
            return
        spent = (PROCESS.monotonic() - begun) / max(1, len(frames))
        for frame in frames:
            if isinstance(frame, av.VideoFrame):
                self._frames.append((frame, spent))
            else:
                self.corrupt += 1


def _seconds(packet: av.Packet[Any]) -> float | None:
    if packet.pts is None or packet.time_base is None:
        return None
    return float(packet.pts * packet.time_base)


def _nothing() -> Packets:
    yield from ()
