"""The newest picture of each camera, encoded once for all viewers, and only while there are any."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import cv2

from pipeline.draw.overlay import blank, stale
from pipeline.errors import OutputError
from pipeline.frames import Image
from pipeline.outputs.protocols import View
from pipeline.stats.health import MAX_SHOWN_AGE_S, CameraHealth
from pipeline.stats.registry import Stats

_BLANK_SIZE_PX = 640, 360


@dataclass(frozen=True, slots=True, eq=False)
class EncodedView:
    """One view as a JPEG with everything drawn on it."""

    view: View
    jpeg: bytes


@dataclass(frozen=True, slots=True, eq=False)
class _StatusPicture:
    """A picture with the reason why it is not live over it."""

    view: View | None
    text: str
    size: tuple[int, int]
    jpeg: bytes


class LatestFrames:
    """Newest views in, JPEGs out; safe from any thread."""

    def __init__(self, stats: Stats, quality: int) -> None:
        """`quality` is that of JPEGs, 1 to 100."""
        self._stats = stats
        self._quality = quality
        self._lock = threading.Lock()
        self._encoding = threading.Lock()
        self._views: dict[str, View] = {}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._encoded: dict[str, EncodedView] = {}
        self._status_pictures: dict[str, _StatusPicture] = {}

    def put(self, view: View) -> None:
        """Take a camera's newest view."""
        picture = view.result.frame.picture
        with self._lock:
            self._views[view.result.frame.camera] = view
            self._sizes[view.result.frame.camera] = picture.width, picture.height

    def newest(self, camera: str) -> View | None:
        """Return the newest view of a camera, but none that is long out of date for want of viewers."""
        with self._lock:
            view = self._views.get(camera)
        if view is None or view.result.detected:
            return view
        source_age = self._stats.cameras[camera].figures().age or 0.0
        age = self._stats.clock.monotonic() - view.result.frame.captured
        return view if age - source_age <= MAX_SHOWN_AGE_S else None

    def newest_encoded(self, camera: str) -> EncodedView | None:
        """Return the newest view of a camera as a JPEG, encoded now if it was not yet; None before the first."""
        view = self.newest(camera)
        return None if view is None else self.encode(view)

    def encode(self, view: View) -> EncodedView:
        """Return a view as a JPEG; one that is asked for again is not encoded again while it is the newest."""
        camera = view.result.frame.camera
        with self._encoding:
            encoded = self._encoded.get(camera)
            if encoded is None or encoded.view is not view:
                encoded = self._encoded[camera] = EncodedView(view, self._jpeg(view.annotated()))
            return encoded

    def encode_status(
        self, camera: str, view: View | None, health: CameraHealth, size: tuple[int, int] | None = None
    ) -> bytes:
        """Return a JPEG that says what is wrong with a camera, over its newest view dimmed if there is one.

        `size` is that of the camera's compressed pictures, if it gives any: players keep the first size they see.
        """
        with self._lock:
            size = self._sizes.get(camera) or size or _BLANK_SIZE_PX
        with self._encoding:
            picture = self._status_pictures.get(camera)
            if picture is None or (picture.view, picture.text, picture.size) != (view, health.text, size):
                image = blank(*size, health, camera) if view is None else stale(view.image(), health, camera)
                picture = _StatusPicture(view, health.text, size, self._jpeg(image))
                self._status_pictures[camera] = picture
            return picture.jpeg

    def _jpeg(self, image: Image) -> bytes:
        with self._stats.timed("jpeg"):
            done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        if not done:
            raise OutputError(f"cannot encode a picture of {image.shape[1]}x{image.shape[0]} as JPEG for the page")
        return data.tobytes()
