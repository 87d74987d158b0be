"""Looking at a scene differently: cut out a part, step back from it, mirror it, fit it into a square."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.training.data.pictures import Boxes, Picture, Scene

# A person of whom less than this share is left is no longer one to be found, nor one to be blamed for finding.
VISIBLE_SHARE = 0.4


def cut(scene: Scene, left: int, top: int, right: int, bottom: int) -> Scene:
    """The part of a scene inside a rectangle; people cut off too far become regions to leave out."""
    boxes = scene.boxes.copy()
    if len(boxes):
        before = np.maximum(area(boxes), 1e-6)
        boxes[:, [0, 2]] = boxes[:, [0, 2]].clip(left, right) - left
        boxes[:, [1, 3]] = boxes[:, [1, 3]].clip(top, bottom) - top
        share = area(boxes) / before
        boxes[share < VISIBLE_SHARE, 4] = 0
        boxes = boxes[share > 0]
    return Scene(scene.image[top:bottom, left:right], boxes, scene.trust)


def area(boxes: Boxes) -> Boxes:
    """Areas of corner boxes."""
    areas: Boxes = (boxes[:, 2] - boxes[:, 0]).clip(0) * (boxes[:, 3] - boxes[:, 1]).clip(0)
    return areas


def random_cut(scene: Scene, rng: np.random.Generator, smallest: float = 0.3) -> Scene:
    """A part of random place, size and proportions, around somebody in half of the scenes that have people."""
    height, width = scene.image.shape[:2]
    share = rng.uniform(smallest, 1.0)
    stretch = np.exp(rng.uniform(-0.35, 0.35))
    cut_width = int(np.clip(width * share * stretch, 48, width))
    cut_height = int(np.clip(height * share / stretch, 48, height))
    left = int(rng.integers(0, width - cut_width + 1))
    top = int(rng.integers(0, height - cut_height + 1))
    if len(scene.boxes) and rng.random() < 0.5:
        box = scene.boxes[rng.integers(len(scene.boxes))]
        left = int(np.clip((box[0] + box[2]) / 2 - cut_width * rng.uniform(0.2, 0.8), 0, width - cut_width))
        top = int(np.clip((box[1] + box[3]) / 2 - cut_height * rng.uniform(0.2, 0.8), 0, height - cut_height))
    return cut(scene, left, top, left + cut_width, top + cut_height)


def mirror(scene: Scene) -> Scene:
    """The scene seen in a mirror."""
    boxes = scene.boxes.copy()
    boxes[:, [0, 2]] = scene.image.shape[1] - boxes[:, [2, 0]]
    return Scene(np.ascontiguousarray(scene.image[:, ::-1]), boxes, scene.trust)


def fit(scene: Scene, width: int, height: int) -> Scene:
    """The whole scene stretched to a size."""
    old_height, old_width = scene.image.shape[:2]
    shrinks = old_width * old_height > 1.5 * width * height
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    image = np.asarray(cv2.resize(scene.image, (width, height), interpolation=method), np.uint8)
    boxes = scene.boxes.copy()
    boxes[:, [0, 2]] *= width / old_width
    boxes[:, [1, 3]] *= height / old_height
    return Scene(image, boxes, scene.trust)


def background(width: int, height: int, scene: Scene, rng: np.random.Generator) -> Picture:
    """Something to put a picture on: plain grey, its mean colour, noise, or itself blurred beyond recognition."""
    kind = rng.integers(4)
    if kind == 0:
        return np.full((height, width, 3), rng.integers(0, 256), np.uint8)
    if kind == 1:
        canvas = np.empty((height, width, 3), np.uint8)
        canvas[:] = scene.image.mean((0, 1)).astype(np.uint8)
        return canvas
    if kind == 2:
        coarse = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
        return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    tiny = cv2.resize(scene.image, (5, 5), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(tiny, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def step_back(scene: Scene, rng: np.random.Generator, smallest: float = 0.3) -> Scene:
    """The scene on a larger canvas, so that its people become smaller."""
    height, width = scene.image.shape[:2]
    share = rng.uniform(smallest, 0.95)
    stretch = np.exp(rng.uniform(-0.25, 0.25))
    canvas_width, canvas_height = max(width, int(width / share * stretch)), max(height, int(height / share / stretch))
    left = int(rng.integers(0, canvas_width - width + 1))
    top = int(rng.integers(0, canvas_height - height + 1))
    # The canvas is at most about 3.5 times the picture each way; drawing it at a bounded size keeps this cheap.
    scale = min(1.0, 768 / max(canvas_width, canvas_height))
    small = fit(scene, max(8, int(width * scale)), max(8, int(height * scale)))
    canvas = background(int(canvas_width * scale) + 1, int(canvas_height * scale) + 1, small, rng)
    left, top = int(left * scale), int(top * scale)
    part = canvas[top : top + small.image.shape[0], left : left + small.image.shape[1]]
    part[:] = small.image[: part.shape[0], : part.shape[1]]
    boxes = small.boxes.copy()
    boxes[:, [0, 2]] += left
    boxes[:, [1, 3]] += top
    return Scene(canvas, boxes, scene.trust)
