"""One video file of compressed pictures, playable up to the last second however the program ends."""

from __future__ import annotations

import io
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from pipeline.errors import unwritable
from pipeline.frames import Packet

from .timestamps import TICKS, PacketTimeline

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


class DamagedError(Exception):
    """A keyframe that no file can start with."""


def readable(keyframe: Packet) -> InputContainer:
    """A stream of that one picture, as a model for the stream of a file; DamagedError if it cannot be read."""
    try:
        sample = av.open(io.BytesIO(keyframe.data), "r", format=keyframe.codec)
    except (av.FFmpegError, ValueError) as error:
        raise DamagedError(str(error)) from error
    if not sample.streams.video or not sample.streams.video[0].width:
        sample.close()
        raise DamagedError("no size")
    return sample


class Segment:
    """A file that starts with a keyframe; OutputError once it cannot be written any more."""

    def __init__(self, path: Path, first: Packet) -> None:
        """Make the file for the kind of pictures that `first`, a keyframe, is; DamagedError if it cannot be read."""
        self.path = path
        self.size = 0
        """Bytes of pictures so far."""
        self.first = first
        self._timeline = PacketTimeline()
        sample = readable(first)
        try:
            with sample:
                self._container = av.open(str(path), "w", options=MUXERS[path.suffix.lower()])
                self._stream = self._container.add_stream_from_template(sample.streams.video[0], opaque=True)
            self._stream.time_base = Fraction(1, TICKS)
        except (OSError, ValueError, av.FFmpegError) as error:
            raise unwritable(path, error) from error

    def write(self, packet: Packet) -> float:
        """Add a packet; where it then stands in the file, in seconds. A jump of the camera's timeline is joined."""
        written = av.Packet(packet.data)
        written.time_base = Fraction(1, TICKS)
        written.pts, written.dts = self._timeline.place(packet)
        written.is_keyframe = packet.key
        written.stream = self._stream
        try:
            self._container.mux_one(written)
        except (OSError, ValueError, av.FFmpegError) as error:
            with suppress(OSError, av.FFmpegError):
                self._container.close()
            raise unwritable(self.path, error) from error
        self.size += len(packet.data)
        return float(written.pts) / TICKS

    @property
    def seconds(self) -> float:
        """From the first picture to the end of the newest."""
        return self._timeline.seconds + self._timeline.interval

    def close(self) -> None:
        """End the file."""
        try:
            self._container.close()
        except (OSError, av.FFmpegError) as error:
            raise unwritable(self.path, error) from error
