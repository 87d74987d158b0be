from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install '.[train]'")
pytest.importorskip("pycocotools", reason="training needs pycocotools: pip install '.[train]'")

import cv2
import numpy as np
import openvino as ov
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.errors import TrainingError
from pipeline.training.evaluation.evaluation import Labels
from pipeline.training.evaluation.measurement import measure_model


def test_the_truth_itself_scores_one(drawn: Path) -> None:
    labels = Labels(drawn, "val")
    content = json.loads((drawn / "val.json").read_text())
    truth: dict[int, list[list[float]]] = {}
    for annotation in content["annotations"]:
        x, y, width, height = annotation["bbox"]
        row = [0.9, x / 320, y / 256, (x + width) / 320, (y + height) / 256]
        truth.setdefault(annotation["image_id"], []).append(row)
    judged = labels.judge({key: np.array(rows, np.float32) for key, rows in truth.items()})
    assert judged.average_precision == pytest.approx(1.0)
    assert judged.recall[0.01] == pytest.approx(1.0)
    assert judged.people == len(content["annotations"])


def test_no_detections_score_nothing(drawn: Path) -> None:
    judged = Labels(drawn, "val").judge({})
    assert judged.average_precision == 0
    assert judged.false_alarms == -1


def test_a_limit_takes_pictures_spread_over_all(drawn: Path) -> None:
    assert [image["id"] for image in Labels(drawn, "val", 3).images] == [1, 5, 8]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("nonsense", "not JSON"),
        ("[]", "must hold an object, not a list"),
        ('{"categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "dog"}]}', "no category is named person"),
        ('{"categories": [{"id": 1, "name": "person"}]}', "not in COCO form"),
    ],
)
def test_labels_that_cannot_be_used_are_refused_in_one_line(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "val.json").write_text(content)
    with pytest.raises(TrainingError, match=complaint) as caught:
        Labels(tmp_path, "val")
    assert "\n" not in str(caught.value)


def test_the_official_precision_is_what_pycocotools_says(official: Path, people: Path) -> None:
    labels = Labels(people, "val", 60)
    detections, _ = measure_model(official, people, "val", labels)
    ours = labels.judge(detections)

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(people / "val.json"))
        compiled = ov.Core().compile_model(official, "CPU")
        results = []
        taken = [image["id"] for image in labels.images]
        for image in truth.loadImgs(taken):
            read = cv2.imread(str(people / "val" / image["file_name"]))
            assert read is not None
            picture = cv2.resize(read, (512, 512))
            for row in compiled(picture.transpose(2, 0, 1)[None].astype(np.float32))[0][0, 0]:
                if row[0] < 0:
                    break
                x0, y0, x1, y1 = row[3:]
                box = [x0 * image["width"], y0 * image["height"]]
                box += [(x1 - x0) * image["width"], (y1 - y0) * image["height"]]
                result = {"image_id": image["id"], "category_id": 1, "score": float(row[2])}
                results.append({**result, "bbox": [float(value) for value in box]})
        direct = COCOeval(truth, truth.loadRes(results), "bbox")
        direct.params.imgIds = taken
        direct.evaluate()
        direct.accumulate()
        direct.summarize()
    assert ours.average_precision == pytest.approx(direct.stats[0], abs=5e-4)
    assert ours.average_precision_50 == pytest.approx(direct.stats[1], abs=5e-4)
