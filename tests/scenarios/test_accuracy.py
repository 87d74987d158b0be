"""The pipeline finds what the model finds: nothing is lost or moved between the file and the boxes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import openvino
import pytest
from numpy.typing import NDArray

import pipeline
from pipeline.capture.sources.synthetic.source import Street

CLIPS = (("one-by-one-person-detection.mp4", 200, 4), ("vtest.avi", 80, 1))
"""Each with how many frames are run, and every which of them is compared: nobody is seen early in the first."""
Boxes = NDArray[np.float32]


def plain_run(xml: Path, clip: Path, frames: int, every: int) -> Iterator[tuple[Boxes, Boxes]]:
    """Boxes and scores of a synchronous run without any of our code: PyAV, cv2.resize, float input."""
    compiled = openvino.Core().compile_model(str(xml), "CPU")
    with av.open(str(clip)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == frames:
                return
            if number % every:
                continue
            picture = cv2.resize(frame.to_ndarray(format="bgr24"), (512, 512))
            rows = compiled(picture.transpose(2, 0, 1)[None].astype(np.float32))[0].reshape(-1, 7)
            rows = rows[: int(np.argmax(rows[:, 0] < 0)) if (rows[:, 0] < 0).any() else len(rows)]
            scale = np.array([frame.width, frame.height, frame.width, frame.height], np.float32)
            yield np.clip(rows[:, 3:7], 0, 1) * scale, rows[:, 2]


def iou(box: Boxes, others: Boxes) -> Boxes:
    """Intersection over union of one box with many."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    both = np.clip(high - low, 0, None).prod(1)
    overlap: Boxes = both / ((box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - both)
    return overlap


def share_found(sure: list[tuple[Boxes, Boxes]], other: list[tuple[Boxes, Boxes]]) -> float:
    """Of the boxes one side is sure of (.6), how many the other has (.4) at IoU .7."""
    found = wanted = 0
    for (boxes, scores), (others, weights) in zip(sure, other, strict=True):
        candidates = others[weights >= 0.4]
        for box in boxes[scores >= 0.6]:
            wanted += 1
            found += bool(len(candidates) and iou(box, candidates).max() >= 0.7)
    assert wanted > len(sure) / 4
    return found / wanted


@pytest.mark.parametrize(("clip", "frames", "every"), CLIPS)
def test_boxes_equal_those_of_a_plain_synchronous_run(
    official_models: Path, real_clips: Path, clip: str, frames: int, every: int
) -> None:
    xml = official_models / "person-detection-0202/FP16-INT8/person-detection-0202.xml"
    overrides = ("model.name=person-detection-0202", f"model.folder={official_models}", "detect.threshold=0.05")
    ours: list[tuple[Boxes, Boxes]] = []
    with pipeline.open(None, f"cameras={{clip: '{real_clips / clip}'}}", *overrides) as results:
        for result in results:
            assert result.frame.seq == len(ours)
            ours.append((result.detections.boxes, result.detections.scores))
            if len(ours) == frames:
                break
    theirs = list(plain_run(xml, real_clips / clip, frames, every))
    ours = ours[::every]
    assert share_found(theirs, ours) >= 0.98
    assert share_found(ours, theirs) >= 0.98


def test_every_frame_of_a_real_file_comes_exactly_once_and_in_order(real_clips: Path, quick_model: Path) -> None:
    clip = real_clips / "vtest.avi"
    with av.open(str(clip)) as container:
        expected = [float(frame.time) for frame in container.decode(video=0)]
    with pipeline.open(None, f"cameras={{clip: '{clip}'}}", f"model.name={quick_model}") as results:
        seen = [(result.frame.seq, result.frame.pts) for result in results]
        counted = results.summary()["cameras"]["clip"]
    assert [seq for seq, _ in seen] == list(range(len(expected)))
    # The container knows no times of presentation, so what FFmpeg says of them is in disorder.
    assert [pts for _, pts in seen] == pytest.approx(sorted(expected), abs=1e-4)
    assert counted["captured"] == counted["inferred"] == counted["shown"] == len(expected)
    assert counted["dropped"] == {}


def test_most_of_the_drawn_walkers_are_found_by_the_bundled_detector() -> None:
    street, found, wanted, right, total = Street(), 0, 0, 0, 0
    with pipeline.open(None, "model.name=lookout-person", "capture.pace=fast") as results:
        for result in results:
            if result.frame.seq > 100:
                break
            boxes = result.detections.boxes
            people = street.people(result.frame.seq)
            for box, visible in people:
                if box[3] - box[1] > 60 and visible > 0.5:
                    wanted += 1
                    found += bool(len(boxes) and iou(np.array(box, np.float32), boxes).max() >= 0.4)
            for each in boxes:
                total += 1
                right += bool(iou(each, np.array([box for box, _ in people], np.float32)).max() >= 0.4)
    assert wanted > 100
    assert found / wanted >= 0.75
    assert right / total >= 0.9
