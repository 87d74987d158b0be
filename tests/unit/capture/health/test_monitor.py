"""What pictures say of a live camera: late, always the same, damaged; and what must not be taken for it."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.capture.decode.pictures import ArrayPicture
from pipeline.capture.health.monitor import Lag, LiveHealthMonitor
from pipeline.capture.source import Sample
from pipeline.config.cameras import Capture
from pipeline.errors import SourceError
from pipeline.stats.camera import State


def picture(value: int) -> ArrayPicture:
    return ArrayPicture(np.full((90, 160, 3), value % 256, np.uint8))


def sample(value: int, *, damaged: bool = False) -> Sample:
    return Sample(picture(value), None, 0.0, damaged)


def seen(*moments: tuple[float, float | None], **settings: object) -> list[tuple[float, State]]:
    """Changes of state of a camera whose pictures arrive at these times with these stamps; the error, too."""
    watch = LiveHealthMonitor(Capture.model_validate(settings))
    watch.opened(moments[0][0])
    found: list[tuple[float, State]] = []
    for number, (now, pts) in enumerate(moments):
        try:
            state, _ = watch.judge(sample(number), pts, now)
        except SourceError as error:
            found.append((now, {"late": State.RETRYING}.get(error.reason, State.OFFLINE)))
            watch.opened(now)
            continue
        if not found or found[-1][1] is not state:
            found.append((now, state))
    return found


def steady(seconds: float, fps: float = 10.0, start: float = 0.0) -> list[tuple[float, float | None]]:
    return [(start + n / fps, n / fps) for n in range(round(seconds * fps))]


def test_a_stream_that_falls_behind_is_late_after_three_seconds_and_opened_anew_two_later() -> None:
    slow = [(10 + n / 10, 10 + n / 20) for n in range(100)]
    (_, live), (late_at, late), (again_at, again) = seen(*steady(10), *slow)[:3]
    assert (live, late, again) == (State.LIVE, State.LATE, State.RETRYING)
    # One second behind at 12, three seconds of patience, two of draining.
    assert late_at == pytest.approx(15.1, abs=0.2)
    assert again_at == pytest.approx(17.1, abs=0.2)


def test_pictures_that_were_kept_while_the_process_was_paused_are_late() -> None:
    watch = LiveHealthMonitor(Capture())
    watch.opened(0.0)
    states = [watch.judge(sample(n), n / 10, n / 10)[0] for n in range(100)]
    states += [watch.judge(sample(n), n / 10, n / 10, paused=20.0)[0] for n in range(100, 140)]
    assert list(dict.fromkeys(states)) == [State.LIVE, State.LATE]


def test_a_stream_that_catches_up_is_live_again() -> None:
    held = [(20 + n / 10, 10 + n / 10) for n in range(40)]
    caught_up = [(24 + n / 1000, 14 + n / 10) for n in range(100)]
    after = [(24.1 + n / 10, 24 + n / 10) for n in range(50)]
    assert [state for _, state in seen(*steady(10), *held, *caught_up, *after)] == [
        State.LIVE,
        State.LATE,
        State.LIVE,
    ]


def test_a_stall_with_a_burst_after_it_is_not_late() -> None:
    burst = [(12 + n / 1000, 10 + n / 10) for n in range(20)]
    after = [(12.1 + n / 10, 12 + n / 10) for n in range(100)]
    assert seen(*steady(10), *burst, *after) == [(0, State.LIVE)]


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 2**32 / 90000, -(2**32) / 90000, 5.0, -0.5])
def test_a_clock_that_jumps_is_not_late(jump: float) -> None:
    after = [(10 + n / 10, 10 + jump + n / 10) for n in range(200)]
    assert seen(*steady(10), *after) == [(0, State.LIVE)]


def test_lag_survives_a_jump_of_the_clock() -> None:
    lag = Lag()
    for now, pts in [*steady(10), (20.0, 10.0), (20.1, 9000.0)]:
        lag.see(pts, now)
    assert lag.behind == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize("ppm", [-300, -100, 100, 300])
def test_a_clock_that_drifts_is_not_late_in_six_hours(ppm: float) -> None:
    hours = [(float(n), n * (1 - ppm * 1e-6)) for n in range(6 * 3600)]
    assert seen(*hours) == [(0, State.LIVE)]


def test_a_camera_that_counts_pictures_instead_of_time_is_excused_after_one_new_connection() -> None:
    # 30 a second are declared in its stamps, 29.9 come.
    found = [state for _, state in seen(*[(n / 2, n / 2 * 29.9 / 30) for n in range(20_000)])]
    assert found.count(State.RETRYING) <= 1


def test_streams_without_times_are_never_late() -> None:
    assert seen(*[(n / 10, None) for n in range(100)]) == [(0, State.LIVE)]


def test_a_picture_that_never_changes_is_frozen_until_it_does() -> None:
    watch = LiveHealthMonitor(Capture(frozen_after=5))
    watch.opened(0)
    states = [watch.judge(sample(1 if second < 10 else 2), None, second) for second in range(12)]
    assert [state for state, _ in states] == [State.LIVE] * 5 + [State.FROZEN] * 5 + [State.LIVE] * 2
    assert states[7] == (State.FROZEN, 7)


def test_a_change_in_one_corner_is_enough() -> None:
    pixels = np.zeros((90, 160, 3), np.uint8)
    watch = LiveHealthMonitor(Capture(frozen_after=5))
    watch.opened(0)
    for second in range(20):
        changed = pixels.copy()
        changed[-16:, -16:] = second
        assert watch.judge(Sample(ArrayPicture(changed), None, 0.0), None, second)[0] is State.LIVE


def test_nothing_is_frozen_where_that_is_switched_off() -> None:
    watch = LiveHealthMonitor(Capture(frozen_after=0))
    watch.opened(0)
    assert {watch.judge(sample(1), None, second)[0] for second in range(1000)} == {State.LIVE}


def test_a_frozen_camera_is_opened_anew_only_where_that_is_asked_for() -> None:
    watch = LiveHealthMonitor(Capture(frozen_after=5, frozen_reconnect=True))
    watch.opened(0)
    for second in range(5):
        watch.judge(sample(1), None, second)
    with pytest.raises(SourceError) as caught:
        watch.judge(sample(1), None, 5)
    assert caught.value.reason == "frozen"


def test_damaged_pictures_are_corrupt_and_nothing_else_for_the_stall_limit_is_silence() -> None:
    watch = LiveHealthMonitor(Capture(stall_timeout=3))
    watch.opened(0)
    watch.judge(sample(0), None, 0)
    assert watch.judge(sample(1, damaged=True), None, 0.1)[0] is State.CORRUPT
    assert watch.judge(sample(2), None, 0.2)[0] is State.LIVE
    for tenth in range(3, 32):
        assert watch.judge(sample(tenth, damaged=True), None, tenth / 10)[0] is State.CORRUPT
    with pytest.raises(SourceError) as caught:
        watch.judge(sample(0, damaged=True), None, 3.3)
    assert caught.value.reason == "timed out"


def test_the_fifth_damaged_picture_may_end_a_connection() -> None:
    watch = LiveHealthMonitor(Capture(stall_timeout=3))
    watch.opened(0)
    assert {watch.judge(sample(n, damaged=True), None, n * 5.0)[0] for n in range(1, 5)} == {State.CORRUPT}
    with pytest.raises(SourceError, match=r"no undamaged picture for 25\.0 s"):
        watch.judge(sample(5, damaged=True), None, 25.0)


def test_two_damaged_pictures_of_a_slow_camera_are_no_stall() -> None:
    watch = LiveHealthMonitor(Capture())
    watch.opened(0)
    watch.judge(sample(0), None, 0)
    assert [watch.judge(sample(n, damaged=True), None, n * 5.0)[0] for n in (1, 2)] == [State.CORRUPT] * 2


def test_a_stream_that_was_held_up_and_catches_up_at_once_has_not_changed_its_clock() -> None:
    lag = Lag()
    for now, pts in steady(10):
        lag.see(pts, now)
    assert lag.see(10.0, 13.0) == pytest.approx(3, abs=0.01)
    assert lag.see(13.1, 13.1) == pytest.approx(0, abs=0.01)


def test_a_late_stream_is_late_until_it_has_caught_up_by_half() -> None:
    late = [(12 + n / 10, 10 + n / 10) for n in range(32)]
    nearer = [(15.2 + n / 10, 15.2 + n / 10 - behind) for n, behind in enumerate((0.8, 0.6, 0.55))]
    near = [(15.5 + n / 10, 15.5 + n / 10 - behind) for n, behind in enumerate((0.45, 0.8, 0.8, 0.8))]
    found = seen(*steady(10), *late, *nearer, *near)
    assert [state for _, state in found] == [State.LIVE, State.LATE, State.LIVE]
    assert found[-1][0] == 15.5


def test_a_slow_clock_is_excused_when_it_is_found_twice_and_counts_as_none_from_then_on() -> None:
    lag, slower = Lag(), 0.003

    def run(begin: int, end: int) -> float:
        for now in range(begin, end):
            lag.see(now * (1 - slower), now)
        return lag.behind

    assert run(0, 1000) == pytest.approx(999 * (slower - lag.allowed), abs=0.01)
    assert not lag.excused()
    lag.opened()
    allowed = lag.allowed
    assert run(1000, 2000) > 2
    assert lag.excused()
    assert lag.behind == 0
    assert lag.allowed == pytest.approx(allowed + 1.2 * (slower - allowed), rel=0.01)
    assert run(2000, 9000) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("clocks", [(0.002, 0.004), (0.004, 0.002), (0.007, 0.007)])
def test_a_lag_that_grows_unevenly_or_quickly_is_no_clock(clocks: tuple[float, float]) -> None:
    lag = Lag()
    for slower in clocks:
        lag.opened()
        for second in range(1000):
            lag.see(second * (1 - slower), second)
        assert not lag.excused()
    assert lag.allowed == pytest.approx(3e-4)
