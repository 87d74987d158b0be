"""Drawn streets and rooms with drawn people in them: pictures that need no camera, with boxes known exactly."""

from __future__ import annotations

import math
from itertools import pairwise

import cv2
import numpy as np

from pipeline.training.data.pictures import Picture, Scene

Generator = np.random.Generator
Colour = tuple[int, int, int]
SHIFT = 4  # fractional bits of the coordinates that OpenCV's drawing functions take


def _colour(rng: Generator, low: int = 20, high: int = 230) -> Colour:
    base = int(rng.integers(low, high))
    spread = rng.integers(-40, 41, 3)
    blue, green, red = (int(np.clip(base + s, 0, 255)) for s in spread)
    return blue, green, red


def _shade(colour: Colour, factor: float) -> Colour:
    blue, green, red = (int(min(255, c * factor)) for c in colour)
    return blue, green, red


def backdrop(width: int, height: int, rng: Generator) -> tuple[Picture, float]:
    """A street, a park or a hall without people, and the row of its horizon in pixels."""
    horizon = height * float(rng.uniform(0.15, 0.5))
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    top, bottom = np.array(_colour(rng, 120, 250), np.float32), np.array(_colour(rng, 60, 200), np.float32)
    ground = np.where(np.arange(height)[:, None] < horizon, top * (1 - 0.2 * rows), bottom * (0.75 + 0.4 * rows))
    image = np.repeat(ground[:, None, :], width, 1).clip(0, 255).astype(np.uint8)
    x = -int(rng.integers(0, 60))
    while x < width:
        across = int(rng.integers(width // 14, width // 4))
        if rng.random() < 0.75:
            _building(image, x, across, horizon, rng)
        elif rng.random() < 0.6:
            _tree(image, x, across, horizon, rng)
        x += across + int(rng.integers(0, width // 10))
    for _ in range(int(rng.integers(0, 5))):
        _furniture(image, horizon, rng)
    if rng.random() < 0.6:
        vanishing = (int(rng.uniform(-0.2, 1.2) * width), int(horizon))
        for end in rng.uniform(-0.6, 1.6, int(rng.integers(1, 5))):
            shade = _shade(_colour(rng), 1.0)
            cv2.line(image, vanishing, (int(end * width), height), shade, int(rng.integers(1, 7)), cv2.LINE_AA)
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.2))), np.uint8)
    grain = rng.standard_normal((height, width, 1), np.float32) * np.float32(rng.uniform(1, 8))
    return (image + grain).clip(0, 255).astype(np.uint8), horizon


def _building(image: Picture, left: int, across: int, horizon: float, rng: Generator) -> None:
    roof, wall, window = int(horizon * rng.uniform(0.0, 0.7)), _colour(rng, 60, 220), _colour(rng, 20, 200)
    foot = int(horizon + image.shape[0] * 0.02)
    cv2.rectangle(image, (left, roof), (left + across, foot), wall, -1)
    pitch_x, pitch_y = int(rng.integers(12, 34)), int(rng.integers(14, 40))
    for y in range(roof + 6, foot - pitch_y // 2, pitch_y):
        for x in range(left + 5, left + across - pitch_x // 2, pitch_x):
            cv2.rectangle(image, (x, y), (x + pitch_x // 2, y + pitch_y * 3 // 5), window, -1)


def _tree(image: Picture, left: int, across: int, horizon: float, rng: Generator) -> None:
    trunk, leaf = left + across // 2, (int(rng.integers(20, 70)), int(rng.integers(60, 150)), int(rng.integers(30, 90)))
    foot = int(horizon + image.shape[0] * rng.uniform(0, 0.2))
    cv2.line(image, (trunk, foot), (trunk, int(horizon * 0.5)), (40, 60, 80), max(2, across // 10), cv2.LINE_AA)
    for _ in range(12):
        centre = (trunk + int(rng.normal(0, across / 4)), int(horizon * 0.45 + rng.normal(0, across / 5)))
        cv2.circle(image, centre, max(3, int(across * rng.uniform(0.1, 0.25))), _shade(leaf, rng.uniform(0.7, 1.3)), -1)


def _furniture(image: Picture, horizon: float, rng: Generator) -> None:
    """Things that are not people: poles, bins, cars, signs."""
    height, width = image.shape[:2]
    foot = int(rng.uniform(horizon + 4, height))
    size = (foot - horizon) * rng.uniform(0.4, 1.3) + 6
    x, paint = int(rng.uniform(0, width)), _colour(rng)
    kind = rng.integers(4)
    if kind == 0:
        cv2.line(image, (x, foot), (x, int(foot - 2.5 * size)), paint, max(1, int(size / 16)), cv2.LINE_AA)
    elif kind == 1:
        cv2.rectangle(image, (x, int(foot - size * 0.6)), (int(x + size * 0.35), foot), paint, -1)
    elif kind == 2:
        cv2.rectangle(image, (x, int(foot - size * 0.45)), (int(x + size * 2.2), int(foot - size * 0.12)), paint, -1)
        roof = np.array([(0.4, 0.45), (0.7, 0.8), (1.6, 0.8), (1.9, 0.45)]) * size
        cv2.fillPoly(image, [np.stack([x + roof[:, 0], foot - roof[:, 1]], 1).astype(np.int32)], _shade(paint, 0.7))
        for wheel in (0.5, 1.7):
            cv2.circle(image, (int(x + wheel * size), int(foot - size * 0.12)), int(size * 0.16), (30, 30, 30), -1)
    else:
        cv2.line(image, (x, foot), (x, int(foot - size)), (90, 90, 90), max(1, int(size / 24)))
        cv2.circle(image, (x, int(foot - size)), max(2, int(size * 0.15)), paint, -1, cv2.LINE_AA)


class Figure:
    """One person to be drawn: clothes, build and a step of the walk, all in units of its own height."""

    def __init__(self, rng: Generator) -> None:
        self.top, self.trousers = _colour(rng), _colour(rng, 15, 170)
        tone = rng.uniform(0.3, 1.0)
        self.skin = _shade((150, 185, 235), tone)
        self.hair = _colour(rng, 15, 110)
        self.shoes = _colour(rng, 10, 90)
        self.phase, self.facing = rng.uniform(0, 2 * math.pi), rng.choice([-1.0, 1.0])
        self.swing = rng.uniform(0.05, 0.55)
        self.girth = rng.uniform(0.85, 1.35)
        self.skirt, self.bag, self.hat = rng.random(3) < (0.12, 0.2, 0.15)

    def draw(self, image: Picture, x: float, foot: float, height: float) -> tuple[float, float, float, float]:
        """Draw it standing at a point, with its height in pixels; returns its box, which may leave the picture."""
        self._image, self._x, self._y, self._size = image, x, foot, height
        self._points: list[tuple[float, float]] = []
        swing = math.sin(self.phase) * self.swing
        self._limb(self._arm(swing, 1.0), 0.05, _shade(self.top, 0.75))
        self._leg(-swing, _shade(self.trousers, 0.75))
        self._leg(swing, self.trousers)
        half = 0.095 * self.girth
        hip = 0.075 * self.girth
        self._polygon([(-half, -0.82), (half, -0.82), (hip, -0.6), (hip * 1.1, -0.45), (-hip * 1.1, -0.45)], self.top)
        if self.skirt:
            self._polygon([(-hip, -0.5), (hip, -0.5), (hip * 1.6, -0.26), (-hip * 1.6, -0.26)], self.trousers)
        if self.bag:
            bag = [(-1.4 * half, -0.78), (-0.4 * half, -0.8), (-0.5 * half, -0.56), (-1.5 * half, -0.58)]
            self._polygon(bag, self.shoes)
        self._limb([(0.0, -0.87), (0.0, -0.82)], 0.055, self.skin)
        self._oval((0.004, -0.925), 0.048, 0.066, self.skin)
        self._oval((-0.012, -0.95), 0.052, 0.05 if not self.hat else 0.04, self.hair)
        self._limb(self._arm(-swing, 1.0), 0.055, _shade(self.top, 1.12))
        points = np.array(self._points)
        low, high = points.min(0), points.max(0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def _arm(self, angle: float, length: float) -> list[tuple[float, float]]:
        shoulder = (0.01, -0.79)
        elbow = (shoulder[0] + 0.16 * math.sin(angle), shoulder[1] + 0.16 * length * math.cos(angle))
        bend = angle + 0.35
        return [shoulder, elbow, (elbow[0] + 0.15 * math.sin(bend), elbow[1] + 0.15 * math.cos(bend))]

    def _leg(self, angle: float, paint: Colour) -> None:
        knee = (0.25 * math.sin(angle), -0.49 + 0.25 * math.cos(angle))
        bend = angle - max(0.0, math.cos(self.phase)) * self.swing * 0.7
        ankle = (knee[0] + 0.22 * math.sin(bend), knee[1] + 0.22 * math.cos(bend))
        self._limb([(0.0, -0.49), knee, ankle], 0.078 * self.girth, paint)
        self._limb([ankle, (ankle[0] + 0.05, ankle[1] + 0.012)], 0.042, self.shoes)

    def _place(self, point: tuple[float, float]) -> tuple[int, int]:
        x, y = self._x + self.facing * point[0] * self._size, self._y + point[1] * self._size
        return int(x * (1 << SHIFT)), int(y * (1 << SHIFT))

    def _reach(self, point: tuple[float, float], radius_x: float, radius_y: float) -> None:
        x, y = self._x + self.facing * point[0] * self._size, self._y + point[1] * self._size
        for sign in (-1, 1):
            self._points.append((x + sign * radius_x * self._size, y + sign * radius_y * self._size))

    def _limb(self, points: list[tuple[float, float]], thickness: float, paint: Colour) -> None:
        width = max(1, int(thickness * self._size))
        for start, end in pairwise(points):
            cv2.line(self._image, self._place(start), self._place(end), paint, width, cv2.LINE_AA, SHIFT)
        for point in points:
            radius = int(thickness * self._size / 2 * (1 << SHIFT))
            cv2.circle(self._image, self._place(point), radius, paint, -1, cv2.LINE_AA, SHIFT)
            self._reach(point, thickness / 2, thickness / 2)

    def _polygon(self, points: list[tuple[float, float]], paint: Colour) -> None:
        corners = np.array([self._place(point) for point in points], np.int32)
        cv2.fillPoly(self._image, [corners], paint, cv2.LINE_AA, SHIFT)
        for point in points:
            self._reach(point, 0.0, 0.0)

    def _oval(self, centre: tuple[float, float], across: float, down: float, paint: Colour) -> None:
        scale = self._size * (1 << SHIFT)
        axes = (int(across * scale), int(down * scale))
        cv2.ellipse(self._image, self._place(centre), axes, 0, 0, 360, paint, -1, cv2.LINE_AA, SHIFT)
        self._reach(centre, across, down)


def draw_scene(rng: Generator, width: int = 640, height: int = 480, most: int = 9, trust: float = 0.5) -> Scene:
    """A backdrop with up to `most` people on its ground, far ones first; hidden ones become regions to leave out."""
    image, horizon = backdrop(width, height, rng)
    people = int(rng.integers(0, most + 1))
    slope = rng.uniform(0.5, 1.3)
    feet = np.sort(rng.uniform(horizon + 0.06 * height, height * 1.08, people))
    boxes = np.zeros((people, 5), np.float32)
    for index, foot in enumerate(feet):
        tall = max(14.0, (foot - horizon) * slope * rng.uniform(0.9, 1.1))
        x = rng.uniform(0.0, width)
        if tall > 40 and rng.random() < 0.5:
            shadow = (int(tall * 0.2), max(1, int(tall * 0.03)))
            cv2.ellipse(image, (int(x), int(foot)), shadow, 0, 0, 360, (60, 60, 60), -1, cv2.LINE_AA)
        boxes[index, :4] = Figure(rng).draw(image, x, foot, tall)
        boxes[index, 4] = 1
    whole = np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1e-6)
    boxes[:, [0, 2]] = boxes[:, [0, 2]].clip(0, width)
    boxes[:, [1, 3]] = boxes[:, [1, 3]].clip(0, height)
    left = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for index in range(people):
        for nearer in boxes[index + 1 :]:
            over_x = min(boxes[index, 2], nearer[2]) - max(boxes[index, 0], nearer[0])
            over_y = min(boxes[index, 3], nearer[3]) - max(boxes[index, 1], nearer[1])
            left[index] -= max(0.0, over_x) * max(0.0, over_y)
    boxes[left < 0.5 * whole, 4] = 0
    return Scene(image, boxes[(boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])], trust)
