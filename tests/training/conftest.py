"""Drawn pictures to train on, and the folders that a machine may or may not have."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.training.data.street import draw_scene

if importlib.util.find_spec("torch"):
    import torch

    # Threads that wait for each other are slow on a machine that has other things to do.
    torch.set_num_threads(1)


def write_collection(folder: Path, part: str, pictures: int, seed: int) -> None:
    """A COCO collection of drawn streets, 320 x 256 pixels, every label counted."""
    rng = np.random.default_rng(seed)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (folder / part).mkdir(parents=True)
    while len(images) < pictures:
        scene = draw_scene(rng, 320, 256, most=3)
        boxes = [box for box in scene.boxes if box[3] - box[1] > 60]
        if not boxes or (scene.boxes[:, 4] < 1).any():
            continue
        identifier = len(images) + 1
        cv2.imwrite(str(folder / part / f"{identifier}.png"), scene.image)
        images.append({"id": identifier, "file_name": f"{identifier}.png", "width": 320, "height": 256})
        for x0, y0, x1, y1, _ in boxes:
            corners = [float(x0), float(y0), float(x1 - x0), float(y1 - y0)]
            annotation = {"id": len(annotations) + 1, "image_id": identifier, "category_id": 1, "bbox": corners}
            annotations.append({**annotation, "area": corners[2] * corners[3], "iscrowd": 0})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (folder / f"{part}.json").write_text(json.dumps(content))


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with eight drawn pictures to train on and the same eight to judge on."""
    folder = tmp_path_factory.mktemp("drawn")
    write_collection(folder, "train", 8, seed=3)
    write_collection(folder, "val", 8, seed=3)
    return folder


def _folder(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set")
    return Path(value)


@pytest.fixture(scope="session")
def official() -> Path:
    """The official FP16 model, from the folder in LOOKOUT_MODELS."""
    return _folder("LOOKOUT_MODELS") / "person-detection-0202/FP16/person-detection-0202.xml"


@pytest.fixture(scope="session")
def people() -> Path:
    """Labelled pictures of people, from the folder in LOOKOUT_DATA."""
    return _folder("LOOKOUT_DATA") / "persons"
