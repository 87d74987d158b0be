"""A camera on this machine, by number or the path of its device: OpenCV."""

from __future__ import annotations

import errno
import glob
import os
import struct
import sys
import threading
from collections.abc import Callable

import cv2
import numpy as np

from pipeline.capture.decode.pictures import ArrayPicture
from pipeline.capture.health.stall import StallTimeouts
from pipeline.capture.source import Sample
from pipeline.clock import PROCESS, Clock
from pipeline.config.cameras import Capture
from pipeline.errors import SourceError
from pipeline.frames import Packet

_ASK_BUFFERS = 0xC0145608
_CAPTURE, _MAPPED = 1, 1

# OpenCV waits ten seconds for a silent camera, reads this once, and takes whole seconds only.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")


class WebcamSource:
    """A webcam, asked for compressed pictures because USB has no room for others at full rate."""

    live = True
    gives_packets = False
    local = True

    def __init__(self, source: str, settings: Capture, stopping: threading.Event | None = None) -> None:
        """Take a number or a device's path; once `stopping` is set, a blocked `read` ends within a second."""
        self._linux = sys.platform.startswith("linux")
        self._path = f"/dev/video{source}" if source.isdigit() and self._linux else source
        self._settings = settings
        self._stopping = stopping or threading.Event()
        self.fps = 0.0
        self.description = ""
        self.tap: Callable[[Packet], None] | None = None
        self.wanted: Callable[[], bool] | None = None
        self.corrupt = 0
        """Pictures left out so far because they could not be unpacked."""
        self._camera: cv2.VideoCapture | None = None
        self._stall = StallTimeouts(settings)

    @classmethod
    def check(cls, address: str) -> None:
        """Do nothing: only opening shows whether a camera is there."""

    @classmethod
    def from_address(
        cls, address: str, settings: Capture, stopping: threading.Event | None, clock: Clock | None
    ) -> WebcamSource:
        """Make the source of a number or a device's path; cameras have their own time."""
        return cls(address, settings, stopping)

    def open(self) -> None:
        """Open the device and ask for the configured format; what it agreed to is the description."""
        self.close()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        if self._linux:
            self._check_device()
        where: str | int = int(self._path) if self._path.isdigit() else self._path
        camera = cv2.VideoCapture(where, cv2.CAP_V4L2 if self._linux else cv2.CAP_ANY)
        if not camera.isOpened():
            camera.release()
            raise self._refusal()
        settings = self._settings
        if settings.fourcc:
            camera.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*settings.fourcc))
        if settings.width and settings.height:
            camera.set(cv2.CAP_PROP_FRAME_WIDTH, settings.width)
            camera.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.height)
        if settings.fps:
            camera.set(cv2.CAP_PROP_FPS, settings.fps)
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._camera = camera
        self._describe(camera)
        self._stall.opened(PROCESS.monotonic(), self.fps)

    def read(self) -> Sample | None:
        """Return the next picture; SourceError after read_timeout without one, or as soon as the camera is gone."""
        if self._camera is None:
            raise RuntimeError("read before open")
        self._stall.data(PROCESS.monotonic())
        limit = self._stall.deadline()
        allowed_s = limit - self._stall.last
        while not self._stopping.is_set():
            if self._camera.grab():
                begun = PROCESS.monotonic()
                if self.wanted is not None and self._stall.started and not self.wanted():
                    stamp = self._stamp()
                    self._stall.picture(begun, stamp)
                    return Sample(None, stamp, 0.0)
                good, pixels = self._camera.retrieve()
                if good and pixels is not None and pixels.size:
                    stamp = self._stamp()
                    self._stall.picture(PROCESS.monotonic(), stamp)
                    return Sample(ArrayPicture(np.asarray(pixels, np.uint8)), stamp, PROCESS.monotonic() - begun)
                self.corrupt += 1
            elif self._linux and self._error_of_opening() in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
                raise SourceError(f"{self._path}: the camera was unplugged", "unplugged")
            if PROCESS.monotonic() >= limit:
                raise SourceError(f"{self._path}: no picture for {allowed_s:.2g} s", "timed out")
            self._stopping.wait(0.01)
        raise SourceError(f"{self._path}: stopped", "ended")

    def close(self) -> None:
        """Let the device go, so that others can use it."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.release()

    def _stamp(self) -> float | None:
        """Return the time of the newest picture on the camera's own line; None where it tells none."""
        assert self._camera is not None
        stamp = self._camera.get(cv2.CAP_PROP_POS_MSEC) / 1e3
        return stamp if stamp > 0 else None

    def _describe(self, camera: cv2.VideoCapture) -> None:
        code = int(camera.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        letters = struct.pack("<I", code).decode("ascii", "replace").strip("\0 ")
        width, height = (int(camera.get(each)) for each in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        rate = float(camera.get(cv2.CAP_PROP_FPS))
        self.fps = rate if 1 <= rate <= 240 else 0.0
        pace = f" at {self.fps:g} fps" if self.fps else ""
        self.description = f"{letters if letters.isprintable() else ''} {width}x{height}{pace}".strip()

    def _check_device(self) -> None:
        error = self._error_of_opening()
        if error in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            there = ", ".join(sorted(glob.glob("/dev/video*")) + sorted(glob.glob("/dev/v4l/by-id/*")))
            known = f"there is {there}" if there else "none is connected"
            raise SourceError(f"{self._path}: no such camera; {known}", "not found")
        if error in (errno.EACCES, errno.EPERM):
            raise SourceError(
                f"{self._path}: this user may not use the camera; add the user to the group video and log in again",
                "unauthorized",
            )
        if error == errno.EBUSY:
            raise self._busy()

    def _refusal(self) -> SourceError:
        """Say why OpenCV would not open a device that is there."""
        if self._linux and self._error_of_opening(ask=True) == errno.EBUSY:
            return self._busy()
        return SourceError(f"{self._path}: this device gives no pictures that OpenCV can read", "unsupported")

    def _busy(self) -> SourceError:
        return SourceError(f"{self._path}: another program is using the camera; close it and try again", "busy")

    def _error_of_opening(self, *, ask: bool = False) -> int:
        """Return the number of the error that opening meets, or asking for buffers where `ask`; 0 for none."""
        try:
            device = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            return error.errno or errno.EIO
        try:
            if ask:
                import fcntl

                fcntl.ioctl(device, _ASK_BUFFERS, struct.pack("5I", 1, _CAPTURE, _MAPPED, 0, 0))
        except OSError as error:
            return error.errno or errno.EIO
        finally:
            os.close(device)
        return 0
