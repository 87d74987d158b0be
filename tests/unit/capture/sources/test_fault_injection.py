"""Faults on purpose around a real source: what comes out of it, and when."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.address.faults import parse
from pipeline.capture import open_source
from pipeline.capture.source import Sample
from pipeline.capture.sources.fault_injection import FaultInjector
from pipeline.capture.sources.ffmpeg import FfmpegSource
from pipeline.capture.sources.synthetic.source import DemoSource
from pipeline.config.cameras import Capture
from pipeline.config.load import load
from pipeline.errors import SourceError
from pipeline.runtime.runtime import Runtime
from pipeline.stats.camera import State
from tests.support.cameras import Running, picture_of
from tests.support.clips import number_in
from tests.support.clock import ManualClock
from tests.support.wait import HANG_S, until


def rehearsed(address: str, clock: ManualClock, **settings: float) -> FaultInjector:
    """The drawn street or a file with faults, in a time that only waiting moves."""
    faults, real = parse(address)
    capture = Capture.model_validate(settings)
    source = DemoSource(clock=clock) if real == "demo" else FfmpegSource(real, capture)
    return FaultInjector(address, faults, source, capture, clock=clock)


def played(source: FaultInjector, clock: ManualClock, until: float) -> list[tuple[float, Sample]]:
    """Each picture with the time it came at, counted from the clock's beginning."""
    found = []
    while clock.monotonic() - 1000 < until:
        sample = source.read()
        assert sample is not None
        found.append((clock.monotonic() - 1000, sample))
    return found


def test_a_short_stall_withholds_pictures_and_then_shows_the_newest() -> None:
    clock = ManualClock()
    source = rehearsed("fault:stall=2@1:demo", clock)
    source.open()
    times = [at for at, _ in played(source, clock, 4)]
    gaps = {round(before, 1): after - before for before, after in pairwise(times)}
    assert max(gaps.values()) == pytest.approx(2, abs=0.1)
    assert max(gaps, key=lambda at: gaps[at]) == pytest.approx(1, abs=0.1)
    assert len(times) == pytest.approx(2 * 30, abs=4)


def test_a_long_stall_ends_in_the_error_of_silence_at_the_limit(video: Path) -> None:
    clock = ManualClock()
    source = rehearsed(f"fault:stall@1:{video}", clock, stall_timeout=1, start_timeout=2)
    source.open()
    with pytest.raises(SourceError, match="no picture for 1 s, as rehearsed") as caught:
        played(source, clock, 60)
    assert caught.value.reason == "timed out"
    assert clock.monotonic() - 1000 == pytest.approx(2, abs=0.1)
    source.open()
    with pytest.raises(SourceError, match="no picture for 2 s"):
        source.read()


def test_a_freeze_gives_the_same_picture_while_time_goes_on() -> None:
    clock = ManualClock()
    source = rehearsed("fault:freeze=2@1:demo", clock)
    source.open()
    found = played(source, clock, 4)
    frozen = [sample for at, sample in found if 1.1 < at < 2.9]
    moving = [sample for at, sample in found if not 0.9 < at < 3.1]
    assert len({id(sample.picture) for sample in frozen}) == 1
    assert len({sample.pts for sample in frozen}) == len(frozen) > 50
    assert len({id(sample.picture) for sample in moving}) == len(moving) > 50


def test_a_cut_comes_once_and_opening_is_refused_for_so_long(video: Path) -> None:
    clock = ManualClock()
    source = rehearsed(f"fault:disconnect=2@1/5:{video}", clock)
    source.open()
    with pytest.raises(SourceError, match="cut, as rehearsed") as caught:
        played(source, clock, 60)
    assert (caught.value.reason, clock.monotonic() - 1000) == ("ended", pytest.approx(1, abs=0.1))
    with pytest.raises(SourceError) as caught:
        source.open()
    assert caught.value.reason == "refused"
    clock.advance(2)
    source.open()
    assert len(played(source, clock, 5.9)) > 70
    with pytest.raises(SourceError, match="cut"):
        played(source, clock, 60)


@pytest.mark.parametrize(("kind", "reason"), [("refuse", "refused"), ("unauthorized", "unauthorized")])
def test_opening_can_fail_without_ending_the_run(kind: str, reason: str) -> None:
    clock = ManualClock()
    source = rehearsed(f"fault:{kind}=4:demo", clock)
    with pytest.raises(SourceError, match="as rehearsed") as caught:
        source.open()
    assert (caught.value.reason, source.live, source.local) == (reason, True, False)
    clock.advance(4)
    source.open()
    assert source.description == f"drawn 1280x720 at 30 fps, rehearsing {kind}"


class Sluggish(DemoSource):
    """The drawn street, of which opening takes 30 s and the first picture 20 s more."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock=clock)
        self._slow = clock
        self._opened = False

    def open(self) -> None:
        self._slow.advance(0 if self._opened else 30)
        super().open()

    def read(self) -> Sample | None:
        self._slow.advance(0 if self._opened else 20)
        self._opened = True
        return super().read()


def test_what_is_to_come_later_comes_to_a_stream_that_runs_however_slow_its_start() -> None:
    clock = ManualClock()
    faults, _ = parse("fault:refuse=4+disconnect=2@1:demo")
    source = FaultInjector("demo", faults, Sluggish(clock), Capture(), clock=clock)
    with pytest.raises(SourceError, match="nobody answers"):
        source.open()
    clock.advance(4)
    source.open()
    assert len(played(source, clock, 4 + 50 + 0.9)) > 5
    with pytest.raises(SourceError, match="cut"):
        played(source, clock, 90)
    assert clock.monotonic() - 1000 == pytest.approx(4 + 50 + 1, abs=0.1)
    with pytest.raises(SourceError, match="nobody answers"):
        source.open()
    clock.advance(2)
    source.open()
    assert source.read() is not None


def test_a_file_whose_pictures_stall_from_the_start_counts_as_running(video: Path) -> None:
    clock = ManualClock()
    source = rehearsed(f"fault:stall+disconnect@1:{video}", clock)
    source.open()
    with pytest.raises(SourceError, match="cut"):
        source.read()
    assert clock.monotonic() - 1000 == pytest.approx(1, abs=0.1)


def test_slow_gives_a_picture_a_second(video: Path) -> None:
    clock = ManualClock()
    source = rehearsed(f"fault:slow@0.5:{video}", clock)
    source.open()
    times = [at for at, _ in played(source, clock, 4) if at > 0.6]
    assert [after - before for before, after in pairwise(times)] == pytest.approx([1] * 3, abs=0.1)


def test_late_lets_the_own_time_fall_behind(video: Path) -> None:
    clock = ManualClock()
    source = rehearsed(f"fault:late@0.5:{video}", clock)
    source.open()
    lag = [(at, at - (sample.pts or 0)) for at, sample in played(source, clock, 2.5)]
    assert lag[10][1] == pytest.approx(0, abs=0.1)
    assert lag[-1][1] == pytest.approx(1, abs=0.1)


def test_corrupt_pictures_are_marked_as_damaged(video: Path) -> None:
    clock = ManualClock()
    source = rehearsed(f"fault:corrupt=1@1:{video}", clock)
    source.open()
    damaged = [at for at, sample in played(source, clock, 3) if sample.damaged]
    assert (damaged[0], damaged[-1], len(damaged)) == pytest.approx((1, 2, 30), abs=1.1)


def test_a_file_plays_like_a_camera_over_and_over(video: Path) -> None:
    address = f"fault:stall=1@3:{video}"
    clock = ManualClock()
    source = rehearsed(address, clock)
    source.open()
    found = played(source, clock, 6)
    source.close()
    assert (source.live, source.local) == (True, False)
    times = [at for at, _ in found]
    gaps = [after - before for before, after in pairwise(times)]
    assert sorted(gaps)[-1] == pytest.approx(1, abs=0.1)
    assert sorted(gaps)[-2] < 0.1
    assert len(found) == pytest.approx(5 * 30, abs=5)
    numbers = [number_in(picture_of(sample).bgr()) for _, sample in found]
    assert (numbers[0], numbers[59], numbers[60]) == (0, 59, 0)
    stamps = [sample.pts or 0 for _, sample in found]
    assert stamps == sorted(set(stamps))


def test_a_file_that_is_not_there_is_a_mistake_and_ends_the_run() -> None:
    source = open_source("fault:stall@9:nosuch.mp4", Capture())
    with pytest.raises(SourceError, match="no such file"):
        source.open()
    assert source.local


def test_a_camera_comes_back_from_a_rehearsed_cut(running: Callable[..., Running]) -> None:
    camera = running("fault:disconnect=0.6@0.5:demo")
    camera.start()
    seen = camera.next().seq
    while camera.stats.figures().reconnects == 0:
        seen = camera.next().seq
    assert camera.next().seq > seen
    assert until(lambda: State.LIVE in camera.states()[3:])
    assert camera.states()[:3] == [State.CONNECTING, State.LIVE, State.OFFLINE]


def test_a_rehearsed_camera_shares_its_run_with_others(quick_model: Path) -> None:
    cameras = ("cameras.a=fault:refuse:demo", "cameras.b=demo")
    runtime = Runtime(load(None, (*cameras, "outputs=[]", f"model.name={quick_model}")))
    run = threading.Thread(target=runtime.run)
    run.start()
    figures = {name: runtime.stats.cameras[name].figures for name in "ab"}
    assert until(lambda: figures["b"]().captured > 10 and figures["a"]().reason == "refused")
    runtime.stop()
    run.join(HANG_S)
    assert not run.is_alive()
    assert runtime.summary()["cameras"]["a"]["captured"] == 0
