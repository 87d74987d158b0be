"""Detections of a whole collection, by a network or by any OpenVINO model of the family."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.collage import to_planes
from training.errors import TrainingError
from training.judgement import Labels
from training.network import INPUT_SIZE, Detector

Detections = dict[int, NDArray[np.float32]]


def prepared(data: Path, part: str, labels: Labels, width: int, height: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Identifier and planes [3,H,W] of every labelled picture, stretched to a size; TrainingError where one is missing."""
    for image in labels.images:
        path = data / part / image["file_name"]
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise TrainingError(f"{path}: not a readable picture")
        yield image["id"], to_planes(np.asarray(cv2.resize(picture, (width, height)), np.uint8))


def measure_network(
    network: Detector, data: Path, part: str, labels: Labels, detect: Callable[[Tensor, Tensor, int], list[Tensor]]
) -> Detections:
    """Detections of a network in PyTorch, by image id."""
    found: Detections = {}
    with torch.no_grad():
        for identifier, planes in prepared(data, part, labels, INPUT_SIZE, INPUT_SIZE):
            raw = network(torch.from_numpy(planes)[None].float())
            found[identifier] = detect(raw.logits.softmax(-1)[..., 0], raw.offsets, INPUT_SIZE)[0].numpy()
    return found
