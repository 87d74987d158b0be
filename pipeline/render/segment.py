"""One video file of compressed pictures, playable up to the last second however the program ends."""

from __future__ import annotations

import io
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av

from ..errors import OutputError
from ..frames import Packet
from .encoder import TICKS
from .paths import unwritable

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
CODECS = ("h264", "hevc", "mjpeg")
"""What can be written without encoding it anew."""

_LONGEST_STEP = 10.0


class Segment:
    """A file that starts with a keyframe; OutputError once it cannot be written any more."""

    def __init__(self, path: Path, first: Packet) -> None:
        """Make the file for the kind of pictures that `first`, a keyframe, is."""
        self.path = path
        self.size = 0
        """Bytes of pictures so far."""
        self.seconds = 0.0
        """From the first picture to the newest."""
        self.first = first
        self._base: float | None = None
        self._interval = 1 / 30
        self._previous = -1
        try:
            with av.open(io.BytesIO(first.data), format=first.codec) as sample:
                self._container = av.open(str(path), "w", options=MUXERS[path.suffix.lower()])
                self._stream = self._container.add_stream_from_template(sample.streams.video[0], opaque=True)
            self._stream.time_base = Fraction(1, TICKS)
        except (OSError, ValueError, av.FFmpegError) as error:
            raise unwritable(path, error) from error

    def write(self, packet: Packet) -> float:
        """Add a packet; where it then stands in the file, in seconds. A jump of the camera's timeline is joined."""
        decoded = self._decoded(packet)
        shown = decoded if packet.pts is None or self._base is None else packet.pts - self._base
        written = av.Packet(packet.data)
        written.time_base = Fraction(1, TICKS)
        written.dts = self._previous = max(self._previous + 1, round(decoded * TICKS))
        written.pts = max(written.dts, round(shown * TICKS))
        written.is_keyframe = packet.key
        written.stream = self._stream
        try:
            self._container.mux_one(written)
        except (OSError, ValueError, av.FFmpegError) as error:
            with suppress(OSError, av.FFmpegError):
                self._container.close()
            raise unwritable(self.path, error) from error
        self.size += len(packet.data)
        self.seconds = decoded
        return written.pts / TICKS

    def close(self) -> None:
        """End the file."""
        try:
            self._container.close()
        except (OSError, av.FFmpegError) as error:
            raise unwritable(self.path, error) from error

    def _decoded(self, packet: Packet) -> float:
        """When the packet is to be decoded, in seconds from the first one."""
        stamp = packet.pts if packet.dts is None else packet.dts
        if self._base is None:
            self._base = stamp or 0.0
            return 0.0
        if stamp is None:
            return self.seconds + self._interval
        step = stamp - self._base - self.seconds
        if not 0 < step <= _LONGEST_STEP:
            self._base += step - self._interval
            return self.seconds + self._interval
        self._interval = step
        return stamp - self._base


def check_codec(packet: Packet) -> None:
    """Raise OutputError if such packets cannot be written as they are."""
    if packet.codec not in CODECS:
        raise OutputError(f"{packet.camera}: {packet.codec} cannot be copied; set boxes: burnt")
