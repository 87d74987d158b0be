"""How long a camera may be silent: fast ones a moment, slow ones five of their pictures, all of them at the start."""

from __future__ import annotations

import pytest

from pipeline.capture.health.stall import StallTimeouts
from pipeline.config.cameras import Capture


def waits(silence: StallTimeouts, *arrivals: float, fps: float = 0.0, start: float = 0.0) -> list[float]:
    """How long each wait may take, from the opening on."""
    silence.opened(start, fps)
    found = [silence.deadline() - start]
    for arrival in arrivals:
        silence.picture(arrival)
        found.append(silence.deadline() - arrival)
    return found


def every(seconds: float, count: int, start: float = 0.0) -> list[float]:
    return [start + seconds * number for number in range(1, count + 1)]


def test_the_first_picture_has_its_own_limit() -> None:
    assert waits(StallTimeouts(Capture()), fps=30) == [10]


def test_a_fast_camera_is_stalled_after_three_seconds() -> None:
    assert waits(StallTimeouts(Capture()), *every(1 / 30, 20), fps=30)[1:] == pytest.approx([3.0] * 20)


@pytest.mark.parametrize("fps", [1.0, 0.5, 0.2])
@pytest.mark.parametrize("declared", [0.0, 25.0])
def test_a_slow_camera_is_at_most_misjudged_once_because_of_what_it_declares(fps: float, declared: float) -> None:
    silence, stalls, start = StallTimeouts(Capture()), 0, 0.0
    for _ in range(10):
        for arrival, limit in zip(every(1 / fps, 8, start), waits(silence, fps=declared, start=start), strict=False):
            assert arrival - start <= limit
        silence.opened(start, declared)
        for arrival in every(1 / fps, 8, start):
            if silence.deadline() < arrival:
                stalls, start = stalls + 1, silence.deadline()
                break
            silence.picture(arrival)
    assert stalls <= (declared > 0)


def test_five_intervals_are_measured() -> None:
    assert waits(StallTimeouts(Capture()), *every(2.0, 9))[-1] == pytest.approx(10)
    assert waits(StallTimeouts(Capture(start_timeout=1, stall_timeout=1)), *every(0.1, 9))[-1] == pytest.approx(1)


def test_pauses_of_a_second_change_nothing() -> None:
    arrivals = [second + tenth / 100 for second in range(20) for tenth in range(10)]
    assert max(waits(StallTimeouts(Capture()), *arrivals)[4:]) == pytest.approx(3)


def test_a_burst_at_the_start_does_not_hide_a_slow_pace() -> None:
    silence = StallTimeouts(Capture())
    silence.opened(0)
    for number in range(8):
        silence.picture(0.01 * number, 5.0 * number)
    assert silence.deadline() > 20


def test_the_pace_is_known_from_the_connection_before() -> None:
    silence = StallTimeouts(Capture())
    waits(silence, *every(2.0, 9))
    silence.opened(100)
    silence.picture(101)
    assert silence.deadline() == pytest.approx(111)


def test_data_that_becomes_no_picture_does_not_extend_the_limit() -> None:
    silence = StallTimeouts(Capture(read_timeout=2, stall_timeout=3))
    waits(silence, *every(0.1, 10))
    assert silence.deadline() == pytest.approx(3.0)
    silence.data(3.5)
    assert silence.deadline() == pytest.approx(4.0)


def test_a_stream_in_pieces_may_be_silent_between_them() -> None:
    silence = StallTimeouts(Capture())
    waits(silence, *every(0.1, 10))
    assert silence.deadline(in_pieces=True) == pytest.approx(11)


@pytest.mark.parametrize(("pace", "limit"), [(60.0, 300.0), (61.0, 3.0)])
def test_own_times_of_more_than_a_minute_apart_are_not_believed(pace: float, limit: float) -> None:
    silence = StallTimeouts(Capture())
    silence.opened(0)
    for number in range(8):
        silence.picture(0.01 * number, pace * number)
    assert silence.deadline() - silence.last == pytest.approx(limit)


def test_the_pace_is_that_of_the_last_nine_pictures() -> None:
    silence = StallTimeouts(Capture(stall_timeout=1, read_timeout=1))
    slow, brisk = every(4.0, 9), every(0.5, 9, start=36.0)
    found = waits(silence, *slow, *brisk)
    # Of eight intervals the last is still a slow one when eight brisk pictures have come.
    assert found[len(slow)] == pytest.approx(5 * 4.0)
    assert found[len(slow) + 7] == pytest.approx(5 * (4.0 + 7 * 0.5) / 8)
    assert found[len(slow) + 8] == pytest.approx(5 * 0.5)
