"""Pictures, results and statistics made by hand, so that outputs can be looked at."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

# Before PyAV, as in the program: the windows of OpenCV hang otherwise.
import cv2  # noqa: F401
import numpy as np
from numpy.typing import NDArray

from pipeline.capture.decode import pictures
from pipeline.config.cameras import Overlay
from pipeline.draw.overlay import OverlayPainter
from pipeline.frames import Detections, Frame, Image, Result
from pipeline.outputs.protocols import View
from pipeline.stats.camera import State
from pipeline.stats.registry import Stats

START = datetime(2026, 5, 4, 12, 30, 15, 250_000, UTC)


class HandClock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds

    def paused(self) -> float:
        return 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds - 100.0)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.seconds += seconds
        return event.is_set()


class ArrayPicture(pictures.ArrayPicture):
    """A picture that is an array already, and counts how often its pixels were asked for."""

    def __init__(self, image: Image) -> None:
        super().__init__(image)
        self.asked = 0

    def bgr(self) -> Image:
        self.asked += 1
        return super().bgr()


class Scene:
    """One camera with results in the making."""

    def __init__(self, clock: object, name: str = "door", stats: Stats | None = None, live: bool = True) -> None:
        self.clock: HandClock = clock  # type: ignore[assignment]
        self.name = name
        self.live = live
        self.stats = stats or Stats([name], self.clock)
        self.camera = self.stats.cameras[name]
        self.camera.changed(State.LIVE)
        self.settings = Overlay()
        self.drawn = 0
        self.seq = 0

    def result(
        self,
        width: int = 640,
        height: int = 360,
        boxes: list[tuple[float, float, float, float]] | None = None,
        shade: int = 70,
        age: float = 0.04,
        pts: float | None = None,
        label: str = "person",
    ) -> Result:
        picture = ArrayPicture(np.full((height, width, 3), shade, np.uint8))
        found = [(0.25 * width, 0.3 * height, 0.5 * width, 0.9 * height)] if boxes is None else boxes
        detections = Detections(
            np.array(found, np.float32).reshape(-1, 4),
            np.linspace(0.9, 0.6, len(found)).astype(np.float32),
            np.zeros(len(found), np.int32),
            (label,),
        )
        self.seq += 1
        frame = Frame(self.name, self.seq - 1, pts, self.clock.monotonic() - age, picture)
        return Result(frame, detections)

    def draw(self, result: Result) -> Image:
        self.drawn += 1
        return OverlayPainter(self.settings, self.camera, self.clock).draw(result, self.live)

    def view(self, result: Result | None = None) -> View:
        result = result or self.result()
        age = timedelta(seconds=self.clock.monotonic() - result.frame.captured)
        return View(result, self.clock.now() - age, self.draw, self.live)


def share(image: NDArray[Any], colour: tuple[int, int, int], tolerance: int = 40) -> float:
    """The part of an image, 0 to 1, that has a colour."""
    if not image.size:
        return 0.0
    return float((np.abs(image.astype(int) - np.array(colour)).max(axis=2) <= tolerance).mean())
