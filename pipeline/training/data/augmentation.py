"""What cameras, lenses, weather, night and codecs do to a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.training.data.pictures import Picture

Generator = np.random.Generator


def _clip(values: NDArray[np.floating[Any]]) -> Picture:
    return values.clip(0, 255).astype(np.uint8)


def lighting(image: Picture, rng: Generator) -> Picture:
    """Another brightness, contrast and gamma."""
    levels = np.arange(256, dtype=np.float32) / 255
    levels = levels ** np.float32(np.exp(rng.uniform(-0.5, 0.5)))
    levels = (levels - 0.5) * np.float32(rng.uniform(0.5, 1.5)) + 0.5 + np.float32(rng.uniform(-0.13, 0.13))
    return np.asarray(cv2.LUT(image, _clip(levels * 255)), np.uint8)


def colour(image: Picture, rng: Generator) -> Picture:
    """Another hue and saturation."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    hue, saturation, value = cv2.split(hsv)
    turn = int(rng.integers(-18, 19))
    hue = cv2.LUT(hue, ((np.arange(256) + turn) % 180).astype(np.uint8))
    saturation = cv2.LUT(saturation, _clip(np.arange(256, dtype=np.float32) * rng.uniform(0.3, 1.6)))
    return np.asarray(cv2.cvtColor(cv2.merge([hue, saturation, value]), cv2.COLOR_HSV2BGR), np.uint8)


def white_balance(image: Picture, rng: Generator) -> Picture:
    """A colour cast."""
    gains = np.exp(rng.uniform(-0.25, 0.25, 3)).astype(np.float32)
    table = np.arange(256, dtype=np.float32)[None, :, None] * gains
    return np.asarray(cv2.LUT(image, _clip(table)), np.uint8)


def grey(image: Picture, rng: Generator) -> Picture:
    """No colour, as of an infrared or an old camera."""
    return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)


def defocus(image: Picture, rng: Generator) -> Picture:
    """A lens out of focus."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.2)), np.uint8)


def motion(image: Picture, rng: Generator) -> Picture:
    """A moving camera: the mean along a short line of random direction."""
    length = int(rng.integers(3, 12))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    middle = (length - 1) / 2
    start, end = np.rint(middle - reach).astype(int), np.rint(middle + reach).astype(int)
    cv2.line(kernel, start.tolist(), end.tolist(), 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def noise(image: Picture, rng: Generator) -> Picture:
    """A noisy sensor; the grain is fine or coarse."""
    height, width = image.shape[:2]
    coarse = int(rng.integers(1, 3))
    grain = rng.standard_normal((height // coarse + 1, width // coarse + 1, 3), np.float32) * rng.uniform(3, 20)
    grain = np.asarray(cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    return _clip(image + grain)


def night(image: Picture, rng: Generator) -> Picture:
    """Little light: dark, noisy, pale."""
    dark = (image.astype(np.float32) / 255) ** np.float32(rng.uniform(1.3, 2.4)) * np.float32(rng.uniform(80, 220))
    pale = dark.mean(2, keepdims=True)
    mixed = pale + (dark - pale) * np.float32(rng.uniform(0.2, 0.9))
    grain = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(2, 10))
    return _clip(mixed + grain)


def haze(image: Picture, rng: Generator) -> Picture:
    """Fog, or a light shining into the lens, thicker at one end."""
    height = image.shape[0]
    ends = rng.uniform(0.0, 0.55, 2)
    veil = np.linspace(ends[0], ends[1], height, dtype=np.float32)[:, None, None]
    return _clip(image * (1 - veil) + veil * np.float32(rng.uniform(150, 255)))


def compression(image: Picture, rng: Generator) -> Picture:
    """Blocks and ringing of a strongly compressed stream."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(10, 60))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def enlargement(image: Picture, rng: Generator) -> Picture:
    """A small picture blown up."""
    height, width = image.shape[:2]
    share = rng.uniform(0.3, 0.8)
    small = cv2.resize(image, (int(width * share), int(height * share)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def vignette(image: Picture, rng: Generator) -> Picture:
    """Corners darker than the middle."""
    height, width = image.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] - np.float32(rng.uniform(-0.3, 0.3))
    x = np.linspace(-1, 1, width, dtype=np.float32)[None] - np.float32(rng.uniform(-0.3, 0.3))
    shade = 1 - np.float32(rng.uniform(0.2, 0.5)) * (x * x + y * y)
    return _clip(image * shade.clip(0, 1)[..., None])


LIGHT: tuple[tuple[Callable[[Picture, Generator], Picture], float], ...] = (
    (lighting, 0.45),
    (colour, 0.25),
    (white_balance, 0.1),
    (grey, 0.1),
    (vignette, 0.03),
    (haze, 0.05),
    (night, 0.06),
)
OPTICS: tuple[tuple[Callable[[Picture, Generator], Picture], float], ...] = (
    (enlargement, 0.1),
    (defocus, 0.07),
    (motion, 0.06),
    (noise, 0.1),
    (compression, 0.15),
)


def degrade(image: Picture, rng: Generator) -> Picture:
    """A picture after a random choice of mishaps, in the order in which they happen; a quarter of them meet none."""
    if rng.random() < 0.25:
        return image
    for mishap, chance in (*LIGHT, *OPTICS):
        if rng.random() < chance:
            image = mishap(image, rng)
    return image
