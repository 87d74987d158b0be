"""A drawn person: clothes, a walking body, and sprites of it that are drawn once and kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.frames import Image

Colour = tuple[int, int, int]
Point = tuple[float, float]
T = TypeVar("T")
Floats = NDArray[np.float32]
View = Literal["left", "right", "front", "back"]

PHASES = 18
"""Sprites in one cycle of two steps."""
_FINER = 2
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.42, 0.74, 1.06, 0.06
_SHADOW = 0.42
_SHOE: Colour = (38, 36, 44)


@dataclass(frozen=True, slots=True)
class Clothes:
    """The clothes of one person; colours are BGR."""

    skin: Colour
    hair: Colour
    top: Colour
    bottom: Colour
    long_hair: bool = False
    coat: bool = False
    skirt: bool = False
    bare_arms: bool = False
    backpack: Colour | None = None


@dataclass(frozen=True, slots=True)
class Sprite:
    """A figure ready to be laid over a picture."""

    layer: Image
    """Height x width x 4: BGR times opacity, then 255 minus opacity; the shadow included."""
    body: Image
    """Height x width: opacity of the body alone."""
    feet: Point
    """Where the ground under the body is, in pixels of the layer."""


class _Pen:
    """Draws in body heights, feet at the origin and y downwards, on a finer canvas and its mask."""

    def __init__(self, height: int) -> None:
        self.unit = float(height * _FINER)
        shape = (round((_TOP + _BOTTOM) * self.unit), round((_LEFT + _RIGHT) * self.unit))
        self.pixels: Image = np.zeros((*shape, 3), np.uint8)
        self.mask: Image = np.zeros(shape, np.uint8)

    def _at(self, point: Point) -> tuple[int, int]:
        return round((_LEFT + point[0]) * self.unit), round((_TOP + point[1]) * self.unit)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        corners = np.array([self._at(point) for point in points], np.int32)
        cv2.fillPoly(self.pixels, [corners], colour)
        cv2.fillPoly(self.mask, [corners], 255)

    def ellipse(self, centre: Point, radii: Point, colour: Colour, arc: tuple[float, float] = (0, 360)) -> None:
        axes = (max(1, round(radii[0] * self.unit)), max(1, round(radii[1] * self.unit)))
        for canvas, paint in ((self.pixels, colour), (self.mask, 255)):
            cv2.ellipse(canvas, self._at(centre), axes, 0, arc[0], arc[1], paint, -1)

    def limb(self, points: Sequence[Point], widths: Sequence[float], colour: Colour) -> None:
        """Draw a chain of tapered bones with round joints."""
        for (start, end), (wide, narrow) in zip(_pairs(points), _pairs(widths), strict=True):
            length = math.dist(start, end) or 1.0
            across = ((end[1] - start[1]) / length / 2, (start[0] - end[0]) / length / 2)
            self.polygon(
                [
                    (start[0] + across[0] * wide, start[1] + across[1] * wide),
                    (end[0] + across[0] * narrow, end[1] + across[1] * narrow),
                    (end[0] - across[0] * narrow, end[1] - across[1] * narrow),
                    (start[0] - across[0] * wide, start[1] - across[1] * wide),
                ],
                colour,
            )
            self.ellipse(start, (wide / 2, wide / 2), colour)
            self.ellipse(end, (narrow / 2, narrow / 2), colour)


def draw(clothes: Clothes, view: View, phase: int, height: int) -> Sprite:
    """Draw the figure `height` pixels tall at one of the PHASES of its walk."""
    pen = _Pen(height)
    angle = 2 * math.pi * phase / PHASES
    if view in ("front", "back"):
        _upright(pen, clothes, angle, facing=view == "front")
    else:
        _profile(pen, clothes, angle)
        if view == "left":
            _mirror(pen)
    size = (round((_LEFT + _RIGHT) * height), round((_TOP + _BOTTOM) * height))
    colours = cv2.resize(pen.pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    opacity = np.asarray(cv2.resize(pen.mask, size, interpolation=cv2.INTER_AREA) / np.float32(255), np.float32)
    colours *= _light(opacity, height)[..., None]
    shadow = _shadow(opacity, height) * (1 - opacity)
    layer = np.empty((size[1], size[0], 4), np.uint8)
    layer[..., :3] = np.minimum(colours, 255 * opacity[..., None])
    layer[..., 3] = np.rint(255 * (1 - opacity - shadow).clip(0, 1))
    left, top, width, height_used = cv2.boundingRect((layer[..., 3] < 254).astype(np.uint8))
    rows, columns = slice(top, top + height_used), slice(left, left + width)
    body = np.rint(opacity[rows, columns] * 255).astype(np.uint8)
    return Sprite(layer[rows, columns].copy(), body, (_LEFT * height - left, _TOP * height - top))


def _light(opacity: Floats, height: int) -> Floats:
    soft = cv2.GaussianBlur(opacity, (0, 0), max(0.6, height * 0.016))
    slope = cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=3) * height * 0.011
    return np.asarray(_weave(height, *opacity.shape) + 0.55 * slope.clip(-0.6, 0.6), np.float32)


@lru_cache(maxsize=32)
def _weave(height: int, rows: int, columns: int) -> Floats:
    grain = np.random.default_rng(5).standard_normal((rows, columns), np.float32)
    soft = cv2.GaussianBlur(grain, (0, 0), max(0.6, height * 0.012))
    return np.asarray(1 + 0.035 * soft / soft.std(), np.float32)


def _shadow(opacity: Floats, height: int) -> Floats:
    x, y = _LEFT * height, _TOP * height
    lay = np.array([[1, -0.56, 0.56 * y], [0, 0.13, y - 0.13 * y]], np.float32)
    size = (opacity.shape[1], opacity.shape[0])
    cast = cv2.warpAffine(opacity, lay, size, flags=cv2.INTER_AREA)
    contact = np.zeros_like(opacity)
    cv2.ellipse(contact, (round(x), round(y)), (round(0.14 * height), round(0.022 * height)), 0, 0, 360, 0.8, -1)
    soft = cv2.GaussianBlur(np.maximum(cast, contact), (0, 0), max(0.7, height * 0.011))
    return np.asarray(_SHADOW * soft, np.float32)


def _mirror(pen: _Pen) -> None:
    middle = _LEFT * pen.unit
    turn = np.array([[-1, 0, 2 * middle], [0, 1, 0]], np.float32)
    size = (pen.mask.shape[1], pen.mask.shape[0])
    pen.pixels = np.asarray(cv2.warpAffine(pen.pixels, turn, size, flags=cv2.INTER_NEAREST), np.uint8)
    pen.mask = np.asarray(cv2.warpAffine(pen.mask, turn, size, flags=cv2.INTER_NEAREST), np.uint8)


def _profile(pen: _Pen, wear: Clothes, angle: float) -> None:
    legs = [_leg(angle + math.pi), _leg(angle)]
    lift = -max(ankle[1] for leg in legs for ankle in leg[2:])
    lean = 0.012

    def body(x: float, y: float) -> Point:
        return x + lean * -y, y + lift

    def arm(side: float, shade: float) -> None:
        swing = -0.5 * math.sin(angle) * side
        shoulder = body(0.0, -0.795)
        elbow = (shoulder[0] + 0.155 * math.sin(swing), shoulder[1] + 0.155 * math.cos(swing))
        bend = swing + 0.32 + 0.18 * math.sin(-angle * side)
        wrist = (elbow[0] + 0.13 * math.sin(bend), elbow[1] + 0.13 * math.cos(bend))
        sleeve, skin = _shaded(wear.top, shade), _shaded(wear.skin, shade)
        pen.limb([elbow, wrist], [0.042, 0.034], skin if wear.bare_arms else sleeve)
        pen.ellipse((wrist[0] + 0.006, wrist[1] + 0.012), (0.02, 0.026), skin)
        pen.limb([shoulder, elbow], [0.066, 0.048], sleeve)

    arm(-1, 0.72)
    for leg, shade in zip(legs, (0.7, 1.0), strict=True):
        hip, knee, ankle, toe = [(x, y + lift) for x, y in leg]
        cloth = _shaded(wear.skin if wear.skirt else wear.bottom, shade)
        pen.limb([(ankle[0] - 0.012, ankle[1] - 0.004), toe], [0.046, 0.03], _shaded(_SHOE, shade))
        pen.limb([hip, knee, (ankle[0], ankle[1] - 0.022)], [0.112, 0.078, 0.05], cloth)
    if wear.backpack:
        pen.limb([body(-0.085, -0.76), body(-0.088, -0.60)], [0.10, 0.12], wear.backpack)
    chest = [(-0.058, -0.835), (0.035, -0.835), (0.078, -0.73), (0.066, -0.56), (0.068, -0.47)]
    back = [(-0.072, -0.47), (-0.062, -0.58), (-0.078, -0.74)]
    pen.polygon([body(*each) for each in chest + back], wear.top)
    hem = 0.36 if wear.skirt else 0.41
    if wear.coat or wear.skirt:
        cloth = wear.top if wear.coat else wear.bottom
        flare = 0.025 * math.sin(2 * angle)
        skirt = [(-0.068, -0.53), (0.066, -0.53), (0.105 + flare, -hem + 0.03), (-0.105 + flare, -hem + 0.03)]
        pen.polygon([body(*each) for each in skirt], cloth)
    pen.limb([body(0.0, -0.85), body(0.008, -0.885)], [0.055, 0.05], _shaded(wear.skin, 0.85))
    pen.ellipse(body(0.012, -0.925), (0.056, 0.071), wear.skin)
    pen.ellipse(body(0.068, -0.918), (0.011, 0.014), wear.skin)
    pen.ellipse(body(-0.004, -0.945), (0.061, 0.057), wear.hair, (150, 345))
    pen.ellipse(body(-0.028, -0.925), (0.038, 0.055), wear.hair)
    if wear.long_hair:
        pen.limb([body(-0.04, -0.93), body(-0.062, -0.80)], [0.07, 0.05], wear.hair)
    arm(1, 1.06)


def _leg(angle: float) -> list[Point]:
    thigh = 0.06 + 0.42 * math.sin(angle)
    bend = 0.08 + 0.85 * max(0.0, math.cos(angle)) ** 1.5
    shin = thigh - bend
    hip = (0.0, -0.50)
    knee = (hip[0] + 0.24 * math.sin(thigh), hip[1] + 0.24 * math.cos(thigh))
    ankle = (knee[0] + 0.235 * math.sin(shin), knee[1] + 0.235 * math.cos(shin))
    foot = max(-0.75, min(0.3, shin)) * 0.9
    toe = (ankle[0] + 0.085 * math.cos(foot), ankle[1] + 0.012 - 0.085 * math.sin(foot))
    return [hip, knee, ankle, toe]


def _upright(pen: _Pen, wear: Clothes, angle: float, *, facing: bool) -> None:
    sway = 0.008 * math.sin(angle)
    bob = 0.008 * abs(math.sin(angle))

    def body(x: float, y: float) -> Point:
        return x + sway, y + bob

    for side in (-1, 1):
        lift = 0.075 * max(0.0, math.sin(angle + (0 if side > 0 else math.pi)))
        hip, knee = body(0.05 * side, -0.50), (0.053 * side + sway, -0.265 - 0.45 * lift + bob)
        ankle = (0.05 * side, -0.035 - lift)
        shade = 1.0 - 2.6 * lift
        cloth = _shaded(wear.skin if wear.skirt else wear.bottom, shade)
        pen.limb([ankle, (ankle[0] + 0.012 * side, ankle[1] + (0.025 if facing else 0.012))], [0.05, 0.055], _SHOE)
        pen.limb([hip, knee, (ankle[0], ankle[1] - 0.02)], [0.112, 0.08, 0.054], cloth)
    for side in (-1, 1):
        swing = math.sin(angle + (math.pi if side > 0 else 0))
        shoulder, elbow = body(0.118 * side, -0.795), body(0.148 * side, -0.645)
        wrist = body(0.145 * side, -0.515 - 0.035 * max(0.0, swing))
        pen.limb([elbow, wrist], [0.044, 0.036], wear.skin if wear.bare_arms else _shaded(wear.top, 0.93))
        pen.ellipse((wrist[0], wrist[1] + 0.014), (0.02, 0.027), wear.skin)
        pen.limb([shoulder, elbow], [0.066, 0.05], _shaded(wear.top, 0.93))
    torso = [(-0.05, -0.845), (0.05, -0.845), (0.125, -0.815), (0.105, -0.64), (0.088, -0.56), (0.1, -0.465)]
    pen.polygon([body(*each) for each in torso + [(-x, y) for x, y in reversed(torso)]], wear.top)
    if wear.coat or wear.skirt:
        hem = 0.33 if wear.skirt else 0.38
        cloth = wear.top if wear.coat else wear.bottom
        skirt = [(-0.095, -0.53), (0.095, -0.53), (0.13, -hem), (-0.13, -hem)]
        pen.polygon([body(*each) for each in skirt], cloth)
    if wear.backpack and not facing:
        pen.limb([body(0, -0.76), body(0, -0.61)], [0.15, 0.17], wear.backpack)
    if wear.long_hair:
        pen.limb([body(0, -0.92), body(0, -0.81)], [0.12, 0.10], wear.hair)
    pen.limb([body(0, -0.845), body(0, -0.885)], [0.06, 0.055], _shaded(wear.skin, 0.85))
    pen.ellipse(body(0, -0.925), (0.053, 0.071), wear.skin)
    if facing:
        pen.ellipse(body(0, -0.948), (0.057, 0.055), wear.hair, (178, 362))
    else:
        pen.ellipse(body(0, -0.938), (0.058, 0.064), wear.hair)


def _shaded(colour: Colour, factor: float) -> Colour:
    blue, green, red = (min(255, int(value * factor)) for value in colour)
    return blue, green, red


def _pairs(values: Sequence[T]) -> list[tuple[T, T]]:
    return list(pairwise(values))
