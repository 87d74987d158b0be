"""A picture that is an array from the start: webcams and the drawn street."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.frames import Image


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

    def bgr(self) -> Image:
        """The array itself."""
        return self._pixels

    def resized(self, width: int, height: int) -> Image:
        """The picture scaled bilinearly to `width` x `height`, aspect not kept."""
        if (width, height) == (self.width, self.height):
            return self._pixels
        return np.asarray(cv2.resize(self._pixels, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)

    def glance(self) -> bytes:
        """The green of every eighth pixel of every eighth line."""
        return self._pixels[::8, ::8, 1].tobytes()
