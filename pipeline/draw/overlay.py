"""The overlay of a picture: boxes, tags and the title line, drawn once a frame for all outputs."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np

from pipeline.clock import Clock
from pipeline.config.cameras import Overlay
from pipeline.frames import Detections, Image, Result
from pipeline.stats.camera import CameraFigures, CameraStats
from pipeline.stats.health import CameraHealth, Level, assess

from .primitives import (
    AMBER,
    GREEN,
    GREY,
    INK,
    RED,
    WHITE,
    Colour,
    colour,
    frame_box,
    letter_size,
    letters,
    pill,
    printable,
)

_BADGE = {Level.GOOD: GREEN, Level.WARN: AMBER, Level.BAD: RED, Level.IDLE: GREY}
_STRIP_DARKNESS_RATIO = 0.32

Edges = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels, all inside the picture."""


class OverlayPainter:
    """Paints the results of one camera; safe from any thread."""

    def __init__(self, settings: Overlay, stats: CameraStats, clock: Clock) -> None:
        self._settings = settings
        self._stats = stats
        self._clock = clock

    def draw(self, result: Result, live: bool = True) -> Image:
        """The picture with boxes, tags and title line: height x width x 3, BGR, a new array unless nothing is drawn.

        `live` says whether the source is a camera: only its pictures may be called LIVE.
        """
        picture = result.frame.picture.bgr()
        if not self._settings.enabled:
            return picture
        figures = self._stats.figures()
        age = self._clock.monotonic() - result.frame.captured
        health = assess(figures, self._clock.now(), age, live)
        image = picture.copy()
        size = letter_size(image.shape[1], image.shape[0], self._settings.scale)
        top = strip_height(size) if self._settings.title else 0
        self._boxes(image, result, size, top)
        if health.level is Level.BAD:
            return stale(image, health, self._stats.name, self._settings.scale)
        if self._settings.title:
            count = counted(result.detections) if result.detected else _undetected(figures)
            facts = [count, f"{figures.fps:.1f} fps"]
            if result.carried_s is not None:
                facts.append(f"boxes {round((age + result.carried_s) * 1e3)} ms old")
            _title(image, size, self._stats.name, facts, health)
        return image

    def _boxes(self, image: Image, result: Result, size: int, top: int) -> None:
        height, width = image.shape[:2]
        detections = result.detections
        corners_only = self._settings.carried and result.carried_s is not None
        labelled = [
            (each.label, each.score, *_inside(each.box, width, height))
            for each in reversed(list(detections))
            if all(np.isfinite(each.box))
        ]
        if self._settings.boxes:
            for label, _, left, upper, right, lower in labelled:
                thickness = max(2, round(size / 7))
                frame_box(image, left, upper, right, lower, colour(label), thickness, corners_only=corners_only)
        if self._settings.labels:
            for label, score, left, upper, right, lower in labelled:
                _tag(image, f"{printable(label)} {score:.2f}", size, (left, upper, right, lower), top, colour(label))


def _undetected(figures: CameraFigures) -> str:
    return "waiting for the detector" if figures.detected else "detection off"


def strip_height(size: int) -> int:
    """Pixels of the title line over letters of that size."""
    return size * 2 + size // 2


def title_share(width: int, height: int, scale: float = 1.0) -> float:
    """The part of a picture's height, 0 to 1, that the title line covers."""
    return min(1.0, strip_height(letter_size(width, height, scale)) / height)


def counted(detections: Detections) -> str:
    """Count detections in words: `3 people`, `2 vehicle, 1 bike`."""
    counts = Counter(detections.label(each) for each in detections.class_ids.tolist())
    people = counts.pop("person", 0)
    words = [f"{count} {printable(label)}" for label, count in counts.items()]
    if people or "person" in detections.labels or not words:
        words.insert(0, f"{people} {'person' if people == 1 else 'people'}")
    return ", ".join(words)


def stale(picture: Image, health: CameraHealth, name: str, scale: float = 1.0) -> Image:
    """Return a new picture with the health of the camera in a solid line over the title, dark grey if it is stale."""
    height, width = picture.shape[:2]
    if health.stale:
        grey = cv2.convertScaleAbs(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), alpha=0.5)
        image = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    else:
        image = picture.copy()
    _title(image, letter_size(width, height, scale), name, [], health, solid=True)
    return image


def blank(width: int, height: int, health: CameraHealth, name: str, scale: float = 1.0) -> Image:
    """Draw what stands for a camera that has given no picture yet."""
    return stale(np.full((height, width, 3), 60, np.uint8), health, name, scale)


def _inside(box: tuple[float, float, float, float], width: int, height: int) -> Edges:
    left, right = (min(max(round(x), 0), width - 1) for x in (box[0], box[2]))
    upper, lower = (min(max(round(y), 0), height - 1) for y in (box[1], box[3]))
    return left, upper, max(left, right), max(upper, lower)


def _tag(image: Image, text: str, size: int, box: Edges, top: int, fill: Colour) -> None:
    height, width = image.shape[:2]
    pad = max(2, size // 3)
    type_ = letters(max(6, round(size * 0.9)))
    text = type_.fitted(text, width - 2 * pad)
    tall, wide = type_.size + 2 * pad, type_.width(text) + 2 * pad
    left = max(0, min(box[0], width - wide))
    upper = box[1] - tall
    if upper < top:
        upper = max(box[1], top)
    upper = max(0, min(upper, height - tall))
    cv2.rectangle(image, (left, upper), (left + wide - 1, upper + tall - 1), fill, -1)
    type_.draw(image, text, left + pad, upper + tall // 2, INK)


def _title(image: Image, size: int, name: str, facts: list[str], health: CameraHealth, solid: bool = False) -> None:
    height, width = image.shape[:2]
    tall = min(strip_height(size), height)
    strip = image[:tall]
    if solid:
        strip[:] = _BADGE[health.level]
    else:
        cv2.convertScaleAbs(strip, strip, _STRIP_DARKNESS_RATIO)
    bold, small = letters(size), letters(max(6, round(size * 0.9)))
    gap, middle = size, tall // 2
    badge = small.fitted(health.text, width - 2 * gap)
    wide = small.width(badge) + 2 * gap
    if not solid:
        inset = max(2, size // 3)
        pill(image, width - wide - inset, inset, width - inset - 1, tall - inset - 1, _BADGE[health.level])
        small.draw(image, badge, width - wide - inset + gap, middle, WHITE)
        wide += inset
    else:
        small.draw(image, badge, width - wide + gap, middle, WHITE)
    room = width - wide - gap
    facts = list(facts)
    while facts and sum(small.width(each) + gap for each in facts) + gap + bold.width(name) > room:
        facts.pop()
    name = bold.fitted(name, room - sum(small.width(each) + gap for each in facts) - gap)
    left = gap
    bold.draw(image, name, left, middle, WHITE)
    left += bold.width(name) + gap
    for fact in facts:
        small.draw(image, fact, left, middle, (225, 225, 225))
        left += small.width(fact) + gap
