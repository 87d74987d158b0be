"""A real camera whose pictures say where their box belongs, a detector that reads it there, and a page to show it."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.capture.worker import CaptureWorker
from pipeline.concurrency.queues import Funnel
from pipeline.config.cameras import Camera, Capture
from pipeline.frames import Detections, Frame, Image, Packet, Result
from pipeline.outputs.protocols import View
from pipeline.stats.registry import Stats
from pipeline.web.output import WebOutput
from pipeline.web.passthrough import TimestampMap
from pipeline.web.settings import Web
from tests.support.clips import Clip, encode, number_in, stamped
from tests.support.outputs import context

WIDTH, HEIGHT = 640, 360
TOP, SIDE = 180, 80


def left_of(number: int) -> int:
    """Where the marker of a picture begins, in pixels: 8 further than in the one before."""
    return 40 + number % 60 * 8


def box_of(number: int) -> tuple[float, float, float, float]:
    """The marker of a picture."""
    left = left_of(number)
    return left, TOP, left + SIDE, TOP + SIDE


def pictures(count: int, width: int = WIDTH, height: int = HEIGHT) -> Iterator[Image]:
    """Pictures with their number and a marker that moves."""
    for number in range(count):
        picture = np.full((height, width, 3), 90, np.uint8)
        left, top, right, bottom = map(int, box_of(number))
        picture[top:bottom, left:right] = (40, 30, 160)
        yield stamped(picture, number)


def clip(count: int = 300, keyframe_every: int = 30, **size: int) -> Clip:
    """The same as a camera sends it."""
    return encode(pictures(count, **size), 30, keyframe_every)


class Watched:
    """One camera with its page; `begin` starts them, `end` stops them."""

    def __init__(
        self,
        start: Callable[[str, Callable[[], None]], None],
        address: str,
        delays: tuple[float, float] = (0.015, 0.060),
        paced: bool = False,
        detects: Callable[[Frame], bool] = lambda frame: True,
        **capture: Any,
    ) -> None:
        self.stats = Stats(["door"])
        self.clock = self.stats.clock
        self.start = start
        self.detects = detects
        self.drawn = 0
        self.captured: dict[int, float] = {}
        """Monotonic seconds of each picture, by its number."""
        self.tapped: list[tuple[int, bool]] = []
        """Stamp of every compressed picture, and whether it was a keyframe."""
        self.stamps = TimestampMap()
        self.newest: Result | None = None
        self.halt = threading.Event()
        self.intake: Funnel[Frame] = Funnel()
        self.delays = delays
        self.random = random.Random(7)
        self.web = self.server(0)
        lane = self.intake.lane(30, latest=True)
        settings = Camera(source=address, capture=Capture(**capture))
        self.camera = CaptureWorker(
            "door", settings, lane, self.stats.cameras["door"], self.halt, paced=paced, clock=self.clock, tap=self.tap
        )

    def server(self, port: int) -> WebOutput:
        web = WebOutput(Web(port=port), context(self.stats, self.start))
        web.open()
        return web

    def begin(self) -> None:
        self.start("capture-door", self.camera.run)
        self.start("infer-door", self.detect)

    def end(self) -> None:
        self.halt.set()
        self.intake.close(discard=True)
        self.web.close()

    @property
    def port(self) -> int:
        return int(self.web.address.rsplit(":", 1)[1].strip("/"))

    def restart(self) -> None:
        """End the page's server and serve anew at the same address."""
        port = self.port
        self.web.close()
        self.web = self.server(port)

    def tap(self, packet: Packet) -> None:
        # The first picture of a connection may come without a time.
        self.tapped.append((self.stamps.assign(packet), packet.key))
        self.web.packet(packet)

    def detect(self) -> None:
        """Find each picture's marker, as late as a detector may be, and in order."""
        under_way: deque[tuple[float, Frame]] = deque()
        due = 0.0
        while not self.halt.is_set():
            now = self.clock.monotonic()
            patience = 0.1 if not under_way else max(0.0, under_way[0][0] - now)
            frame = self.intake.get(patience)
            if frame is not None:
                if not self.detects(frame):
                    self.web.on_drop(frame)
                    continue
                due = max(due, frame.captured + self.random.uniform(*self.delays))
                under_way.append((due, frame))
            while under_way and under_way[0][0] <= self.clock.monotonic():
                self.deliver(under_way.popleft()[1])

    def deliver(self, frame: Frame) -> None:
        number = number_in(frame.picture.bgr())
        self.captured[number] = frame.captured
        boxes = np.array([box_of(number)], np.float32)
        found = Detections(boxes, np.array([0.9], np.float32), np.zeros(1, np.int32), ("person",))
        result = self.newest = Result(frame, found)
        self.stats.cameras["door"].inferred(1, frame.captured)
        self.web.on_result(result)
        if self.web.show(View(result, datetime.now(UTC), self.draw, self.camera.source.live)):
            self.stats.cameras["door"].shown(frame.captured)

    def draw(self, result: Result) -> Image:
        self.drawn += 1
        return result.frame.picture.bgr().copy()


def turned(path: Path) -> Path:
    """The same MP4, in place, with the word that its pictures are to be turned half round."""
    data = bytearray(path.read_bytes())
    # The matrix stands in the track header, right before its width and height.
    upright = b"".join(int(v).to_bytes(4, "big") for v in (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000))
    half = b"".join((v & 0xFFFFFFFF).to_bytes(4, "big") for v in (-0x10000, 0, 0, 0, -0x10000, 0, 0, 0, 0x40000000))
    at = data.index(upright, data.index(b"tkhd"))
    data[at : at + 36] = half
    path.write_bytes(data)
    return path
