"""Nothing is lost from the count: captured = inferred + dropped + in flight."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from pipeline.stats.camera import State
from pipeline.stats.registry import Stats


class HandClock:
    """Time that moves only when told."""

    def __init__(self) -> None:
        self.time = 100.0

    def monotonic(self) -> float:
        return self.time

    def paused(self) -> float:
        return 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(1_700_000_000 + self.time, UTC)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.time += seconds
        return event.is_set()


def test_every_frame_is_in_exactly_one_place() -> None:
    camera = Stats(["door"]).cameras["door"]
    for _ in range(10):
        camera.captured()
    for reason in ("stale", "stale", "stopped"):
        camera.dropped(reason)
    for _ in range(5):
        camera.inferred(2)
    figures = camera.figures()
    assert figures.captured == 10
    assert figures.dropped == {"stale": 2, "stopped": 1}
    assert figures.in_flight == 2
    assert figures.people == 2


def test_a_camera_that_is_only_watched_passes_every_frame_and_counts_nobody() -> None:
    clock = HandClock()
    camera = Stats(["door"], clock, undetected=["door"]).cameras["door"]
    for _ in range(8):
        camera.captured()
    for _ in range(2):
        camera.captured(good=False)
        camera.dropped("corrupt")
    clock.time += 0.25
    figures = camera.figures()
    assert (figures.captured, figures.passed, figures.dropped, figures.in_flight) == (10, 8, {"corrupt": 2}, 0)
    assert (figures.people, figures.inferred, figures.age) == (None, 0, 0.25)


def test_the_age_is_that_of_the_newest_picture_ready_to_be_seen() -> None:
    clock = HandClock()
    camera = Stats(["door"], clock).cameras["door"]
    assert camera.figures().age is None
    captured = clock.time
    clock.time += 0.04
    camera.shown(captured)
    clock.time += 1.5
    assert round(camera.figures().age or 0, 3) == 1.54
    assert camera.latency.spread().p50 == pytest.approx(40, rel=0.02)


def test_a_state_is_news_only_when_it_changes() -> None:
    clock = HandClock()
    camera = Stats(["door"], clock).cameras["door"]
    assert camera.changed(State.OFFLINE, "refused", retry_in=4.0)
    since = camera.figures().since
    clock.time += 1
    assert not camera.changed(State.OFFLINE, "refused", retry_in=2.0)
    figures = camera.figures()
    assert (figures.since, figures.reason, figures.retry_in) == (since, "refused", 2.0)
    clock.time += 5
    assert camera.figures().retry_in == 0
    assert camera.changed(State.LIVE)


def test_the_frame_rate_counts_shown_frames_between_the_first_and_the_last() -> None:
    clock = HandClock()
    camera = Stats(["door"], clock).cameras["door"]
    for _ in range(31):
        camera.shown(clock.time)
        clock.time += 1 / 30
    assert camera.summary()["fps"] == 30.0


def test_an_older_picture_that_is_ready_later_does_not_set_the_age_back() -> None:
    clock = HandClock()
    camera = Stats(["door"], clock).cameras["door"]
    camera.inferred(1, clock.time - 0.1)
    camera.inferred(1, clock.time - 0.5)
    camera.shown(clock.time - 0.5)
    assert camera.figures().age == pytest.approx(0.1)
    camera.inferred(1, None)
    assert camera.figures().age == pytest.approx(0.1)


def test_a_camera_that_stays_late_for_another_reason_was_late_once() -> None:
    camera = Stats(["door"], HandClock()).cameras["door"]
    for state, reason in ((State.LATE, ""), (State.LATE, "network"), (State.LIVE, ""), (State.LATE, "network")):
        assert camera.changed(state, reason)
    assert camera.figures().late == 2


def test_a_damaged_picture_is_not_the_last_good_one() -> None:
    clock = HandClock()
    camera = Stats(["door"], clock).cameras["door"]
    assert camera.figures().last_good is None
    camera.captured()
    good = clock.now()
    clock.time += 5
    camera.captured(good=False)
    assert camera.figures().last_good == good
    camera.captured()
    assert camera.figures().last_good == clock.now()


def test_the_time_of_each_stage_is_counted_by_itself() -> None:
    clock = HandClock()
    stats = Stats(["door"], clock)
    for seconds in (0.25, 0.75):
        with stats.timed("jpeg"):
            clock.time += seconds
    stats.spent("infer", 2.0)
    stages, histograms = stats.stages(), stats.histograms()
    assert {name: (spread.count, spread.max) for name, spread in stages.items()} == {
        "jpeg": (2, pytest.approx(750)),
        "infer": (1, pytest.approx(2000)),
    }
    stats.spent("infer", 2.0)
    assert {name: histogram.spread().count for name, histogram in histograms.items()} == {"jpeg": 2, "infer": 1}


def test_changes_of_state_are_numbered_and_the_newest_are_kept() -> None:
    clock = HandClock()
    camera = Stats(["door"], clock).cameras["door"]
    camera.captured()
    good = clock.now()
    clock.time += 3
    camera.changed(State.OFFLINE, "refused", retry_in=4.0)
    first, second = camera.changes()
    assert (first.number, first.state, first.at) == (0, State.CONNECTING, good)
    assert (second.number, second.state, second.reason, second.at) == (1, State.OFFLINE, "refused", clock.now())
    clock.time += 4
    assert (camera.figures().last_good, camera.figures().next_try) == (good, clock.now())
    assert camera.changes(0) == [second]
    assert camera.changes(1) == []
    for number in range(300):
        camera.changed((State.LIVE, State.LATE)[number % 2])
    assert [change.number for change in camera.changes()] == list(range(46, 302))


def test_a_state_that_has_lasted_a_while_began_then() -> None:
    clock = HandClock()
    camera = Stats(["door"], clock).cameras["door"]
    begun = clock.now()
    clock.time += 60
    camera.changed(State.FROZEN, held=60.0)
    assert camera.figures().since == begun


def test_the_summary_tells_the_first_picture_and_the_reconnects() -> None:
    clock = HandClock()
    camera = Stats(["door"], clock).cameras["door"]
    told = camera.summary()
    assert (told["first_shown_s"], told["fps"], told["reconnects"], told["source"]) == (None, 0.0, 0, "")
    assert (camera.figures().behind, camera.figures().late, camera.figures().live) == (0, 0, True)
    camera.opened("h264 over tcp", again=False)
    camera.opened("h264 over udp", again=True, live=False)
    assert not camera.figures().live
    clock.time += 1.5
    for _ in range(2):
        camera.shown(clock.time - 0.5)
    told = camera.summary()
    assert (told["first_shown_s"], told["fps"], told["reconnects"]) == (1.5, 0.0, 1)
    assert told["source"] == "h264 over udp"
    clock.time += 1
    camera.shown(clock.time)
    assert camera.summary()["fps"] == 2.0
    assert camera.summary()["first_shown_s"] == 1.5
