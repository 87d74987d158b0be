"""The whole program wired together: it builds the stages, starts their threads, and ends them in order."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

# Before anything loads PyAV: both bring a libxcb-shm, and with that of PyAV the windows of OpenCV hang for ever.
import cv2  # noqa: F401

from pipeline.analyze.analysis import Analysis
from pipeline.capture.worker import CaptureWorker
from pipeline.concurrency.queues import Lane
from pipeline.concurrency.threads import ThreadGroup
from pipeline.config.file_claims import FileClaims
from pipeline.config.root import Config, Output
from pipeline.errors import OutputError, PipelineError, SourceError, StageStuckError
from pipeline.frames import Frame, Result
from pipeline.infer.detector import Detector
from pipeline.notice import notify
from pipeline.outputs.clips.service import Clips
from pipeline.outputs.dispatch import OutputWorker
from pipeline.outputs.protocols import View
from pipeline.redaction import guard_logs
from pipeline.stats.camera import State
from pipeline.stats.histogram import peak_memory
from pipeline.stats.registry import Stats
from pipeline.version import __version__

from .cameras import Sources
from .detection import COLLECTORS, Inference
from .outputs import Outputs, Views
from .picture_feed import PictureFeed
from .replay import Replay

log = logging.getLogger(__name__)

_STATUS_INTERVAL_S = 1.0
_STOP_CHECK_S = 0.1
_START_CHECK_S = 0.02
_WINDOW_WAIT_S = 0.01

LOADER = "infer-load"
LOADERS = (LOADER, "infer-return")
"""The threads that fetch, read and compile the model: foreign code, which takes as long as it likes."""


class Runtime:
    """One run of a configuration: `run()` on the main thread, `stop()` from anywhere.

    `frames` ends the run after that many results of each camera, `duration` after that many seconds; 0 means never.
    `on_tick` hears the statistics once a second from a thread of its own;
    `invite` a line with an address that is a secret: it lets one browser see the page without the token, once and
    for some minutes; there is none if nobody hears it. `replay` takes the place of the detector.
    """

    def __init__(
        self,
        config: Config,
        *,
        frames: int = 0,
        duration: float = 0.0,
        invite: Callable[[str], None] | None = None,
        on_tick: Callable[[Stats], None] | None = None,
        replay: Replay | None = None,
    ) -> None:
        guard_logs()
        detect = {name: camera.detect for name, camera in config.cameras.items()}
        self.config = config
        self.stats = Stats(list(config.cameras), undetected=[name for name, each in detect.items() if not each.enabled])
        self._clock = self.stats.clock
        self._over = threading.Event()
        self._sources = Sources(config.cameras)
        self.claims = FileClaims(config)
        """The files that belong to a source or an output."""
        self.clips = Clips(self._sources.kept, self._clock, self._over, self.claims)
        self.marks: dict[str, float] = {}
        self.started = False
        """Whether every thread runs, with the model if one is needed."""
        self._frames = frames
        self._duration = duration
        self._on_tick = on_tick
        self.began = self._clock.monotonic()
        self._threads = ThreadGroup(self._halt)
        self._flow = Flow(self._threads, self._over)
        self._inference = Inference(detect, config.model, config.infer, self.stats, self._deliver, replay)
        self._collectors = self._inference.detects + self._inference.passes
        self._outputs = Outputs(config.cameras, self.stats, self._threads.start, invite)
        self._analysis = Analysis(config.cameras)
        self._views = Views(config.cameras, self._sources, self.stats)
        self._feeds: dict[str, PictureFeed] = {}
        self._delivered: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._stop_wanted = False
        self._lost: set[str] = set()

    def run(self) -> None:
        """Run until the sources end, a limit is reached, `stop()` is called or something fails: then raise it."""
        try:
            self._begin(self.config.outputs)
            ends = self.began + self._duration if self._duration else float("inf")
            window = self._outputs.on_main_thread
            while not self._stopped and (left := ends - self._clock.monotonic()) > 0:
                if window is not None:
                    if not window.turn(_WINDOW_WAIT_S):
                        break
                elif self._over.wait(min(_STOP_CHECK_S, left)):
                    break
        except BaseException as error:
            self.abort(error)
        self.finish()

    def start(self, outputs: tuple[Output, ...] | None, reader: OutputWorker | None = None) -> None:
        """Open the outputs, start every thread and wait for the model; raises what went wrong.

        `reader` is a queue of results that the caller reads itself.
        """
        self._begin(outputs, reader)
        while not self.started and not self._stopped:
            self._clock.wait(self._threads.stopping, _START_CHECK_S)
        if self._threads.error is not None:
            raise self._threads.error

    def _begin(self, outputs: tuple[Output, ...] | None, reader: OutputWorker | None = None) -> None:
        """Open the outputs and start every thread; one of them makes the model ready, which nobody can interrupt."""
        self.claims.check()
        self._sources.check()
        self._outputs.open(outputs, self._sources, self.clips, self.claims, self._threads.stopping)
        if reader is not None:
            self._outputs.workers.append(reader)
        self.clips.recordings = self._outputs.recordings
        self._mark("outputs_open")
        self._threads.start("status", self._tick)
        self._start_cameras()
        if self._inference.passes:
            self._flow.start("pass-on", self._inference.pass_on, after=self._collected)
        for worker in self._outputs.workers:
            if worker is not reader and not worker.output.main_thread:
                self._flow.start(f"output-{worker.output.name}", worker.run)
        if self._inference.detects:
            self._flow.start(LOADER, self._start_inference)
        else:
            self.started = True
        self._flow.complete()

    def stop(self) -> None:
        """Ask for an orderly end; takes no lock, so that a signal handler may call it."""
        self._stop_wanted = True

    def finish(self) -> None:
        """End all threads within the configured time and raise the first error, if there was one.

        OutputError says what was lost where outputs could not write everything.
        """
        self._threads.stop()
        limit_s = self.config.stop_timeout
        if not {*COLLECTORS} & {*self._threads.working()}:
            self._outputs.end()
        if self._threads.join(limit_s * 0.6):
            self._outputs.end(discard=True)
        left = self._threads.join(limit_s * 0.4)
        stuck = [name for name in left if name not in LOADERS and not name.startswith("capture-")]
        for error in self._outputs.close():
            self._threads.stop(error)
        if self._threads.error is not None:
            raise self._threads.error
        if stuck:
            raise StageStuckError(f"still running {limit_s:g} s after the end: {', '.join(stuck)}")
        if losses := self.stats.losses():
            raise OutputError("\n".join(losses))

    @property
    def _stopped(self) -> bool:
        return self._stop_wanted or self._threads.stopping.is_set()

    @property
    def detector(self) -> Detector | None:
        """The model, once it is loaded; None for good where no camera is detected."""
        return self._inference.detector

    @property
    def error(self) -> BaseException | None:
        """The first error of any stage, if there was one."""
        return self._threads.error

    def abort(self, error: BaseException) -> NoReturn:
        """End all threads because of `error` and raise it."""
        self._threads.stop(error)
        self.finish()
        raise error

    def summary(self) -> dict[str, Any]:
        """Everything that was counted, with stable keys, ready for JSON."""
        return {
            "version": __version__,
            "seconds": round(self._clock.monotonic() - self.began, 3),
            "start_s": {name: round(seconds, 3) for name, seconds in self.marks.items()},
            "cameras": {name: camera.summary() for name, camera in self.stats.cameras.items()},
            "outputs": {name: output.summary() for name, output in self.stats.outputs.items()},
            "stages": {name: spread.as_dict() for name, spread in self.stats.stages().items()},
            **(self.detector.facts() if self.detector else {"model": None, "device": None}),
            "peak_memory_mb": round(peak_memory() / 1e6, 1),
        }

    def view(self, result: Result) -> View:
        """Return a result as outputs see it."""
        return self._views.of(result)

    def _start_cameras(self) -> None:
        outputs = self._outputs
        shared_tap, dropped = outputs.tap(), outputs.dropped()
        for name, camera in self.config.cameras.items():
            lane: Lane[Frame] | PictureFeed
            if camera.detect.enabled:
                feed = PictureFeed(
                    camera.detect.show, self.stats.cameras[name], self._clock, self._show_at_once, dropped
                )
                lane = feed.leading_to(self._inference.lane(name, live=self._sources.live(name), dropped=feed.dropped))
                self._feeds[name] = feed
            else:
                lane = self._inference.lane(name, live=self._sources.live(name), dropped=dropped)
            loop = self._sources.loop(
                name,
                lane,
                self.stats,
                # Packets are lost where they come faster than any output takes them.
                watched=outputs.paced or (shared_tap is not None and not camera.detect.enabled),
                tap=outputs.tap(self.clips.packet) if outputs.asks_for_clips and self.clips.keeps(name) else shared_tap,
                wanted=None if camera.detect.enabled or self._frames else outputs.wanted(name),
                sound=outputs.sound(),
            )
            self._flow.start(f"capture-{name}", partial(self._capture, name, loop), after=lane.close)

    def _capture(self, name: str, loop: CaptureWorker) -> None:
        """Run a camera's loop; a source that is of no use ends the run only where no camera is left that is."""
        try:
            loop.run()
        except SourceError as error:
            with self._lock:
                self._lost.add(name)
                last = len(self._lost) == len(self.config.cameras)
            self.stats.cameras[name].changed(State.OFFLINE, error.reason)
            if last:
                raise
            notify(log, f"{name}: {error}")

    def _start_inference(self) -> None:
        try:
            collect = self._inference.prepare(self._mark, self._threads, self._sources.live)
        except BaseException as error:
            self._collected()
            # Of a run that was asked to end meanwhile, nobody wants to know what the model lacks.
            if self._stopped and isinstance(error, PipelineError):
                return
            raise
        if self._threads.stopping.is_set():
            self._collected()
            return
        self._flow.start("infer-collect", collect, after=self._collected)
        self.started = True

    def _deliver(self, result: Result) -> None:
        camera = result.frame.camera
        if self._frames:
            if self._delivered[camera] >= self._frames:
                return
            self._delivered[camera] += 1
            if self._delivered[camera] == self._frames:
                self._sources.halt(camera)
        view = self._views.of(self._analysis.analyze(result))
        feed = self._feeds.get(camera)
        if feed is None:
            self._outputs.put(view)
        elif not feed.take(result, lambda: self._outputs.put(view)):
            # Its picture was shown, and counted, with boxes carried on to it.
            view.mark_shown()
            self._outputs.put_answer(view)

    def _show_at_once(self, result: Result) -> None:
        self._outputs.put_picture(self._views.of(result))

    def _tick(self) -> None:
        while not self._clock.wait(self._threads.stopping, _STATUS_INTERVAL_S):
            if self._on_tick is not None:
                self._on_tick(self.stats)

    def _halt(self) -> None:
        self._sources.halt_all()
        self._inference.close()
        self._over.set()

    def _collected(self) -> None:
        """Let the outputs end with the last thread that delivers results."""
        with self._lock:
            self._collectors -= 1
            last = not self._collectors
        if last:
            self._outputs.end()

    def _mark(self, name: str) -> None:
        self.marks[name] = self._clock.monotonic() - self.began


class Flow:
    """The threads that frames flow through; when the last of them ends, the run is over."""

    def __init__(self, threads: ThreadGroup, over: threading.Event) -> None:
        self._threads = threads
        self._over = over
        self._running_count = 0
        self._complete = False
        self._lock = threading.Lock()

    def start(self, name: str, body: Callable[[], None], after: Callable[[], None] = lambda: None) -> None:
        """Start a thread; it calls `after` at its end, whatever comes."""

        def counted() -> None:
            try:
                body()
            finally:
                after()
                with self._lock:
                    self._running_count -= 1
                    self._end_if_over()

        with self._lock:
            self._running_count += 1
        self._threads.start(name, counted)

    def complete(self) -> None:
        """Take it that no more threads are to come."""
        with self._lock:
            self._complete = True
            self._end_if_over()

    def _end_if_over(self) -> None:
        if self._complete and not self._running_count:
            self._over.set()
