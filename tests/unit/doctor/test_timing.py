"""How a stream keeps time, from arrivals that are written by hand."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from pipeline.doctor.timing import Arrival, rhythm

Made = Callable[[int], Arrival | None]


def stream(
    seconds: float = 20,
    fps: float = 25,
    gop: int = 50,
    delay: Callable[[float], float] = lambda own: 0.02,
    clock: Callable[[float], float] = lambda own: own,
    made: Callable[[float], bool] = lambda own: True,
    size: int = 5000,
) -> list[Arrival]:
    """Pictures with the camera's clock at `clock(t)`, of which `made` ones come `delay(t)` later, none overtaking."""
    found: list[Arrival] = []
    for number in range(int(seconds * fps)):
        own = number / fps
        if made(own):
            at = max(found[-1].at if found else 0.0, 100 + own + delay(own))
            found.append(Arrival(at, clock(own), number % gop == 0, size))
    return found


def test_an_even_stream_is_told_by_its_numbers() -> None:
    found = rhythm(stream(), live=True)
    assert found.pictures == 500
    assert found.fps == pytest.approx(25, abs=0.01)
    assert found.interval == pytest.approx(0.04)
    assert (found.pauses, found.bursts, found.jumps) == (0, 0, 0)
    assert (found.keyframes, found.keyframe_pictures) == (10, 50)
    assert found.keyframe_every == pytest.approx(2)
    assert found.bitrate == pytest.approx(25 * 5000 * 8, rel=0.01)
    assert found.drift_ppm == pytest.approx(0, abs=1)
    assert (found.lag, found.largest_lag) == pytest.approx((0, 0), abs=1e-6)


@pytest.mark.parametrize("ppm", [-20000, -300, 0, 50, 1500, 40000])
def test_drift_is_found_under_jitter(ppm: int) -> None:
    rng = random.Random(ppm)
    jitter = stream(delay=lambda own: 0.01 + rng.expovariate(1 / 0.008), clock=lambda own: own * (1 - ppm / 1e6))
    found = rhythm(jitter, live=True)
    assert found.drift_ppm is not None
    assert found.drift_error_ppm is not None
    assert found.drift_ppm == pytest.approx(ppm, abs=max(120, found.drift_error_ppm))
    assert found.drift_error_ppm < 400


def test_a_single_late_stretch_is_no_drift() -> None:
    late = stream(delay=lambda own: 0.01 + (0.3 if 6 < own < 8 else 0))
    found = rhythm(late, live=True)
    assert found.drift_ppm == pytest.approx(0, abs=200)
    assert found.largest_lag == pytest.approx(0.3, abs=0.02)
    assert found.lag == pytest.approx(0, abs=0.01)


def test_a_gap_of_the_network_is_told_from_one_of_the_camera() -> None:
    held = rhythm(stream(delay=lambda own: max(0.0, 12 - own) if 10 < own < 12 else 0.0), live=True)
    assert (held.pauses, held.not_made) == (1, 0)
    assert held.longest_gap == pytest.approx(2, abs=0.1)
    assert (held.bursts, held.largest_burst) == (1, pytest.approx(50, abs=2))
    assert held.largest_lag == pytest.approx(2, abs=0.1)
    none = rhythm(stream(made=lambda own: not 10 < own < 12), live=True)
    assert (none.pauses, none.not_made, none.bursts) == (1, 1, 0)
    assert none.longest_gap == pytest.approx(2, abs=0.1)
    assert none.largest_lag < 0.01
    assert (none.interval, none.fps) == (pytest.approx(0.04), pytest.approx(25 * 17 / 19, rel=0.02))


def test_what_a_server_had_stored_counts_neither_as_burst_nor_as_pace() -> None:
    found = rhythm(stream(delay=lambda own: max(0.0, 3 - own) if own < 3 else 0.0), live=True)
    assert found.bursts == 0
    assert found.fps == pytest.approx(25, rel=0.02)
    assert found.largest_lag < 0.01


def test_a_network_that_is_too_slow_makes_pictures_later_and_later() -> None:
    found = rhythm(stream(delay=lambda own: 0.1 * own), live=True)
    assert found.lag == pytest.approx(1.85, abs=0.1)
    assert found.drift_ppm == pytest.approx(1e6 * (1 - 1 / 1.1), rel=0.02)
    assert found.fps == pytest.approx(25 / 1.1, rel=0.02)


def test_leaps_of_the_clock_are_counted_and_do_not_count_as_drift() -> None:
    def leaping(own: float) -> float:
        return own + (3600 if own > 5 else 0) - (7200 if own > 9 else 0)

    found = rhythm(stream(clock=leaping), live=True)
    assert found.jumps == 2
    assert found.drift_ppm == pytest.approx(0, abs=1)
    assert found.largest_lag < 0.01
    assert found.interval == pytest.approx(0.04)


def test_a_pause_of_the_camera_is_no_leap_of_its_clock() -> None:
    found = rhythm(stream(made=lambda own: not 10 < own < 11.5), live=True)
    assert (found.pauses, found.jumps) == (1, 0)


def test_b_frames_come_in_another_order_than_they_are_shown() -> None:
    plain = stream()
    order = [0, *(place + step for place in range(1, 499, 3) for step in (2, 0, 1) if place + step < 500)]
    shuffled = [Arrival(plain[n].at, plain[m].pts, m == 0) for n, m in enumerate(order)]
    found = rhythm(shuffled, live=True)
    assert found.interval == pytest.approx(0.04)
    assert found.jumps == 0
    assert found.drift_ppm == pytest.approx(0, abs=100)
    assert found.largest_lag < 0.13


def test_one_keyframe_says_nothing_of_how_often_they_come() -> None:
    found = rhythm(stream(gop=1000), live=True)
    assert (found.keyframes, found.keyframe_every, found.keyframe_pictures) == (1, None, None)


def test_a_stream_without_times_of_its_own_is_judged_by_ours() -> None:
    found = rhythm([each._replace(pts=None) for each in stream(fps=10, gop=20)], live=True)
    assert found.interval == pytest.approx(0.1)
    assert found.keyframe_every == pytest.approx(2)
    assert (found.drift_ppm, found.lag) == (None, 0)


def test_of_a_file_only_its_own_times_count() -> None:
    rushed = [each._replace(at=100 + number / 1000) for number, each in enumerate(stream(seconds=8))]
    found = rhythm(rushed, live=False)
    assert (found.fps, found.seconds) == (pytest.approx(25), pytest.approx(8))
    assert (found.pauses, found.bursts, found.drift_ppm) == (0, 0, None)
    assert found.bitrate == pytest.approx(25 * 5000 * 8)
    later = [each._replace(pts=None if each.pts is None else 3600 + each.pts) for each in rushed]
    assert rhythm(later, live=False).seconds == pytest.approx(8)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 17])
@pytest.mark.parametrize("live", [True, False])
def test_few_pictures_are_no_reason_to_fail(count: int, live: bool) -> None:
    found = rhythm(stream()[:count], live=live)
    assert found.pictures == count
    assert (found.jumps, found.pauses, found.not_made, found.bursts, found.longest_gap) == (0, 0, 0, 0, 0) or count > 1
    for own in (1.0, None):
        same = rhythm([Arrival(1.0, own)] * count, live=live)
        assert (same.pictures, same.seconds, same.fps, same.bitrate) == (count, 0, None, None)


def test_the_bits_of_the_first_picture_belong_to_the_time_before_it() -> None:
    arrivals = [Arrival(100 + number / 10, number / 10, size=1000) for number in range(21)]
    # The first that is counted, since a fifth of the whole is left out.
    arrivals[4] = arrivals[4]._replace(size=1_000_000)
    assert rhythm(arrivals, live=True).bitrate == pytest.approx(10 * 1000 * 8)


@pytest.mark.parametrize(("lost", "not_made"), [(1.0, 0), (1.3, 0), (1.5, 1), (1.8, 1)])
def test_a_pause_was_not_made_where_most_of_it_is_known_to_the_cameras_clock(lost: float, not_made: int) -> None:
    # Of two seconds without pictures `lost` are missing in the camera's own time, and the rest came late.
    def made(own: float) -> bool:
        return not 10 < own < 10 + lost

    found = rhythm(stream(made=made, delay=lambda own: max(0.0, 12 - own) if 10 < own < 12 else 0.0), live=True)
    assert (found.pauses, found.not_made) == (1, not_made)
