"""The way from frames to results: through the detector, out of recordings, or past both."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from pipeline.concurrency.queues import Funnel, Lane
from pipeline.config.cameras import Detect
from pipeline.config.models import Infer, Model
from pipeline.frames import Detections, Frame, Result, Timing
from pipeline.infer.backends.openvino.detector import load
from pipeline.infer.detector import Detector
from pipeline.infer.engine import Engine
from pipeline.infer.models.catalogue import locate
from pipeline.notice import notify
from pipeline.stats.registry import Stats

from .replay import Replay

log = logging.getLogger(__name__)

COLLECTORS = ("infer-collect", "pass-on")
"""Names of the threads that deliver results."""


class Inference:
    """Takes frames in at a lane for each camera; its threads call `deliver` in the order of each camera's frames.

    `replay` takes the place of the detector. The frames of a camera that is not to be detected go past both, and
    without any other camera no model is loaded.
    """

    def __init__(
        self,
        detect: Mapping[str, Detect],
        model: Model,
        infer: Infer,
        stats: Stats,
        deliver: Callable[[Result], None],
        replay: Replay | None,
    ) -> None:
        self.detector: Detector | None = None
        self.detects = any(each.enabled for each in detect.values())
        """Whether any camera is to be detected."""
        self.passes = not all(each.enabled for each in detect.values())
        """Whether any camera is not."""
        self._detect = detect
        self._model = model
        self._infer = infer
        self._stats = stats
        self._deliver = deliver
        self._replay = replay
        self._intake: Funnel[Frame] = Funnel()
        self._past: Funnel[Frame] = Funnel()

    def lane(self, camera: str, *, live: bool, dropped: Callable[[Frame, str], None]) -> Lane[Frame]:
        """Return the way in for a camera's frames; `dropped(frame, reason)` hears of each that will not be inferred."""
        capacity = 1 if live else 2
        if self._detect[camera].enabled:
            return self._intake.lane(capacity, latest=live, dropped=dropped)
        # These were to be inferred never, so that one which gives way to a newer one is no loss to count.
        return self._past.lane(capacity, latest=live)

    def prepare(
        self, mark: Callable[[str], None], *, live: bool
    ) -> tuple[Callable[[], None], Callable[[], None] | None]:
        """Load the model; return what collects its results, and what feeds it.

        `mark` hears how far it is; `live` says whether any source is a camera, for which delay matters most.
        """
        if self._replay is not None:
            notify(log, self._replay.report())
            return self._play, None
        hint = self._infer.hint
        if hint == "auto":
            hint = "latency" if live else "throughput"
        located = locate(self._model)
        mark("model_found")
        self.detector = load(located, self._infer, hint)
        detect = {name: each for name, each in self._detect.items() if each.enabled}
        for each in detect.values():
            self.detector.check_labels(each.labels)
        mark("model_compiled")
        self._stats.detector = self.detector.title
        notify(log, self.detector.report())
        engine = Engine(self.detector, self._intake, self._deliver, detect, self._stats, self._infer.timeout)
        return engine.collect, engine.feed

    def pass_on(self) -> None:
        """Deliver every frame that is not to be detected, until there will be no more."""
        for frame in self._past:
            self._stats.spent("decode", frame.decode)
            self._deliver(Result(frame, Detections.empty(), Timing(frame.decode), detected=False))

    def close(self) -> None:
        """Take nothing in any more, and forget what waits."""
        self._intake.close(discard=True)
        self._past.close(discard=True)

    def _play(self) -> None:
        assert self._replay is not None
        self._replay.run(self._intake, self._deliver, self._stats)
