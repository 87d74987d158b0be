"""Every picture of a camera is shown once and in order, with its own boxes or with carried ones, and counted."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.capture.decode.pictures import ArrayPicture
from pipeline.concurrency.queues import Funnel
from pipeline.config.cameras import Show
from pipeline.frames import Detections, Frame, Result
from pipeline.runtime.picture_feed import PictureFeed
from pipeline.stats.registry import Stats
from tests.support.clock import ManualClock

PICTURE = ArrayPicture(np.zeros((360, 640, 3), np.uint8))


class Rig:
    """A camera of 25 pictures a second before a detector that answers as late as a test says."""

    def __init__(self, mode: Show = "auto", live: bool = True) -> None:
        self.clock = ManualClock()
        self.stats = Stats(["door"], self.clock)
        self.counters = self.stats.cameras["door"]
        self.at_once: list[Result] = []
        self.shown: list[int] = []
        self.lost: list[int] = []
        self.intake: Funnel[Frame] = Funnel()
        self.feed = PictureFeed(mode, self.counters, self.clock, self._show, self._lose)
        self.feed.leading_to(self.intake.lane(1 if live else 2, latest=live, dropped=self.feed.dropped))
        self.seq = 0

    def _show(self, result: Result) -> None:
        self.at_once.append(result)
        self.shown.append(result.frame.seq)

    def _lose(self, frame: Frame, reason: str) -> None:
        self.counters.dropped(reason)
        self.lost.append(frame.seq)

    def put(self) -> None:
        """Capture a picture, 40 ms after the last."""
        self.clock.advance(0.04)
        self.counters.captured()
        now = self.clock.monotonic()
        assert self.feed.put(Frame("door", self.seq, self.seq * 0.04, now, PICTURE))
        self.seq += 1

    def answer(self, frame: Frame) -> bool:
        """Give the answer of a frame, which has one person."""
        self.counters.inferred(1, frame.captured)
        boxes = np.array([[10, 10, 60, 160]], np.float32)
        found = Detections(boxes, np.ones(1, np.float32), np.zeros(1, np.int32), ("person",))
        return self.feed.take(Result(frame, found), lambda: self.shown.append(frame.seq))

    def play(self, count: int, each: int) -> None:
        """Capture pictures while the detector is done with one after every so many."""
        working: Frame | None = self.intake.get_nowait()
        for number in range(count):
            self.put()
            if number % each == 0:
                if working is not None:
                    self.answer(working)
                working = self.intake.get_nowait()

    def finish(self) -> None:
        frame = self.intake.get_nowait()
        if frame is not None:
            self.answer(frame)
        assert self.shown == sorted(set(self.shown))


def test_a_detector_that_keeps_up_gives_every_picture_its_own_boxes() -> None:
    rig = Rig()
    for _ in range(50):
        rig.put()
        frame = rig.intake.get_nowait()
        assert frame is not None
        rig.clock.advance(0.01)
        assert rig.answer(frame)
    assert rig.at_once == []
    assert rig.shown == list(range(50))


def test_a_detector_that_does_not_keep_up_takes_no_picture_from_the_screen() -> None:
    rig = Rig()
    rig.play(200, each=4)
    before = len(rig.shown)
    rig.play(100, each=4)
    assert rig.shown[before:] == list(range(200, 300))
    assert all(result.detected and len(result.detections) == 1 for result in rig.at_once[-100:])
    assert all(0 < (result.carried_s or 0) < 0.4 for result in rig.at_once[-100:])
    rig.finish()


def test_what_was_shown_with_carried_boxes_is_counted_so_and_not_as_dropped() -> None:
    rig = Rig("live")
    rig.play(100, each=4)
    figures = rig.counters.figures()
    assert rig.lost == []
    assert figures.dropped == {}
    assert figures.carried + figures.inferred + figures.in_flight == 100
    assert figures.carried > 60


def test_a_detector_that_has_caught_up_gives_pictures_their_own_boxes_again() -> None:
    rig = Rig()
    rig.play(100, each=4)
    assert rig.at_once
    for _ in range(100):
        rig.put()
        frame = rig.intake.get_nowait()
        assert frame is not None
        rig.clock.advance(0.005)
        rig.answer(frame)
    carried = len(rig.at_once)
    rig.put()
    assert len(rig.at_once) == carried
    rig.finish()


def test_pictures_wait_a_second_for_the_first_answer_and_then_no_longer() -> None:
    rig = Rig()
    for _ in range(25):
        rig.put()
    assert rig.shown == []
    for _ in range(10):
        rig.put()
    assert rig.shown == list(range(26, 35))
    assert not any(result.detected for result in rig.at_once)


def test_an_answer_to_a_picture_older_than_what_was_shown_is_not_shown() -> None:
    rig = Rig("live")
    rig.put()
    frame = rig.intake.get_nowait()
    assert frame is not None
    rig.put()
    assert not rig.answer(frame)
    assert rig.shown == [0, 1]


@pytest.mark.parametrize("each", [1, 4])
def test_pictures_wait_for_their_own_boxes_where_that_is_asked_for(each: int) -> None:
    rig = Rig("exact")
    rig.play(60, each)
    assert rig.at_once == []
    assert rig.shown
    assert len(rig.lost) == rig.counters.figures().dropped.get("stale", 0)


def test_a_file_shows_every_picture_with_its_own_boxes_however_slow() -> None:
    rig = Rig("live", live=False)
    for _ in range(20):
        rig.put()
        rig.clock.advance(2.0)
        frame = rig.intake.get_nowait()
        assert frame is not None
        assert rig.answer(frame)
    assert rig.at_once == []
    assert rig.shown == list(range(20))


def test_a_closed_way_shows_nothing_more() -> None:
    rig = Rig("live")
    rig.feed.close()
    assert rig.feed.closed
    rig.counters.captured()
    assert not rig.feed.put(Frame("door", 0, 0.0, rig.clock.monotonic(), PICTURE))
    assert rig.shown == []
    assert rig.lost == [0]
