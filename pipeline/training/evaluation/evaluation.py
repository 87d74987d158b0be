"""COCO's measures of detections against labels, with pycocotools."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rich.table import Table

from pipeline.errors import TrainingError
from pipeline.training.data.pictures import person_categories, read_json

FALSE_ALARMS = (0.01, 0.1, 0.5)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Measures over a collection; -1 where there is nothing to measure.

    Average precisions are COCO's (100 detections a picture; small, medium and large split at 32 and 96 pixels square).
    `recall` maps false alarms per picture to the recall at that many, at an overlap of 0.5; `false_alarms` is the mean
    number of detections at confidence 0.5 on pictures that show nobody.
    """

    pictures: int
    people: int
    average_precision: float
    average_precision_50: float
    small: float
    medium: float
    large: float
    recall: dict[float, float]
    false_alarms: float


class Labels:
    """Labels of DATA/PART.json, of which `limit` pictures are taken, evenly spread, or all."""

    def __init__(self, data: Path, part: str, limit: int = 0) -> None:
        path = data / f"{part}.json"
        content = read_json(path)
        people = person_categories(content, path)
        try:
            annotations = [dict(a, category_id=1) for a in content["annotations"] if a["category_id"] in people]
            images: list[dict[str, Any]] = sorted(content["images"], key=lambda image: int(image["id"]))
            if limit and limit < len(images):
                images = [images[round(k * (len(images) - 1) / max(limit - 1, 1))] for k in range(limit)]
            taken = {image["id"] for image in images}
            self.images = images
            self._coco = COCO()
            self._coco.dataset = {
                "images": images,
                "annotations": [_complete(a) for a in annotations if a["image_id"] in taken],
                "categories": [{"id": 1, "name": "person"}],
            }
            with contextlib.redirect_stdout(io.StringIO()):
                self._coco.createIndex()
        except (KeyError, TypeError) as error:
            raise TrainingError(f"{path}: not in COCO form: {error!r}") from error

    def judge(self, detections: dict[int, NDArray[np.float32]]) -> Evaluation:
        """Measures of detections by image id, each [N,5]: confidence and corners as fractions of the picture."""
        rows = [
            {"image_id": image["id"], "category_id": 1, "score": float(row[0]), "bbox": _pixels(row, image)}
            for image in self.images
            for row in detections.get(image["id"], np.zeros((0, 5), np.float32))
        ]
        people = sum(not a["iscrowd"] for a in self._coco.dataset["annotations"])
        inhabited = {a["image_id"] for a in self._coco.dataset["annotations"]}
        empty = [image["id"] for image in self.images if image["id"] not in inhabited]
        alarms = sum(row["score"] >= 0.5 for row in rows if row["image_id"] not in inhabited)
        false_alarms = alarms / len(empty) if empty else -1.0
        if not rows or not people:
            nothing = 0.0 if people else -1.0
            recall = dict.fromkeys(FALSE_ALARMS, nothing)
            return Evaluation(
                len(self.images), people, nothing, nothing, nothing, nothing, nothing, recall, false_alarms
            )
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(self._coco, self._coco.loadRes(rows), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        stats = [float(value) for value in evaluation.stats]
        recall = self._recall(evaluation, people)
        return Evaluation(
            len(self.images), people, stats[0], stats[1], stats[3], stats[4], stats[5], recall, false_alarms
        )

    def _recall(self, evaluation: COCOeval, people: int) -> dict[float, float]:
        scores, hits = [], []
        for found in evaluation.evalImgs:
            if found is None or found["aRng"] != evaluation.params.areaRng[0]:
                continue
            counts = ~found["dtIgnore"][0].astype(bool)
            scores.append(np.asarray(found["dtScores"])[counts])
            hits.append(found["dtMatches"][0][counts] > 0)
        order = np.argsort(-np.concatenate(scores), kind="stable")
        hit = np.concatenate(hits)[order]
        recalls, alarms = np.cumsum(hit) / people, np.cumsum(~hit) / len(self.images)
        table = {}
        for allowed in FALSE_ALARMS:
            within = recalls[alarms <= allowed]
            table[allowed] = float(within[-1]) if len(within) else 0.0
        return table


def _complete(annotation: dict[str, Any]) -> dict[str, Any]:
    area = annotation.get("area", annotation["bbox"][2] * annotation["bbox"][3])
    return {**annotation, "area": area, "iscrowd": int(annotation.get("iscrowd", 0))}


def _pixels(row: NDArray[np.float32], image: dict[str, Any]) -> list[float]:
    width, height = image["width"], image["height"]
    _, x0, y0, x1, y1 = (float(value) for value in row)
    return [x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height]


def as_table(rows: dict[str, tuple[Evaluation, float]]) -> Table:
    """One column a model: its measures, and the milliseconds it takes for a picture."""
    first = next(iter(rows.values()))[0]
    table = Table(title=f"{first.pictures} pictures, {first.people} people")
    table.add_column("")
    for name in rows:
        table.add_column(name, justify="right")
    judged = [evaluation for evaluation, _ in rows.values()]
    table.add_row("AP", *(_score(j.average_precision) for j in judged))
    table.add_row("AP50", *(_score(j.average_precision_50) for j in judged))
    table.add_row("AP small, under 32 x 32 pixels", *(_score(j.small) for j in judged))
    table.add_row("AP medium", *(_score(j.medium) for j in judged))
    table.add_row("AP large, over 96 x 96 pixels", *(_score(j.large) for j in judged))
    for allowed in FALSE_ALARMS:
        table.add_row(f"recall at {allowed:g} false alarms a picture", *(_score(j.recall[allowed]) for j in judged))
    table.add_row("false alarms a picture without people", *(_score(j.false_alarms) for j in judged))
    table.add_row("ms a picture", *(f"{milliseconds:.1f}" for _, milliseconds in rows.values()))
    return table


def _score(value: float) -> str:
    return "-" if value < 0 else f"{value:.3f}"
