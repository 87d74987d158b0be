"""The pool of asynchronous requests: fed fairly from all cameras, collected first in, first out.

Waiting for the oldest request keeps every camera's frames in order without sorting, raises a device's
error on our own thread, and lets no foreign thread run our code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from pipeline.concurrency.queues import Channel, Funnel
from pipeline.config.cameras import Detect
from pipeline.errors import DeviceError
from pipeline.frames import Frame, Result, Timing
from pipeline.stats.registry import Stats

from .detector import Detector, Request

_POLL_S = 0.1


class _Flight(NamedTuple):
    request: Request
    frame: Frame
    wait: float
    prepare: float
    started: float


class Engine:
    """The way of the frames of `intake` into results, with as many requests in flight as the detector has.

    Two threads run it: one in `feed`, one in `collect`. `deliver` is called in `collect`'s thread, in the order of
    each camera's frames; when it blocks, feeding stops as soon as all requests are used.
    """

    def __init__(
        self,
        detector: Detector,
        intake: Funnel[Frame],
        deliver: Callable[[Result], None],
        detect: Mapping[str, Detect],
        stats: Stats,
        timeout: float,
    ) -> None:
        self._detector = detector
        self._intake = intake
        self._deliver = deliver
        self._detect = detect
        self._stats = stats
        self._clock = stats.clock
        self._timeout = timeout
        self._idle: Channel[Request] = Channel(detector.requests)
        self._in_flight: Channel[_Flight] = Channel(detector.requests)
        for _ in range(detector.requests):
            self._idle.put(detector.request())

    def feed(self) -> None:
        """Start a request for the neediest camera's frame whenever a request is free, until the intake ends."""
        try:
            while (request := self._idle.get()) is not None:
                frame = self._intake.get()
                if frame is None or not self._start(request, frame):
                    return
        finally:
            self._in_flight.close()

    def _start(self, request: Request, frame: Frame) -> bool:
        taken = self._clock.monotonic()
        try:
            self._detector.fill(request, frame.picture)
            prepared = self._clock.monotonic()
            request.start_async()
        except RuntimeError as error:
            self._stats.cameras[frame.camera].dropped("failed")
            raise self._device_error(error) from error
        return self._in_flight.put(_Flight(request, frame, taken - frame.captured, prepared - taken, prepared))

    def collect(self) -> None:
        """Wait for the oldest request, read its detections and deliver them, until `feed` has ended."""
        try:
            for flight in self._in_flight:
                result = self._finish(flight)
                self._idle.put(flight.request)
                self._deliver(result)
        finally:
            self._idle.close(discard=True)
            self._abandon()

    def _finish(self, flight: _Flight) -> Result:
        frame, camera = flight.frame, self._stats.cameras[flight.frame.camera]
        try:
            self._wait(flight)
        except BaseException:
            camera.dropped("failed")
            raise
        collected = self._clock.monotonic()
        detect = self._detect[frame.camera]
        picture = frame.picture
        detections = self._detector.parse(
            flight.request, picture.width, picture.height, detect.threshold, detect.labels
        )
        parsed = self._clock.monotonic()
        timing = Timing(frame.decode, flight.wait, flight.prepare, collected - flight.started, parsed - collected)
        for stage in ("decode", "wait", "prepare", "infer", "parse"):
            self._stats.spent(stage, getattr(timing, stage))
        camera.inferred(len(detections), frame.captured)
        return Result(frame, detections, timing)

    def _wait(self, flight: _Flight) -> None:
        deadline = flight.started + self._timeout
        try:
            while not flight.request.wait_for(int(_POLL_S * 1000)):
                if self._clock.monotonic() > deadline:
                    raise DeviceError(
                        f"{self._detector.name} has not answered for {self._timeout:g} s: the device hangs; "
                        "restart it or choose another with infer.device"
                    )
        except DeviceError:
            raise
        except RuntimeError as error:
            raise self._device_error(error) from error

    def _abandon(self) -> None:
        """Let requests still in flight end before the model goes, and count their frames."""
        for flight in self._in_flight:
            self._stats.cameras[flight.frame.camera].dropped("failed")
            flight.request.cancel()

    def _device_error(self, error: Exception) -> DeviceError:
        return DeviceError(f"{self._detector.name}: inference failed: {self._detector.explain(error)}")
