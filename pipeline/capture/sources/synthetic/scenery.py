"""The drawn street without its people: sky, houses, a park strip, pavements and a road with a crossing."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.frames import Image

WIDTH, HEIGHT = 1280, 720
HORIZON = 190.0
EYE = 3.1
"""Height of the camera over the ground in metres."""
FOCAL = 1100.0

Colour = tuple[int, int, int]
_HOUSE_FOOT, _PARK_FOOT, _KERB_FAR, _KERB_NEAR = 272, 330, 388, 548
_WALLS: tuple[Colour, ...] = (
    *((150, 190, 222), (112, 142, 204), (196, 206, 208), (158, 172, 146)),
    *((120, 160, 214), (178, 166, 150), (142, 182, 212)),
)
_ROOFS: tuple[Colour, ...] = ((74, 82, 132), (92, 86, 84), (70, 74, 110), (84, 90, 98))
_AWNINGS: tuple[Colour, ...] = ((70, 80, 176), (98, 126, 62), (150, 100, 58))


def project(x: float, z: float) -> tuple[float, float, float]:
    """Return column, row and pixels a metre of a point of the ground, x metres to the right and z metres away."""
    scale = FOCAL / z
    return WIDTH / 2 + x * scale, HORIZON + EYE * scale, scale


def ground(row: float) -> float:
    """Return the metres to the ground that is seen in a row under the horizon."""
    return FOCAL * EYE / (row - HORIZON)


def paint(seed: int) -> Image:
    """Paint the whole street: HEIGHT x WIDTH x 3, BGR."""
    rng = np.random.default_rng(seed)
    street = _sky(rng)
    _houses(street, rng)
    _park(street, rng)
    _far_pavement(street)
    _road(street, rng)
    _near_pavement(street)
    for x in (-7.6, 7.9):
        _lamp(street, x)
    for x, size in ((-10.9, 4.3), (-3.6, 3.7), (4.3, 4.0), (11.2, 4.4)):
        _tree(street, rng, x, size)
    grain = cv2.GaussianBlur(rng.normal(0, 1, street.shape).astype(np.float32), (0, 0), 0.7)
    return np.clip(cv2.GaussianBlur(street, (0, 0), 0.55) + 4.0 * grain, 0, 255).astype(np.uint8)


def _sky(rng: np.random.Generator) -> Image:
    rows = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None, None]
    sky = np.array([232, 188, 132], np.float32) * (1 - rows * 3) + np.array([236, 226, 212], np.float32) * rows * 3
    street = np.broadcast_to(sky, (HEIGHT, WIDTH, 3)).clip(0, 255).astype(np.uint8).copy()
    puffs = np.zeros((HEIGHT, WIDTH), np.float32)
    for _ in range(26):
        centre = (int(rng.integers(0, WIDTH)), int(rng.integers(4, 90)))
        cv2.ellipse(puffs, centre, (int(rng.integers(40, 110)), int(rng.integers(5, 14))), 0, 0, 360, 0.55, -1)
    clouds = cv2.GaussianBlur(puffs, (0, 0), 9)[..., None]
    return (street * (1 - clouds) + 250 * clouds).astype(np.uint8)


def _houses(street: Image, rng: np.random.Generator) -> None:
    left, index = -20, 0
    while left < WIDTH:
        width, floors = int(rng.integers(128, 190)), int(rng.choice([2, 2, 3]))
        wall, roof = _WALLS[index % len(_WALLS)], _ROOFS[int(rng.integers(len(_ROOFS)))]
        top = _HOUSE_FOOT - 22 - floors * 62 + int(rng.integers(-8, 9))
        _roof(street, left, top, width, roof, rng)
        cv2.rectangle(street, (left, top), (left + width, _HOUSE_FOOT), wall, -1)
        cv2.rectangle(street, (left, top), (left + 7, _HOUSE_FOOT), _tinted(wall, 1.07), -1)
        cv2.rectangle(street, (left + width - 9, top), (left + width, _HOUSE_FOOT), _tinted(wall, 0.84), -1)
        cv2.rectangle(street, (left - 3, top - 5), (left + width + 3, top + 3), _tinted(wall, 0.72), -1)
        columns = max(3, width // 44)
        step = width / columns
        for floor in range(floors):
            for column in range(columns):
                x, y = round(left + step * (column + 0.5)), top + 16 + floor * 60
                if floor < floors - 1 or index % 2:
                    _window(street, x, y, wall, rng)
        if index % 2 == 0:
            _shop(street, left, width, index, rng)
        left, index = left + width, index + 1


def _roof(street: Image, left: int, top: int, width: int, colour: Colour, rng: np.random.Generator) -> None:
    slope = [(left - 4, top), (left + 16, top - 30), (left + width - 16, top - 30), (left + width + 4, top)]
    chimney = left + int(rng.integers(30, width - 40))
    cv2.rectangle(street, (chimney, top - 48), (chimney + 15, top - 16), _tinted(colour, 0.85), -1)
    cv2.fillPoly(street, [np.array(slope, np.int32)], colour, cv2.LINE_AA)
    for row in range(top - 24, top, 7):
        cv2.line(street, (left + 8, row), (left + width - 8, row), _tinted(colour, 0.9), 1)


def _window(street: Image, x: int, y: int, wall: Colour, rng: np.random.Generator) -> None:
    cv2.rectangle(street, (x - 12, y - 2), (x + 12, y + 36), _tinted(wall, 1.18), -1)
    light = float(rng.uniform(0.75, 1.25))
    for row in range(33):
        shade = _tinted((150 - row * 2, 128 - row * 2, 104 - row * 2), light)
        cv2.line(street, (x - 9, y + 1 + row), (x + 9, y + 1 + row), shade, 1)
    cv2.line(street, (x, y + 1), (x, y + 33), _tinted(wall, 1.12), 2)
    cv2.line(street, (x - 9, y + 13), (x + 9, y + 13), _tinted(wall, 1.12), 1)
    cv2.rectangle(street, (x - 14, y + 36), (x + 14, y + 39), _tinted(wall, 0.7), -1)


def _shop(street: Image, left: int, width: int, index: int, rng: np.random.Generator) -> None:
    top, colour = _HOUSE_FOOT - 52, _AWNINGS[index // 2 % len(_AWNINGS)]
    cv2.rectangle(street, (left + 12, top), (left + width - 12, _HOUSE_FOOT), (62, 60, 58), -1)
    cv2.rectangle(street, (left + 17, top + 5), (left + width - 17, _HOUSE_FOOT - 8), (128, 122, 100), -1)
    for pane in range(left + 17, left + width - 48, 32):
        cv2.line(street, (pane, top + 5), (pane, _HOUSE_FOOT - 8), (62, 60, 58), 2)
        shine = np.array([(pane + 6, top + 40), (pane + 20, top + 8), (pane + 26, top + 8), (pane + 12, top + 40)])
        cv2.fillPoly(street, [shine.astype(np.int32)], (158, 152, 132), cv2.LINE_AA)
    stripes = 12
    for stripe in range(stripes):
        a, b = (left + 6 + (width - 12) * (stripe + side) / stripes for side in (0, 1))
        spread_a, spread_b = ((edge - left - width / 2) * 0.06 for edge in (a, b))
        drop = [(a, top - 4), (b, top - 4), (b + spread_b, top + 17), (a + spread_a, top + 17)]
        paint_colour = colour if stripe % 2 else (226, 232, 236)
        cv2.fillPoly(street, [np.array(drop, np.int32)], paint_colour, cv2.LINE_AA)


def _park(street: Image, rng: np.random.Generator) -> None:
    _bands(street, _HOUSE_FOOT, _HOUSE_FOOT + 12, (148, 152, 156), (160, 164, 168))
    _bands(street, _HOUSE_FOOT + 12, _PARK_FOOT, (82, 148, 122), (74, 132, 104))
    for _ in range(2600):
        x, y = int(rng.integers(0, WIDTH)), int(rng.integers(_HOUSE_FOOT + 13, _PARK_FOOT))
        cv2.line(street, (x, y), (x + 1, y - 3), _tinted((78, 146, 114), float(rng.uniform(0.8, 1.2))), 1)
    for left, right in ((0, 330), (420, 840), (930, WIDTH)):
        for _ in range((right - left) * 2):
            centre = (int(rng.integers(left, right)), int(rng.integers(284, 297)))
            cv2.circle(street, centre, 5, _tinted((66, 118, 82), float(rng.uniform(0.72, 1.2))), -1, cv2.LINE_AA)
        for _ in range((right - left) // 14):
            centre = (int(rng.integers(left, right)), int(rng.integers(300, 306)))
            bloom = ((120, 110, 226), (90, 200, 240), (214, 150, 200))[int(rng.integers(3))]
            cv2.circle(street, centre, 2, bloom, -1, cv2.LINE_AA)


def _far_pavement(street: Image) -> None:
    _bands(street, _PARK_FOOT, _KERB_FAR, (170, 180, 186), (180, 190, 196))
    _tiles(street, _PARK_FOOT, _KERB_FAR, 1.2, (158, 168, 174))
    cv2.rectangle(street, (0, _PARK_FOOT - 2), (WIDTH, _PARK_FOOT + 2), (140, 148, 152), -1)
    cv2.rectangle(street, (0, _KERB_FAR), (WIDTH, _KERB_FAR + 6), (150, 156, 160), -1)


def _road(street: Image, rng: np.random.Generator) -> None:
    _bands(street, _KERB_FAR + 6, _KERB_NEAR, (112, 110, 108), (124, 122, 120))
    patch = rng.normal(0, 1, (40, 80)).astype(np.float32)
    wear = cv2.resize(patch, (WIDTH, _KERB_NEAR - _KERB_FAR - 6), interpolation=cv2.INTER_CUBIC)[..., None]
    lane = street[_KERB_FAR + 6 : _KERB_NEAR]
    lane[:] = np.clip(lane + 2.2 * wear, 0, 255).astype(np.uint8)
    z = ground(452.0)
    for x in np.arange(-14.0, 14.0, 2.4):
        if abs(x + 0.6) > 2.6:
            _slab(street, x, x + 1.3, z + 0.16, z - 0.16, (206, 212, 214))
    near, far = ground(_KERB_NEAR - 4), ground(_KERB_FAR + 10)
    for x in np.arange(-1.6, 1.6, 0.8):
        _slab(street, x, x + 0.45, far, near, (214, 219, 220))


def _near_pavement(street: Image) -> None:
    _bands(street, _KERB_NEAR, HEIGHT, (178, 188, 194), (196, 205, 210))
    _tiles(street, _KERB_NEAR + 18, HEIGHT, 0.8, (170, 179, 185))
    cv2.rectangle(street, (0, _KERB_NEAR), (WIDTH, _KERB_NEAR + 12), (168, 175, 180), -1)
    cv2.rectangle(street, (0, _KERB_NEAR - 4), (WIDTH, _KERB_NEAR), (96, 98, 100), -1)


def _bands(street: Image, top: int, bottom: int, first: Colour, last: Colour) -> None:
    share = np.linspace(0, 1, bottom - top, dtype=np.float32)[:, None, None]
    street[top:bottom] = (np.array(first) * (1 - share) + np.array(last) * share).astype(np.uint8)


def _tiles(street: Image, top: int, bottom: int, size: float, joint: Colour) -> None:
    far, near = ground(top), ground(bottom)
    for z in np.arange(near, far, size):
        row = round(project(0, z)[1])
        cv2.line(street, (0, row), (WIDTH, row), joint, 1)
    for x in np.arange(-24, 24, size):
        start, end = project(x, far), project(x, near)
        cv2.line(street, (round(start[0]), top), (round(end[0]), bottom), joint, 1, cv2.LINE_AA)


def _slab(street: Image, left: float, right: float, far: float, near: float, colour: Colour) -> None:
    corners = [project(x, z)[:2] for x, z in ((left, far), (right, far), (right, near), (left, near))]
    cv2.fillPoly(street, [np.array(corners).round().astype(np.int32)], colour, cv2.LINE_AA)


def _lamp(street: Image, x: float) -> None:
    column, row, scale = project(x, ground(_PARK_FOOT - 6))
    foot, top = (round(column), round(row)), (round(column), round(row - 4.2 * scale))
    cv2.line(street, foot, top, (66, 70, 66), 5, cv2.LINE_AA)
    cv2.line(street, top, (top[0] + 26, top[1] - 6), (66, 70, 66), 4, cv2.LINE_AA)
    cv2.ellipse(street, (top[0] + 30, top[1] - 4), (13, 5), 0, 0, 360, (214, 226, 230), -1, cv2.LINE_AA)
    cv2.ellipse(street, foot, (9, 4), 0, 0, 360, (58, 62, 58), -1, cv2.LINE_AA)


def _tree(street: Image, rng: np.random.Generator, x: float, height: float) -> None:
    column, row, scale = project(x, ground(_PARK_FOOT - 12))
    foot = np.array([column, row])
    shade = street.copy()
    cv2.ellipse(shade, (round(column + 34), round(row - 2)), (62, 9), 0, 0, 360, (52, 92, 74), -1, cv2.LINE_AA)
    cv2.addWeighted(shade, 0.6, street, 0.4, 0, dst=street)
    crown = foot - (0, (height - 1.1) * scale)
    trunk = np.stack([foot, foot, crown, crown]) + np.array([(-6, 0), (7, 0), (3, 20), (-3, 20)])
    cv2.fillPoly(street, [trunk.round().astype(np.int32)], (58, 78, 96), cv2.LINE_AA)
    radius = 1.15 * scale
    for _ in range(520):
        angle, reach = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 1))
        leaf = crown + radius * reach * np.array([np.cos(angle), 0.86 * np.sin(angle)])
        lit = 0.92 - 0.30 * reach * (np.cos(angle - 0.7 * np.pi - np.pi / 6) < 0) - 0.16 * (leaf[1] - crown[1]) / radius
        colour = _tinted((72, 146, 112), float(lit * rng.uniform(0.82, 1.16)))
        cv2.circle(street, (round(leaf[0]), round(leaf[1])), int(rng.integers(4, 11)), colour, -1, cv2.LINE_AA)


def _tinted(colour: Colour, factor: float) -> Colour:
    blue, green, red = colour
    return _byte(blue * factor), _byte(green * factor), _byte(red * factor)


def _byte(value: float) -> int:
    return max(0, min(255, int(value)))
