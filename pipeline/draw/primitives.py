"""The shapes that the overlay is made of: letters, pills and boxes in sizes that fit the picture."""

from __future__ import annotations

import zlib
from functools import lru_cache

import cv2
import numpy as np

from pipeline.frames import Image

Colour = tuple[int, int, int]
"""Blue, green, red, 0 to 255."""

WHITE: Colour = (255, 255, 255)
INK: Colour = (24, 20, 16)
GREEN: Colour = (96, 174, 0)
AMBER: Colour = (0, 160, 255)
RED: Colour = (48, 48, 214)
GREY: Colour = (110, 104, 98)

_FONT = cv2.FONT_HERSHEY_DUPLEX
_KNOWN: dict[str, Colour] = {
    "person": (160, 245, 0),
    "vehicle": (255, 160, 64),
    "car": (255, 160, 64),
    "bike": (64, 220, 255),
    "face": (220, 110, 255),
}
_OTHERS: tuple[Colour, ...] = (
    (80, 128, 255),
    (255, 128, 170),
    (90, 230, 200),
    (250, 200, 90),
    (130, 180, 255),
    (200, 140, 210),
)


def colour(label: str) -> Colour:
    """Return the colour of a label's boxes, the same in every run."""
    return _KNOWN.get(label) or _OTHERS[zlib.crc32(label.encode()) % len(_OTHERS)]


def printable(text: str) -> str:
    """Return the text in the letters that the font has: others become question marks."""
    return text.encode("ascii", "replace").decode()


class Letters:
    """One size of letters; `size` is the height of a capital in pixels."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._scale = size / _capital()
        self._thickness = max(1, round(size / 11))

    def width(self, text: str) -> int:
        """Return the pixels from the first letter to the last."""
        return int(cv2.getTextSize(text, _FONT, self._scale, self._thickness)[0][0])

    def draw(self, image: Image, text: str, left: int, middle: int, ink: Colour) -> None:
        """Write from `left`, capitals centred on the row `middle`."""
        foot = middle + (self.size + 1) // 2
        cv2.putText(image, text, (left, foot), _FONT, self._scale, ink, self._thickness, cv2.LINE_AA)

    def fitted(self, text: str, room: int) -> str:
        """Return the text, or as much of it as fits into `room` pixels with two dots at its end."""
        if self.width(text) <= room:
            return text
        while text and self.width(text + "..") > room:
            text = text[:-1]
        return text + ".." if text else ""


@lru_cache
def letters(size: int) -> Letters:
    """Letters whose capitals are `size` pixels high."""
    return Letters(size)


@lru_cache
def _capital() -> float:
    canvas = np.zeros((120, 120), np.uint8)
    cv2.putText(canvas, "H", (10, 100), _FONT, 2.0, 255, 2, cv2.LINE_AA)
    rows = np.flatnonzero(canvas.max(axis=1) > 127)
    return float(rows[-1] - rows[0] + 1) / 2.0


def letter_size(width: int, height: int, scale: float = 1.0) -> int:
    """Height of a capital, in pixels, that is readable in a picture of that size."""
    return max(6, round(max(8.0, min(width, height) / 60) * scale))


def pill(image: Image, left: int, top: int, right: int, bottom: int, fill: Colour) -> None:
    """Draw a filled box with round ends."""
    radius = (bottom - top) // 2
    middle = top + radius
    cv2.rectangle(image, (left + radius, top), (right - radius, top + 2 * radius), fill, -1)
    for x in (left + radius, right - radius):
        cv2.circle(image, (x, middle), radius, fill, -1, cv2.LINE_AA)


def frame_box(
    image: Image,
    left: int,
    top: int,
    right: int,
    bottom: int,
    ink: Colour,
    thickness: int,
    *,
    corners_only: bool = False,
) -> None:
    """Draw a thin outline with stronger corners, all of it inside the box; edges belong to it."""
    strong = thickness * 2 + 1 if thickness > 1 else thickness + 1
    arm = max(strong, min(min(right - left, bottom - top) // 4, strong * 6))
    sides = (thickness, right - left, bottom - top)
    for thick, across, down in ((strong, arm, arm),) if corners_only else (sides, (strong, arm, arm)):
        t = thick - 1
        for y in (top, bottom - t):
            cv2.rectangle(image, (left, y), (left + across, y + t), ink, -1)
            cv2.rectangle(image, (right - across, y), (right, y + t), ink, -1)
        for x in (left, right - t):
            cv2.rectangle(image, (x, top), (x + t, top + down), ink, -1)
            cv2.rectangle(image, (x, bottom - down), (x + t, bottom), ink, -1)
