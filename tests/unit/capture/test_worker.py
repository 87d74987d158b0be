"""The loop around a source: numbers, stamps, pace, and coming back for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from pipeline.capture.decode.pictures import ArrayPicture
from pipeline.capture.source import Sample
from pipeline.capture.worker import CaptureWorker
from pipeline.concurrency.backoff import DELAYS_S, LOCKED_OUT_S
from pipeline.errors import SourceError
from pipeline.stats.camera import State
from tests.support.cameras import PATIENT, Running
from tests.support.clips import Clip, number_in
from tests.support.clock import ManualClock
from tests.support.servers.rtsp import RtspServer
from tests.support.wait import HANG_S, until

Build = Callable[..., Running]


class ScriptedSource:
    """Plays a script of samples and failures; when it is over, the stop is set."""

    fps = 10.0
    description = "scripted"
    gives_packets = False

    def __init__(
        self, *script: object, live: bool = True, local: bool = False, clock: ManualClock | None = None
    ) -> None:
        self.live, self.local = live, local
        self.clock = clock or ManualClock()
        self.script = list(script)
        self.opened_at: list[float] = []
        self.stopping = threading.Event()
        self.closed = 0

    def open(self) -> None:
        self.opened_at.append(self.clock.monotonic())
        if self.script and isinstance(self.script[0], str):
            raise SourceError("no luck", str(self.script.pop(0)))

    def read(self) -> Sample | None:
        if not self.script:
            self.stopping.set()
            raise SourceError("stopped", "ended")
        step = self.script.pop(0)
        if isinstance(step, str):
            raise SourceError("lost", step)
        if isinstance(step, Exception):
            raise step
        if step is None:
            return None
        if isinstance(step, Sample):
            return step
        if isinstance(step, tuple):
            self.clock.advance(step[1])
            step = step[0]
        return Sample(picture(), float(str(step)), 0.25)

    def close(self) -> None:
        self.closed += 1


def picture() -> ArrayPicture:
    return ArrayPicture(np.zeros((2, 2, 3), np.uint8))


def played(build: Build, source: ScriptedSource, **settings: object) -> Running:
    """A camera run in this thread until its script is over."""
    running = build(source=source, clock=source.clock, capacity=10_000, **settings)
    source.stopping = running.stopping
    running.camera.run()
    running.lane.close()
    return running


def test_frames_are_numbered_stamped_and_counted(running: Build) -> None:
    source = ScriptedSource((5.0, 0.5), (5.1, 0.1), None, live=False)
    camera = played(running, source)
    frames = camera.rest()
    assert [(frame.camera, frame.seq, frame.pts, frame.decode) for frame in frames] == [
        ("door", 0, 5.0, 0.25),
        ("door", 1, 5.1, 0.25),
    ]
    assert [frame.captured for frame in frames] == pytest.approx([1000.5, 1000.6])
    assert camera.stats.figures().captured == 2
    assert camera.stats.figures().source == "scripted"
    assert camera.states() == ["connecting", "live", "ended"]
    assert source.closed


def test_a_paced_file_plays_at_its_own_speed(running: Build) -> None:
    source = ScriptedSource(0, 0.1, (0.2, 0.05), 0.3, None, live=False)
    frames = played(running, source, paced=True).rest()
    assert [frame.captured - 1000 for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_a_file_as_fast_as_possible_waits_for_nothing(running: Build) -> None:
    source = ScriptedSource(0, 0.1, 5, None, live=False)
    played(running, source)
    assert source.clock.waits == []


def test_a_paced_file_that_was_held_up_does_not_rush(running: Build) -> None:
    source = ScriptedSource(0, 0.1, (0.2, 2.0), 0.3, 0.4, None, live=False)
    frames = played(running, source, paced=True).rest()
    assert [frame.captured - 1000 for frame in frames] == pytest.approx([0, 0.1, 2.1, 2.2, 2.3])


def test_a_paced_file_whose_times_jump_goes_on_at_once(running: Build) -> None:
    source = ScriptedSource(0, 0.1, 5000, 5000.1, 3, 3.1, None, live=False)
    frames = played(running, source, paced=True).rest()
    assert [frame.captured - 1000 for frame in frames] == pytest.approx([0, 0.1, 0.1, 0.2, 0.2, 0.3])


def test_a_looped_file_starts_again_with_times_that_go_on(running: Build) -> None:
    script = [0.0, 0.1, 0.2, None, 0.0, 0.1, 0.2, None, 0.0]
    frames = played(running, ScriptedSource(*script, live=False), loop=True).rest()
    assert [frame.seq for frame in frames] == list(range(7))
    assert [frame.pts for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


def test_an_empty_file_is_not_looped_for_ever(running: Build) -> None:
    for loop in (True, False):
        with pytest.raises(SourceError, match="ends without one picture"):
            played(running, ScriptedSource(None, live=False), loop=loop)


def test_whatever_goes_wrong_in_a_source_is_that_sources_fault_in_one_line(running: Build) -> None:
    with pytest.raises(SourceError, match="demo: cannot be read: ZeroDivisionError: no such pixel"):
        played(running, ScriptedSource(0, ZeroDivisionError("no such pixel"), live=False))
    camera = played(running, ScriptedSource(0, ZeroDivisionError("no such pixel"), 1))
    assert camera.states() == ["connecting", "live", "offline", "retrying", "live"]


def test_a_lost_camera_is_tried_soon_then_ever_more_rarely_and_for_ever(running: Build) -> None:
    source = ScriptedSource(0, *["refused"] * 12)
    camera = played(running, source)
    waits = source.clock.waits
    assert waits[0] <= 0.5
    wanted = [*DELAYS_S, *[10.0] * 5]
    assert all(0.8 * due <= wait <= 1.2 * due for wait, due in zip(waits, wanted, strict=True))
    assert len({round(wait / due, 6) for wait, due in zip(waits, wanted, strict=True)}) > 1
    assert np.diff(source.opened_at) == pytest.approx(waits)
    assert camera.states() == ["connecting", "live", *["offline", "retrying"] * 12]
    assert camera.stats.changes()[2].reason == "refused"


def test_half_a_minute_of_health_starts_the_ladder_again(running: Build) -> None:
    short, long = (0, 20.0), (0, 31.0)
    source = ScriptedSource(0, "refused", "refused", "refused", 0, short, "ended", 0, long, "ended", 0)
    played(running, source)
    assert [round(wait / due) for wait, due in zip(source.clock.waits, [0.25, 0.5, 1, 2, 0.25], strict=True)] == [1] * 5


def test_a_refused_password_is_tried_once_a_minute_at_most(running: Build) -> None:
    source = ScriptedSource(*["unauthorized"] * 5)
    played(running, source)
    assert min(source.clock.waits) >= LOCKED_OUT_S
    assert len(source.clock.waits) == 5


def test_silence_after_pictures_is_a_stall_and_says_when_it_tries_again(running: Build) -> None:
    source = ScriptedSource(0, "timed out", 1)
    camera = played(running, source)
    assert camera.states() == ["connecting", "live", "stalled", "retrying", "live"]
    assert camera.stats.figures().reconnects == 1


def test_the_time_of_the_next_try_is_known_while_waiting(running: Build) -> None:
    source = ScriptedSource("refused")
    seen: list[tuple[State, float | None]] = []
    wait = source.clock.wait

    def watched(event: threading.Event, seconds: float) -> bool:
        figures = camera.stats.figures()
        seen.append((figures.state, figures.retry_in))
        return wait(event, seconds)

    source.clock.wait = watched  # type: ignore[method-assign]
    camera = running(source=source, clock=source.clock, capacity=100)
    source.stopping = camera.stopping
    camera.camera.run()
    state, retry_in = seen[0]
    assert state is State.OFFLINE
    assert retry_in == pytest.approx(source.clock.waits[0])
    assert len(seen) == 1


@pytest.mark.parametrize(("live", "local"), [(True, True), (False, True), (False, False)])
def test_a_mistake_on_this_machine_or_in_a_file_is_raised_at_once(running: Build, live: bool, local: bool) -> None:
    source = ScriptedSource("not found", live=live, local=local)
    camera = running(source=source, clock=source.clock)
    with pytest.raises(SourceError, match="no luck"):
        camera.camera.run()
    assert source.closed


def test_a_webcam_that_is_unplugged_later_is_waited_for(running: Build) -> None:
    source = ScriptedSource(0, "unplugged", "not found", 1, local=True)
    camera = played(running, source)
    assert [frame.pts for frame in camera.rest()] == [0, 1]
    assert [change.reason for change in camera.stats.changes() if change.reason] == ["unplugged", "not found"]


def test_a_camera_nobody_reads_stops(running: Build) -> None:
    source = ScriptedSource(0, 1, 2, 3)
    camera = running(source=source, clock=source.clock)
    camera.frames.close(discard=True)
    camera.camera.run()
    assert source.script == [1, 2, 3]
    assert camera.stats.figures().dropped == {"stopped": 1}


def test_every_picture_of_a_real_file_arrives_in_order_without_any_loss(running: Build, video: Path) -> None:
    camera = running(str(video), loop=False)
    camera.start()
    frames = camera.rest()
    assert [number_in(frame.picture.bgr()) for frame in frames] == list(range(60))
    assert [frame.seq for frame in frames] == list(range(60))
    assert camera.states() == ["connecting", "live", "ended"]


def test_a_real_file_loops(running: Build, video: Path) -> None:
    camera = running(str(video), loop=True)
    camera.start()
    frames = [camera.next() for _ in range(150)]
    assert [number_in(frame.picture.bgr()) for frame in frames] == [number % 60 for number in range(150)]
    times = [frame.pts for frame in frames if frame.pts is not None]
    assert np.diff(times) == pytest.approx(1 / 30, abs=2e-3)


def test_a_server_that_was_killed_is_found_again(running: Build, clip: Clip) -> None:
    with RtspServer({"live": clip}) as server:
        camera = running(server.url("live"), latest=True, capacity=1, **PATIENT)
        camera.start()
        camera.next()
        server.stop()
        assert until(lambda: "retrying" in camera.states())
        server.start()
        back = time.monotonic()
        while (frame := camera.next()).captured < back:
            pass
        assert frame.seq > 0
        figures = camera.stats.figures()
        assert figures.state is State.LIVE
        assert figures.reconnects == 1
        assert camera.states()[:4] == ["connecting", "live", "offline", "retrying"]
        assert camera.stop() == []


def test_a_stalled_stream_is_seen_and_reopened_though_reports_go_on(running: Build, server: RtspServer) -> None:
    camera = running(server.url("live"), latest=True, capacity=1, read_timeout=1, stall_timeout=HANG_S)
    camera.start()
    camera.next()
    server.stalled = True
    assert until(lambda: "stalled" in camera.states())
    server.stalled = False
    back = time.monotonic()
    while camera.next().captured < back:
        pass
    assert "live" in camera.states()[camera.states().index("stalled") :]


@pytest.mark.parametrize("where", ["opening", "waiting", "playing", "silent"])
def test_the_stop_waits_for_no_limit_in_any_state(running: Build, server: RtspServer, where: str) -> None:
    address = server.url("live")
    if where == "opening":
        server.mute = {"DESCRIBE"}
    if where == "waiting":
        address = "rtsp://127.0.0.1:1/live"
    limits = dict.fromkeys(("open_timeout", "read_timeout", "start_timeout", "stall_timeout"), 2 * HANG_S)
    camera = running(address, latest=True, capacity=1, **limits)
    camera.start()
    if where in ("playing", "silent"):
        camera.next()
        server.stalled = where == "silent"
    if where == "opening":
        assert until(lambda: "DESCRIBE" in server.verbs)
    if where == "waiting":
        assert until(lambda: "retrying" in camera.states())
    assert camera.stop(HANG_S) == []


def test_many_reconnects_leave_no_thread_and_no_descriptor_behind(running: Build, server: RtspServer) -> None:
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    camera = running(server.url("live"), latest=True, capacity=1).camera
    assert isinstance(camera, CaptureWorker)
    counts = []
    for _ in range(6):
        camera.source.open()
        camera.source.read()
        camera.source.close()
        time.sleep(0.05)
        counts.append((opened(), threading.active_count()))
    assert all(last <= early for last, early in zip(counts[-1], counts[2], strict=True))


def test_damaged_pictures_are_counted_and_not_handed_on(running: Build) -> None:
    source = ScriptedSource(0, Sample(picture(), 1.0, 0.0, damaged=True), Sample(picture(), None, 0.0, damaged=True), 2)
    camera = played(running, source)
    assert [(frame.seq, frame.pts) for frame in camera.rest()] == [(0, 0), (3, 2)]
    assert camera.states()[:4] == ["connecting", "live", "corrupt", "live"]
    figures = camera.stats.figures()
    assert (figures.captured, figures.dropped) == (4, {"corrupt": 2})


def test_a_picture_that_stays_the_same_is_told_and_handed_on(running: Build) -> None:
    script = [(step / 2, 0.5) for step in range(8)]
    camera = played(running, ScriptedSource(*script), frozen_after=2)
    assert len(camera.rest()) == 8
    assert camera.states()[:3] == ["connecting", "live", "frozen"]
    change = camera.stats.changes()[2]
    assert camera.stats.figures().since <= change.at


def test_a_frozen_camera_is_opened_anew_where_that_is_asked_for(running: Build) -> None:
    script = [(step / 2, 0.5) for step in range(6)]
    camera = played(running, ScriptedSource(*script), frozen_after=2, frozen_reconnect=True)
    assert camera.states()[:5] == ["connecting", "live", "frozen", "retrying", "live"]
    assert camera.stats.changes()[2].reason == "frozen"


def test_a_stream_that_falls_behind_is_counted_late_and_opened_anew(running: Build) -> None:
    script = [(step / 4, 0.5) for step in range(19)]
    source = ScriptedSource(*script)
    camera = played(running, source, frozen_after=0)
    assert camera.states()[:6] == ["connecting", "live", "late", "late", "retrying", "live"]
    assert [change.reason for change in camera.stats.changes()[2:4]] == ["", "late"]
    assert len(source.opened_at) == 2
    assert camera.stats.figures().late == 1
    assert camera.stats.summary()["late"] == 1


def test_the_last_good_picture_and_the_next_try_have_their_times(running: Build) -> None:
    source = ScriptedSource((0, 1.0), Sample(picture(), 1.0, 0.0, damaged=True), "refused", (1, 1.0))
    camera = played(running, source)
    lost = next(change for change in camera.stats.changes() if change.state is State.OFFLINE)
    assert lost.last_good is not None
    assert lost.next_try is not None
    assert (lost.next_try - lost.at).total_seconds() == pytest.approx(source.clock.waits[0])
    assert lost.last_good == source.clock.now() - timedelta(seconds=source.clock.waits[0] + 1.0)
    assert camera.stats.figures().last_good == source.clock.now()


def test_a_source_that_turns_out_to_be_finished_loses_nothing(running: Build) -> None:
    class Finished(ScriptedSource):
        def open(self) -> None:
            super().open()
            self.live = False

    camera = running(source=Finished(*range(5), None), capacity=10, latest=True)
    camera.camera.run()
    camera.lane.close()
    assert camera.lane.latest is False
    assert len(camera.rest()) == 5


def test_pictures_with_lost_data_are_left_out_until_the_next_keyframe(running: Build, server: RtspServer) -> None:
    camera = running(server.url("live"), capacity=1000, stall_timeout=HANG_S, read_timeout=HANG_S)
    camera.start()
    camera.next()
    server.lost = lambda sequence: sequence % 97 == 0
    assert until(lambda: camera.states().count("corrupt") >= 2), camera.states()
    server.lost = lambda sequence: False
    assert until(lambda: camera.stats.figures().state is State.LIVE), camera.states()
    assert camera.stop() == []
    assert set(camera.states()) == {"connecting", "live", "corrupt"}
    assert camera.stats.figures().dropped["corrupt"] > 1
