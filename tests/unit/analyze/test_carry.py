"""Boxes go on with their people between detections, for a while, and on the camera's own clock."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.analyze.carry import MAX_CARRY_S, BoxCarrier
from pipeline.capture.decode.pictures import ArrayPicture
from pipeline.frames import Detections, Frame, Result


def frame(pts: float | None, captured: float, width: int = 640) -> Frame:
    return Frame("door", round(captured * 100), pts, captured, ArrayPicture(np.zeros((360, width, 3), np.uint8)))


def result(pts: float | None, captured: float, left: float) -> Result:
    boxes = np.array([[left, 100, left + 60, 250]], np.float32)
    return Result(frame(pts, captured), Detections(boxes, np.ones(1, np.float32), np.zeros(1, np.int32), ("person",)))


@pytest.mark.parametrize("has_times", [True, False])
def test_boxes_move_on_with_the_time_between_the_pictures(has_times: bool) -> None:
    carrier = BoxCarrier()
    for look in range(10):
        seconds = look * 0.2
        carrier.update(result(seconds if has_times else None, 50 + seconds, 100 + 50 * seconds))
    carried = carrier.carry(frame(2.0 if has_times else None, 52.0))
    assert carried.detected
    assert carried.carried_s == pytest.approx(0.2)
    assert carried.detections.boxes[0, 0] == pytest.approx(200, abs=3)


def test_pictures_that_come_in_bursts_are_placed_by_the_cameras_own_clock() -> None:
    carrier = BoxCarrier()
    rng = np.random.default_rng(2)
    for look in range(20):
        seconds = look * 0.2
        carrier.update(result(seconds, 50 + seconds + float(rng.uniform(0, 0.15)), 100 + 50 * seconds))
    assert carrier.carry(frame(4.0, 54.12)).detections.boxes[0, 0] == pytest.approx(300, abs=3)


def test_a_clock_that_runs_away_is_believed_no_longer() -> None:
    carrier = BoxCarrier()
    for look in range(10):
        carrier.update(result(look * 2.0, 50 + look * 0.2, 100 + 10 * look))
    carried = carrier.carry(frame(20.0, 52.0))
    assert carried.detections.boxes[0, 0] == pytest.approx(200, abs=8)


def test_boxes_are_not_carried_for_ever() -> None:
    carrier = BoxCarrier()
    carrier.update(result(0.0, 50.0, 100))
    assert carrier.carry(frame(MAX_CARRY_S - 0.01, 50 + MAX_CARRY_S - 0.01)).detected
    late = carrier.carry(frame(MAX_CARRY_S + 0.01, 50 + MAX_CARRY_S + 0.01))
    assert not late.detected
    assert len(late.detections) == 0


def test_before_the_first_detection_nothing_is_claimed() -> None:
    carried = BoxCarrier().carry(frame(0.0, 50.0))
    assert not carried.detected
    assert carried.carried_s is None


def test_boxes_of_another_size_of_picture_are_not_shown() -> None:
    carrier = BoxCarrier()
    carrier.update(result(0.0, 50.0, 100))
    assert not carrier.carry(frame(0.1, 50.1, width=320)).detected
