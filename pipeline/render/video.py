"""H.264 video files with the overlay, playable up to the last second however the program ends."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from av.video.stream import VideoStream

from .. import config
from ..errors import ConfigError
from ..frames import Image
from .output import View
from .paths import check_template, filled, make_room, unwritable

_TICKS = 90_000
_KEYFRAME_EVERY = 1.0
# Half-second fragments, each complete in the file as soon as it ends, bound what a kill can take.
_MUXERS = {
    ".mp4": {
        "movflags": "empty_moov+default_base_moof+frag_keyframe",
        "frag_duration": "500000",
        "flush_packets": "1",
    },
    ".mkv": {"cluster_time_limit": "500", "flush_packets": "1"},
}
# What cv2's conversion gives, so that players need not guess by the size.
_BT601, _BT601_TRANSFER, _LIMITED_RANGE = 6, 6, 1


class VideoOutput:
    """One file a camera; a picture of another size starts NAME.2.mp4, then NAME.3.mp4."""

    name = "video"

    def __init__(self, settings: config.Video, cameras: tuple[str, ...]) -> None:
        check_template(self.name, settings.path, cameras)
        suffix = Path(settings.path).suffix.lower()
        if suffix not in _MUXERS:
            raise ConfigError(f"outputs.video.path: must end in {' or '.join(_MUXERS)}, got '{settings.path}'")
        self._settings = settings
        self._paths = {camera: filled(settings.path, camera) for camera in cameras}
        self._segments: dict[str, Segment] = {}
        self._counts = dict.fromkeys(cameras, 0)

    def open(self) -> None:
        """Make the folders and the files."""
        for path in self._paths.values():
            make_room(path)

    def show(self, view: View) -> bool:
        """Encode one picture and write what is ready."""
        frame = view.result.frame
        image = view.painted() if self._settings.overlay else view.plain()
        segment = self._segments.get(frame.camera)
        if segment is not None and not segment.fits(image):
            segment.close()
            segment = None
        if segment is None:
            segment = self._segments[frame.camera] = Segment(self._next(frame.camera), image, self._settings.bitrate)
        segment.write(image, frame.captured if view.live or frame.pts is None else frame.pts)
        return True

    def poll(self) -> bool:
        """Nothing waits here."""
        return True

    def close(self) -> None:
        """Finish all files."""
        while self._segments:
            self._segments.popitem()[1].close()

    def _next(self, camera: str) -> Path:
        path = self._paths[camera]
        self._counts[camera] += 1
        count = self._counts[camera]
        return path if count == 1 else path.with_name(f"{path.stem}.{count}{path.suffix}")


class Segment:
    """One video file of pictures of one size."""

    def __init__(self, path: Path, image: Image, bitrate: int) -> None:
        self._path = path
        self._height, self._width = image.shape[0] & ~1, image.shape[1] & ~1
        self._timeline = Timeline()
        self._keyframe_at = 0
        try:
            self._container = av.open(str(path), "w", options=_MUXERS[path.suffix.lower()])
            self._stream = self._encoder(bitrate)
        except (OSError, ValueError, av.FFmpegError) as error:
            raise unwritable(path, error) from error

    def fits(self, image: Image) -> bool:
        """Whether the picture has this file's size."""
        return (image.shape[0] & ~1, image.shape[1] & ~1) == (self._height, self._width)

    def write(self, image: Image, seconds: float) -> None:
        """Add a picture taken at `seconds` on any steady timeline; an odd last row or column is left out."""
        planes = cv2.cvtColor(image[: self._height, : self._width], cv2.COLOR_BGR2YUV_I420)
        frame = av.VideoFrame.from_ndarray(np.asarray(planes, np.uint8), format="yuv420p")
        frame.time_base = Fraction(1, _TICKS)
        frame.pts = self._timeline.ticks(seconds)
        if frame.pts >= self._keyframe_at:
            frame.pict_type = PictureType.I
            self._keyframe_at = frame.pts + round(_KEYFRAME_EVERY * _TICKS)
        self._mux(frame)

    def close(self) -> None:
        """End the file."""
        try:
            self._mux(None)
            self._container.close()
        except (OSError, av.FFmpegError) as error:
            raise unwritable(self._path, error) from error

    def _mux(self, frame: av.VideoFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except (OSError, av.FFmpegError) as error:
            with suppress(OSError, av.FFmpegError):
                self._container.close()
            raise unwritable(self._path, error) from error

    def _encoder(self, bitrate: int) -> VideoStream:
        # Without lookahead and B-frames each picture is in the file at once; forced keyframes replace the fixed
        # interval because frames may come at any rate.
        options: dict[str, Any] = {"preset": "superfast", "tune": "zerolatency", "forced-idr": "1"}
        if not bitrate:
            options["crf"] = "23"
        stream = self._container.add_stream("libx264", options=options)
        context = stream.codec_context
        stream.width, stream.height, stream.pix_fmt = self._width, self._height, "yuv420p"
        stream.time_base = context.time_base = Fraction(1, _TICKS)
        context.framerate = Fraction(30)
        context.gop_size = 100_000
        context.thread_count = 2
        context.color_range, context.colorspace = _LIMITED_RANGE, _BT601
        context.color_primaries, context.color_trc = _BT601, _BT601_TRANSFER
        if bitrate:
            context.bit_rate = bitrate
        return stream


class Timeline:
    """Turns the times of pictures into strictly increasing ticks from 0; a jump back is joined seamlessly."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self._previous = 0.0
        self._interval = 1 / 30
        self._ticks = -1

    def ticks(self, seconds: float) -> int:
        """Ticks of 1/90000 s for a picture taken at `seconds`."""
        if self._offset is None:
            self._offset = -seconds
        elif seconds <= self._previous:
            self._offset += self._previous - seconds + self._interval
        else:
            self._interval = seconds - self._previous
        self._previous = seconds
        self._ticks = max(self._ticks + 1, round((seconds + self._offset) * _TICKS))
        return self._ticks
