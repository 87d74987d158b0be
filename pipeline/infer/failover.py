"""Inference that outlives its device: the next one takes over, and the chosen one is tried again later."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from pipeline.clock import Clock
from pipeline.concurrency.backoff import Backoff
from pipeline.concurrency.queues import Funnel
from pipeline.concurrency.threads import ThreadGroup
from pipeline.config.cameras import Detect
from pipeline.errors import DeviceError, PipelineError
from pipeline.frames import Detections, Frame, Result, Timing
from pipeline.notice import notify
from pipeline.stats.registry import Stats

from .detector import Detector
from .engine import Engine

log = logging.getLogger(__name__)

_POLL_S = 0.1
FIRST_RETURN_S = 60.0
"""Seconds on another device before the chosen one is tried again; each further time twice that."""
LAST_RETURN_S = 3600.0


class Failover:
    """The way of frames into results on one device after the other.

    `load` makes a detector ready for a device by its name, in a thread of its own; `devices` are those to use, the
    chosen one first. While none is ready, frames of cameras that are `live` go on without detection and those of files
    wait. `run` is called in one thread, which also calls `deliver` and `changed`: the latter with each new detector,
    and with None while there is none.
    """

    def __init__(
        self,
        load: Callable[[str], Detector],
        devices: Sequence[str],
        intake: Funnel[Frame],
        deliver: Callable[[Result], None],
        detect: Mapping[str, Detect],
        stats: Stats,
        timeout: float,
        threads: ThreadGroup,
        changed: Callable[[Detector | None], None],
        live: Callable[[str], bool],
    ) -> None:
        self._load = load
        self._devices = tuple(devices)
        self._intake = intake
        self._deliver = deliver
        self._detect = detect
        self._stats = stats
        self._clock = stats.clock
        self._timeout = timeout
        self._threads = threads
        self._changed = changed
        self._live = live
        self._backoff = Backoff("infer")
        self._return_s = FIRST_RETURN_S
        self._pending: list[Frame] = []
        self._untried: list[str] | None = None
        """The devices that have not failed since the last answer; None where none has."""
        self._answered = False

    def run(self, detector: Detector) -> None:
        """Infer until the intake ends, beginning with a detector that is ready on the first of the devices.

        Raises DeviceError where no device has ever answered, or where all have failed and no camera is live.
        """
        following: tuple[str, Detector] | None = (self._devices[0], detector)
        try:
            while following is not None:
                following = self._serve(*following)
                if following is not None:
                    self._changed(following[1])
                    notify(log, following[1].report())
        finally:
            for frame in self._pending:
                self._stats.cameras[frame.camera].dropped("stopped" if self._threads.stopping.is_set() else "failed")

    def _serve(self, device: str, detector: Detector) -> tuple[str, Detector] | None:
        """Infer with a detector for as long as it answers; return the next one and its device, None at the end."""
        began = self._clock.monotonic()
        first, self._pending = self._pending, []
        try:
            engine = Engine(
                detector,
                self._intake,
                self._take,
                self._detect,
                self._stats,
                self._timeout,
                first,
                self._threads.stopping,
            )
        except DeviceError as error:
            return self._replace(device, detector, error, first, 0.0)
        way_back = _WayBack(self._load, self._devices[0], engine, self._clock)
        self._threads.start("infer-feed", engine.feed)
        if device != self._devices[0]:
            self._threads.start("infer-return", lambda: way_back.run(self._return_s))
        try:
            engine.collect()
        except DeviceError as error:
            return self._replace(device, detector, error, engine.unfinished, self._clock.monotonic() - began)
        except BaseException:
            self._pending = engine.unfinished
            raise
        finally:
            way_back.over.set()
        self._pending = engine.unfinished
        return way_back.taken

    def _take(self, result: Result) -> None:
        if result.detected:
            self._answered = True
            self._untried = None
        self._deliver(result)

    def _replace(
        self, device: str, detector: Detector, error: DeviceError, frames: list[Frame], worked_s: float
    ) -> tuple[str, Detector] | None:
        """Pass on or keep the frames that have no result, and make the next device ready, which is returned."""
        if self._untried is None:
            running = {device, *detector.devices}
            self._untried = [each for each in self._devices if each not in running] or [self._devices[-1]]
            if device == self._devices[0]:
                fell_at_once = worked_s < self._return_s
                self._return_s = min(self._return_s * 2, LAST_RETURN_S) if fell_at_once else FIRST_RETURN_S
        self._changed(None)
        notify(log, f"{error}; pictures of cameras go on without detection meanwhile")
        for frame in frames:
            if self._live(frame.camera):
                self._pass_on(frame)
            else:
                self._pending.append(frame)
        while True:
            if not self._untried:
                if not self._answered or not any(map(self._live, self._detect)):
                    raise error
                self._untried = list(self._devices)
            device = self._untried.pop(0)
            loaded = self._loaded(device, self._backoff.next(worked_s))
            if loaded is None or not isinstance(loaded, PipelineError):
                return None if loaded is None else (device, loaded)
            notify(log, str(loaded))
            worked_s = 0.0

    def _loaded(self, device: str, wait_s: float) -> Detector | PipelineError | None:
        """Return a detector for a device after that many seconds, or why there is none; None if the run ends before."""
        loading = _Loading(self._load, device)

        def load() -> None:
            if not self._clock.wait(self._threads.stopping, wait_s):
                loading.run()

        self._threads.start("infer-load", load)
        while not loading.over.is_set():
            if self._threads.stopping.is_set() or (self._intake.ended and not self._pending):
                return None
            frame = self._intake.get(_POLL_S, latest_only=True)
            if frame is not None:
                self._pass_on(frame)
        return loading.outcome

    def _pass_on(self, frame: Frame) -> None:
        self._stats.cameras[frame.camera].passed(frame.captured)
        self._deliver(Result(frame, Detections.empty(), Timing(frame.decode), detected=False))


class _Loading:
    """A detector that is being made ready in another thread."""

    def __init__(self, load: Callable[[str], Detector], device: str) -> None:
        self._load = load
        self._device = device
        self.over = threading.Event()
        self.outcome: Detector | PipelineError | None = None

    def run(self) -> None:
        """Load it; any fault of a device or its driver is an outcome."""
        try:
            self.outcome = self._load(self._device)
        except PipelineError as error:
            self.outcome = error
        except Exception as error:
            self.outcome = DeviceError(f"device {self._device}: {error}")
        self.over.set()


class _WayBack:
    """The return to the chosen device, once that can be made ready again, while `engine` works on another."""

    def __init__(self, load: Callable[[str], Detector], device: str, engine: Engine, clock: Clock) -> None:
        self._load = load
        self._device = device
        self._engine = engine
        self._clock = clock
        self.over = threading.Event()
        """Set once the engine has ended, so that no return is wanted any more."""
        self.taken: tuple[str, Detector] | None = None

    def run(self, wait_s: float) -> None:
        """Try after `wait_s` seconds and then at times twice as long; let the engine end when it is ready."""
        while not self._clock.wait(self.over, wait_s):
            loading = _Loading(self._load, self._device)
            loading.run()
            if loading.outcome is not None and not isinstance(loading.outcome, PipelineError):
                self.taken = self._device, loading.outcome
                self._engine.hand_over()
                return
            log.info("%s; still on the other device", loading.outcome)
            wait_s = min(wait_s * 2, LAST_RETURN_S)
