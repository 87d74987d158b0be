"""A decoder that sleeps while nobody wants pictures, and gives the right ones as soon as somebody does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.capture import open_source
from pipeline.capture.decode import on_demand as nap
from pipeline.capture.health.monitor import LiveHealthMonitor
from pipeline.capture.source import Sample, Source
from pipeline.capture.sources.ffmpeg import FfmpegSource
from pipeline.capture.sources.synthetic.source import DemoSource
from pipeline.capture.worker import CaptureWorker
from pipeline.config.cameras import Capture
from pipeline.errors import SourceError
from pipeline.stats.camera import State
from tests.support.cameras import PATIENT, shorten
from tests.support.clips import number_in, street, write_file
from tests.support.servers.rtsp import RtspServer
from tests.support.wait import HANG_S


class Wish:
    """Whether pictures are wanted, as a test says."""

    def __init__(self, wanted: bool = False) -> None:
        self.now = wanted
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.now


@pytest.fixture
def wish() -> Wish:
    return Wish()


@pytest.fixture
def source(video: Path, wish: Wish) -> Iterator[FfmpegSource]:
    """The file of 60 pictures with B-frames and a keyframe each 20."""
    opened = FfmpegSource(str(video), Capture())
    opened.wanted = wish
    opened.open()
    yield opened
    opened.close()


def samples(source: Source, count: int) -> list[Sample]:
    found = [source.read() for _ in range(count)]
    assert None not in found
    return [each for each in found if each is not None]


def numbers(found: list[Sample]) -> list[int | None]:
    return [None if each.picture is None else number_in(each.picture.bgr()) for each in found]


def test_every_packet_counts_as_a_picture_but_only_the_first_is_unpacked(source: FfmpegSource, wish: Wish) -> None:
    found = samples(source, 60)
    assert source.read() is None
    assert numbers(found) == [0] + [None] * 59
    times = [each.pts for each in found if each.pts is not None]
    assert times == sorted(set(times))
    assert wish.asked >= 60


@pytest.mark.parametrize(("woken", "soon"), [(3, 0), (8, 0), (17, 2), (20, 0), (33, 1)])
def test_a_decoder_wakes_between_keyframes_and_gives_whole_pictures(
    source: FfmpegSource, wish: Wish, video: Path, woken: int, soon: int
) -> None:
    always = FfmpegSource(str(video), Capture())
    always.open()
    whole = {number: sample.picture for number, sample in enumerate(samples(always, 60))}
    samples(source, woken)
    wish.now = True
    # Catching up goes on while packets come, eight of the past for each.
    assert numbers(samples(source, soon)) == [None] * soon
    found = samples(source, 12)
    always.close()
    seen = numbers(found)
    # Pictures that the decoder had held back for their order may still come.
    assert woken + soon - 3 <= (seen[0] or 0) <= woken + soon + 1
    assert seen == [(seen[0] or 0) + place for place in range(12)]
    for number, sample in zip(seen, found, strict=True):
        assert sample.picture is not None
        assert number is not None
        assert np.array_equal(sample.picture.bgr(), whole[number].bgr())  # type: ignore[union-attr]
    wish.now = False
    assert set(numbers(samples(source, 8))[4:]) == {None}
    wish.now = True
    again = [number for number in numbers(samples(source, 5)) if number is not None]
    assert len(again) >= 3
    assert again == [again[0] + place for place in range(len(again))]


def test_where_keyframes_are_too_far_apart_the_next_one_is_waited_for(
    source: FfmpegSource, wish: Wish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nap, "_MAX_KEPT_COUNT", 10)
    samples(source, 15)
    wish.now = True
    found = [number for number in numbers(samples(source, 15)) if number is not None]
    assert found[0] == 20


def test_a_camera_that_falls_silent_is_noticed_without_decoding(server: RtspServer, wish: Wish) -> None:
    limits = Capture.model_validate(PATIENT)
    camera = FfmpegSource(server.url("live"), limits)
    camera.wanted = wish
    camera.open()
    assert numbers(samples(camera, 20))[1:] == [None] * 19
    server.stalled = True
    shorten(limits, stall_timeout=0.5, read_timeout=0.5)
    with pytest.raises(SourceError) as caught:
        samples(camera, 200)
    assert caught.value.reason == "timed out"
    camera.close()


def test_lost_data_is_noticed_without_decoding_until_the_next_keyframe(server: RtspServer, wish: Wish) -> None:
    camera = FfmpegSource(server.url("live"), Capture(stall_timeout=HANG_S, read_timeout=HANG_S))
    camera.wanted = wish
    camera.open()
    lost: list[int] = []

    def lose(sequence: int) -> bool:
        lost.append(sequence)
        return len(lost) < 3

    samples(camera, 20)
    server.lost = lose
    damaged = [sample.damaged for sample in samples(camera, 45)]
    camera.close()
    assert 1 <= sum(damaged) <= 20
    assert not damaged[-1]


def test_no_camera_is_called_frozen_for_what_nobody_looks_at() -> None:
    watch = LiveHealthMonitor(Capture(frozen_after=1))
    found = [watch.judge(Sample(None, float(second), 0.0), float(second), float(second)) for second in range(10)]
    assert {state for state, _ in found} == {State.LIVE}


def test_a_camera_that_falls_behind_is_late_without_decoding() -> None:
    watch = LiveHealthMonitor(Capture())
    watch.opened(0.0)
    states = []
    for number in range(240):
        now = number / 30
        state, _ = watch.judge(Sample(None, None, 0.0), now if number < 60 else 2 + (now - 2) / 3, now)
        states.append(state)
    assert states[59] is State.LIVE
    assert State.LATE in states


def test_the_drawn_street_is_not_drawn_while_nobody_looks(wish: Wish, monkeypatch: pytest.MonkeyPatch) -> None:
    street_ = DemoSource(live=False)
    street_.wanted = wish
    street_.open()
    found = samples(street_, 5)
    assert [each.picture is None for each in found] == [False, True, True, True, True]
    wish.now = True
    assert samples(street_, 1)[0].picture is not None
    assert [each.pts for each in found] == pytest.approx([number / 30 for number in range(5)])


def test_a_rehearsed_source_asks_too(video: Path, wish: Wish) -> None:
    rehearsed = open_source(f"fault:freeze@900:{video}", Capture())
    rehearsed.wanted = wish
    rehearsed.open()
    assert [each.picture is None for each in samples(rehearsed, 3)] == [False, True, True]
    wish.now = True
    assert samples(rehearsed, 1)[0].picture is not None
    rehearsed.close()


def test_pictures_out_of_order_do_not_make_a_live_camera_late(tmp_path: Path, wish: Wish) -> None:
    path = write_file(tmp_path / "b.mp4", street(40), 30, bf="2", g="20")
    opened = FfmpegSource(str(path), Capture())
    opened.wanted = wish
    opened.open()
    # The times of packets in decoding order, as a live stream tells them.
    opened.live = True
    times = [each.pts for each in samples(opened, 30)]
    opened.close()
    known = [each for each in times if each is not None]
    assert known == sorted(set(known))
    assert 8 < len(known) < 30


def test_the_camera_hands_on_only_what_was_unpacked(video: Path, wish: Wish, running: object) -> None:
    assert callable(running)
    camera = running(str(video), capacity=100)
    made: CaptureWorker = camera.camera
    made.source.wanted = wish
    made.run()
    camera.lane.close()
    assert [frame.seq for frame in camera.rest()] == [0]
    assert camera.stats.figures().captured == 60
