"""Boxes for pictures that the detector has not looked at, or not yet: carried on from those that it has."""

from __future__ import annotations

import threading

from pipeline.frames import Frame, Result, Timing

from .tracker import Tracker

MAX_CARRY_S = 1.5
"""Seconds after which boxes are carried no further: what was seen so long ago says nothing of now."""
_MAX_CLOCK_DRIFT_S = 0.5
"""Most that a camera's own times may part from those of arrival before they are no longer believed."""


class BoxCarrier:
    """One camera's boxes between detections; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tracker = Tracker()
        self._offset = 0.0
        self._newest: tuple[float, int, int] | None = None
        """When the picture of the last detections was captured, its width and height; not the picture itself."""

    def update(self, result: Result) -> None:
        """Take what was found in a picture; results come in the order of their pictures."""
        frame = result.frame
        with self._lock:
            self._tracker.update(result.detections, self._seconds(frame))
            self._newest = frame.captured, frame.picture.width, frame.picture.height

    def carry(self, frame: Frame) -> Result:
        """Return where those who were found last are in a later picture; not detected where that is too long ago."""
        width, height = frame.picture.width, frame.picture.height
        with self._lock:
            newest = self._newest
            detections = self._tracker.at(self._seconds(frame), width, height)
        if newest is not None:
            age_s = frame.captured - newest[0]
            if 0 <= age_s <= MAX_CARRY_S and newest[1:] == (width, height):
                return Result(frame, detections, Timing(frame.decode), carried_s=age_s)
        return Result(frame, detections[:0], Timing(frame.decode), detected=False)

    def _seconds(self, frame: Frame) -> float:
        """Return the time of a picture: the camera's own, whose steps are even, as long as it keeps step with ours."""
        if frame.pts is None:
            return frame.captured
        if abs(frame.captured - frame.pts - self._offset) > _MAX_CLOCK_DRIFT_S:
            self._offset = frame.captured - frame.pts
        return frame.pts + self._offset
