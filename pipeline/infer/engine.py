"""The pool of asynchronous requests: fed fairly from all cameras, collected first in, first out.

Waiting for the oldest request keeps every camera's frames in order without sorting, raises a device's
error on our own thread, and lets no foreign thread run our code.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from pipeline.concurrency.queues import Channel, Funnel
from pipeline.config.cameras import Detect
from pipeline.errors import DeviceError
from pipeline.frames import Detections, Frame, Result, Timing
from pipeline.stats.registry import Stats

from .detector import Detector, Request

log = logging.getLogger(__name__)

_POLL_S = 0.1


class _Flight(NamedTuple):
    request: Request
    frame: Frame
    wait: float
    prepare: float
    started: float
    error: RuntimeError | None = None
    """Why it could not be started."""


class _StoppedError(Exception):
    """The end of the run while a request was being waited for."""


class _BadPictureError(Exception):
    """What the device cannot do with one picture, while it can with others."""


class Engine:
    """The way of the frames of `intake` into results, with as many requests in flight as the detector has.

    Two threads run it: one in `feed`, one in `collect`. `deliver` is called in `collect`'s thread, in the order of
    each camera's frames; when it blocks, feeding stops as soon as all requests are used. `first` are frames to begin
    with, before those of the intake. Once `stopping` is set nobody wants the results that are still to come.
    """

    def __init__(
        self,
        detector: Detector,
        intake: Funnel[Frame],
        deliver: Callable[[Result], None],
        detect: Mapping[str, Detect],
        stats: Stats,
        timeout: float,
        first: Iterable[Frame] = (),
        stopping: threading.Event | None = None,
    ) -> None:
        self._detector = detector
        self._intake = intake
        self._deliver = deliver
        self._detect = detect
        self._stats = stats
        self._clock = stats.clock
        self._timeout = timeout
        self._first = list(first)
        self._leaving = threading.Event()
        self._stopping = stopping or threading.Event()
        self._idle: Channel[Request] = Channel(detector.requests)
        self._in_flight: Channel[_Flight] = Channel(detector.requests)
        self.unfinished: list[Frame] = []
        """After DeviceError or the stop: the frames that were taken in and have no result, in their order."""
        self._told: set[str] = set()
        try:
            for _ in range(detector.requests):
                self._idle.put(detector.request())
        except RuntimeError as error:
            raise self._device_error(error) from error

    def hand_over(self) -> None:
        """Take no more frames in, so that `collect` returns after the last result; safe from any thread."""
        self._leaving.set()

    def feed(self) -> None:
        """Start a request for the neediest camera's frame whenever a request is free, until the intake ends."""
        held: Frame | None = None
        try:
            for frame in self._frames():
                held = frame
                request = self._idle.get()
                if request is None or not self._start(request, frame):
                    return
                held = None
        finally:
            # Written before the channel closes, read by `collect` only after that.
            self.unfinished = ([] if held is None else [held]) + self._first
            self._in_flight.close()

    def _frames(self) -> Iterator[Frame]:
        while self._first and not self._leaving.is_set():
            yield self._first.pop(0)
        while not self._leaving.is_set():
            frame = self._intake.get(_POLL_S)
            if frame is not None:
                yield frame
            elif self._intake.ended:
                return

    def _start(self, request: Request, frame: Frame) -> bool:
        """Start a request for a frame; False if there will be nobody to collect it."""
        taken = self._clock.monotonic()
        try:
            self._detector.fill(request, frame.picture)
        except Exception as error:
            # A picture that nothing can be made of is its camera's alone.
            self._stats.cameras[frame.camera].dropped("unreadable")
            self._blame(frame, f"a picture cannot be converted: {type(error).__name__}: {error}")
            return self._idle.put(request)
        prepared = self._clock.monotonic()
        failure: RuntimeError | None = None
        try:
            request.start_async()
        except RuntimeError as error:
            failure = error
        return self._in_flight.put(_Flight(request, frame, taken - frame.captured, prepared - taken, prepared, failure))

    def collect(self) -> None:
        """Wait for the oldest request, read its detections and deliver them, until `feed` has ended.

        Raises DeviceError if the device answers no more; one picture that fails is passed on without detection.
        """
        failed: Frame | None = None
        try:
            for flight in self._in_flight:
                failed = flight.frame
                request, result = self._finish(flight)
                failed = None
                self._idle.put(request)
                self._deliver(result)
        except _StoppedError:
            pass
        finally:
            self._leaving.set()
            self._idle.close(discard=True)
            waiting = self._abandon()
            self.unfinished = ([] if failed is None else [failed]) + waiting + self.unfinished

    def _finish(self, flight: _Flight) -> tuple[Request, Result]:
        """Return the result, and the request that is free again."""
        frame, request = flight.frame, flight.request
        camera = self._stats.cameras[frame.camera]
        detect, picture = self._detect[frame.camera], frame.picture
        try:
            if flight.error is not None:
                raise flight.error
            self._wait(request, flight.started)
        except DeviceError:
            raise
        except RuntimeError as error:
            try:
                request = self._again(frame, error)
            except _BadPictureError:
                camera.passed(frame.captured)
                return self._detector.request(), Result(
                    frame, Detections.empty(), Timing(frame.decode, flight.wait), detected=False
                )
        collected = self._clock.monotonic()
        detections = self._detector.parse(request, picture.width, picture.height, detect.threshold, detect.labels)
        parsed = self._clock.monotonic()
        timing = Timing(frame.decode, flight.wait, flight.prepare, collected - flight.started, parsed - collected)
        for stage in ("decode", "wait", "prepare", "infer", "parse"):
            self._stats.spent(stage, getattr(timing, stage))
        camera.inferred(len(detections), frame.captured)
        return request, Result(frame, detections, timing)

    def _wait(self, request: Request, started: float) -> None:
        deadline = started + self._timeout
        while not request.wait_for(int(_POLL_S * 1000)):
            if self._stopping.is_set():
                raise _StoppedError
            if self._clock.monotonic() > deadline:
                # Whoever frees or cancels a request that hangs waits for it, so nobody may ever.
                for each in (self._detector, request):
                    ctypes.pythonapi.Py_IncRef(ctypes.py_object(each))
                raise DeviceError(
                    f"{self._detector.name} has not answered for {self._timeout:g} s: the device hangs; "
                    "restart it or choose another with infer.device"
                )

    def _again(self, frame: Frame, error: RuntimeError) -> Request:
        """Infer a frame once more; return the request with its answer.

        Raises _BadPictureError where only this picture fails, DeviceError where a picture of nothing fails too.
        """
        try:
            request = self._detector.request()
            self._detector.fill(request, frame.picture)
            self._run(request)
        except (DeviceError, _StoppedError):
            raise
        except Exception:
            try:
                self._run(self._detector.request())
            except RuntimeError:
                raise self._device_error(error) from error
            self._blame(frame, f"picture {frame.seq} cannot be inferred: {self._detector.explain(error)}")
            raise _BadPictureError from error
        return request

    def _run(self, request: Request) -> None:
        request.start_async()
        self._wait(request, self._clock.monotonic())

    def _abandon(self) -> list[Frame]:
        """Let requests still in flight end before the model goes; return their frames."""
        frames = []
        for flight in self._in_flight:
            frames.append(flight.frame)
            flight.request.cancel()
        return frames

    def _blame(self, frame: Frame, words: str) -> None:
        """Tell of a picture that cannot be inferred, once for each camera."""
        if frame.camera not in self._told:
            self._told.add(frame.camera)
            log.warning("%s: %s", frame.camera, words, extra={"camera": frame.camera})

    def _device_error(self, error: Exception) -> DeviceError:
        return DeviceError(f"{self._detector.name}: inference failed: {self._detector.explain(error)}")
