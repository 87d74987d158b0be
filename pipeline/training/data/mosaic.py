"""A training picture: one scene, or several side by side, with people pasted in, degraded, at the network's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.training.data.augmentation import degrade
from pipeline.training.data.crops import cut, fit, mirror, random_cut, step_back
from pipeline.training.data.pictures import Boxes, LabelledPicture, Picture, Scene
from pipeline.training.data.street import draw_scene

CELL = 16


@dataclass(slots=True)
class TrainingSample:
    """A square BGR picture, its boxes [N,5] and the trust in its labels for every 16x16 pixels."""

    image: Picture
    boxes: Boxes
    trust: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Variety:
    """How often each kind of picture is made, as shares of all pictures."""

    drawn: float = 0.08
    unlabelled: float = 0.15
    collages: float = 0.45
    pasted: float = 0.15
    stepped_back: float = 0.12
    cuts: float = 0.55
    degraded: bool = True


class MosaicComposer:
    """Makes the training picture of a seed from a collection; the same seed always gives the same picture."""

    def __init__(
        self, labelled: Sequence[LabelledPicture], unlabelled: Sequence[LabelledPicture], variety: Variety, seed: int
    ) -> None:
        self._labelled, self._unlabelled = labelled, unlabelled
        self._people = [entry for entry in labelled if len(entry.boxes)]
        self._variety, self._seed = variety, seed

    def compose(self, index: int, size: int) -> TrainingSample:
        """Picture number `index` of the endless sequence, `size` pixels square."""
        rng = np.random.default_rng((self._seed, index))
        variety = self._variety
        if rng.random() < variety.collages:
            sample = self._collage(rng, size, 2 if rng.random() < 0.7 else 3)
        else:
            scene = self._view(rng, size / 512)
            if rng.random() < variety.pasted:
                scene = self._paste(scene, rng)
            scene = fit(scene, size, size)
            trust = np.full((size // CELL, size // CELL), scene.trust, np.float32)
            sample = TrainingSample(scene.image, scene.boxes, trust)
        if variety.degraded:
            sample.image = degrade(np.ascontiguousarray(sample.image), rng)
        return sample

    def _scene(self, rng: np.random.Generator) -> Scene:
        draw = rng.random()
        if draw < self._variety.drawn:
            return draw_scene(rng)
        if self._unlabelled and draw < self._variety.drawn + self._variety.unlabelled:
            return self._unlabelled[int(rng.integers(len(self._unlabelled)))].read()
        return self._labelled[int(rng.integers(len(self._labelled)))].read()

    def _view(self, rng: np.random.Generator, share: float = 1.0) -> Scene:
        scene = self._scene(rng)
        draw = rng.random()
        if draw < self._variety.stepped_back:
            scene = step_back(scene, rng)
        elif draw < self._variety.stepped_back + self._variety.cuts or share < 1:
            scene = random_cut(scene, rng, 0.3 * share)
        return mirror(scene) if rng.random() < 0.5 else scene

    def _collage(self, rng: np.random.Generator, size: int, tiles: int) -> TrainingSample:
        """A grid of tiles x tiles views; the lines between them lie at random, a multiple of a cell."""
        cells = size // CELL
        image = np.empty((size, size, 3), np.uint8)
        trust = np.empty((cells, cells), np.float32)
        boxes: list[Boxes] = []
        lines = [self._lines(rng, cells, tiles) for _ in range(2)]
        for top, bottom in pairwise(lines[0]):
            for left, right in pairwise(lines[1]):
                scene = fit(self._view(rng), (right - left) * CELL, (bottom - top) * CELL)
                image[top * CELL : bottom * CELL, left * CELL : right * CELL] = scene.image
                trust[top:bottom, left:right] = scene.trust
                scene.boxes[:, [0, 2]] += left * CELL
                scene.boxes[:, [1, 3]] += top * CELL
                boxes.append(scene.boxes)
        return TrainingSample(image, np.concatenate(boxes), trust)

    @staticmethod
    def _lines(rng: np.random.Generator, cells: int, tiles: int) -> list[int]:
        slack = cells // (3 * tiles)
        inner = [cells * k // tiles + int(rng.integers(-slack, slack + 1)) for k in range(1, tiles)]
        return [0, *inner, cells]

    def _paste(self, scene: Scene, rng: np.random.Generator) -> Scene:
        """Put one to three people cut out of other pictures into a scene; what they are is left to the teacher."""
        if not self._people:
            return scene
        image = scene.image.copy()
        height, width = image.shape[:2]
        boxes = [scene.boxes]
        for _ in range(int(rng.integers(1, 4))):
            source = self._people[int(rng.integers(len(self._people)))].read()
            x0, y0, x1, y1 = source.boxes[rng.integers(len(source.boxes)), :4]
            margin_x, margin_y = (x1 - x0) * 0.08, (y1 - y0) * 0.05
            limit_y, limit_x = source.image.shape[:2]
            left, right = int(max(0, x0 - margin_x)), int(min(limit_x, x1 + margin_x + 1))
            top, bottom = int(max(0, y0 - margin_y)), int(min(limit_y, y1 + margin_y + 1))
            if right - left < 8 or bottom - top < 16:
                continue
            person = cut(source, left, top, right, bottom)
            tall = int(height * np.exp(rng.uniform(np.log(0.08), np.log(0.7))))
            wide = max(4, int(tall * (right - left) / (bottom - top)))
            if wide >= width or tall >= height or tall < 12:
                continue
            patch = fit(person, wide, tall).image
            x, y = int(rng.integers(0, width - wide)), int(rng.integers(0, height - tall))
            edge = max(1.0, min(wide, tall) * 0.06)
            ramp_x = np.minimum(np.arange(wide) + 0.5, np.arange(wide)[::-1] + 0.5) / edge
            ramp_y = np.minimum(np.arange(tall) + 0.5, np.arange(tall)[::-1] + 0.5) / edge
            alpha = np.minimum(ramp_x[None, :], ramp_y[:, None]).clip(0, 1)[..., None].astype(np.float32)
            part = image[y : y + tall, x : x + wide]
            part[:] = (patch * alpha + part * (1 - alpha)).astype(np.uint8)
            boxes.append(np.array([[x, y, x + wide, y + tall, 0]], np.float32))
        return Scene(image, np.concatenate(boxes), scene.trust)


def to_planes(image: Picture) -> NDArray[np.uint8]:
    """Rows of BGR pixels to contiguous planes, [3,H,W]."""
    return np.ascontiguousarray(image.transpose(2, 0, 1))
