"""A drawn street with walking people: no camera, no file, no network, and the truth about where everybody is."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np

from pipeline.capture.decode.pictures import ArrayPicture
from pipeline.capture.source import Sample
from pipeline.clock import Clock, SystemClock
from pipeline.config.cameras import Capture
from pipeline.frames import Image, Packet

from . import scenery
from .walker import PHASES, Clothes, Sprite, View, draw

FPS = 30.0
Box = tuple[float, float, float, float]

_SIZE_STEP_RATIO = 1.25
"""Between two kept sizes of one sprite: shrinking by less than this keeps it sharp."""
_MIN_SPRITE_PIXELS = 56.0
_KEPT_SPRITE_COUNT = 200
"""Sprites in memory: all that ten people need, but not every size of those who come nearer."""
_SKINS = ((178, 200, 236), (150, 178, 222), (120, 156, 208), (86, 122, 176), (62, 90, 136))
_HAIRS = ((34, 36, 42), (44, 66, 98), (70, 110, 150), (60, 62, 66), (150, 156, 160))
_CHILD_HAIR_COUNT = 3
"""How many of the hair colours children have."""
_TOPS = (
    *((64, 60, 178), (150, 92, 52), (92, 128, 66), (52, 150, 206)),
    *((74, 70, 78), (168, 150, 92), (206, 206, 210), (120, 70, 110)),
)
_BOTTOMS = ((84, 62, 48), (58, 54, 56), (110, 86, 62), (92, 110, 130), (48, 44, 70))


@dataclass(frozen=True, slots=True)
class _Person:
    """Somebody who walks a path over the ground again and again."""

    height: float
    """Metres."""
    speed: float
    """Metres a second."""
    start: float
    """Metres along the path at the first frame."""
    path: tuple[tuple[float, float], ...]
    """Corners on the ground: metres to the right of the middle, metres away."""
    clothes: Clothes


@dataclass(frozen=True, slots=True)
class _Figure:
    """A person at one moment: which sprite, and how it lies on the picture."""

    person: int
    view: View
    phase: int
    x: float
    y: float
    pixels: float

    @property
    def level(self) -> int:
        """Height in pixels of the sprite to shrink."""
        steps = math.ceil(math.log(max(1.0, self.pixels / _MIN_SPRITE_PIXELS)) / math.log(_SIZE_STEP_RATIO))
        return round(_MIN_SPRITE_PIXELS * _SIZE_STEP_RATIO**steps)

    @property
    def look(self) -> tuple[int, View, int, int]:
        """All that the sprite depends on."""
        return self.person, self.view, self.phase, self.level

    def cover(self, sprite: Sprite) -> tuple[float, slice, slice]:
        """Return the scale of the sprite, and the rows and columns of the picture it touches; empty ones if none."""
        scale = self.pixels / self.level
        rows, columns = sprite.body.shape
        left, top = self.x - sprite.feet[0] * scale, self.y - sprite.feet[1] * scale
        return (
            scale,
            _span(top, top + rows * scale, scenery.HEIGHT),
            _span(left, left + columns * scale, scenery.WIDTH),
        )

    def laid(self, pixels: Image, sprite: Sprite, border: tuple[int, ...]) -> tuple[Image, slice, slice]:
        """Return an image of the sprite's size as it lies on the picture, cut to the rows and columns it touches."""
        scale, rows, columns = self.cover(sprite)
        move = np.array(
            [
                [scale, 0, self.x - sprite.feet[0] * scale - columns.start],
                [0, scale, self.y - sprite.feet[1] * scale - rows.start],
            ]
        )
        size = (columns.stop - columns.start, rows.stop - rows.start)
        if not all(size):
            return pixels[:0, :0], rows, columns
        laid = cv2.warpAffine(pixels, move, size, flags=cv2.INTER_LINEAR, borderValue=border)
        return np.asarray(laid, np.uint8), rows, columns


class Street:
    """The demo's world: the same pictures and people for the same seed, in any order of asking."""

    width, height = scenery.WIDTH, scenery.HEIGHT

    def __init__(self, seed: int = 7) -> None:
        self._empty = scenery.paint(seed)
        self._crowd = _crowd(np.random.default_rng(seed))
        self._sprite = lru_cache(maxsize=_KEPT_SPRITE_COUNT)(self._draw)

    def picture(self, seq: int) -> Image:
        """Return frame number `seq`: 720 x 1280 x 3, uint8, BGR."""
        street = self._empty.copy()
        for figure in self._figures(seq):
            sprite = self._sprite(*figure.look)
            layer, rows, columns = figure.laid(sprite.layer, sprite, (0, 0, 0, 255))
            if layer.size:
                part = street[rows, columns]
                behind = cv2.multiply(part, cv2.cvtColor(layer[..., 3], cv2.COLOR_GRAY2BGR), scale=1 / 255)
                cv2.add(behind, cv2.cvtColor(layer, cv2.COLOR_BGRA2BGR), dst=part)
        return street

    def people(self, seq: int) -> list[tuple[Box, float]]:
        """Return everybody in frame `seq`, far ones first: the body's box in the picture, and the share in sight."""
        free = np.full((self.height, self.width), 255, np.uint8)
        found: list[tuple[Box, float]] = []
        for figure in reversed(self._figures(seq)):
            sprite = self._sprite(*figure.look)
            body, rows, columns = figure.laid(sprite.body, sprite, (0,))
            ys, xs = np.nonzero(body > 127)
            if not ys.size:
                continue
            y, x = rows.start, columns.start
            box = (float(x + xs.min()), float(y + ys.min()), float(x + xs.max() + 1), float(y + ys.max() + 1))
            seen = int((cv2.min(body, free[rows, columns]) > 127).sum())
            whole = int((sprite.body > 127).sum()) * (figure.pixels / figure.level) ** 2
            found.append((box, min(1.0, seen / whole)))
            free[rows, columns] = cv2.min(free[rows, columns], 255 - body)
        return found[::-1]

    def _figures(self, seq: int) -> list[_Figure]:
        figures = [_figure(index, person, seq / FPS) for index, person in enumerate(self._crowd)]
        return sorted(figures, key=lambda figure: figure.y)

    def _draw(self, person: int, view: View, phase: int, level: int) -> Sprite:
        return draw(self._crowd[person].clothes, view, phase, level)


class DemoSource:
    """The street as a source: a camera of 30 frames a second, or a file without end where `live` is False."""

    local = True
    gives_packets = False
    fps = FPS

    def __init__(self, *, live: bool = True, seed: int = 7, clock: Clock | None = None) -> None:
        self.live = live
        self.description = ""
        self.tap: Callable[[Packet], None] | None = None
        self.wanted: Callable[[], bool] | None = None
        self._seed = seed
        self._clock = clock or SystemClock()
        self._street: Street | None = None
        self._seq = 0
        self._start = 0.0

    @classmethod
    def check(cls, address: str) -> None:
        """Do nothing: the street is always there."""

    @classmethod
    def from_address(
        cls, address: str, settings: Capture, stopping: threading.Event | None, clock: Clock | None
    ) -> DemoSource:
        """Make the street live unless files are to be read as fast as they can."""
        return cls(live=settings.pace != "fast", clock=clock)

    def open(self) -> None:
        """Draw the empty street, unless it is there from before."""
        with _drawing:
            self._street = _street(self._seed)
        self._seq = 0
        self._start = self._clock.monotonic()
        self.description = f"drawn {Street.width}x{Street.height} at {FPS:g} fps"

    def read(self) -> Sample | None:
        """Return the next picture; a live street waits until it is due, and leaves out what is overdue."""
        if self._street is None:
            raise RuntimeError("read before open")
        begun = time.thread_time()
        seen = not self._seq or self.wanted is None or self.wanted()
        picture = ArrayPicture(self._street.picture(self._seq)) if seen else None
        drawn = time.thread_time() - begun
        seconds = self._seq / FPS
        self._seq += 1
        if self.live:
            late = self._clock.monotonic() - self._start - seconds
            if late < 0:
                self._clock.wait(threading.Event(), -late)
            # A camera does not wait for a slow machine: what could not be drawn in time is never seen.
            self._seq += max(0, math.floor(late * FPS))
        return Sample(picture, seconds, drawn)

    def close(self) -> None:
        """Leave the street."""
        self._street = None


_drawing = threading.Lock()


@lru_cache(maxsize=1)
def _street(seed: int) -> Street:
    """Return one street for all demos and reconnects: drawing it and its sprites costs seconds of a slow core."""
    return Street(seed)


def _span(start: float, stop: float, limit: int) -> slice:
    first = min(max(0, math.floor(start)), limit)
    return slice(first, max(first, min(limit, math.ceil(stop))))


def _figure(index: int, person: _Person, seconds: float) -> _Figure:
    walked = person.start + person.speed * seconds
    cycle = 2 * walked / (0.8 * person.height) * 0.5
    legs = list(pairwise(person.path))
    left = walked % sum(math.dist(*leg) for leg in legs)
    for start, end in legs:
        length = math.dist(start, end)
        if left <= length:
            break
        left -= length
    x = start[0] + (end[0] - start[0]) * left / length
    z = start[1] + (end[1] - start[1]) * left / length
    column, row, scale = scenery.project(x, z)
    across, away = end[0] - start[0], end[1] - start[1]
    view: View = ("right" if across > 0 else "left") if abs(across) >= abs(away) else ("back" if away > 0 else "front")
    return _Figure(index, view, int(cycle * PHASES) % PHASES, column, row, person.height * scale)


def _crowd(rng: np.random.Generator) -> tuple[_Person, ...]:
    """Return ten people: three on the far pavement, two who cross the road, five on the near pavement."""
    z = scenery.ground
    near, far = z(690.0), z(350.0)
    paths: list[tuple[float, tuple[tuple[float, float], ...]]] = [
        (1.78, ((-14.0, z(346)), (13.4, z(346)))),
        (1.66, ((12.8, z(362)), (-13.0, z(362)))),
        (1.18, ((12.2, z(372)), (-12.4, z(372)))),
        (1.74, ((-13.8, far), (-1.0, far), (-1.0, near), (4.6, near))),
        (1.62, ((5.5, z(600)), (0.9, z(600)), (0.9, z(356)), (13.0, z(356)))),
        (1.83, ((-5.4, z(664)), (4.8, z(664)))),
        (1.70, ((5.2, z(622)), (-5.6, z(622)))),
        (1.30, ((-6.0, z(588)), (5.5, z(588)))),
        (1.92, ((5.0, z(644)), (-5.4, z(644)))),
        (1.58, ((5.8, z(574)), (-6.3, z(574)))),
    ]
    people = []
    for index, (height, path) in enumerate(paths):
        length = sum(math.dist(*leg) for leg in pairwise(path))
        clothes = Clothes(
            skin=_SKINS[int(rng.integers(len(_SKINS)))],
            hair=_HAIRS[int(rng.integers(len(_HAIRS) if height > 1.4 else _CHILD_HAIR_COUNT))],
            top=_TOPS[index % len(_TOPS)],
            bottom=_BOTTOMS[int(rng.integers(len(_BOTTOMS)))],
            long_hair=index % 3 == 1,
            coat=index in (1, 8),
            skirt=index in (4, 9),
            bare_arms=index in (2, 4, 6),
            backpack=((60, 120, 190), None, (150, 90, 140))[index % 3],
        )
        start = (index * 0.37 + float(rng.uniform(0, 0.12))) % 1.0 * length
        people.append(_Person(height, float(rng.uniform(1.05, 1.45)), start, path, clothes))
    return tuple(people)
