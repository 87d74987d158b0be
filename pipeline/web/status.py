"""The status of the cameras for programs and pages: JSON, words, and the picture to show with them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pipeline.config.cameras import Overlay
from pipeline.outputs.events.schema import timestamp
from pipeline.outputs.protocols import View
from pipeline.redaction import scrub
from pipeline.stats.camera import CameraFigures, State
from pipeline.stats.health import CameraHealth, assess
from pipeline.stats.registry import Stats

from . import limits
from .latest_frames import LatestFrames
from .passthrough import Passthrough
from .viewers import Viewer, ViewerRegistry

_TEXT_REFRESH_INTERVAL_S = 0.25
_CHECK_INTERVAL_S = 0.25
_GIVING = frozenset({State.LIVE, State.LATE, State.CORRUPT})
"""States of a camera whose next picture is worth waiting for."""


class Assessment(NamedTuple):
    """The newest picture of a camera and how far it can be trusted."""

    view: View | None
    """None before the first."""
    age: float | None
    """Seconds since its capture; None before the first."""
    health: CameraHealth


class StatusReporter:
    """Reports how the cameras are; safe from any thread but for `text`, which belongs to the server's event loop."""

    def __init__(
        self,
        stats: Stats,
        frames: LatestFrames,
        viewers: ViewerRegistry,
        passthrough: Passthrough,
        overlays: Mapping[str, Overlay],
        clip_reach: Callable[[str], float],
        stream_path: Callable[[str], str | None],
    ) -> None:
        """`clip_reach` gives the seconds back that a camera's clips can go, `stream_path` the path of its HLS."""
        self._stats = stats
        self._frames = frames
        self._viewers = viewers
        self._passthrough = passthrough
        self._overlays = overlays
        self._clip_reach = clip_reach
        self._stream_path = stream_path
        self._text: tuple[float, str] = (0.0, "")

    def assess(self, camera: str) -> Assessment:
        """Judge the newest view of a camera."""
        view = self._frames.newest(camera)
        clock = self._stats.clock
        age = None if view is None else max(0.0, clock.monotonic() - view.result.frame.captured)
        live = view is None or view.live
        return Assessment(view, age, assess(self._stats.cameras[camera].figures(), clock.now(), age, live))

    def health(self, camera: str) -> CameraHealth:
        """Judge a camera itself, whether or not a picture of it was shown."""
        figures = self._stats.cameras[camera].figures()
        return assess(figures, self._stats.clock.now(), figures.age, figures.live)

    async def await_picture(self, camera: str, viewer: Viewer, max_age: float = math.inf) -> None:
        """Wait a little for a picture of a camera that gives some, at most `max_age` seconds older than the call.

        A camera that is only watched is decoded for the `viewer` alone; one that is detected waits for the model.
        """
        clock = self._stats.clock
        asked = clock.monotonic()
        while (waited := clock.monotonic() - asked) < limits.MAX_FIRST_PICTURE_WAIT_S and not self._viewers.closed:
            view = self._frames.newest(camera)
            if view is not None and view.result.frame.captured >= asked - max_age:
                return
            if self._stats.cameras[camera].figures().state not in _GIVING:
                return
            await viewer.wait(min(_CHECK_INTERVAL_S, limits.MAX_FIRST_PICTURE_WAIT_S - waited))

    def jpeg(self, camera: str) -> bytes:
        """Return the newest picture as a JPEG that can stand alone: dimmed, with the reason, if it is stale."""
        view, _, health = self.assess(camera)
        if view is None or health.stale:
            return self._frames.encode_status(camera, view, health, self._passthrough.size(camera))
        return self._frames.encode(view).jpeg

    def cameras(self) -> dict[str, Any]:
        """Return the status of all cameras and the count of viewers, for JSON."""
        return {
            "cameras": [self.camera_status(camera) for camera in self._stats.cameras],
            "viewers": self._viewers.count(),
        }

    def text(self) -> str:
        """Return the same as JSON text, at most a quarter of a second old: made once for all pages."""
        now = self._stats.clock.monotonic()
        if not self._text[1] or now - self._text[0] > _TEXT_REFRESH_INTERVAL_S:
            self._text = now, json.dumps(self.cameras(), separators=(",", ":"))
        return self._text[1]

    def camera_status(self, camera: str) -> dict[str, Any]:
        """Return the status of a camera for JSON, as openapi.json beside the page describes it."""
        view, age, health = self.assess(camera)
        figures = self._stats.cameras[camera].figures()
        size = None if view is None else (view.result.frame.picture.width, view.result.frame.picture.height)
        live = figures.live and (view is None or view.live)
        if not figures.detected:
            # Pictures may rest unseen, but not the camera.
            age, size = figures.age, self._passthrough.size(camera) or size
            health = assess(figures, self._stats.clock.now(), age, live)
        width, height = size or (None, None)
        return {
            "name": figures.name,
            "state": figures.state.value,
            "reason": scrub(figures.reason),
            "since": timestamp(figures.since),
            "retry_in": None if figures.retry_in is None else round(figures.retry_in, 1),
            "last_good": None if figures.last_good is None else timestamp(figures.last_good),
            "next_try": None if figures.next_try is None else timestamp(figures.next_try),
            "level": health.level.value,
            "text": health.text,
            "stale": health.stale,
            "live": live,
            "source": scrub(figures.source),
            "width": width,
            "height": height,
            "detected": figures.detected,
            "people": None if health.stale else figures.people,
            "fps": round(figures.fps, 1),
            "fps_in": round(figures.fps_in, 1),
            "fps_detected": round(figures.fps_detected, 1),
            "age_ms": None if age is None else round(age * 1e3),
            "captured": figures.captured,
            "inferred": figures.inferred,
            "carried": figures.carried,
            "passed": figures.passed,
            "shown": figures.shown,
            "dropped": figures.dropped,
            "in_flight": figures.in_flight,
            "reconnects": figures.reconnects,
            "late": figures.late,
            "viewers": self._viewers.count(camera),
            "direct": self._direct(figures, live),
            "clip_s": self._clip_reach(camera),
            "hls": self._stream_path(camera),
        }

    def _direct(self, figures: CameraFigures, live: bool) -> dict[str, Any] | None:
        """Describe the camera's own pictures, which are judged by their own age because they do not wait for boxes."""
        offer = self._passthrough.offer(figures.name)
        if offer is None:
            return None
        codec, hold, age = offer
        health = assess(figures, self._stats.clock.now(), age, live)
        overlay = self._overlays.get(figures.name, Overlay())
        return {
            "codec": codec,
            "hold_ms": round(hold * 1e3),
            "level": health.level.value,
            "text": health.text,
            "stale": health.stale,
            "boxes": overlay.enabled and overlay.boxes,
            "labels": overlay.enabled and overlay.labels,
        }
