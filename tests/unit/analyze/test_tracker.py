"""Tracks follow people at the speed they walk, through gaps and past each other, and let them go when they leave."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.analyze.tracker import Tracker, ious
from pipeline.frames import Detections

SIZE = (1280, 720)


def found(*boxes: tuple[float, float, float, float], classes: tuple[int, ...] = ()) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.linspace(0.9, 0.6, count, dtype=np.float32),
        np.array(classes or [0] * count, np.int32),
        ("person", "vehicle"),
    )


def walker(x: float, y: float = 300.0, tall: float = 180.0) -> tuple[float, float, float, float]:
    return x, y, x + tall * 0.4, y + tall


@pytest.mark.parametrize("step_s", [0.1, 0.2, 0.4])
def test_who_walks_evenly_is_where_he_is_between_two_looks(step_s: float) -> None:
    tracker = Tracker()
    for look in range(12):
        tracker.update(found(walker(100 + 90 * look * step_s)), 5.0 + look * step_s)
    newest_s = 11 * step_s
    for ahead_s in (0.0, 0.5 * step_s, step_s, 2 * step_s):
        here = tracker.at(5.0 + newest_s + ahead_s, *SIZE)
        truth = np.array([walker(100 + 90 * (newest_s + ahead_s))], float)
        assert ious(truth, here.boxes.astype(float))[0, 0] > 0.9
        assert here.labels == ("person", "vehicle")
        assert here.scores.tolist() == pytest.approx([0.9])


def test_looks_at_uneven_times_change_no_speed() -> None:
    tracker = Tracker()
    rng = np.random.default_rng(1)
    seconds = 0.0
    for _ in range(40):
        seconds += float(rng.uniform(0.03, 0.5))
        tracker.update(found(walker(20 + 60 * seconds)), seconds)
    here = tracker.at(seconds + 0.3, *SIZE)
    assert here.boxes[0, 0] == pytest.approx(20 + 60 * (seconds + 0.3), abs=4)


def test_two_who_pass_each_other_keep_their_numbers() -> None:
    tracker = Tracker()
    first = tracker.update(found(walker(100), walker(700, 320)), 0.0)
    for look in range(1, 60):
        seconds = look / 10
        ids = tracker.update(found(walker(100 + 100 * seconds), walker(700 - 100 * seconds, 320)), seconds)
    assert ids.tolist() == first.tolist()


def test_who_is_missed_for_a_moment_is_shown_no_more_and_keeps_his_number() -> None:
    tracker = Tracker()
    for look in range(5):
        (one,) = tracker.update(found(walker(100 + 9 * look)), look / 10).tolist()
    tracker.update(found(), 0.5)
    assert len(tracker.at(0.5, *SIZE)) == 0
    tracker.update(found(), 0.6)
    assert tracker.update(found(walker(100 + 9 * 7)), 0.7).tolist() == [one]
    assert len(tracker.at(0.7, *SIZE)) == 1


def test_who_is_away_for_long_comes_back_as_somebody_else() -> None:
    tracker = Tracker()
    (one,) = tracker.update(found(walker(100)), 0.0).tolist()
    for look in range(1, 10):
        tracker.update(found(), look / 10)
    (other,) = tracker.update(found(walker(100)), 1.0).tolist()
    assert other > one


@pytest.mark.parametrize("later", [30.0, -5.0])
def test_after_an_outage_or_a_jump_of_the_clock_everybody_is_new(later: float) -> None:
    tracker = Tracker()
    (one,) = tracker.update(found(walker(100)), 10.0).tolist()
    (other,) = tracker.update(found(walker(100)), 10.0 + later).tolist()
    assert other > one


def test_who_runs_farther_than_his_width_between_two_looks_is_still_himself() -> None:
    tracker = Tracker()
    ids = {tracker.update(found(walker(100 + 110 * look)), look * 0.4).tolist()[0] for look in range(8)}
    assert len(ids) == 1


def test_a_person_and_a_vehicle_at_one_place_are_never_one_track() -> None:
    tracker = Tracker()
    (one,) = tracker.update(found(walker(100)), 0.0).tolist()
    (other,) = tracker.update(found(walker(100), classes=(1,)), 0.1).tolist()
    assert other != one


def test_who_leaves_the_picture_takes_his_box_along() -> None:
    tracker = Tracker()
    for look in range(10):
        tracker.update(found(walker(1100 + 10 * look)), look / 10)
    boxes = [tracker.at(0.9 + ahead_s, *SIZE).boxes for ahead_s in np.arange(0, 2.0, 0.1)]
    assert all((each[:, 2] <= 1280).all() for each in boxes)
    assert len(boxes[0]) == 1
    assert len(boxes[-1]) == 0


def test_nobody_found_is_nobody_anywhere() -> None:
    tracker = Tracker()
    assert len(tracker.at(3.0, *SIZE)) == 0
    assert tracker.update(found(), 3.0).tolist() == []
    assert tracker.seen == 3.0
    assert len(tracker.at(3.1, *SIZE)) == 0


def test_the_surest_comes_first() -> None:
    tracker = Tracker()
    tracker.update(found(walker(100), walker(500)), 0.0)
    tracker.update(found(walker(500), walker(100)), 0.1)
    here = tracker.at(0.1, *SIZE)
    assert here.boxes[:, 0].tolist() == pytest.approx([500, 100], abs=1)
    assert here.scores[0] > here.scores[1]
