"""The whole program wired together: it builds the stages, starts their threads, and ends them in order."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Literal, NoReturn

from pipeline.capture import check_source, open_source
from pipeline.capture.source import Source
from pipeline.capture.worker import Camera
from pipeline.concurrency.threads import ThreadGroup
from pipeline.config.root import Config, Output
from pipeline.draw.overlay import Overlay
from pipeline.errors import StageStuckError
from pipeline.frames import Image, Result
from pipeline.infer.backends.openvino.detector import Detector
from pipeline.outputs.clips.service import Clips
from pipeline.outputs.dispatch import OutputWorker, fan_out, losses, wanting
from pipeline.outputs.protocols import View
from pipeline.redaction import guard_logs
from pipeline.stats.histogram import peak_memory
from pipeline.stats.registry import Stats
from pipeline.version import __version__

from .detection import COLLECTORS, Inference
from .outputs import Opener, chosen
from .replay import Replay

_TICK = 1.0
_POLL = 0.1


class Runtime:
    """One run of a configuration: `run()` on the main thread, `stop()` from anywhere.

    `frames` ends the run after that many results of each camera, `duration` after that many seconds; 0 means never.
    `notice` hears each line worth printing, `on_tick` the statistics once a second from a thread of its own;
    `invite` a line with an address that is a secret: it lets one browser see the page without the token, once and
    for some minutes; there is none if nobody hears it. `replay` takes the place of the detector.
    """

    def __init__(
        self,
        config: Config,
        *,
        frames: int = 0,
        duration: float = 0.0,
        notice: Callable[[str], None] = lambda line: None,
        invite: Callable[[str], None] | None = None,
        on_tick: Callable[[Stats], None] | None = None,
        replay: Replay | None = None,
    ) -> None:
        guard_logs()
        self.config = config
        self.stats = Stats(
            list(config.cameras),
            undetected=[name for name, camera in config.cameras.items() if not camera.detect.enabled],
        )
        self._drained = threading.Event()
        self.clips = Clips(config.cameras, self.stats.clock, self._drained)
        self.marks: dict[str, float] = {}
        self.started = False
        """Whether every thread runs, with the model if one is needed."""
        self._frames = frames
        self._duration = duration
        self._notice = notice
        self._invite = invite
        self._on_tick = on_tick
        self._clock = self.stats.clock
        self.began = self._clock.monotonic()
        self._crew = ThreadGroup(self._halt)
        self._inference = Inference(config, self.stats, self._deliver, notice, replay)
        self._collectors = self._inference.detects + self._inference.passes
        self._halts = {name: threading.Event() for name in config.cameras}
        self._sources: dict[str, Source] = {}
        self._overlays = {
            name: Overlay(camera.overlay, self.stats.cameras[name], self._clock)
            for name, camera in config.cameras.items()
        }
        self._outlets: list[OutputWorker] = []
        self._delivered: Counter[str] = Counter()
        self._stages = 0
        self._lock = threading.Lock()
        self._stop_wanted = False

    def run(self) -> None:
        """Run until the sources end, a limit is reached, `stop()` is called or something fails: then raise it."""
        try:
            self.start(self.config.outputs)
            ends = self.began + self._duration if self._duration else float("inf")
            window = next((each for each in self._outlets if each.output.main_thread), None)
            while not self._stopped and (left := ends - self._clock.monotonic()) > 0:
                if window is not None:
                    if not window.turn(_POLL / 10):
                        break
                elif self._drained.wait(min(_POLL, left)):
                    break
        except BaseException as error:
            self.abort(error)
        self.finish()

    def start(self, outputs: tuple[Output, ...] | None, reader: OutputWorker | None = None) -> None:
        """Open the outputs and start every thread; `reader` is a queue of results that the caller reads itself."""
        for camera in self.config.cameras.values():
            check_source(camera.source)
        opener = Opener(self.config, self.stats, self._crew.start, self.clips, self._notice, self._invite)
        for settings in chosen(outputs):
            self._outlets.append(OutputWorker(opener.open(settings), self.stats))
        if reader is not None:
            self._outlets.append(reader)
        recordings = [made for each in self._outlets if (made := each.output.recordings) is not None]
        self.clips.recordings = recordings[0] if recordings else None
        self._mark("outputs_open")
        self._crew.start("status", self._tick)
        hint = self._start_cameras()
        if self._inference.passes:
            self._stage("pass-on", self._inference.pass_on, after=self._collected)
        for outlet in self._outlets:
            if outlet is not reader and not outlet.output.main_thread:
                self._stage(f"render-{outlet.output.name}", outlet.run)
        feed = None
        if self._inference.detects:
            # Whoever watches other cameras need not wait until the model is there.
            try:
                collect, feed = self._inference.prepare(hint, self._mark)
            except BaseException:
                self._collected()
                raise
            self._stage("infer-collect", collect, after=self._collected)
        if feed is not None:
            self._crew.start("infer-feed", feed)
        with self._lock:
            self.started = True
            if not self._stages:
                self._drained.set()

    def stop(self) -> None:
        """Ask for an orderly end; takes no lock, so that a signal handler may call it."""
        self._stop_wanted = True

    def finish(self) -> None:
        """End all threads within the configured time and raise the first error, if there was one."""
        self._crew.stop()
        patience = self.config.stop_timeout
        if not {*COLLECTORS} & {*self._crew.working()}:
            self._close_outlets()
        if self._crew.join(patience * 0.6):
            self._close_outlets(discard=True)
        stuck = [name for name in self._crew.join(patience * 0.4) if not name.startswith("capture-")]
        for outlet in self._outlets:
            try:
                outlet.output.close()
            except Exception as error:
                self._crew.stop(error)
        if self._crew.error is not None:
            raise self._crew.error
        if stuck:
            raise StageStuckError(f"still running {patience:g} s after the end: {', '.join(stuck)}")

    @property
    def _stopped(self) -> bool:
        return self._stop_wanted or self._crew.stopping.is_set()

    @property
    def detector(self) -> Detector | None:
        """The model, once it is loaded; None for good where no camera is detected."""
        return self._inference.detector

    @property
    def error(self) -> BaseException | None:
        """The first error of any stage, if there was one."""
        return self._crew.error

    def abort(self, error: BaseException) -> NoReturn:
        """End all threads because of `error` and raise it."""
        self._crew.stop(error)
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

    def _start_cameras(self) -> Literal["latency", "throughput"]:
        seen = any(outlet.output.paced for outlet in self._outlets)
        asking = any(outlet.output.asks_for_clips for outlet in self._outlets)
        copied = fan_out(self._outlets)
        wants = wanting(self._outlets)
        lose = losses(self._outlets, self.stats)
        for name, camera in self.config.cameras.items():
            source = self._sources[name] = open_source(camera.source, camera.capture, self._halts[name])
            lane = self._inference.lane(name, live=source.live, dropped=lose)
            # Packets are lost where they come faster than any output takes them.
            shown = seen or (copied is not None and not camera.detect.enabled)
            pace = camera.capture.pace
            loop = Camera(
                name,
                camera,
                lane,
                self.stats.cameras[name],
                self._halts[name],
                paced=pace == "realtime" or (pace == "auto" and shown),
                clock=self._clock,
                source=source,
                tap=fan_out(self._outlets, self.clips) if asking and self.clips.keeps(name) else copied,
                wanted=None if camera.detect.enabled or self._frames else partial(wants, name),
            )
            self._stage(f"capture-{name}", loop.run, after=lane.close)
        if self.config.infer.hint != "auto":
            return self.config.infer.hint
        return "latency" if any(source.live for source in self._sources.values()) else "throughput"

    def _deliver(self, result: Result) -> None:
        frame = result.frame
        if self._frames:
            if self._delivered[frame.camera] >= self._frames:
                return
            self._delivered[frame.camera] += 1
            if self._delivered[frame.camera] == self._frames:
                self._halts[frame.camera].set()
        view = self.view(result)
        for outlet in self._outlets:
            outlet.put(view)

    def view(self, result: Result) -> View:
        """A result as outputs see it."""
        frame = result.frame
        captured_at = self._clock.now() - timedelta(seconds=self._clock.monotonic() - frame.captured)
        return View(result, captured_at, self._draw, self._sources[frame.camera].live)

    def _draw(self, result: Result) -> Image:
        with self.stats.timed("overlay"):
            camera = result.frame.camera
            return self._overlays[camera].draw(result, self._sources[camera].live)

    def _tick(self) -> None:
        while not self._clock.wait(self._crew.stopping, _TICK):
            if self._on_tick is not None:
                self._on_tick(self.stats)

    def _stage(self, name: str, body: Callable[[], None], after: Callable[[], None] = lambda: None) -> None:
        """Start a thread of the flow; when the last of them ends, the run is over."""

        def counted() -> None:
            try:
                body()
            finally:
                after()
                with self._lock:
                    self._stages -= 1
                    if not self._stages and self.started:
                        self._drained.set()

        with self._lock:
            self._stages += 1
        self._crew.start(name, counted)

    def _halt(self) -> None:
        for halt in self._halts.values():
            halt.set()
        self._inference.close()
        self._drained.set()

    def _collected(self) -> None:
        """A thread that delivers results has ended; with the last one the outputs end too."""
        with self._lock:
            self._collectors -= 1
            last = not self._collectors
        if last:
            self._close_outlets()

    def _close_outlets(self, *, discard: bool = False) -> None:
        for outlet in self._outlets:
            outlet.views.close(discard=discard)

    def _mark(self, name: str) -> None:
        self.marks[name] = self._clock.monotonic() - self.began
