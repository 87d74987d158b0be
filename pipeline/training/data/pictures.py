"""Pictures and their boxes: COCO files, plain folders, and the scene that augmentation passes along."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import TrainingError

Picture = NDArray[np.uint8]
Boxes = NDArray[np.float32]

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
PERSON_NAMES = {"person", "pedestrian", "people", "human"}


def no_boxes() -> Boxes:
    """An empty list of boxes."""
    return np.zeros((0, 5), np.float32)


@dataclass(slots=True)
class Scene:
    """A BGR picture, its boxes [N,5] and how far its labels are to be trusted (0: no labels, 1: nothing is missing).

    A box is x_min, y_min, x_max, y_max in pixels and 1 for a person, 0 for a region to leave out of the evaluation.
    """

    image: Picture
    boxes: Boxes = field(default_factory=no_boxes)
    trust: float = 0.0


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """One picture of a collection, not yet read."""

    path: Path
    identifier: int
    boxes: Boxes
    trust: float

    def read(self) -> Scene:
        """The picture with its boxes; raises TrainingError where the file cannot be decoded."""
        image = cv2.imread(str(self.path), cv2.IMREAD_COLOR)
        if image is None:
            raise TrainingError(f"{self.path}: not a readable picture")
        return Scene(np.asarray(image, np.uint8), self.boxes.copy(), self.trust)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in a file; raises TrainingError in one line otherwise."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise TrainingError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise TrainingError(f"{path}: must hold an object, not a {type(content).__name__}")
    return content


def person_categories(content: dict[str, Any], path: Path) -> set[int]:
    """Identifiers of the person category: the one named so, else the only one there is."""
    categories = content.get("categories", [])
    people = {c["id"] for c in categories if str(c.get("name", "")).lower() in PERSON_NAMES}
    if not people and len(categories) == 1:
        people = {categories[0]["id"]}
    if not people:
        raise TrainingError(f"{path}: no category is named person")
    return people


def read_coco(data: Path, part: str, trust: float = 0.5, empty_trust: float = 1.0) -> list[LabelledPicture]:
    """Entries of DATA/PART.json, pictures in DATA/PART/; pictures without any box get a trust of their own.

    Raises TrainingError where the files are missing or do not have COCO's form.
    """
    path, folder = data / f"{part}.json", data / part
    content = read_json(path)
    people = person_categories(content, path)
    boxes: dict[int, list[tuple[float, ...]]] = {}
    try:
        for annotation in content["annotations"]:
            if annotation["category_id"] not in people:
                continue
            x, y, width, height = annotation["bbox"]
            counted = 0.0 if annotation.get("iscrowd") else 1.0
            boxes.setdefault(annotation["image_id"], []).append((x, y, x + width, y + height, counted))
        entries = []
        for image in content["images"]:
            found = boxes.get(image["id"], [])
            array = np.asarray(found, np.float32).reshape(-1, 5)
            entries.append(
                LabelledPicture(folder / image["file_name"], image["id"], array, trust if found else empty_trust)
            )
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{path}: not in COCO form: {error!r}") from error
    if not entries:
        raise TrainingError(f"{path}: lists no pictures")
    missing = [entry.path for entry in entries if not entry.path.is_file()]
    if missing:
        raise TrainingError(f"{path}: {len(missing)} pictures are missing, the first is {missing[0]}")
    return entries


def read_folders(folders: Sequence[Path]) -> list[LabelledPicture]:
    """Entries of every picture in folders, without labels, in the order of their names."""
    entries: list[LabelledPicture] = []
    for folder in folders:
        if not folder.is_dir():
            raise TrainingError(f"{folder}: no such folder")
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not paths:
            raise TrainingError(f"{folder}: holds no pictures")
        entries += [LabelledPicture(path, -1, no_boxes(), 0.0) for path in paths]
    return entries


SUFFIXES = {".mp4", ".avi", ".mkv", ".mov", ".webm", ".ts"}


def extract_frames(folders: Sequence[Path], target: Path, every: int = 10) -> int:
    """Write every n-th frame of every clip in folders to a folder, as JPEG of quality 95; returns how many there are.

    Frames that are already there stay as they are. Raises TrainingError where a clip cannot be read.
    """
    total = 0
    for clip in sorted(path for folder in folders for path in folder.iterdir() if path.suffix.lower() in SUFFIXES):
        target.mkdir(parents=True, exist_ok=True)
        capture = cv2.VideoCapture(str(clip))
        number = 0
        while capture.grab():
            if number % every == 0:
                path = target / f"{clip.stem}-{number:06d}.jpg"
                if not path.exists():
                    _, image = capture.retrieve()
                    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
                total += 1
            number += 1
        capture.release()
        if number == 0:
            raise TrainingError(f"{clip}: not a readable video")
    return total
