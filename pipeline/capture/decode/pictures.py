"""Pictures of one frame: arrays from the start, or decoded YUV that is converted only when somebody asks."""

from __future__ import annotations

import heapq
import threading
from abc import ABC, abstractmethod
from functools import lru_cache

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from pipeline.frames import AS_CODED, Image, Picture, Presentation


class ArrayPicture:
    """A BGR array as a Picture; the array must not change afterwards."""

    def __init__(self, pixels: Image) -> None:
        """Take height x width x 3 pixels, uint8, BGR."""
        pixels.flags.writeable = False
        self._pixels = pixels

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self._pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self._pixels.shape[0])

    @property
    def presentation(self) -> Presentation:
        """Nothing: the array is as it is to be shown."""
        return AS_CODED

    def bgr(self) -> Image:
        """Return the array itself."""
        return self._pixels

    def resized(self, width: int, height: int) -> Image:
        """Return the picture scaled bilinearly to `width` x `height`, aspect not kept."""
        if (width, height) == (self.width, self.height):
            return self._pixels
        return np.asarray(cv2.resize(self._pixels, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)

    def glance(self) -> bytes:
        """Return the green of every eighth pixel of every eighth line."""
        return self._pixels[::8, ::8, 1].tobytes()


INTERPOLATION = Interpolation.AREA
"""How pictures are scaled on their way from YUV to the model's size."""


class _PresentedPicture(ABC):
    """Pixels that are scaled, turned and converted to BGR only when somebody asks."""

    def __init__(self, width: int, height: int, presentation: Presentation) -> None:
        """Take the size before anything is turned, in pixels, and how it is to be shown."""
        self._presentation = presentation
        self._size = presentation.shown_size(width, height)
        self._bgr: Image | None = None

    @property
    def width(self) -> int:
        """Pixels, square and turned."""
        return self._size[0]

    @property
    def height(self) -> int:
        """Pixels, square and turned."""
        return self._size[1]

    @property
    def presentation(self) -> Presentation:
        """What the stream, or somebody by hand, asks for."""
        return self._presentation

    def bgr(self) -> Image:
        """Return the picture at full size, converted by the first caller."""
        if self._bgr is None:
            self._bgr = self._shown(self.width, self.height)
        return self._bgr

    def resized(self, width: int, height: int) -> Image:
        """Return the picture scaled to `width` x `height` in one step, aspect not kept."""
        return self.bgr() if (width, height) == self._size else self._shown(width, height)

    def _shown(self, width: int, height: int) -> Image:
        size = (height, width) if self._presentation.rotation % 180 else (width, height)
        pixels = self._presentation.turn(self._scaled(*size))
        pixels.flags.writeable = False
        return pixels

    @abstractmethod
    def _scaled(self, width: int, height: int) -> Image:
        """Return the pixels in that size, before anything is turned."""


class YuvPicture(_PresentedPicture):
    """A decoded frame as a Picture, scaled on the way out of YUV."""

    def __init__(self, frame: av.VideoFrame, scalers: Scalers, presentation: Presentation = AS_CODED) -> None:
        """Take a frame, and how it is to be shown."""
        super().__init__(frame.width, frame.height, presentation)
        self._frame = frame
        self._scalers = scalers

    def glance(self) -> bytes:
        """Return every eighth value of every eighth line of the brightness."""
        plane = self._frame.planes[0]
        lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        return lines[::8, : self._frame.width : 8].tobytes()

    def _scaled(self, width: int, height: int) -> Image:
        return self._scalers.convert(self._frame, width, height)


class TurnedPicture(_PresentedPicture):
    """Another picture, shown in another way than it came."""

    def __init__(self, picture: Picture, presentation: Presentation) -> None:
        super().__init__(picture.width, picture.height, presentation)
        self._picture = picture

    def glance(self) -> bytes:
        """Return what the other picture gives."""
        return self._picture.glance()

    def _scaled(self, width: int, height: int) -> Image:
        return self._picture.resized(width, height)


_ABORTING = ("yaf32le", "yaf32be")
"""Formats at which FFmpeg's scaler ends the whole process."""
_MIN_BAYER_PX = 2


@lru_cache
def _convertible(name: str) -> bool:
    """Try whether a pixel format can be scaled and shown at all."""
    if name in _ABORTING:
        return False
    try:
        Scalers().convert(av.VideoFrame(64, 48, name), 32, 32)
    except (av.FFmpegError, OSError, ValueError):
        return False
    return True


def refusal(frame: av.VideoFrame) -> str:
    """Return why a decoded picture cannot be shown, in words; empty where it can."""
    kind = frame.format
    tiny = min(frame.width, frame.height) < _MIN_BAYER_PX and kind.is_bayer
    return "" if not tiny and _convertible(kind.name) else f"pictures in the pixel format {kind.name} cannot be shown"


class Scalers:
    """The converters of one source, kept because making one costs more than using it."""

    def __init__(self) -> None:
        # PyAV marks the frame while it converts, so one frame must not be in two conversions at once.
        self._lock = threading.Lock()
        self._kept: dict[tuple[int, int], VideoReformatter] = {}

    def convert(self, frame: av.VideoFrame, width: int, height: int) -> Image:
        """Return height x width x 3, BGR; colour matrix and range as the stream declares them."""
        with self._lock:
            if (width, height) not in self._kept:
                if len(self._kept) >= 4:
                    self._kept.clear()
                self._kept[width, height] = VideoReformatter()
            converted = self._kept[width, height].reformat(
                frame, width, height, "bgr24", interpolation=INTERPOLATION, threads=1
            )
        plane = converted.planes[0]
        rows: Image = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:height, : width * 3]
        return rows.reshape(height, width, 3)


_MAX_WAITING_COUNT = 64


class Timeline:
    """The timeline of one reading of a file, in seconds."""

    def __init__(self, fps: float, *, decoding_order: bool = False) -> None:
        """Take the declared rate; `decoding_order` is for times of packets and not of presentation: they are sorted."""
        self._step = 1 / (fps or 25.0)
        self._sorts = decoding_order
        self._waiting: list[float] = []
        self._last: float | None = None

    def packet(self, seconds: float | None) -> None:
        """Note that a packet with this time goes to the decoder."""
        if self._sorts and seconds is not None and len(self._waiting) < _MAX_WAITING_COUNT:
            heapq.heappush(self._waiting, seconds)

    def refused(self) -> None:
        """Note that the decoder made no picture of the last packet."""
        if self._waiting:
            self._waiting.remove(max(self._waiting))
            heapq.heapify(self._waiting)

    def picture(self, seconds: float | None) -> float:
        """Return the time of the next picture, which the decoder calls `seconds`, if it can tell."""
        if self._waiting:
            seconds = heapq.heappop(self._waiting)
        if self._last is None:
            seconds = seconds or 0.0
        elif seconds is None or seconds <= self._last:
            seconds = self._last + self._step
        self._last = seconds
        return seconds
