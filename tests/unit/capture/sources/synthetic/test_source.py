"""The drawn street: always the same, always busy, true to its own ground truth, and found by a real detector."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.capture.sources.synthetic.source import FPS, DemoSource, Street
from tests.support.cameras import picture_of
from tests.support.clock import ManualClock

Box = tuple[float, float, float, float]


@pytest.fixture(scope="module")
def street() -> Street:
    return Street()


def test_the_same_seed_gives_the_same_pictures_in_any_order(street: Street) -> None:
    later = street.picture(90)
    again = Street()
    assert np.array_equal(again.picture(0), street.picture(0))
    assert np.array_equal(again.picture(90), later)
    assert not np.array_equal(later, street.picture(91))


def test_another_seed_is_another_street(street: Street) -> None:
    assert not np.array_equal(Street(8).picture(0), street.picture(0))


def test_at_least_six_people_of_different_heights_are_always_in_the_picture(street: Street) -> None:
    for seq in range(0, 9000, 450):
        people = street.people(seq)
        assert len(people) >= 6
        heights = [bottom - top for (_, top, _, bottom), _ in people]
        assert max(heights) > 2 * min(heights)


def test_people_hide_one_another_and_boxes_stay_in_the_picture(street: Street) -> None:
    shares = []
    for seq in range(0, 3000, 100):
        for (left, top, right, bottom), share in street.people(seq):
            assert 0 <= left < right <= street.width
            assert 0 <= top < bottom <= street.height
            assert 0 <= share <= 1
            shares.append(share)
    assert min(shares) < 0.5 < max(shares)


def test_a_box_holds_all_that_moves(street: Street) -> None:
    first, second = street.picture(200).astype(int), street.picture(204).astype(int)
    changed = np.abs(first - second).max(axis=2) > 90
    for seq in (200, 204):
        for (left, top, right, bottom), _ in street.people(seq):
            changed[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = False
    assert not changed.any()


def test_as_a_file_it_gives_every_frame_at_once(street: Street) -> None:
    source = DemoSource(live=False)
    source.open()
    samples = [source.read() for _ in range(3)]
    assert [sample.pts for sample in samples if sample] == [0, 1 / FPS, 2 / FPS]
    assert samples[2] is not None
    assert np.array_equal(picture_of(samples[2]).bgr(), street.picture(2))
    assert picture_of(samples[2]).resized(64, 32).shape == (32, 64, 3)
    assert not picture_of(samples[2]).bgr().flags.writeable
    source.close()
    source.close()


def test_as_a_camera_it_waits_for_each_frame_and_makes_up_for_nothing() -> None:
    clock = ManualClock()
    source = DemoSource(live=True, clock=clock)
    source.open()
    times = []
    for number in range(6):
        source.read()
        times.append(clock.monotonic())
        if number == 2:
            clock.advance(1.0)
    gaps = np.diff(times)
    assert gaps == pytest.approx([1 / FPS, 1 / FPS, 1.0, 1 / FPS, 1 / FPS])


@pytest.mark.skipif("LOOKOUT_MODELS" not in os.environ, reason="LOOKOUT_MODELS names no folder with official models")
def test_the_official_detector_takes_the_figures_for_people(street: Street) -> None:
    wanted = found = seen = false = 0
    detector = Detector(Path(os.environ["LOOKOUT_MODELS"]))
    for seq in range(0, 4000, 40):
        boxes = detector.find(street.picture(seq))
        free = list(boxes)
        for box, share in sorted(street.people(seq), key=lambda person: -person[1]):
            best = max(free, key=lambda other: overlap(box, other), default=None)
            hit = best is not None and overlap(box, best) >= 0.4
            if hit and best is not None:
                free.remove(best)
            if box[3] - box[1] > 60 and share > 0.5:
                wanted += 1
                found += hit
        seen += len(boxes)
        false += len(free)
    assert wanted > 500
    assert found >= 0.85 * wanted
    assert false < 0.03 * seen


class Detector:
    """The official INT8 person detector, run as plainly as it can be."""

    def __init__(self, models: Path) -> None:
        import openvino

        name = "person-detection-0202"
        self._model = openvino.Core().compile_model(models / name / "FP16-INT8" / f"{name}.xml", "CPU")

    def find(self, picture: np.ndarray) -> list[Box]:
        import cv2

        scaled = cv2.resize(picture, (512, 512)).transpose(2, 0, 1)[None].astype(np.float32)
        rows = next(iter(self._model(scaled).values()))[0, 0]
        height, width = picture.shape[:2]
        return [
            (left * width, top * height, right * width, bottom * height)
            for image, _, score, left, top, right, bottom in rows.tolist()
            if image >= 0 and score >= 0.5
        ]


def overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (areas - width * height)
