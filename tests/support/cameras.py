from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.capture.source import Sample, Source
from pipeline.capture.worker import CaptureWorker
from pipeline.clock import Clock, SystemClock
from pipeline.concurrency.queues import Funnel, Lane
from pipeline.concurrency.threads import ThreadGroup
from pipeline.config.cameras import Camera, Capture
from pipeline.frames import Frame, Packet, Picture
from pipeline.stats.camera import CameraStats
from pipeline.stats.registry import Stats
from tests.support.clips import Clip, encode, street, write_file
from tests.support.servers.rtsp import RtspServer
from tests.support.wait import HANG_S

PATIENT = dict.fromkeys(("open_timeout", "read_timeout", "start_timeout", "stall_timeout"), HANG_S)
"""Limits of a source that no slow machine reaches."""


def picture_of(sample: Sample | None) -> Picture:
    """Return the picture of a sample that must have one."""
    assert sample is not None
    assert sample.picture is not None
    return sample.picture


def shorten(settings: Capture, **limits: float) -> None:
    """Let limits of a source be shorter from now on, though settings never change otherwise."""
    vars(settings).update(limits)


@pytest.fixture(scope="session")
def clip() -> Clip:
    """Two seconds of the street, a keyframe every half second."""
    return encode(street(60), 30, 15)


@pytest.fixture
def server(clip: Clip) -> Iterator[RtspServer]:
    with RtspServer({"live": clip}) as running:
        yield running


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MP4 of 60 numbered pictures, with B-frames as most files have them."""
    options = {"preset": "veryfast", "g": "20", "bf": "2"}
    return write_file(tmp_path_factory.mktemp("video") / "street.mp4", street(60), 30, **options)


@dataclass
class Running:
    """A camera at work in its own thread, and what comes out of it."""

    camera: CaptureWorker
    lane: Lane[Frame]
    frames: Funnel[Frame]
    stats: CameraStats
    stopping: threading.Event
    crew: ThreadGroup = field(init=False)

    def __post_init__(self) -> None:
        self.crew = ThreadGroup(lambda: None)

    def start(self) -> None:
        def body() -> None:
            try:
                self.camera.run()
            finally:
                self.lane.close()

        self.crew.start(f"capture-{self.camera.name}", body)

    def next(self, timeout: float = HANG_S) -> Frame:
        frame = self.frames.get(timeout)
        assert frame is not None, f"no frame within {timeout} s: {self.stats.figures()}"
        return frame

    def rest(self) -> list[Frame]:
        return list(self.frames)

    def states(self) -> list[str]:
        return [change.state.value for change in self.stats.changes()]

    def stop(self, seconds: float = HANG_S) -> list[str]:
        self.stopping.set()
        self.frames.close(discard=True)
        return self.crew.join(seconds)


@pytest.fixture
def running() -> Iterator[Callable[..., Running]]:
    """Builds cameras that are stopped after the test."""
    made: list[Running] = []

    def build(
        address: str = "demo",
        *,
        source: Source | None = None,
        clock: Clock | None = None,
        paced: bool = False,
        capacity: int = 2,
        latest: bool = False,
        tap: Callable[[Packet], None] | None = None,
        **capture: object,
    ) -> Running:
        clock = clock or SystemClock()
        stats = Stats(["door"], clock).cameras["door"]
        stopping = threading.Event()
        settings = Camera(source=address, capture=Capture.model_validate(capture))
        frames: Funnel[Frame] = Funnel()
        lane = frames.lane(capacity, latest=latest, dropped=lambda frame, reason: stats.dropped(reason))
        camera = CaptureWorker(
            "door", settings, lane, stats, stopping, paced=paced, clock=clock, source=source, tap=tap
        )
        made.append(Running(camera, lane, frames, stats, stopping))
        return made[-1]

    yield build
    for each in made:
        assert each.stop() == []
